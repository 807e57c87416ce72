"""Files in GridFS: written before the transaction that refers to them, streamed out, swept when nothing does."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from gridfs.errors import NoFile
from motor.motor_asyncio import AsyncIOMotorGridFSBucket

from inbox.core.errors import Invalid, NotFound
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo

CHUNK_BYTES = 255 * 1024


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stored file without opening it."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str


class Files:
    """Attachments and large raw sources. `owner` is the id of what the file was stored for; the sweep asks by it."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._bucket = AsyncIOMotorGridFSBucket(mongo.db, chunk_size_bytes=CHUNK_BYTES)

    async def prepare(self) -> None:
        """Create collections and the index of the sweep."""
        await self._mongo.ensure("fs.files")
        await self._mongo.ensure("fs.chunks")
        await self._mongo.db["fs.files"].create_index([("uploadDate", 1)])
        await self._mongo.db["fs.chunks"].create_index([("files_id", 1), ("n", 1)], unique=True)

    async def put(
        self,
        content: bytes | AsyncIterator[bytes],
        *,
        name: str,
        media_type: str,
        owner: str,
        max_bytes: int | None = None,
    ) -> StoredFile:
        """Store a file, streamed. Raises `Invalid` past `max_bytes`; nothing is kept then."""
        file_id, size, sha256 = new_id(), 0, hashlib.sha256()
        stream = self._bucket.open_upload_stream_with_id(
            file_id, name, metadata={"owner": owner, "media_type": media_type}
        )
        try:
            async for chunk in _chunks(content):
                size += len(chunk)
                if max_bytes is not None and size > max_bytes:
                    raise Invalid("The file is larger than %(mb)d MB.", mb=max_bytes // (1024 * 1024))
                sha256.update(chunk)
                await stream.write(chunk)
            await stream.set("metadata", {"owner": owner, "media_type": media_type, "sha256": sha256.hexdigest()})
            await stream.close()
        except BaseException:
            await stream.abort()
            raise
        return StoredFile(id=file_id, name=name, media_type=media_type, size=size, sha256=sha256.hexdigest())

    async def stat(self, file_id: str) -> StoredFile:
        """Raises `NotFound`."""
        document = await self._mongo.db["fs.files"].find_one({"_id": file_id})
        if document is None:
            raise NotFound("This file is no longer there.")
        metadata = document.get("metadata") or {}
        return StoredFile(
            id=file_id,
            name=document["filename"],
            media_type=metadata.get("media_type", "application/octet-stream"),
            size=document["length"],
            sha256=metadata.get("sha256", ""),
        )

    async def stream(self, file_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end` in chunks. Raises `NotFound` at the first."""
        try:
            source = await self._bucket.open_download_stream(file_id)
        except NoFile as error:
            raise NotFound("This file is no longer there.") from error
        if start:
            source.seek(start)
        left = (source.length if end is None else min(end, source.length)) - start
        while left > 0 and (chunk := await source.readchunk()):
            yield chunk[:left]
            left -= len(chunk)

    async def read(self, file_id: str) -> bytes:
        """The whole content; for what must be in memory anyway, such as a mail being composed."""
        return b"".join([chunk async for chunk in self.stream(file_id)])

    async def delete(self, file_id: str) -> None:
        """Delete; no error where it is gone already."""
        try:
            await self._bucket.delete(file_id)
        except NoFile:
            return

    async def owners(self, after: datetime, until: datetime) -> AsyncIterator[tuple[str, str]]:
        """(file id, owner) of the files stored after a moment and up to another, oldest first, for the sweep."""
        query = {"uploadDate": {"$gt": after, "$lte": until}}
        cursor = self._mongo.db["fs.files"].find(query, {"metadata.owner": 1}).sort("uploadDate", 1)
        async for document in cursor:
            yield document["_id"], (document.get("metadata") or {}).get("owner", "")


async def _chunks(content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for chunk in content:
        yield chunk
