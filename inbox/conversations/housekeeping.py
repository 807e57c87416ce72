"""What the conversations need done now and then."""

from __future__ import annotations

from datetime import timedelta

import structlog

from inbox.conversations.ingest import IngestService
from inbox.conversations.receiving import ReceivingService
from inbox.conversations.service import ConversationService
from inbox.conversations.store_raw import RawStore
from inbox.core.clock import Clock, utcnow

log = structlog.get_logger()

KEEP_UNUSED_FILES = timedelta(days=1)


class HousekeepingService:
    """Every call may be repeated and may be made by several processes; one at a time is enough."""

    def __init__(
        self,
        conversations: ConversationService,
        ingest: IngestService,
        receiving: ReceivingService,
        raws: RawStore,
        clock: Clock = utcnow,
    ) -> None:
        self._conversations = conversations
        self._ingest = ingest
        self._receiving = receiving
        self._raws = raws
        self._clock = clock

    async def often(self) -> None:
        """Every few seconds: open what was snoozed until now, take in what a dead process left."""
        woken = await self._conversations.wake_snoozed()
        taken = await self._ingest.sweep()
        if woken or taken:
            log.info("housekeeping", woken=woken, taken_in=taken)

    async def hourly(self) -> None:
        """Every hour: delete files nothing refers to, compare the inboxes with their servers."""
        swept = await self._conversations.sweep_files(self._clock() - KEEP_UNUSED_FILES, self._raws.exists)
        log.info("files swept", deleted=swept)
        await self._receiving.reconcile()
