"""A TCP proxy that cuts, freezes, delays and changes what passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class FaultyProxy:
    """Forwards to (host, port) until told otherwise; an async context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.connections = 0
        self.rewrite: Callable[[bytes], bytes] = lambda data: data
        """What becomes of what the server says."""
        self.delay = 0.0
        """Seconds before each piece is passed on."""
        self.cut_after: int | None = None
        """Cut the connection when the server has said so many bytes on it."""

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """Cut every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on any more and keep everything open: the connections are half-open."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Go on."""
        self._thawed.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Stop listening and cut everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> FaultyProxy:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            server, other = await asyncio.open_connection(*self._target)
            self._writers.add(other)
            up = asyncio.create_task(self._pump(reader, other, from_server=False))
            down = asyncio.create_task(self._pump(server, writer, from_server=True))
            try:
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            pass  # the server is away: the client sees its connection close
        except asyncio.CancelledError:
            pass  # the end of the test; Python 3.11 logs a stream server's task that ends as cancelled
        finally:
            for each in (writer, other):
                if each is not None:
                    self._writers.discard(each)
                    each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        passed = 0
        while data := await reader.read(65536):
            await self._thawed.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            if from_server:
                data = self.rewrite(data)
                if self.cut_after is not None and passed + len(data) > self.cut_after:
                    writer.write(data[: self.cut_after - passed])
                    return
                passed += len(data)
            writer.write(data)
            await writer.drain()
