"""What the conversations need done now and then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from inbox.conversations.ingest import IngestService
from inbox.conversations.receiving import ReceivingService
from inbox.conversations.service import ConversationService
from inbox.core.clock import Clock, utcnow
from inbox.core.files import Files
from inbox.core.store import Marks

log = structlog.get_logger()

RefersTo = Callable[[str, str], Awaitable[bool]]
"""(owner, file id) -> whether the owner is there and uses the file."""
KEEP_UNUSED_FILES = timedelta(days=1)


class HousekeepingService:
    """Every call may be repeated and may be made by several processes; one at a time is enough."""

    def __init__(
        self,
        conversations: ConversationService,
        ingest: IngestService,
        receiving: ReceivingService,
        files: Files,
        users: Sequence[RefersTo],
        marks: Marks,
        clock: Clock = utcnow,
    ) -> None:
        self._conversations = conversations
        self._ingest = ingest
        self._receiving = receiving
        self._files = files
        self._users = users
        self._marks = marks
        self._clock = clock

    async def often(self) -> None:
        """Every few seconds: open what was snoozed until now, take in what a dead process left."""
        woken = await self._conversations.wake_snoozed()
        taken = await self._ingest.sweep()
        if woken or taken:
            log.info("housekeeping", woken=woken, taken_in=taken)

    async def hourly(self) -> None:
        """Every hour: delete files nothing refers to, compare the inboxes with their servers."""
        swept = await self.sweep_files()
        if swept:
            log.info("files swept", deleted=swept)
        await self._receiving.reconcile()

    async def sweep_files(self) -> int:
        """Delete files a day old that nothing refers to (their transaction failed, or its process died).

        Each file is looked at once: what is taken off later is deleted by who takes it off. Answers how many went.
        """
        after = await self._marks.get("files swept") or datetime.min.replace(tzinfo=UTC)
        until = self._clock() - KEEP_UNUSED_FILES
        swept = 0
        async for file_id, owner in self._files.owners(after, until):
            if not await self._is_used(owner, file_id):
                await self._files.delete(file_id)
                swept += 1
        await self._marks.move("files swept", until)
        return swept

    async def _is_used(self, owner: str, file_id: str) -> bool:
        for refers_to in self._users:
            if await refers_to(owner, file_id):
                return True
        return False
