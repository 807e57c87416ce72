"""What came in, untouched, before anything is made of it; receipts of what was taken in; dead letters."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, UpdateOne

from channels.base import Raw
from inbox.conversations.model import DeadLetter
from inbox.core.files import Files
from inbox.core.ids import digest
from inbox.core.mongo import Document, Mongo, Session, from_document, storable, to_document

INLINE_BYTES = 1024 * 1024
"""Larger raw sources go to GridFS."""


def raw_id(inbox_id: str, raw: Raw) -> str:
    """The same source taken twice in the same way has the same id."""
    envelope = (raw.headers.get("mail-from", ""), raw.headers.get("rcpt-to", ""))
    return digest(inbox_id, hashlib.sha256(raw.body).hexdigest(), *envelope)


def storable_raw(raw: Raw) -> Raw:
    """The source with an envelope that can be kept: clients put bytes of any charset there."""
    headers = {storable(name): storable(value) for name, value in raw.headers.items()}
    return Raw(body=raw.body, url=storable(raw.url), headers=headers)


class RawStore:
    """The collections `raws`, `receipts` and `dead_letters`."""

    def __init__(self, mongo: Mongo, files: Files) -> None:
        self._mongo = mongo
        self._files = files
        self._raws = mongo.collection("raws")
        self._receipts = mongo.collection("receipts")
        self._dead = mongo.collection("dead_letters")

    async def prepare(self) -> None:
        """Create the collections and their indexes."""
        await self._mongo.ensure(
            "raws",
            [
                IndexModel([("at", ASCENDING)], name="waiting", partialFilterExpression={"waiting": True}),
                IndexModel([("places", ASCENDING), ("inbox_id", ASCENDING)]),
            ],
        )
        await self._mongo.ensure("receipts")
        await self._mongo.ensure(
            "dead_letters", [IndexModel([("resolved_at", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)])]
        )

    # --- raw sources -------------------------------------------------------------------------------------------

    async def keep(self, sources: Sequence[tuple[str, str, Raw]], at: datetime) -> None:
        """Store (id, inbox_id, raw); those that are there already stay as they are."""
        writes = []
        for key, inbox_id, raw in sources:
            document: Document = {
                "inbox_id": inbox_id,
                "at": at,
                "url": raw.url,
                "size": len(raw.body),
                "waiting": True,
            }
            document["headers"] = [[name, value] for name, value in raw.headers.items()]
            if len(raw.body) <= INLINE_BYTES:
                document["body"] = raw.body
            elif await self._raws.find_one({"_id": key}, {"_id": 1}) is None:
                file = await self._files.put(raw.body, name="raw", media_type="application/octet-stream", owner=key)
                document["file_id"] = file.id
            else:
                document = {}
            update: Document = {"$setOnInsert": document} if document else {}
            if raw.url:
                update["$addToSet"] = {"places": raw.url}
            if update:
                writes.append(UpdateOne({"_id": key}, update, upsert=True))
        if writes:
            await self._raws.bulk_write(writes, ordered=False)

    async def load(self, key: str) -> tuple[str, Raw] | None:
        """(inbox_id, raw) of a stored source."""
        document = await self._raws.find_one({"_id": key})
        if document is None:
            return None
        body = document["body"] if "body" in document else await self._files.read(document["file_id"])
        return document["inbox_id"], Raw(body=body, url=document["url"], headers=dict(document["headers"]))

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The source in chunks; nothing where it is not there."""
        document = await self._raws.find_one({"_id": key}, {"body": 1, "file_id": 1})
        if document is None:
            return
        if "body" in document:
            yield document["body"]
            return
        async for chunk in self._files.stream(document["file_id"]):
            yield chunk

    async def done(self, session: Session, keys: Collection[str], at: datetime) -> int:
        """Note that sources were taken in; answers how many of them were on the dead-letter list."""
        await self._raws.update_many({"_id": {"$in": list(keys)}}, {"$unset": {"waiting": ""}}, session=session)
        dead = {"_id": {"$in": list(keys)}, "resolved_at": None}
        result = await self._dead.update_many(dead, {"$set": {"resolved_at": at}}, session=session)
        return int(result.modified_count)

    async def backlog(self, inbox_id: str, limit: int = 1000) -> tuple[int, datetime | None]:
        """How many sources of an inbox are kept and not taken in (up to `limit`), and since when the oldest is."""
        query = {"waiting": True, "inbox_id": inbox_id}
        count = int(await self._raws.count_documents(query, limit=limit))
        oldest = await self._raws.find_one(query, {"at": 1}, sort=[("at", ASCENDING)]) if count else None
        return count, oldest["at"] if oldest else None

    async def waiting(self, before: datetime, but: Collection[str] = (), limit: int = 100) -> list[tuple[str, str]]:
        """(id, inbox_id) of sources stored before a moment and not yet taken in (a server died in between), oldest
        first, but for some inboxes."""
        query = {"waiting": True, "at": {"$lt": before}, "inbox_id": {"$nin": list(but)}}
        cursor = self._raws.find(query, {"inbox_id": 1}).sort("at", ASCENDING)
        return [(document["_id"], document["inbox_id"]) async for document in cursor.limit(limit)]

    async def refers_to_file(self, key: str, file_id: str) -> bool:
        """Whether a stored source has its content in this file."""
        return await self._raws.find_one({"_id": key, "file_id": file_id}, {"_id": 1}) is not None

    async def known_places(self, inbox_id: str, places: Sequence[str]) -> set[str]:
        """Those of the places (`Raw.url`) of an inbox that something was stored from."""
        cursor = self._raws.find({"places": {"$in": list(places)}, "inbox_id": inbox_id}, {"places": 1})
        wanted = set(places)
        found: set[str] = set()
        async for document in cursor:
            found |= wanted.intersection(document["places"])
        return found

    # --- receipts ----------------------------------------------------------------------------------------------

    async def receipts(self, keys: Collection[str], session: Session | None = None) -> dict[str, Mapping[str, Any]]:
        """Those of the events that were taken in, by receipt id."""
        cursor = self._receipts.find({"_id": {"$in": list(keys)}}, session=session)
        return {document["_id"]: document async for document in cursor}

    async def add_receipts(self, session: Session, receipts: Sequence[Document]) -> None:
        """Note what was taken in. Raises the driver's `Duplicate` where another process was first."""
        if receipts:
            await self._receipts.insert_many(list(receipts), session=session)

    # --- dead letters ------------------------------------------------------------------------------------------

    async def bury(self, session: Session, letter: DeadLetter) -> None:
        """Put a source on the dead-letter list, or count another failed try."""
        document = to_document(letter)
        key = document.pop("_id")
        del document["attempts"]
        update = {"$set": document, "$inc": {"attempts": 1}}
        await self._dead.update_one({"_id": key}, update, upsert=True, session=session)
        await self._raws.update_one({"_id": key}, {"$unset": {"waiting": ""}}, session=session)

    async def resolve(self, session: Session, key: str, at: datetime) -> bool:
        """Take a source off the list; whether it was on it."""
        result = await self._dead.update_one(
            {"_id": key, "resolved_at": None}, {"$set": {"resolved_at": at}}, session=session
        )
        return bool(result.modified_count)

    async def dead_letter(self, key: str) -> DeadLetter | None:
        """One dead letter."""
        document = await self._dead.find_one({"_id": key})
        return from_document(document, DeadLetter) if document else None

    async def dead_letters(self, before: tuple[datetime, str] | None, limit: int) -> list[DeadLetter]:
        """Unresolved dead letters, newest first."""
        query: Document = {"resolved_at": None}
        if before is not None:
            at, last_id = before
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
        cursor = self._dead.find(query).sort([("at", DESCENDING), ("_id", DESCENDING)]).limit(limit)
        return [from_document(document, DeadLetter) async for document in cursor]

    async def count_dead(self, inbox_id: str = "") -> int:
        """Unresolved dead letters, of one inbox or of all, counted up to 1,000."""
        query: Document = {"resolved_at": None}
        if inbox_id:
            query["inbox_id"] = inbox_id
        return int(await self._dead.count_documents(query, limit=1000))
