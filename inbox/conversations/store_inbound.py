"""When customers last wrote, in MongoDB."""

from __future__ import annotations

from datetime import datetime

from pymongo import DESCENDING

from inbox.core.mongo import Mongo, Session


class InboundTimes:
    """Reads the collection `messages`, which `ConversationStore` keeps."""

    def __init__(self, mongo: Mongo) -> None:
        self._messages = mongo.collection("messages")

    async def last(self, conversation_id: str, session: Session | None = None) -> datetime | None:
        """When the last message came in to a conversation, None where none ever did."""
        query = {"conversation_id": conversation_id, "kind": "in"}
        found = await self._messages.find_one(query, {"at": 1}, sort=[("at", DESCENDING)], session=session)
        at: datetime | None = found["at"] if found else None
        return at
