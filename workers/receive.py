"""Role `receive`: one poller per inbox, each under a lease, so that it runs once in the cluster."""

from __future__ import annotations

import asyncio

import structlog

from inbox.conversations.receiving import ReceivingService
from inbox.core.store import Leases
from workers.base import loop

log = structlog.get_logger()

LOOK_SECONDS = 2.0


class Receive:
    """Starts, keeps and ends the pollers of this process."""

    def __init__(self, receiving: ReceivingService, leases: Leases, owner: str, lease_seconds: float) -> None:
        self._receiving = receiving
        self._leases = leases
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._pollers: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until asked to stop; what is being taken in is finished or will be fetched again."""
        try:
            await loop("receive", self._step, stop)
        finally:
            for inbox_id in list(self._pollers):
                await self._end(inbox_id)

    async def _step(self) -> float:
        wanted = {inbox.id for inbox in await self._receiving.polled()}
        for inbox_id in set(self._pollers) - wanted:
            await self._end(inbox_id)
        for inbox_id in wanted:
            held = await self._leases.take(f"receive:{inbox_id}", self._owner, self._lease_seconds)
            poller = self._pollers.get(inbox_id)
            if poller is not None and (not held or poller.done()):
                await self._end(inbox_id, release=not held)
                poller = None
            if held and poller is None:
                self._pollers[inbox_id] = asyncio.create_task(self._receiving.poll(inbox_id))
        return min(LOOK_SECONDS, self._lease_seconds / 3)

    async def _end(self, inbox_id: str, *, release: bool = True) -> None:
        poller = self._pollers.pop(inbox_id)
        poller.cancel()
        [result] = await asyncio.gather(poller, return_exceptions=True)
        if isinstance(result, Exception):
            log.error("poller failed", inbox_id=inbox_id, error=repr(result))
        if release:
            await self._leases.release(f"receive:{inbox_id}", self._owner)
