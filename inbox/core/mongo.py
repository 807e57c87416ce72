"""The MongoDB client: connection, transactions, change streams. With `core/files.py` and the stores the only place
that knows the driver is Motor; moving to PyMongo's own async client changes these imports and little else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from bson.codec_options import CodecOptions
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import IndexModel, ReadPreference
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from inbox.core.errors import Unavailable

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Document = dict[str, Any]
Collection: TypeAlias = "AsyncIOMotorCollection[Document]"
Client: TypeAlias = "AsyncIOMotorClient[Document]"
Session = AsyncIOMotorClientSession
Duplicate = DuplicateKeyError
DriverError = PyMongoError

_NAMESPACE_NOT_FOUND = 26
_INDEX_NOT_FOUND = 27
_NAMESPACE_EXISTS = 48
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.5


class Mongo:
    """One database of one deployment."""

    def __init__(self, client: Client, database: str) -> None:
        self.client = client
        self.db: AsyncIOMotorDatabase[Document] = client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True),
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
        )

    @classmethod
    async def connect(cls, uri: str, database: str, *, timeout: float = 20) -> Mongo:
        """Connect and make sure somebody answers within `timeout` seconds. Raises `Unavailable`."""
        client: Client = AsyncIOMotorClient(
            uri, serverSelectionTimeoutMS=int(timeout * 1000), maxPoolSize=50, appname="ortoo", tz_aware=True
        )
        try:
            await client.admin.command("ping")
        except PyMongoError as error:
            client.close()
            raise Unavailable("The database does not answer.") from error
        return cls(client, database)

    async def ping(self) -> None:
        """Raise a driver error where the database does not answer."""
        await self.client.admin.command("ping")

    def close(self) -> None:
        """Close every connection."""
        self.client.close()

    async def drop(self) -> None:
        """Delete the whole database (tests, demo)."""
        await self.client.drop_database(self.db.name)

    def collection(self, name: str) -> Collection:
        """A collection, majority acknowledged."""
        return self.db[name]

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run `work` in one transaction, again as a whole after a transient conflict, and commit it.

        A caller that is cancelled waits until the transaction has ended, one way or the other: what a thread of the
        driver is doing cannot be called back, and to abort beside it fails with an error that hides the cancellation.
        """
        paced = _Paced(work)
        running = asyncio.create_task(self._transact(paced))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            paced.wanted = False
            if not running.done():
                await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # nobody will ask for it any more
            raise

    async def _transact(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        async with await self.client.start_session() as session:
            result: T = await session.with_transaction(
                work,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority"),
                read_preference=ReadPreference.PRIMARY,
            )
            return result

    async def ensure(self, name: str, indexes: Sequence[IndexModel] = ()) -> None:
        """Create a collection (transactions must not have to) and its indexes, where they are missing."""
        try:
            await self.db.command("create", name)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
        if indexes:
            await self.db[name].create_indexes(list(indexes))

    async def set_expiry(self, name: str, index: str, seconds: int) -> None:
        """Change the time-out of an existing TTL index; nothing happens where there is none yet."""
        try:
            await self.db.command("collMod", name, index={"name": index, "expireAfterSeconds": seconds})
        except OperationFailure as error:
            if error.code not in (_NAMESPACE_NOT_FOUND, _INDEX_NOT_FOUND):
                raise

    @asynccontextmanager
    async def watch(
        self, name: str, pipeline: Sequence[Mapping[str, Any]], resume: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncIterator[Document]]:
        """A change stream on one collection, open when the block begins. Raises driver errors when it breaks."""
        async with self.db[name].watch(list(pipeline), resume_after=resume, max_await_time_ms=1000) as stream:
            first = await stream.try_next()  # Motor opens the cursor with the first fetch, not before
            yield _changes(first, stream)


class _Paced(Generic[T]):
    """`work` with a growing pause before each repetition, which Motor makes at once.

    What a killed process had open holds its documents until MongoDB gives it up, a minute later by default.
    """

    def __init__(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> None:
        self.wanted = True
        """Whether somebody still waits for it; else it is not repeated."""
        self._work = work
        self._tries = 0

    async def __call__(self, session: Session) -> T:
        if self._tries:
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 1.5**self._tries)
            await asyncio.sleep(longest * random.random())  # noqa: S311 # not for secrets: so that two do not meet again
        if not self.wanted:
            raise asyncio.CancelledError
        self._tries += 1
        return await self._work(session)


async def _changes(first: Document | None, stream: Any) -> AsyncIterator[Document]:
    if first is not None:
        yield first
    async for change in stream:
        yield change


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the server is away, failing over, or a transaction met another or has an end
    that nobody knows."""
    if isinstance(error, AutoReconnect):
        return True
    labels = ("TransientTransactionError", "UnknownTransactionCommitResult")
    return isinstance(error, PyMongoError) and any(error.has_error_label(label) for label in labels)


async def wait_until_back(mongo: Mongo, *, every: float = 0.5) -> None:
    """Return once the database answers again."""
    while True:
        try:
            await mongo.client.admin.command("ping")
            return
        except PyMongoError:
            await asyncio.sleep(every)


def storable(text: str) -> str:
    """Text as BSON can keep it: bytes that somebody could not decode (lone surrogates) become question marks."""
    return text.encode("utf-8", "replace").decode()


def to_value(value: msgspec.Struct) -> Document:
    """A model inside another document: every field keeps its name."""
    inner: Document = msgspec.to_builtins(value, builtin_types=(datetime, bytes))
    return inner


def to_document(value: msgspec.Struct) -> Document:
    """A model as MongoDB keeps it: field `id` is `_id`, datetimes and bytes stay what they are."""
    document = to_value(value)
    if "id" in document:
        document["_id"] = document.pop("id")
    return document


def from_document(document: Mapping[str, Any], model: type[S]) -> S:
    """The model a document was made from; fields it does not know are left out."""
    values = dict(document)
    if "_id" in values:
        values["id"] = values.pop("_id")
    return msgspec.convert(values, model)
