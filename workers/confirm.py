"""Role `deliver`, what is left of it: asks providers about messages whose sending nobody saw the end of."""

from __future__ import annotations

import asyncio

from inbox.conversations.confirming import ConfirmingService
from workers.base import loop

PAUSE_SECONDS = 2.0


class ConfirmWorker:
    """The asking loop."""

    def __init__(self, confirming: ConfirmingService) -> None:
        self._confirming = confirming

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop. A question may take minutes and changes nothing: it is dropped and asked again."""
        asking = asyncio.create_task(loop("confirm", self._step, stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
            stopping.cancel()
            await asyncio.gather(asking, stopping, return_exceptions=True)

    async def _step(self) -> float:
        return 0 if await self._confirming.ask_due() else PAUSE_SECONDS
