"""Files that a provider still holds: each is fetched once its message is in, until it is here or cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from pymongo import ASCENDING, IndexModel, ReturnDocument

from inbox.core.ids import new_id
from inbox.core.mongo import Mongo, Session, from_document, to_document


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """One file to be fetched. `id` is the id its message knows the file by until it is here."""

    id: str
    inbox_id: str
    conversation_id: str
    message_id: str
    ref: str
    """What the adapter calls it (`Attachment.ref`)."""
    due_at: datetime
    first_at: datetime
    leased_until: datetime
    attempts: int = 0
    claim: str = ""


class FetchStore:
    """The collection `fetches`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._fetches = mongo.collection("fetches")

    async def prepare(self) -> None:
        """Create the collection and its index."""
        await self._mongo.ensure(
            "fetches", [IndexModel([("due_at", ASCENDING)]), IndexModel([("inbox_id", ASCENDING)])]
        )

    async def add(self, session: Session, fetches: Sequence[Fetch]) -> None:
        """Note what is to be fetched, in the transaction that writes its message."""
        if fetches:
            await self._fetches.insert_many([to_document(fetch) for fetch in fetches], session=session)

    async def claim(self, now: datetime, lease_seconds: float) -> Fetch | None:
        """Lease the next one that is due; nobody else gets it until the lease ends."""
        document = await self._fetches.find_one_and_update(
            {"due_at": {"$lte": now}, "leased_until": {"$lte": now}},
            {
                "$set": {"claim": new_id(), "leased_until": now + timedelta(seconds=lease_seconds)},
                "$inc": {"attempts": 1},
            },
            sort=[("due_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return from_document(document, Fetch) if document else None

    async def later(self, fetch: Fetch, due_at: datetime) -> None:
        """Try again at a time."""
        await self._fetches.update_one(
            {"_id": fetch.id, "claim": fetch.claim}, {"$set": {"due_at": due_at, "leased_until": due_at, "claim": ""}}
        )

    async def done(self, session: Session, fetch: Fetch) -> bool:
        """Take it off the list; False where somebody else has it now."""
        result = await self._fetches.delete_one({"_id": fetch.id, "claim": fetch.claim}, session=session)
        return bool(result.deleted_count)

    async def waiting(self, inbox_id: str, limit: int = 1000) -> int:
        """How many files of an inbox are still to be fetched, counted up to `limit`."""
        return int(await self._fetches.count_documents({"inbox_id": inbox_id}, limit=limit))
