"""Taking in what arrives: raw first, then parsed, then one transaction for a group; the rest to the dead letters."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import msgspec
import structlog

from channels.base import Adapter, InboundEvent, InboundMessage, Raw
from inbox.accounts.model import Actor, Permission
from inbox.conversations.ingest_entry import ACTOR
from inbox.conversations.ingest_group import Group
from inbox.conversations.ingest_lookup import Arrival, Stores
from inbox.conversations.model import DeadLetter, FileRef
from inbox.conversations.paging import decode_cursor
from inbox.conversations.store_raw import RawStore, raw_id, storable_raw
from inbox.core.batch import Batcher
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import NotFound, Unavailable
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.core.mongo import DriverError, Duplicate, Mongo, Session, is_transient, storable
from inbox.inboxes.service import InboxService

log = structlog.get_logger()

GROUP = 50
LARGE_BYTES = 256 * 1024
"""Sources from this size on are parsed in a thread and taken in beside the others, which are not kept waiting."""
LARGE_AT_ONCE = 4
"""So many of them, as each is in memory several times."""
_DUPLICATE_TRIES = 5
_WAITING_AFTER = timedelta(minutes=2)


class _Source(msgspec.Struct, frozen=True):
    key: str
    inbox_id: str
    raw: Raw


class IngestService:
    """The one way in. Every method returns only after what it took is committed."""

    def __init__(
        self, mongo: Mongo, stores: Stores, files: Files, inboxes: InboxService, clock: Clock = utcnow
    ) -> None:
        self._mongo = mongo
        self._stores = stores
        self._raws: RawStore = stores.raws
        self._files = files
        self._inboxes = inboxes
        self._clock = clock
        self._keeping: Batcher[_Source, None] = Batcher(self._keep, most=GROUP)
        self._taking: Batcher[_Source, None] = Batcher(self._take, most=GROUP)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def ingest(self, inbox_id: str, raw: Raw) -> None:
        """Take in one source. What cannot be taken in becomes a dead letter; raises `Unavailable` only where nothing
        could be kept, so that the sender must try again."""
        raw = storable_raw(raw)
        source = _Source(raw_id(inbox_id, raw), inbox_id, raw)
        if not _is_large(raw):
            await self._keeping.submit(source)
            await self._taking.submit(source)
            return
        async with self._large:
            await self._keep([source])
            await self._take_large(source)

    async def ingest_many(self, inbox_id: str, raws: Sequence[Raw]) -> None:
        """Take in several, in their order."""
        for _, run in itertools.groupby(raws, key=_is_large):
            await asyncio.gather(*(self.ingest(inbox_id, raw) for raw in run))

    async def sweep(self) -> int:
        """Take in what was kept but not taken in by a process that died. Answers how many.

        An inbox whose mail has to wait (its secrets do not open) keeps none of the others waiting.
        """
        before, waits, taken = self._clock() - _WAITING_AFTER, set[str](), 0
        while sources := await self._raws.waiting(before, waits):
            for key, inbox_id in sources:
                if inbox_id in waits:
                    continue
                try:
                    await self._again(key)
                    taken += 1
                except Unavailable as error:
                    log.warning("mail has to wait", inbox_id=inbox_id, error=str(error))
                    waits.add(inbox_id)
        return taken

    async def known_places(self, inbox_id: str, places: Sequence[str]) -> set[str]:
        """Those of the places (`Raw.url`) of an inbox that something was stored from."""
        return await self._raws.known_places(inbox_id, places)

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._keeping.close()
        await self._taking.close()

    # --- dead letters ------------------------------------------------------------------------------------------

    async def dead_letters(self, actor: Actor, before: str = "", limit: int = 50) -> list[DeadLetter]:
        """What could not be taken in and waits for a person, newest first."""
        actor.require(Permission.SETTINGS)
        return await self._raws.dead_letters(decode_cursor(before), limit)

    async def count_dead(self, actor: Actor) -> int:
        """How many dead letters there are, counted up to 1,000."""
        return await self._raws.count_dead() if actor.may(Permission.SETTINGS) else 0

    async def dead_letter_raw(self, actor: Actor, key: str) -> AsyncIterator[bytes]:
        """The source of a dead letter in chunks. Raises `NotFound`."""
        actor.require(Permission.SETTINGS)
        if await self._raws.dead_letter(key) is None:
            raise NotFound("This dead letter is no longer there.")
        return self._raws.stream(key)

    async def replay(self, actor: Actor, key: str) -> bool:
        """Try a dead letter again (after an upgrade); whether it was taken in now."""
        actor.require(Permission.SETTINGS)
        if await self._raws.dead_letter(key) is None:
            raise NotFound("This dead letter is no longer there.")
        return await self._again(key)

    async def dismiss(self, actor: Actor, key: str) -> None:
        """Take a dead letter off the list; its source is kept."""
        actor.require(Permission.SETTINGS)

        async def work(session: Session) -> None:
            if not await self._raws.resolve(session, key, self._clock()):
                raise NotFound("This dead letter is no longer there.")
            await self._stores.events.append(session, [self._dead_letter_event(actor.id, "", "dismissed")])

        await self._mongo.transaction(work)

    # --- the way in --------------------------------------------------------------------------------------------

    async def _keep(self, sources: Sequence[_Source]) -> list[BaseException | None]:
        try:
            await self._raws.keep([(item.key, item.inbox_id, item.raw) for item in sources], self._clock())
        except DriverError as error:
            raise _not_now() from error
        return [None] * len(sources)

    async def _take(self, sources: Sequence[_Source]) -> list[BaseException | None]:
        """One group: parse each, commit all together, and where that fails each by itself."""
        arrivals: dict[str, list[Arrival]] = {}
        waits: dict[str, BaseException | None] = {}
        """By source: why it could not be taken in now; None for what became a dead letter."""
        for source in sources:
            if source.key in arrivals or source.key in waits:
                continue
            try:
                arrivals[source.key] = await self._parse(source)
            except Exception as error:  # noqa: BLE001 # whatever a parser does must not stop the mails behind it
                waits[source.key] = await self._set_aside(source, error, wait=isinstance(error, DriverError))
        try:
            await self._commit([arrival for group in arrivals.values() for arrival in group], list(arrivals))
        except Exception as error:
            if _must_wait(error):
                raise _not_now() from error
            log.warning("group failed, taking each by itself", size=len(arrivals), error=type(error).__name__)
            for source in sources:
                if source.key in arrivals:
                    waits[source.key] = await self._take_alone(source, arrivals.pop(source.key))
        return [waits.get(source.key) for source in sources]

    async def _take_large(self, source: _Source) -> None:
        [refused] = await self._take([source])
        if refused is not None:
            raise refused

    async def _take_alone(self, source: _Source, arrivals: list[Arrival]) -> BaseException | None:
        try:
            await self._commit(arrivals, [source.key])
        except Exception as error:  # noqa: BLE001 # what cannot be written must not stop the mails behind it
            return await self._set_aside(source, error)
        return None

    async def _set_aside(self, source: _Source, error: Exception, *, wait: bool = False) -> BaseException | None:
        """A dead letter, unless nothing is wrong with the mail: then the sender has to come again."""
        try:
            if not wait and not _must_wait(error):
                await self._bury(source, error)
                return None
        except DriverError as failure:
            error = failure
        refused = _not_now()
        refused.__cause__ = error
        return refused

    async def _parse(self, source: _Source) -> list[Arrival]:
        inbox = await self._inboxes.get(source.inbox_id)
        adapter = await self._inboxes.adapter(source.inbox_id)
        arrivals = [
            Arrival(inbox=inbox, capabilities=adapter.capabilities, raw_id=source.key, event=event)
            for event in await _receive(adapter, source.raw)
            if not await self._is_loop_test(event)
        ]
        if not any(item.message and item.message.attachments for item in arrivals):
            return arrivals
        known = await self._raws.receipts({key for item in arrivals for key in item.receipt_ids})
        first: dict[str, Arrival] = {}  # updates that share a notice share its entry in the thread, and its files
        for item in arrivals:
            if item.message is not None and item.message.external_id not in first:
                is_new = known.keys().isdisjoint(item.receipt_ids)
                first[item.message.external_id] = await self._with_files(item) if is_new else item
        return [
            _like(first[item.message.external_id], item, item.message) if item.message else item for item in arrivals
        ]

    async def _is_loop_test(self, event: InboundEvent) -> bool:
        """Whether it is the mail an inbox sends itself to prove its settings: noted there, and no conversation."""
        if not isinstance(event, InboundMessage):
            return False
        return await self._inboxes.loop_seen(event.inbox_id, event.subject)

    async def _with_files(self, arrival: Arrival) -> Arrival:
        """Attachments are stored before the transaction; should it fail, the sweep removes them."""
        files = []
        for item in arrival.message.attachments if arrival.message else ():
            file = FileRef(
                id=new_id(),
                name=item.name,
                media_type=item.media_type,
                size=item.size,
                content_id=item.content_id,
                inline=item.inline,
                state="pending",
            )
            if item.content is not None or not item.ref:
                stored = await self._files.put(
                    item.content or b"", name=item.name, media_type=item.media_type, owner=arrival.message_id
                )
                file = msgspec.structs.replace(file, id=stored.id, size=stored.size, state="")
            files.append(file)
        return msgspec.structs.replace(arrival, files=tuple(files))

    async def _commit(self, arrivals: Sequence[Arrival], keys: Sequence[str]) -> None:
        if not keys:
            return

        async def work(session: Session) -> None:
            await Group(self._stores, session, self._clock()).take(arrivals)
            if await self._raws.done(session, keys, self._clock()):
                await self._stores.events.append(session, [self._dead_letter_event(ACTOR, "", "taken in")])

        for left in reversed(range(_DUPLICATE_TRIES)):
            try:
                await self._mongo.transaction(work)
            except Duplicate:
                if not left:
                    raise
                continue  # another process took in the same, or made the same customer: look again
            break
        for inbox_id in {item.inbox.id for item in arrivals}:
            try:
                await self._inboxes.saw_in(inbox_id, self._clock())
            except DriverError as error:  # the mail is in; when one came last is told with the next
                log.warning("cannot write the health of an inbox", inbox_id=inbox_id, error=str(error))

    async def _bury(self, source: _Source, error: Exception) -> None:
        words = storable(f"{type(error).__name__}: {error}")[:500]
        log.error("cannot take in a message", raw_id=source.key, inbox_id=source.inbox_id, error=type(error).__name__)
        letter = DeadLetter(
            id=source.key, inbox_id=source.inbox_id, at=self._clock(), error=words, size=len(source.raw.body)
        )

        async def work(session: Session) -> None:
            await self._raws.bury(session, letter)
            await self._stores.events.append(session, [self._dead_letter_event(ACTOR, source.inbox_id, "added")])

        await self._mongo.transaction(work)

    async def _again(self, key: str) -> bool:
        loaded = await self._raws.load(key)
        if loaded is None:
            raise NotFound("The source of this message is no longer there.")
        source = _Source(key, *loaded)
        await self._taking.submit(source)
        letter = await self._raws.dead_letter(key)
        return letter is None or letter.resolved_at is not None

    def _dead_letter_event(self, actor: str, inbox_id: str, what: str) -> Event:
        return Event(type=EventType.DEAD_LETTER, at=self._clock(), actor=actor, inbox_id=inbox_id, data={"what": what})


def _is_large(raw: Raw) -> bool:
    return len(raw.body) >= LARGE_BYTES


async def _receive(adapter: Adapter, raw: Raw) -> list[InboundEvent]:
    if _is_large(raw):
        return await asyncio.to_thread(adapter.receive, raw)
    return adapter.receive(raw)


def _like(first: Arrival, item: Arrival, message: InboundMessage) -> Arrival:
    """`item` with the entry and the files of `first`, without the content that is stored now."""
    files = tuple(msgspec.structs.replace(file, content=None) for file in message.attachments)
    message = msgspec.structs.replace(message, attachments=files)
    event = message if isinstance(item.event, InboundMessage) else msgspec.structs.replace(item.event, notice=message)
    return msgspec.structs.replace(item, message_id=first.message_id, files=first.files, event=event)


def _not_now() -> Unavailable:
    return Unavailable("The message could not be stored. It will be tried again.")


def _must_wait(error: Exception) -> bool:
    """The database is away or overloaded: nothing is wrong with the message."""
    if isinstance(error, Unavailable):
        return True
    return isinstance(error, DriverError) and is_transient(error)
