"""Role `fetch`: fetches the files that providers still hold."""

from __future__ import annotations

import asyncio

from inbox.conversations.fetching import FetchingService
from workers.base import loop

AT_ONCE = 4
PAUSE_SECONDS = 0.5


class FetchWorker:
    """A few loops beside each other, so that a large file keeps no small one waiting."""

    def __init__(self, fetching: FetchingService) -> None:
        self._fetching = fetching

    async def run(self, stop: asyncio.Event) -> None:
        """Fetch until asked to stop; what is under way is finished."""
        await asyncio.gather(*(loop("fetch", self._step, stop) for _ in range(AT_ONCE)))

    async def _step(self) -> float:
        return 0 if await self._fetching.fetch_next() else PAUSE_SECONDS
