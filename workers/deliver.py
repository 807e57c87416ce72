"""Role `deliver`: sends what is due, keeps its leases, and shows what a vanished process left as unconfirmed."""

from __future__ import annotations

import asyncio

from inbox.conversations.delivery import DeliveryService
from inbox.core.dispatch import Dispatcher
from workers.base import loop

LONGEST_PAUSE = 0.5
"""Seconds between looks at the outbox; another process may have queued something without waking this one."""


class Deliver:
    """The sending loop."""

    def __init__(self, delivery: DeliveryService, dispatcher: Dispatcher) -> None:
        self._delivery = delivery
        self._wake = asyncio.Event()
        dispatcher.register("deliver", self._on_task)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until asked to stop, then let what is under way finish."""
        leases = asyncio.create_task(loop("deliver", self._leases, asyncio.Event()))
        try:
            await loop("deliver", self._step, stop, self._wake)
            await self._delivery.close()
        finally:
            leases.cancel()
            await asyncio.gather(leases, return_exceptions=True)

    async def _step(self) -> float:
        begun = await self._delivery.deliver_due()
        return 0 if begun else LONGEST_PAUSE

    async def _leases(self) -> float:
        await self._delivery.renew()
        await self._delivery.recover()
        return self._delivery.lease_seconds / 3

    async def _on_task(self, _message_id: str) -> None:
        self._wake.set()
