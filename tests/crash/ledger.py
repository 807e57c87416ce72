"""What the store says in the end, read past the product: straight from the collections."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from inbox.core.mongo import Mongo

_SETTLE_SECONDS = 180


def uri_of(data: Path) -> str:
    """Where the embedded database of a data folder listens while it runs."""
    socket = quote(str(data.resolve() / "run" / "mongodb-27017.sock"), safe="")
    return f"mongodb://{socket}/?directConnection=true"


class Ledger:
    """Counts what is stored."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def received(self) -> collections.Counter[str]:
        """Inbound messages by Message-ID."""
        cursor = self._mongo.collection("messages").find({"kind": "in"}, {"message_ref": 1})
        return collections.Counter([document["message_ref"] async for document in cursor])

    async def replies(self) -> dict[str, str]:
        """The state of every reply by Message-ID."""
        cursor = self._mongo.collection("messages").find({"kind": "out"}, {"message_ref": 1, "delivery": 1})
        return {document["message_ref"]: document["delivery"]["state"] async for document in cursor}

    async def count(self, name: str) -> int:
        """Documents of a collection."""
        return int(await self._mongo.collection(name).count_documents({}))

    async def stuck(self) -> list[str]:
        """Raw sources that were kept and never taken in."""
        return [document["_id"] async for document in self._mongo.collection("raws").find({"waiting": True})]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(_SETTLE_SECONDS):
            while not await condition():
                await asyncio.sleep(0.1)
