"""Where replies arrive: an SMTP server that takes its time over each mail and knows what is in flight."""

from __future__ import annotations

import asyncio
import collections
import re
from types import TracebackType

_MESSAGE_ID = re.compile(rb"^Message-ID: <(.+)>\r?$", re.MULTILINE | re.IGNORECASE)


class PostOffice:
    """Accepts everything, `seconds` after the mail was there. An async context manager; runs in the test's loop."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.accepted: collections.Counter[str] = collections.Counter()
        """Message-IDs by how often they were taken."""
        self.in_flight: set[str] = set()
        """Message-IDs whose content is there and which have no answer yet."""
        self.took = asyncio.Event()
        """Set by each mail that is taken; for the test to clear."""
        self._seconds = seconds
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> PostOffice:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender is dead: what it had not finished was never taken
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 post.example\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"EHLO":
                writer.write(b"250-post.example\r\n250 PIPELINING\r\n")
            elif word == b"DATA":
                writer.write(b"354 go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                await self._take(content, writer)
            else:
                writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 OK\r\n")
            await writer.drain()

    async def _take(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        found = _MESSAGE_ID.search(content)
        assert found is not None
        name = found[1].decode()
        self.in_flight.add(name)
        try:
            await asyncio.sleep(self._seconds)
            self.accepted[name] += 1
            self.took.set()
            writer.write(b"250 taken\r\n")
        finally:
            self.in_flight.discard(name)
