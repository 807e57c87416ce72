"""Role `receive`, the other way in: the listener mail servers forward to. It says "taken" only after the commit."""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from channels.base import Raw
from channels.registry import Door, DoorLimits
from inbox.conversations.ingest import IngestService
from inbox.core.errors import Unavailable
from inbox.inboxes.service import InboxService

log = structlog.get_logger()


class DoorWorker:
    """Keeps the door open while the process runs."""

    def __init__(
        self,
        inboxes: InboxService,
        ingest: IngestService,
        *,
        host: str,
        port: int,
        speak: Literal["smtp", "lmtp"],
        max_bytes: int,
    ) -> None:
        self._inboxes = inboxes
        self._ingest = ingest
        self._door = Door(
            host,
            port,
            resolve=self._inboxes.resolve,
            deliver=self._deliver,
            speak=speak,
            limits=DoorLimits(message_bytes=max_bytes),
        )

    async def open(self) -> int:
        """Listen; answers the port. Raises `Unavailable` where it is taken."""
        try:
            await self._door.start()
        except OSError as error:
            raise Unavailable("The mail door cannot open: %(why)s", why=error.strerror or str(error)) from error
        return self._door.port

    async def run(self, stop: asyncio.Event) -> None:
        """Take mail until asked to stop, then finish what is being stored."""
        await stop.wait()
        await self._door.close()

    async def _deliver(self, inbox_id: str, raw: Raw) -> None:
        await self._ingest.ingest(inbox_id, raw)
