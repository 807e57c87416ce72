"""Role `housekeep`: what must be done now and then, by one process in the cluster."""

from __future__ import annotations

import asyncio

import structlog

from inbox.conversations.housekeeping import HousekeepingService
from inbox.core.store import Leases
from workers.base import loop

log = structlog.get_logger()

LOOK_SECONDS = 5.0
HOUR = 3600.0


class Housekeep:
    """Wakes what was snoozed, takes in what was left behind, sweeps files and compares with the servers each hour."""

    def __init__(self, housekeeping: HousekeepingService, leases: Leases, owner: str, lease_seconds: float) -> None:
        self._housekeeping = housekeeping
        self._leases = leases
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._hourly_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until asked to stop."""
        await loop("housekeep", self._step, stop)
        await self._leases.release("housekeep", self._owner)

    async def _step(self) -> float:
        if not await self._leases.take("housekeep", self._owner, self._lease_seconds):
            return LOOK_SECONDS
        await self._housekeeping.often()
        now = asyncio.get_running_loop().time()
        if now >= self._hourly_at:
            self._hourly_at = now + HOUR
            await self._housekeeping.hourly()
        return min(LOOK_SECONDS, self._lease_seconds / 3)
