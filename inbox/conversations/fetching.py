"""Fetching what a provider still holds: pictures and other files of messages that are in already."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import msgspec
import structlog

from channels.base import Attachment, ChannelError, FetchingAdapter, Refused, Unreachable
from inbox.conversations import gate
from inbox.conversations.model import FileRef, Message
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_fetches import Fetch, FetchStore
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Conflict, DomainError, NotFound
from inbox.core.events import Event, EventType
from inbox.core.files import Files, StoredFile
from inbox.core.mongo import DriverError, Mongo, Session, storable, to_value
from inbox.core.store import EventStore
from inbox.inboxes.service import InboxService

log = structlog.get_logger()

ACTOR = "system:fetch"
LEASE_SECONDS = 300.0
"""Longer than a large file takes; what a vanished process had is fetched again after that."""
GIVE_UP_AFTER = timedelta(days=2)


class FetchingService:
    """Fetches one file at a time. Several processes may run one each."""

    def __init__(
        self,
        mongo: Mongo,
        store: ConversationStore,
        fetches: FetchStore,
        files: Files,
        events: EventStore,
        inboxes: InboxService,
        *,
        max_bytes: int,
        clock: Clock = utcnow,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._mongo = mongo
        self._store = store
        self._fetches = fetches
        self._files = files
        self._events = events
        self._inboxes = inboxes
        self._max_bytes = max_bytes
        self._clock = clock
        self._chance = chance

    async def fetch_next(self) -> bool:
        """Fetch what is due first; False where nothing is."""
        fetch = await self._fetches.claim(self._clock(), LEASE_SECONDS)
        if fetch is None:
            return False
        try:
            content = await self._content(fetch)
        except (NotFound, Conflict) as error:  # the inbox is gone: waiting changes nothing
            await self._settle(fetch, None, str(error))
        except (Unreachable, Refused, DomainError) as error:
            await self._postpone(fetch, str(error))
        except ChannelError as error:
            await self._settle(fetch, None, error.words)
        except DriverError:
            raise
        except Exception as error:  # an adapter's mistake must not keep the other files from coming
            log.exception("fetching failed", fetch_id=fetch.id)
            await self._postpone(fetch, f"Internal error ({type(error).__name__}).")
        else:
            await self._keep(fetch, content)
        return True

    async def _content(self, fetch: Fetch) -> Attachment:
        adapter = await self._inboxes.adapter(fetch.inbox_id)
        if not isinstance(adapter, FetchingAdapter):
            raise ChannelError("This channel has no files to fetch.")
        return await adapter.fetch(fetch.ref, self._max_bytes)

    async def _keep(self, fetch: Fetch, content: Attachment) -> None:
        stored = await self._files.put(
            content.content or b"", name=content.name, media_type=content.media_type, owner=fetch.message_id
        )
        if not await self._settle(fetch, stored, ""):
            await self._files.delete(stored.id)

    async def _postpone(self, fetch: Fetch, reason: str) -> None:
        now = self._clock()
        if now - fetch.first_at > GIVE_UP_AFTER:
            await self._settle(fetch, None, reason)
            return
        seconds = gate.retry_delay(fetch.attempts, None, self._chance())
        log.info("cannot fetch a file, trying again", fetch_id=fetch.id, inbox_id=fetch.inbox_id, seconds=int(seconds))
        await self._fetches.later(fetch, now + timedelta(seconds=seconds))

    async def _settle(self, fetch: Fetch, stored: StoredFile | None, reason: str) -> bool:
        """Show the file, or why it could not be had; False where somebody else has done so."""

        async def work(session: Session) -> bool:
            if not await self._fetches.done(session, fetch):
                return False
            message = await self._store.message(fetch.message_id, session)
            if message is None:
                return False
            files = [_fetched(file, stored, reason) if file.id == fetch.id else file for file in message.attachments]
            fields = {"attachments": [to_value(file) for file in files]}
            await self._store.update_message(session, message.id, fields)
            await self._events.append(session, [self._event(message)])
            return True

        return await self._mongo.transaction(work)

    def _event(self, message: Message) -> Event:
        return Event(
            type=EventType.MESSAGE_CHANGED,
            at=self._clock(),
            actor=ACTOR,
            inbox_id=message.inbox_id,
            conversation_id=message.conversation_id,
            message_id=message.id,
            data={"change": "file"},
        )


def _fetched(file: FileRef, stored: StoredFile | None, reason: str) -> FileRef:
    if stored is None:
        return msgspec.structs.replace(file, state="failed", reason=storable(reason)[:500])
    return msgspec.structs.replace(
        file,
        id=stored.id,
        name=stored.name or file.name,
        media_type=stored.media_type or file.media_type,
        size=stored.size,
        state="",
        reason="",
    )
