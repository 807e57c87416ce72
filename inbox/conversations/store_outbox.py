"""The outbox: messages on their way out. An entry is gone once its fate is known or a person must decide it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from pymongo import ASCENDING, DeleteOne, IndexModel, ReturnDocument, UpdateOne

from inbox.core.ids import new_id
from inbox.core.mongo import Document, Mongo, Session, from_document, to_document

FREE = datetime.fromtimestamp(0, UTC)
"""Until when something nobody holds is leased."""

_AUTO_REPLIES_SECONDS = 7 * 86400
"""How long an automatic answer is remembered; the loop guard looks back for a day."""


class OutboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way. `id` is the message's. `sending` is set right before what cannot be taken back.

    `claim` fences: it is new with every lease, and only its holder may mark or settle the entry, so that a sender that
    slept through its lease cannot send beside its successor.
    """

    id: str
    inbox_id: str
    due_at: datetime
    sending: bool = False
    attempts: int = 0
    first_at: datetime
    """When it was queued first; retries end some time after."""
    claim: str = ""
    leased_until: datetime


class OutboxStore:
    """The collection `outbox`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._outbox = mongo.collection("outbox")

    async def prepare(self) -> None:
        """Create the collection and its indexes."""
        await self._mongo.ensure(
            "outbox",
            [
                # Without the lease: every claim would write into it, and few entries are leased at a time.
                IndexModel([("sending", ASCENDING), ("due_at", ASCENDING), ("inbox_id", ASCENDING)]),
                IndexModel([("inbox_id", ASCENDING), ("due_at", ASCENDING)]),
            ],
        )

    async def add(self, session: Session, entries: Sequence[OutboxEntry]) -> None:
        """Queue messages, in the transaction that writes them."""
        if entries:
            await self._outbox.insert_many([to_document(entry) for entry in entries], session=session)

    async def claim(
        self, now: datetime, lease_seconds: float, limit: int, held_back: Collection[str] = ()
    ) -> list[OutboxEntry]:
        """Lease up to `limit` due entries of inboxes not `held_back`; nobody else gets them until the lease ends."""
        free: Document = {"sending": False, "due_at": {"$lte": now}, "leased_until": {"$lte": now}}
        if held_back:
            free["inbox_id"] = {"$nin": list(held_back)}
        cursor = self._outbox.find(free, {"_id": 1}).sort("due_at", ASCENDING).limit(limit)
        ids = [document["_id"] for document in await cursor.to_list(limit)]
        if not ids:
            return []
        claim, until = new_id(), now + timedelta(seconds=lease_seconds)
        await self._outbox.update_many({"_id": {"$in": ids}, **free}, {"$set": {"claim": claim, "leased_until": until}})
        claimed = self._outbox.find({"_id": {"$in": ids}, "claim": claim})
        return [from_document(document, OutboxEntry) for document in await claimed.to_list(limit)]

    async def mark_sending(self, claims: Mapping[str, str]) -> set[str]:
        """Set `sending` on entries (id -> claim) whose claim still holds; answers those that now may be sent."""
        set_sending = {"$set": {"sending": True}}
        result = await self._outbox.bulk_write(
            [UpdateOne({"_id": key, "claim": claim, "sending": False}, set_sending) for key, claim in claims.items()],
            ordered=False,
        )
        if result.modified_count == len(claims):
            return set(claims)
        return await self.held(None, claims, sending=True)

    async def held(self, session: Session | None, claims: Mapping[str, str], **state: bool) -> set[str]:
        """Those of the entries (id -> claim) whose claim still holds."""
        cursor = self._outbox.find({"_id": {"$in": list(claims)}, **state}, {"claim": 1}, session=session)
        documents = await cursor.to_list(len(claims))
        return {document["_id"] for document in documents if claims[document["_id"]] == document["claim"]}

    async def renew(self, claims: Mapping[str, str], until: datetime) -> None:
        """Keep the leases (id -> claim) of what is still being sent."""
        query = {"_id": {"$in": list(claims)}, "claim": {"$in": list(set(claims.values()))}}
        await self._outbox.update_many(query, {"$set": {"leased_until": until}})

    async def settle(
        self, session: Session, finished: Mapping[str, str], again: Sequence[tuple[OutboxEntry, datetime]]
    ) -> None:
        """Remove what is finished (id -> claim) and put back what is to be tried again at a time."""
        writes: list[DeleteOne | UpdateOne] = [
            DeleteOne({"_id": key, "claim": claim}) for key, claim in finished.items()
        ]
        for entry, due_at in again:
            fields = {
                "sending": False,
                "due_at": due_at,
                "attempts": entry.attempts,
                "leased_until": FREE,
                "claim": "",
            }
            writes.append(UpdateOne({"_id": entry.id, "claim": entry.claim}, {"$set": fields}))
        if writes:
            await self._outbox.bulk_write(writes, ordered=False, session=session)

    async def release(self, entries: Sequence[OutboxEntry]) -> None:
        """Give back leased entries that were not begun."""
        query = {
            "_id": {"$in": [entry.id for entry in entries]},
            "claim": {"$in": list({entry.claim for entry in entries})},
            "sending": False,
        }
        await self._outbox.update_many(query, {"$set": {"claim": "", "leased_until": FREE}})

    async def abandoned(self, now: datetime, limit: int = 100) -> list[OutboxEntry]:
        """Entries whose sender vanished after the point of no return."""
        cursor = self._outbox.find({"sending": True, "leased_until": {"$lte": now}}).limit(limit)
        return [from_document(document, OutboxEntry) for document in await cursor.to_list(limit)]

    async def withdraw(self, session: Session, message_id: str, now: datetime, queued_at: datetime) -> bool:
        """Remove an entry that was first queued at a moment and that nobody is sending; False where it is too late."""
        query = {"_id": message_id, "sending": False, "leased_until": {"$lte": now}, "first_at": queued_at}
        result = await self._outbox.delete_one(query, session=session)
        return bool(result.deleted_count)

    async def release_all(self, now: datetime) -> None:
        """End every lease: for the one process that knows that no other is alive."""
        await self._outbox.update_many({"leased_until": {"$gt": now}}, {"$set": {"leased_until": now}})

    async def due_since(self, inbox_id: str, now: datetime) -> datetime | None:
        """When the oldest message of an inbox that should have left by now was due; None where none is late."""
        query = {"inbox_id": inbox_id, "due_at": {"$lte": now}}
        document = await self._outbox.find_one(query, {"due_at": 1}, sort=[("due_at", ASCENDING)])
        return document["due_at"] if document else None

    async def queued(self, inbox_id: str) -> int:
        """How many messages of an inbox are on their way, counted up to 10,000."""
        return int(await self._outbox.count_documents({"inbox_id": inbox_id}, limit=10_000))


class Buckets:
    """Token buckets that all processes share: so many a minute, with at most a minute's worth saved up."""

    def __init__(self, mongo: Mongo) -> None:
        self._buckets = mongo.collection("buckets")

    async def take(self, name: str, wanted: int, per_minute: int, now: datetime) -> int:
        """Take up to `wanted` tokens; answers how many there were."""
        burst = max(1, per_minute // 6)  # ten seconds' worth, so that a minute never holds many more than its share
        passed = {"$subtract": [now, {"$ifNull": ["$at", now]}]}
        refill = {
            "$min": [
                burst,
                {
                    "$add": [
                        {"$ifNull": ["$tokens", burst]},
                        {"$multiply": [{"$divide": [{"$max": [0, passed]}, 60_000]}, per_minute]},
                    ]
                },
            ]
        }
        taken = {"$max": [0, {"$min": [wanted, {"$floor": "$tokens"}]}]}
        document = await self._buckets.find_one_and_update(
            {"_id": name},
            [
                {"$set": {"tokens": refill, "at": {"$max": ["$at", now]}}},  # a clock that is behind gives nothing
                {"$set": {"taken": taken}},
                {"$set": {"tokens": {"$subtract": ["$tokens", "$taken"]}}},
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return int(document["taken"])


class AutoReplies:
    """When each address was last answered automatically: the loop guard's memory."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._sent = mongo.collection("auto_replies")

    async def prepare(self) -> None:
        """Create the collection and its index."""
        await self._mongo.ensure(
            "auto_replies", [IndexModel([("at", ASCENDING)], expireAfterSeconds=_AUTO_REPLIES_SECONDS)]
        )

    async def last(self, session: Session, keys: Collection[str]) -> dict[str, datetime]:
        """Times by `inbox_id address-key`."""
        cursor = self._sent.find({"_id": {"$in": list(keys)}}, session=session)
        return {document["_id"]: document["at"] async for document in cursor}

    async def note(self, session: Session, keys: Collection[str], at: datetime) -> None:
        """Remember automatic answers."""
        for key in keys:
            await self._sent.update_one({"_id": key}, {"$set": {"at": at}}, upsert=True, session=session)
