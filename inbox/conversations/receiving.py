"""Fetching from inboxes that poll: the cursor moves only after the commit; each hour the servers are compared."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog

from channels.base import ChannelError, PollingAdapter, Refused
from inbox.conversations.ingest import IngestService
from inbox.core.errors import DomainError
from inbox.core.mongo import DriverError
from inbox.inboxes.model import HealthState, Inbox
from inbox.inboxes.service import InboxService

log = structlog.get_logger()

FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
REFUSED_WAIT = 60.0
"""Seconds between tries while credentials are refused: a person must act, and a server should not lock us out."""


class ReceivingService:
    """One call polls one inbox until it is cancelled, its settings change or it is paused."""

    def __init__(
        self, inboxes: InboxService, ingest: IngestService, chance: Callable[[], float] = random.random
    ) -> None:
        self._inboxes = inboxes
        self._ingest = ingest
        self._chance = chance

    async def polled(self) -> list[Inbox]:
        """The inboxes that are to be polled now."""
        found = []
        for inbox in await self._inboxes.inboxes():
            if inbox.paused:
                continue
            try:
                adapter = await self._inboxes.adapter(inbox.id)
            except DriverError:
                raise
            except Exception as error:  # noqa: BLE001 # whatever is wrong with one inbox, the others are polled
                await self._inboxes.set_health(inbox.id, HealthState.DEAD, _words(error), by="receive")
                continue
            if adapter.capabilities.polls and isinstance(adapter, PollingAdapter):
                found.append(inbox)
            elif inbox.health.state is HealthState.UNKNOWN:  # what is brought to us needs nobody to be reached
                await self._inboxes.set_health(inbox.id, HealthState.OK, by="receive")
        return found

    async def poll(self, inbox_id: str) -> None:
        """Fetch for ever, with back-off and jitter after a failure. Ends where the inbox needs a new adapter."""
        wait = FIRST_WAIT
        version = (await self._inboxes.get(inbox_id)).version
        while True:
            try:
                async for _ in self._rounds(inbox_id):
                    wait = FIRST_WAIT
                    if (await self._inboxes.get(inbox_id)).version != version:
                        return
                pause = FIRST_WAIT
            except Refused as error:
                await self._say(inbox_id, HealthState.DEAD, error.words)
                pause = max(REFUSED_WAIT, wait)
                wait = min(LONGEST_WAIT, wait * 2)
            except Exception as error:  # noqa: BLE001 # an adapter's mistake needs patience as well, and must show
                log.info("polling failed", inbox_id=inbox_id, error=_words(error), again_in=wait)
                await self._say(inbox_id, HealthState.DEGRADED, _words(error))
                pause = wait
                wait = min(LONGEST_WAIT, wait * 2)
            await asyncio.sleep(pause * (1 + self._chance() / 4))
            if (await self._inboxes.get(inbox_id)).version != version:
                return

    async def reconcile(self) -> None:
        """Compare what each server has with what was taken in, take in what was missed, and write on the inbox's
        health page what could not be had."""
        for inbox in await self.polled():
            adapter = await self._inboxes.adapter(inbox.id)
            if not isinstance(adapter, PollingAdapter):
                continue
            cursor = await self._inboxes.cursor(inbox.id)
            missing = 0
            try:
                async for places, raws in adapter.reconcile(cursor, partial(self._ingest.known_places, inbox.id)):
                    await self._ingest.ingest_many(inbox.id, raws)
                    missing += len(places) - len(raws)
            except Exception as error:  # noqa: BLE001 # whatever is wrong with one inbox, the others are compared
                log.warning("cannot reconcile", inbox_id=inbox.id, error=_words(error))
                continue
            await self._inboxes.reconciled(inbox.id, missing)

    async def _rounds(self, inbox_id: str) -> AsyncIterator[None]:
        adapter = await self._inboxes.adapter(inbox_id)
        if not isinstance(adapter, PollingAdapter):
            return
        async for raws, cursor in adapter.poll(await self._inboxes.cursor(inbox_id)):
            if raws:
                await self._ingest.ingest_many(inbox_id, raws)
            await self._inboxes.save_cursor(inbox_id, cursor)
            await self._inboxes.set_health(inbox_id, HealthState.OK, by="receive")
            yield None

    async def _say(self, inbox_id: str, state: HealthState, words: str) -> None:
        try:
            await self._inboxes.set_health(inbox_id, state, words, by="receive")
        except DriverError as error:
            log.warning("cannot write the health of an inbox", inbox_id=inbox_id, error=str(error))


def _words(error: Exception) -> str:
    """What a person is told; of a mistake of ours its kind alone, as its words may hold anything."""
    if isinstance(error, ChannelError | DomainError | DriverError | OSError):
        return str(error) or type(error).__name__
    log.error("an adapter failed", exc_info=error)
    return f"Internal error ({type(error).__name__})."
