"""Collections that belong to no room: events, counters, leases and the schema version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog
from pymongo import ASCENDING, IndexModel, ReturnDocument

from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Conflict
from inbox.core.events import Event
from inbox.core.mongo import (
    DriverError,
    Duplicate,
    Mongo,
    Session,
    from_document,
    to_document,
    wait_until_back,
)

log = structlog.get_logger()
_BY_TIME = "at_1"
MIGRATION_LEASE_SECONDS = 60.0
Migration = Callable[[Mongo], Awaitable[None]]


class EventStore:
    """The append-only log. Events leave after `keep_days` by a TTL index."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._events = mongo.collection("events")

    async def prepare(self, keep_days: int) -> None:
        """Create the collection and its indexes, or keep events for another time than before."""
        await self._mongo.set_expiry("events", _BY_TIME, keep_days * 86400)
        await self._mongo.ensure(
            "events",
            [
                IndexModel([("at", ASCENDING)], name=_BY_TIME, expireAfterSeconds=keep_days * 86400),
                IndexModel([("conversation_id", ASCENDING), ("_id", ASCENDING)]),
            ],
        )

    async def append(self, session: Session, events: Sequence[Event]) -> None:
        """Add events within the transaction of the change they tell of."""
        if events:
            await self._events.insert_many([to_document(event) for event in events], session=session)

    async def since(self, event_id: str, *, overlap: float = 5, limit: int = 1000) -> list[Event]:
        """Events from `overlap` seconds before the given one on, oldest first, at most `limit`.

        Ids of several processes are not strictly ordered, so a resumed reader sees a few events again rather than
        missing one.
        """
        known = await self._events.find_one({"_id": event_id}, {"at": 1})
        if known is None:
            return []
        start = known["at"] - timedelta(seconds=overlap)
        cursor = self._events.find({"at": {"$gte": start}}).sort("at", ASCENDING).limit(limit)
        return [from_document(document, Event) async for document in cursor]

    async def of_conversation(self, conversation_id: str, limit: int = 500) -> list[Event]:
        """The history of one conversation, oldest first."""
        cursor = self._events.find({"conversation_id": conversation_id}).sort("_id", ASCENDING).limit(limit)
        return [from_document(document, Event) async for document in cursor]

    async def tail(self, opened: asyncio.Event | None = None) -> AsyncIterator[Event]:
        """Every event committed from now on, by any process, for ever; heals after a lost connection.

        `opened` is set once the stream is open. Where the resume token has left the oplog, what was missed is not
        told: readers treat every (re)opening as "anything may have changed".
        """
        token = None
        while True:
            try:
                pipeline = [{"$match": {"operationType": "insert"}}]
                async with self._mongo.watch("events", pipeline, token) as changes:
                    if opened is not None:
                        opened.set()
                    async for change in changes:
                        token = change["_id"]
                        yield from_document(change["fullDocument"], Event)
            except DriverError as error:
                log.warning("event stream broken, reopening", error=str(error))
                if getattr(error, "code", None) == 286:  # ChangeStreamHistoryLost
                    token = None
                await asyncio.sleep(0.2)
                await wait_until_back(self._mongo)


class Counters:
    """Rising numbers, taken outside transactions: a number taken and not used leaves a gap, never a repeat."""

    def __init__(self, mongo: Mongo) -> None:
        self._counters = mongo.collection("counters")

    async def take(self, name: str, count: int = 1) -> range:
        """The next `count` numbers of a series that begins at 1."""
        document = await self._counters.find_one_and_update(
            {"_id": name}, {"$inc": {"value": count}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        last = int(document["value"])
        return range(last - count + 1, last + 1)


class Marks:
    """How far a recurring job has come, so that it goes on there after a restart."""

    def __init__(self, mongo: Mongo) -> None:
        self._marks = mongo.collection("marks")

    async def get(self, name: str) -> datetime | None:
        """The moment a job has come to; None where it never ran."""
        document = await self._marks.find_one({"_id": name})
        return document["at"] if document else None

    async def move(self, name: str, at: datetime) -> None:
        """Note that a job has come to a moment; never back."""
        await self._marks.update_one({"_id": name}, {"$max": {"at": at}}, upsert=True)


class Leases:
    """Named leases: at most one holder at a time in the whole cluster, free again when the holder stops renewing."""

    def __init__(self, mongo: Mongo, clock: Clock = utcnow) -> None:
        self._leases = mongo.collection("leases")
        self._clock = clock

    async def take(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease for `seconds`; False while another owner holds it."""
        now = self._clock()
        until = now + timedelta(seconds=seconds)
        try:
            result = await self._leases.update_one(
                {"_id": name, "$or": [{"owner": owner}, {"until": {"$lte": now}}]},
                {"$set": {"owner": owner, "until": until}},
                upsert=True,
            )
        except Duplicate:
            return False
        return bool(result.matched_count or result.upserted_id)

    async def release(self, name: str, owner: str) -> None:
        """Give a lease back early; nothing happens where another owner holds it."""
        await self._leases.delete_one({"_id": name, "owner": owner})

    async def release_all(self) -> None:
        """End every lease: for the one process that knows that no other is alive."""
        await self._leases.delete_many({})

    async def holder(self, name: str) -> tuple[str, datetime] | None:
        """Who holds a lease and until when."""
        document = await self._leases.find_one({"_id": name})
        return (document["owner"], document["until"]) if document else None


class Schema:
    """The version of what is stored, moved forward only, one migration at a time."""

    def __init__(self, mongo: Mongo, migrations: Sequence[Migration]) -> None:
        self._mongo = mongo
        self._schema = mongo.collection("schema")
        self._migrations = list(migrations)

    async def version(self) -> int:
        """The version stored; 0 for a database never used."""
        document = await self._schema.find_one({"_id": "version"})
        return int(document["value"]) if document else 0

    async def upgrade(self, owner: str) -> None:
        """Bring the database to this program's version, under a lease so that one process does it.

        Raises `Conflict` where the database is newer than the program. Migrations must bear being run again.
        """
        leases, wanted = Leases(self._mongo), len(self._migrations)
        while True:
            version = await self.version()
            if version > wanted:
                raise Conflict("This database was written by a newer version of Örtöö.")
            if version == wanted:
                return
            if not await leases.take("schema", owner, MIGRATION_LEASE_SECONDS):
                await asyncio.sleep(0.2)
                continue
            renewing = asyncio.create_task(_keep(leases, "schema", owner, MIGRATION_LEASE_SECONDS))
            try:
                if await self.version() != version:
                    continue  # somebody did it between our look and our lease
                await self._migrations[version](self._mongo)
                await self._schema.update_one({"_id": "version"}, {"$max": {"value": version + 1}}, upsert=True)
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
                await leases.release("schema", owner)


async def _keep(leases: Leases, name: str, owner: str, seconds: float) -> None:
    """Renew a lease until cancelled."""
    while True:
        await asyncio.sleep(seconds / 3)
        await leases.take(name, owner, seconds)
