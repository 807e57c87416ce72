"""Trying an inbox: a live check of its settings, and a message to itself that must come back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence

from channels.base import (
    Adapter,
    Address,
    ChannelError,
    CheckStep,
    HookedAdapter,
    OutboundMessage,
    Rejected,
    Retry,
    Sent,
)
from inbox.accounts.model import Actor, Permission
from inbox.core.clock import Clock
from inbox.core.errors import Invalid, NotFound
from inbox.inboxes.catalogue import Catalogue
from inbox.inboxes.health import HealthBook
from inbox.inboxes.model import CheckResult, HealthState, Inbox, LoopState, LoopTest, loop_token, takes_mail
from inbox.inboxes.store import InboxStore

_CHECK_SECONDS = 60
_SEND_SECONDS = 60
GetAdapter = Callable[[str], Awaitable[Adapter]]


class Checks:
    """Live checks and loop tests."""

    def __init__(self, store: InboxStore, catalogue: Catalogue, health: HealthBook, clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._health = health
        self._clock = clock

    async def check(self, actor: Actor, inbox_id: str, adapter: Adapter) -> CheckResult:
        """Try the saved settings both ways, 60 seconds at most; the outcome becomes the inbox's health."""
        actor.require(Permission.SETTINGS)
        steps = await self._redacted(inbox_id, await self._steps(adapter.check))
        failed = next((step for step in steps if not step.ok), None)
        state = HealthState.DEAD if failed else HealthState.OK
        words = f"{failed.name}: {failed.words}" if failed else ""
        await self._health.set(inbox_id, state, words, actor.id)
        return CheckResult(steps=tuple(steps))

    async def connect_hook(self, actor: Actor, inbox_id: str, adapter: HookedAdapter) -> CheckResult:
        """Tell the provider our webhook's address; 60 seconds at most."""
        actor.require(Permission.SETTINGS)
        return CheckResult(steps=tuple(await self._redacted(inbox_id, await self._steps(adapter.connect))))

    async def _redacted(self, inbox_id: str, steps: Sequence[CheckStep]) -> list[CheckStep]:
        return [CheckStep(step.name, step.ok, await self._catalogue.redacted(inbox_id, step.words)) for step in steps]

    async def begin_loop_test(self, actor: Actor, inbox_id: str, adapter: Adapter) -> LoopTest:
        """Send a message to the inbox's own address. Raises `Invalid` where it has none or cannot write to itself."""
        actor.require(Permission.SETTINGS)
        inbox = await self._catalogue.get(inbox_id)
        if not inbox.address or not takes_mail(adapter.capabilities.address_kind):
            raise Invalid("This inbox has no address of its own to write to.")
        test = LoopTest(id=f"ortoo-test-{secrets.token_hex(16)}", inbox_id=inbox_id, at=self._clock())
        await self._store.save_loop_test(test)
        state, words = await self._send(inbox, test, adapter)
        words = await self._catalogue.redacted(inbox_id, words)
        await self._store.step_loop_test(test.id, inbox_id, state, words, self._clock())
        return await self.loop_test(actor, test.id)

    async def loop_test(self, actor: Actor, token: str) -> LoopTest:
        """How far a test has come. Raises `NotFound`."""
        actor.require(Permission.SETTINGS)
        test = await self._store.loop_test(token)
        if test is None:
            raise NotFound("This test is no longer kept.")
        return test

    async def loop_seen(self, inbox_id: str, subject: str) -> bool:
        """Whether a message that came in is one of this inbox's loop tests; it is then noted as back."""
        token = loop_token(subject)
        return token is not None and await self._store.step_loop_test(
            token, inbox_id, LoopState.SEEN, "", self._clock()
        )

    async def loop_caught(self, inbox_id: str, subject: str) -> None:
        """Note that a loop test went to the catcher, where that is what the subject says."""
        token = loop_token(subject)
        if token is not None:
            await self._store.step_loop_test(token, inbox_id, LoopState.CAUGHT, "", self._clock())

    async def _steps(self, ask: Callable[[], Awaitable[list[CheckStep]]]) -> list[CheckStep]:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return await ask()
        except TimeoutError:
            return [CheckStep("Connection", False, "No answer within a minute. Check the server names and ports.")]
        except ChannelError as error:
            return [CheckStep("Connection", False, error.words)]

    async def _send(self, inbox: Inbox, test: LoopTest, adapter: Adapter) -> tuple[LoopState, str]:
        own = Address(adapter.capabilities.address_kind, inbox.address, inbox.name)
        out = OutboundMessage(
            inbox_id=inbox.id,
            message_ref=f"<{test.id}@{inbox.address.rpartition('@')[2] or 'ortoo.localhost'}>",
            sender=own,
            to=(own,),
            subject=f"Örtöö: {test.id}",
            text="This message was sent by Örtöö to see whether it comes back. You can delete it.\n",
            auto_submitted=True,
            sent_at=test.at,
        )
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                result = await adapter.send(out, _nothing)
        except TimeoutError:
            return LoopState.FAILED, "It could not be sent within a minute."
        if isinstance(result, Sent):
            return LoopState.SENT, result.note
        if isinstance(result, Retry | Rejected):
            return LoopState.FAILED, f"{result.code} {result.reason}".strip()
        return LoopState.FAILED, result.reason


async def _nothing() -> None:
    """A test that is cut off is not worth remembering: it is simply sent again."""
