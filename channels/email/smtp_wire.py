"""Mail transactions on an SMTP connection that is already open (RFC 5321, RFC 2920 pipelining).

aiosmtplib connects, starts TLS and logs in; it cannot pipeline, and its loop of one command at a time is half of what
a reply costs. Once it has logged in, this protocol takes over the transport.
"""

from __future__ import annotations

import asyncio
import collections
import re
from collections.abc import Mapping, Sequence

import msgspec

_CHUNK = 256 * 1024
_REPLY_MAX = 64 * 1024
"""A server that sends more than this in one reply is none."""
_END = re.compile(rb"^\d{3}(?: [^\n]*)?\r?\n", re.MULTILINE)


class Reply(msgspec.Struct, frozen=True):
    """What the server said, on one line."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        """The command was done."""
        return 200 <= self.code < 300

    @property
    def later(self) -> bool:
        """A temporary failure."""
        return 400 <= self.code < 500


class Lost(Exception):
    """The connection is gone, or the server did not answer in time."""


class Wire(asyncio.Protocol):
    """The client's end of a connection after login. One transaction at a time."""

    def __init__(self, transport: asyncio.Transport, extensions: Mapping[str, str]) -> None:
        self.extensions = extensions
        self.messages = 0
        """Sent so far, whatever the server made of them."""
        self._transport = transport
        self._buffer = b""
        self._replies: collections.deque[Reply] = collections.deque()
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = ""

    @property
    def usable(self) -> bool:
        """Whether another transaction may be tried: it stands, and nothing was said unasked (such as 421)."""
        return not (self._lost or self._transport.is_closing() or self._replies or self._buffer)

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return not (self._lost or self._transport.is_closing())

    async def envelope(self, mail: bytes, recipients: Sequence[bytes], timeout: float) -> tuple[Reply, list[Reply]]:
        """MAIL and all RCPT; `timeout` seconds for each reply. Raises `Lost`.

        Without pipelining the recipients' list ends at a refused MAIL.
        """
        commands = [b"MAIL FROM:" + mail + b"\r\n", *(b"RCPT TO:<" + each + b">\r\n" for each in recipients)]
        if "pipelining" in self.extensions:
            self._write(b"".join(commands))
            replies = [await self._reply(timeout) for _ in commands]
            return replies[0], replies[1:]
        first, *rest = commands
        answer = await self.command(first, timeout)
        return answer, [await self.command(each, timeout) for each in rest] if answer.ok else []

    async def command(self, line: bytes, timeout: float) -> Reply:
        """Send one command (with its line end) and read the reply. Raises `Lost`."""
        self._write(line)
        return await self._reply(timeout)

    async def content(self, message: bytes, timeout: float) -> Reply:
        """Send the mail after the server's 354; `message` ends in CRLF. Raises `Lost`.

        `timeout` seconds for each piece of it and for the reply.
        """
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        last = max(0, len(stuffed) - 1) // _CHUNK * _CHUNK
        for at in range(0, last, _CHUNK):
            self._write(stuffed[at : at + _CHUNK])
            if not self._writable.is_set():
                await self._drain(timeout)
        self._write(stuffed[last:] + b".\r\n")
        reply = await self._reply(timeout)
        self.messages += 1
        return reply

    def quit(self) -> None:
        """Say goodbye without waiting for the answer."""
        if not self._transport.is_closing():
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Cut what came into replies."""
        self._buffer += data
        while match := _END.search(self._buffer):
            self._replies.append(_parse(self._buffer[: match.end()]))
            self._buffer = self._buffer[match.end() :]
        if len(self._buffer) > _REPLY_MAX:
            self._transport.abort()
        if self._replies:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits."""
        self._lost = str(exc or "the server closed the connection")
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The transport's buffer has room."""
        self._writable.set()

    def _write(self, data: bytes) -> None:
        if self._lost or self._transport.is_closing():
            raise Lost(self._lost or "the connection is closing")
        self._transport.write(data)

    async def _drain(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._writable.wait()
        except TimeoutError as error:
            raise self._silent(timeout) from error

    async def _reply(self, timeout: float) -> Reply:
        while not self._replies:
            if self._lost:
                raise Lost(self._lost)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._waiter
            except TimeoutError as error:
                raise self._silent(timeout) from error
            finally:
                self._waiter = None
        return self._replies.popleft()

    def _silent(self, timeout: float) -> Lost:
        self._transport.abort()
        return Lost(f"no answer within {timeout:g} s")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _parse(data: bytes) -> Reply:
    lines = data.decode("utf-8", "replace").rstrip().split("\n")
    return Reply(int(lines[-1][:3]), " ".join(line[4:].strip() for line in lines))
