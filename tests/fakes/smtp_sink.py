"""A real SMTP server (aiosmtpd) that keeps what it gets, and whose every answer can be scripted."""

from __future__ import annotations

import asyncio
import base64
import ssl
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CUT = "cut"
"""As an answer: the connection is cut instead."""
HANG = "hang"
"""As an answer: none ever comes."""
Script = Callable[[str, str], str | None]
"""(stage, value) -> an answer, `CUT`, `HANG`, or None for the usual one.

Stages: `connect` (peer), `MAIL` and `RCPT` (address), `DATA` (before the mail), `END` (after it; value is its text).
"""


class Received(msgspec.Struct, frozen=True):
    """A mail that was taken."""

    mail_from: str
    rcpt_tos: list[str]
    content: bytes


class SmtpSink:
    """The server; an async context manager. Runs in the loop of the test."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        password: str = "",
        token: str = "",
        pipelining: bool = True,
        utf8: bool = True,
        size: int = 30 * 2**20,
    ) -> None:
        self.mails: list[Received] = []
        self.connections = 0
        self.open: set[_Connection] = set()
        self.commands: list[str] = []
        """The commands of all connections as they came, without addresses."""
        self.script: Script = lambda _stage, _value: None
        self.arrived = asyncio.Event()
        """Set by each mail; for the test to clear."""
        self.password = password
        self.token = token
        self.pipelining = pipelining
        self._tls = tls
        self._options: dict[str, Any] = {"enable_SMTPUTF8": utf8, "data_size_limit": size, "tls_context": starttls}
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, ssl=self._tls)

    async def stop(self) -> None:
        """Stop listening and cut who is connected."""
        if self._server is not None:
            self._server.close()
        tasks = [connection.serving for connection in self.open if connection.serving is not None]
        for connection in list(self.open):
            connection.cut()
        for task in tasks:
            task.cancel()  # one that waits for a handshake does not see the cut
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> SmtpSink:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def server_options(self) -> dict[str, Any]:
        """For aiosmtpd."""
        if not self.password and not self.token:
            return {**self._options, "auth_exclude_mechanism": ["LOGIN", "PLAIN"]}
        excluded = [] if self.password else ["LOGIN", "PLAIN"]
        return {
            **self._options,
            "auth_required": True,
            "auth_require_tls": False,
            "auth_exclude_mechanism": excluded,
            "authenticator": self._authenticate,
        }

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password.decode() == self.password
        return AuthResult(success=right, handled=False)


class _Connection(SMTP):
    def __init__(self, sink: SmtpSink) -> None:
        self.sink = sink
        if sink.token:
            self.auth_XOAUTH2 = self._check_token
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
            super().__init__(self, hostname="sink.example", loop=asyncio.get_running_loop(), **sink.server_options())
        # aiosmtpd binds its commands when it is made; each is noted as it comes.
        for name, method in list(self._smtp_methods.items()):
            self._smtp_methods[name] = self._noted(name, method)

    @property
    def serving(self) -> asyncio.Task[None] | None:
        return self._handler_coroutine

    def cut(self) -> None:
        if self.transport is not None:
            cast("asyncio.WriteTransport", self.transport).abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self not in self.sink.open:
            self.sink.open.add(self)
            self.sink.connections += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.sink.open.discard(self)
        super().connection_lost(error)

    async def handle_EHLO(  # noqa: N802  # aiosmtpd names its hooks so
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        extra = ["250-PIPELINING"] if self.sink.pipelining else []
        return [*responses[:-1], *extra, responses[-1]]

    async def handle_MAIL(  # noqa: N802  # aiosmtpd names its hooks so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._scripted("MAIL", address)
        if answer is None:
            envelope.mail_from = address
        return answer or "250 OK"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd names its hooks so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._scripted("RCPT", address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd names its hooks so
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        answer = await self._scripted("END", envelope.content.decode("utf-8", "replace"))
        if answer is None:
            self.sink.mails.append(Received(str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content))
            self.sink.arrived.set()
        return answer or f"250 2.0.0 Ok: queued as {len(self.sink.mails)}"

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802  # the same
        answer = await self._scripted("DATA", "")
        if answer is None:
            await super().smtp_DATA(arg or "")
        else:
            await self.push(answer)

    async def push(self, status: Any) -> None:
        if isinstance(status, str) and status.startswith("220 "):
            status = await self._scripted("connect", str(self.session and self.session.peer)) or status
        await super().push(status)

    async def _scripted(self, stage: str, value: str) -> str | None:
        answer = self.sink.script(stage, value)
        if answer == CUT:
            self.cut()
            raise asyncio.CancelledError
        if answer == HANG:
            await asyncio.Event().wait()
        return answer

    async def _check_token(self, server: SMTP, arguments: list[str]) -> AuthResult:
        if f"auth=Bearer {self.sink.token}\1" in base64.b64decode(arguments[1]).decode():
            return AuthResult(success=True, auth_data=b"")
        await self.challenge_auth('{"status":"401"}')
        return AuthResult(success=False, handled=False)

    def _noted(self, name: str, method: Callable[[str], Any]) -> Callable[[str], Any]:
        async def run(arg: str) -> None:
            self.sink.commands.append(name)
            await method(arg)

        return run
