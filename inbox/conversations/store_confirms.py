"""Messages whose end nobody saw: each is asked about at its provider, until that tells or a person must decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from pymongo import ASCENDING, IndexModel, ReplaceOne, ReturnDocument

from inbox.conversations.store_outbox import OutboxEntry
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo, Session, from_document, to_document

PAUSES = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
"""Before each question; who cannot tell after the last is not asked again."""


class Confirm(msgspec.Struct, frozen=True, kw_only=True):
    """One unconfirmed message to be asked about. `id` is the message's; `claim` fences as in the outbox."""

    id: str
    inbox_id: str
    attempts: int
    """Of the delivery that this is about: after a further one there is nothing to ask about this one."""
    first_at: datetime
    """When the message was queued first."""
    due_at: datetime
    leased_until: datetime
    asked: int = 0
    """How often the provider was asked and could not tell."""
    claim: str = ""


class ConfirmStore:
    """The collection `confirms`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._confirms = mongo.collection("confirms")

    async def prepare(self) -> None:
        """Create the collection and its index."""
        await self._mongo.ensure("confirms", [IndexModel([("due_at", ASCENDING)])])

    async def add(self, session: Session, confirms: Sequence[Confirm]) -> None:
        """Note what is to be asked about, in the transaction that shows it so; the newest attempt counts."""
        if confirms:
            writes = [ReplaceOne({"_id": each.id}, to_document(each), upsert=True) for each in confirms]
            await self._confirms.bulk_write(writes, ordered=False, session=session)

    async def claim(self, now: datetime, lease_seconds: float) -> Confirm | None:
        """Lease the next one that is due; nobody else gets it until the lease ends."""
        document = await self._confirms.find_one_and_update(
            {"due_at": {"$lte": now}, "leased_until": {"$lte": now}},
            {"$set": {"claim": new_id(), "leased_until": now + timedelta(seconds=lease_seconds)}},
            sort=[("due_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return from_document(document, Confirm) if document else None

    async def later(self, confirm: Confirm, due_at: datetime) -> None:
        """The provider could not tell: ask again at a time."""
        await self._confirms.update_one(
            {"_id": confirm.id, "claim": confirm.claim},
            {"$set": {"due_at": due_at, "leased_until": due_at, "claim": ""}, "$inc": {"asked": 1}},
        )

    async def done(self, session: Session, confirm: Confirm) -> bool:
        """Take it off the list; False where somebody else has it now."""
        result = await self._confirms.delete_one({"_id": confirm.id, "claim": confirm.claim}, session=session)
        return bool(result.deleted_count)


def to_ask(entry: OutboxEntry, now: datetime) -> Confirm:
    """What is to be asked about a message on its way whose end nobody saw."""
    return Confirm(
        id=entry.id,
        inbox_id=entry.inbox_id,
        attempts=entry.attempts,
        first_at=entry.first_at,
        due_at=now + PAUSES[0],
        leased_until=now,
    )
