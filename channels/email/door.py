"""The mail door: an SMTP or LMTP listener that mail servers forward to (RFC 5321, RFC 2033).

An answer of 250 means that the mail is stored. aiosmtpd speaks the protocol; reading the mail itself is done here,
because its own way refuses long lines, costs a step of the loop per line and knows nothing of LMTP's many answers.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, cast

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from channels.base import Raw

# At lower levels it logs every command, addresses included.
logging.getLogger("mail.log").setLevel(logging.ERROR)
_log = logging.getLogger(__name__)

Resolve = Callable[[str], Awaitable[str | None]]
"""Recipient address -> inbox id, None where nobody has it."""
Deliver = Callable[[str, Raw], Awaitable[None]]
"""(inbox id, mail): returns once it is committed, raises where it could not be."""

_TERMINATOR = b"\r\n.\r\n"
_PIECE = 256 * 1024
"""How much of a mail may wait in a connection's buffer."""
_TROUBLE = "451 4.3.0 Not stored; please try again later"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may do."""

    message_bytes: int = 30 * 2**20
    recipients: int = 100
    connections: int = 50
    seconds: float = 120
    """How long a client may be silent."""
    drain: float = 30
    """How long `Door.close` waits for mails that are being stored, in seconds."""


class Door:
    """The listener. Asks nobody who he is: it belongs on the loopback, or behind a mail server that does."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        resolve: Resolve,
        deliver: Deliver,
        speak: Literal["smtp", "lmtp"] = "smtp",
        hostname: str = "localhost",
        limits: Limits | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._resolve = resolve
        self._deliver = deliver
        self._lmtp = speak == "lmtp"
        self._hostname = hostname
        self._limits = limits or Limits()
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    async def start(self) -> None:
        """Listen. Raises `OSError` where the address is taken."""
        self._server = await asyncio.get_running_loop().create_server(self._client, self._host, self._port)

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 was asked for."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Take no more, let mails that are being stored come to their end, then hang up."""
        if self._server is None:
            return
        self._server.close()
        for client in list(self._clients):
            client.leave_when_idle()
        tasks = [client.task for client in self._clients if client.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _client(self) -> asyncio.Protocol:
        if len(self._clients) >= self._limits.connections:
            return _Turned()
        return _Client(
            _Handler(self._resolve, self._deliver, self._limits, lmtp=self._lmtp),
            self._clients,
            self._limits,
            hostname=self._hostname,
            lmtp=self._lmtp,
        )


class _Turned(asyncio.Protocol):
    """A client for whom there is no place."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _say_goodbye(transport, b"421 4.3.2 Too many connections, please try again later\r\n")


class _Handler:
    """What is decided about recipients and mails; one for each connection."""

    def __init__(self, resolve: Resolve, deliver: Deliver, limits: Limits, *, lmtp: bool) -> None:
        self._resolve = resolve
        self._deliver = deliver
        self._limits = limits
        self._lmtp = lmtp
        self._inboxes: dict[str, str] = {}
        """Recipient -> inbox, as far as they were resolved on this connection."""

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._limits.recipients:
            return "452 4.5.3 Too many recipients"
        inbox_id = await self._resolve(address)
        if inbox_id is None:
            return "550 5.1.1 No such inbox here"
        self._inboxes[address] = inbox_id
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        _log.error("mail door: %s", type(error).__name__, exc_info=error)
        return _TROUBLE

    async def store(self, sender: str, recipients: Sequence[str], body: bytes) -> str:
        """Deliver once to each inbox; the answer, of as many lines as the protocol wants."""
        of_inbox: dict[str, list[str]] = {}
        for recipient in recipients:
            of_inbox.setdefault(self._inboxes[recipient], []).append(recipient)
        stored = dict(
            zip(
                of_inbox,
                await asyncio.gather(
                    *(self._store(inbox_id, sender, theirs, body) for inbox_id, theirs in of_inbox.items())
                ),
                strict=True,
            )
        )
        if not self._lmtp:
            # Where a part is stored the client repeats the whole: that is harmless, the store drops what it has.
            return _answer(ok=all(stored.values()))
        return "\r\n".join(_answer(ok=stored[self._inboxes[recipient]]) for recipient in recipients)

    async def _store(self, inbox_id: str, sender: str, recipients: Sequence[str], body: bytes) -> bool:
        raw = Raw(body=body, url="smtp:", headers={"mail-from": sender, "rcpt-to": ",".join(recipients)})
        try:
            await self._deliver(inbox_id, raw)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client keeps the mail and comes again
            await self.handle_exception(error)
            return False
        return True


class _Client(SMTP):
    """One connection."""

    line_length_limit = _PIECE

    def __init__(self, handler: _Handler, clients: set[_Client], limits: Limits, *, hostname: str, lmtp: bool) -> None:
        self._clients = clients
        self._limits = limits
        self._storing = False
        self._leaving = False
        self._handler = handler
        # The library keeps these on the class, where one connection's EHLO widens them for all.
        self.command_size_limits = collections.defaultdict(lambda: 2048)
        super().__init__(
            handler,
            data_size_limit=limits.message_bytes,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="LMTP" if lmtp else "ESMTP",
            timeout=limits.seconds,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )
        greetings: Mapping[str, Callable[[str], Awaitable[None]]] = (
            {"LHLO": self.smtp_EHLO} if lmtp else {"HELO": self.smtp_HELO, "EHLO": self.smtp_EHLO}
        )
        for name in ("HELO", "EHLO", "AUTH"):
            self._smtp_methods.pop(name, None)
        self._smtp_methods.update(greetings)

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What serves this client."""
        return self._handler_coroutine

    def leave_when_idle(self) -> None:
        """Hang up now, or when the mail that is being stored has its answer."""
        self._leaving = True
        if not self._storing:
            self._hang_up()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._clients.discard(self)
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802  # aiosmtpd's name
        """Take a mail and answer when it is stored."""
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 5.5.1 Recipients first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes nothing")
            return
        await self.push("354 End with a line that holds a dot only")
        body = await self._read_mail()
        if body is None:
            await self.push("552 5.3.4 The mail is too large")
        else:
            sender = "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)
            self._storing = True
            if self._timeout_handle is not None:
                self._timeout_handle.cancel()  # storing may take longer than a client may be silent
            try:
                answer = await self._handler.store(sender, envelope.rcpt_tos, body)
            finally:
                self._storing = False
            self._reset_timeout()
            await self.push(answer)
        self.envelope = self._create_envelope()
        if self._leaving:
            self._hang_up()

    async def _read_mail(self) -> bytes | None:
        """The mail, dots undone; None where it is too large. Ends only at CRLF, dot, CRLF."""
        pieces: list[bytes] = []
        size = 0
        tail = b"\r\n"
        while tail != _TERMINATOR:
            try:
                piece = await self._reader.readuntil(_TERMINATOR[2:])
            except asyncio.LimitOverrunError as error:
                piece = await self._reader.read(error.consumed)
            self._reset_timeout()
            size += len(piece)
            tail = (tail + piece)[-len(_TERMINATOR) :]
            if size <= self._limits.message_bytes + 3:
                pieces.append(piece)
            else:
                pieces.clear()
        if size > self._limits.message_bytes + 3:
            return None
        body = b"".join(pieces)[:-3]
        return body.removeprefix(b".").replace(b"\r\n.", b"\r\n")

    def _hang_up(self) -> None:
        if self.transport is not None:
            _say_goodbye(self.transport, b"421 4.3.2 Going down, please try again later\r\n")


def _answer(*, ok: bool) -> str:
    return "250 2.0.0 Stored" if ok else _TROUBLE


def _say_goodbye(transport: asyncio.BaseTransport, words: bytes) -> None:
    # A cast: uvloop's transports are none of asyncio's classes.
    cast("asyncio.WriteTransport", transport).write(words)
    transport.close()
