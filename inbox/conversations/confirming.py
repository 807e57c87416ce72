"""Asking providers what became of messages whose sending nobody saw the end of, before anything is sent again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from channels.base import AskableAdapter, ChannelError, OutboundMessage, Rejected, Retry, SendResult, Sent, Unknown
from inbox.conversations import gate
from inbox.conversations.model import Message, State
from inbox.conversations.outgoing import provider_refs
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_confirms import PAUSES, Confirm, ConfirmStore
from inbox.conversations.store_outbox import OutboxEntry, OutboxStore
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Conflict, DomainError, NotFound
from inbox.core.events import Event, EventType
from inbox.core.mongo import DriverError, Duplicate, Mongo, Session, storable
from inbox.core.store import EventStore
from inbox.inboxes.service import InboxService

log = structlog.get_logger()

ACTOR = "system:confirm"
LEASE_SECONDS = 300.0
"""Longer than a provider takes to answer; what a vanished process was asking about is asked again after that."""
AT_ONCE = 20
_DUPLICATE_TRIES = 5

Outbound = Callable[[Message], Awaitable[OutboundMessage]]
"""A message as its adapter is given it."""


class ConfirmingService:
    """Asks, and records what it heard. Several processes may run one each; to ask changes nothing at a provider."""

    def __init__(
        self,
        mongo: Mongo,
        conversations: ConversationStore,
        confirms: ConfirmStore,
        outbox: OutboxStore,
        events: EventStore,
        inboxes: InboxService,
        outbound: Outbound,
        *,
        clock: Clock = utcnow,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._mongo = mongo
        self._conversations = conversations
        self._confirms = confirms
        self._outbox = outbox
        self._events = events
        self._inboxes = inboxes
        self._outbound = outbound
        self._clock = clock
        self._chance = chance

    async def ask_due(self) -> int:
        """Ask about what is due, `AT_ONCE` at most; answers how many were. Raises driver errors."""
        confirms: list[Confirm] = []
        while len(confirms) < AT_ONCE:
            confirm = await self._confirms.claim(self._clock(), LEASE_SECONDS)
            if confirm is None:
                break
            confirms.append(confirm)
        results = await asyncio.gather(*(self._ask(confirm) for confirm in confirms), return_exceptions=True)
        for result in results:
            if result is not None:
                raise result
        return len(confirms)

    async def _ask(self, confirm: Confirm) -> None:
        message = await self._conversations.message(confirm.id)
        result = await self._answer(message) if message is not None and _is_open(message, confirm) else None
        if isinstance(result, Unknown) and confirm.asked + 1 < len(PAUSES):
            # After the last question nobody asks again: it stays as it is, for a person.
            await self._confirms.later(confirm, self._clock() + PAUSES[confirm.asked + 1])
            return
        for left in reversed(range(_DUPLICATE_TRIES)):
            try:
                await self._mongo.transaction(lambda session: self._settle(session, confirm, result))
            except Duplicate:
                if not left:
                    raise
                continue  # another message was given the same id just now: look again
            return

    async def _answer(self, message: Message) -> SendResult | None:
        """What the provider says; None where there is nobody to ask."""
        try:
            adapter = await self._inboxes.adapter(message.inbox_id)
            if not isinstance(adapter, AskableAdapter):
                return None
            return await adapter.find_sent(await self._outbound(message))
        except (NotFound, Conflict):  # the inbox was archived, a file is gone
            return None
        except (ChannelError, DomainError) as error:
            return Unknown(str(error))
        except DriverError:
            raise
        except Exception as error:  # an adapter's mistake must not keep the others from being asked about
            log.exception("asking failed", message_id=message.id)
            return Unknown(f"Internal error ({type(error).__name__}).")

    async def _settle(self, session: Session, confirm: Confirm, result: SendResult | None) -> None:
        if not await self._confirms.done(session, confirm):
            return
        message = await self._conversations.message(confirm.id, session)
        if message is None or not _is_open(message, confirm):
            return  # a report came meanwhile, or a person sent it again
        match result:
            case Sent():
                await self._found(session, message, result)
            case Retry() | Rejected():
                await self._missed(session, message, confirm, result)

    async def _found(self, session: Session, message: Message, result: Sent) -> None:
        document = (await self._conversations.states(session, [message.id]))[message.id]
        refs = provider_refs(message.id, result, document, self._clock())
        known = await self._conversations.refs([ref.id for ref in refs], session)
        if any(ref.message_id != message.id for ref in known.values()):
            log.warning("what the provider has is another message's", message_id=message.id)
            return  # two equal texts: this one may or may not be there, so it stays unconfirmed
        await self._conversations.add_refs(session, refs)
        await self._show(session, message, State.SENT, {})

    async def _missed(self, session: Session, message: Message, confirm: Confirm, result: Retry | Rejected) -> None:
        """The provider has not got it: it may be sent, as if it had not been taken before."""
        now = self._clock()
        said = {"reason": storable(result.reason)[:2000], "code": storable(result.code)[:100]}
        if isinstance(result, Rejected) or now - confirm.first_at > gate.RETRY_FOR:
            await self._show(session, message, State.FAILED, said)
            return
        # The first time it waited long enough while it was asked about.
        after = gate.retry_delay(confirm.attempts, result.after, self._chance()) if confirm.attempts > 1 else 0.0
        due_at = now + timedelta(seconds=after)
        entry = OutboxEntry(
            id=message.id,
            inbox_id=message.inbox_id,
            due_at=due_at,
            attempts=confirm.attempts,
            first_at=confirm.first_at,
            leased_until=now,
        )
        await self._outbox.add(session, [entry])
        await self._show(session, message, State.QUEUED, {**said, "due_at": due_at})

    async def _show(self, session: Session, message: Message, state: State, fields: Mapping[str, Any]) -> None:
        now = self._clock()
        delivery = {"reason": "", "code": "", "due_at": None, **fields, "state": state.value, "at": now}
        await self._conversations.set_deliveries(session, {message.id: delivery})
        if state is not State.FAILED and not await self._conversations.has_failed(session, message.conversation_id):
            await self._conversations.change(session, message.conversation_id, {"failed": False})
        event = Event(
            type=EventType.MESSAGE_STATE,
            at=now,
            actor=ACTOR,
            inbox_id=message.inbox_id,
            conversation_id=message.conversation_id,
            message_id=message.id,
            data={"state": state.value},
        )
        await self._events.append(session, [event])


def _is_open(message: Message, confirm: Confirm) -> bool:
    """Whether this very attempt is still unconfirmed."""
    delivery = message.delivery
    return delivery is not None and delivery.state is State.UNCONFIRMED and delivery.attempts == confirm.attempts
