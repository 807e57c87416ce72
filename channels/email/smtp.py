"""Sending mail by SMTP: pooled connections, and each failure told apart by whether the server may have the mail."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Sequence
from typing import cast

import aiosmtplib
import msgspec

from channels.base import (
    ChannelError,
    CheckStep,
    PointOfNoReturn,
    Ports,
    Refused,
    Rejected,
    Retry,
    SendResult,
    Sent,
    Unknown,
    Unreachable,
)
from channels.email import tls
from channels.email.compose import Composed
from channels.email.header_text import addr_spec
from channels.email.settings import EmailSettings
from channels.email.smtp_wire import Lost, Reply, Wire

MESSAGES_PER_CONNECTION = 100
SETTINGS_RETRY = 300.0
"""Seconds to the next try where a person has to set something right first."""
_START_INPUT = 354
_CLOSING = 421
_LOGIN_NEEDED = {530, 534, 535, 538}
"""The server wants another login (RFC 4954): it is the inbox that is refused, not the message."""


class SmtpTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds (RFC 5321 section 4.5.3.2)."""

    connect: float = 30
    command: float = 120
    content: float = 600
    idle: float = 30
    """How long an unused connection is kept."""


class _TooMany(Exception):
    """The server takes no further connection beside those it has of ours."""


class SmtpSender:
    """An inbox's SMTP side."""

    def __init__(
        self, settings: EmailSettings, ports: Ports, *, timing: SmtpTiming, context: ssl.SSLContext | None
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._timing = timing
        self._context = context
        self._most = settings.connections
        self._places = asyncio.Semaphore(self._most)
        self._idle: dict[Wire, asyncio.TimerHandle] = {}
        self._connecting: set[asyncio.Future[None]] = set()
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._closed = False

    async def send(self, mail: Composed, message_ref: str, point_of_no_return: PointOfNoReturn) -> SendResult:
        """Send to all recipients or to none; see `Adapter.send`."""
        while True:
            await self._places.acquire()
            try:
                result = await self._send(mail, message_ref, point_of_no_return)
            except _TooMany:
                self._most -= 1  # the place is given up for good, and the mail waits for one of the others
                continue
            except BaseException:
                self._places.release()
                raise
            self._places.release()
            return result

    async def check(self) -> list[CheckStep]:
        """Log in."""
        try:
            wire = await self._connect()
        except ChannelError as error:
            return [CheckStep("Send mail", ok=False, words=error.words)]
        wire.quit()
        return [CheckStep("Send mail", ok=True, words=f"Logged in to {self._settings.smtp.name}")]

    async def close(self) -> None:
        """Close what is idle; what sends is closed when it is done."""
        self._closed = True
        for wire in list(self._idle):
            self._dismiss(wire)

    async def _send(self, mail: Composed, message_ref: str, point_of_no_return: PointOfNoReturn) -> SendResult:
        try:
            wire, refusal = await self._offer(mail)
        except Refused as error:
            return Retry(error.words, SETTINGS_RETRY, error.code, refused=True)
        except Unreachable as error:
            if await self._has_others() and self._most > 1:
                raise _TooMany from error  # it answers, but wants no more of us at once
            return Retry(error.words, None, error.code)
        try:
            result = refusal or await self._deliver(wire, mail.message, message_ref, point_of_no_return)
            if not isinstance(result, Sent):
                await self._reset(wire)
        except BaseException:
            wire.abort()
            raise
        self._keep(wire)
        return result

    async def _has_others(self) -> bool:
        """Whether the server serves another connection of ours, once those that are being made are made or not."""
        while True:
            if any(wire.is_open for wire in self._wires):
                return True
            if not self._connecting:
                return False
            await asyncio.wait(self._connecting, return_when=asyncio.FIRST_COMPLETED)

    async def _offer(self, mail: Composed) -> tuple[Wire, SendResult | None]:
        """A connection on which the envelope was given, and what the server had against it."""
        while (idle := self._take_idle()) is not None:
            try:
                refusal, closing = await self._envelope(idle, mail)
            except Lost:
                continue  # dropped while it was idle; nothing has happened yet
            if not closing:
                return idle, refusal
            idle.quit()
        attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connecting.add(attempt)
        try:
            wire = await self._connect()
        finally:
            self._connecting.discard(attempt)
            attempt.set_result(None)
        try:
            refusal, _ = await self._envelope(wire, mail)
        except Lost as error:
            raise Unreachable(f"The connection to {self._settings.smtp.name} was lost: {error}") from error
        return wire, refusal

    async def _envelope(self, wire: Wire, mail: Composed) -> tuple[SendResult | None, bool]:
        """What the server has against sender and recipients, and whether it closes the connection."""
        parameters, refusal = _parameters(wire, mail)
        if refusal is not None:
            return refusal, False
        sender = b"<" + mail.envelope_from.encode() + b">" + parameters
        recipients = [recipient.encode() for recipient in mail.recipients]
        try:
            answer, answers = await wire.envelope(sender, recipients, self._timing.command)
        except BaseException:
            wire.abort()
            raise
        if not answer.ok:
            return _failure(answer), answer.code == _CLOSING
        refused = [(each, reply) for each, reply in zip(mail.recipients, answers, strict=True) if not reply.ok]
        for_good = [(each, reply) for each, reply in refused if not reply.later]
        if for_good:
            return Rejected(
                str(for_good[0][1].code), "; ".join(f"{each}: {_words(reply)}" for each, reply in for_good)
            ), False
        if refused:
            each, reply = refused[0]
            return Retry(f"{each}: {_words(reply)}", None, str(reply.code)), reply.code == _CLOSING
        return None, False

    async def _deliver(self, wire: Wire, message: bytes, ref: str, point_of_no_return: PointOfNoReturn) -> SendResult:
        await point_of_no_return()
        try:
            answer = await wire.command(b"DATA\r\n", self._timing.command)
        except Lost as error:
            return Retry(f"The connection was lost before the mail was handed over: {error}")
        if answer.code != _START_INPUT:
            return _failure(answer)
        try:
            answer = await wire.content(message, self._timing.content)
        except Lost as error:
            return Unknown(f"The connection was lost while the mail was handed over: {error}")
        if answer.ok:
            return Sent(ref, _words(answer))
        return _failure(answer) if answer.code >= 400 else Unknown(f"The server answered: {_words(answer)}")

    async def _reset(self, wire: Wire) -> None:
        try:
            if not (await wire.command(b"RSET\r\n", self._timing.command)).ok:
                wire.abort()
        except Lost:
            pass  # the result stands, and `_keep` sees that the connection is no use any more

    async def _connect(self) -> Wire:
        """A new connection, logged in. Raises `Unreachable` or `Refused`."""
        for renew in (False, True):
            try:
                return await self._log_in(renew=renew)
            except Refused:
                if renew or self._settings.auth != "oauth":
                    raise
        raise AssertionError("the second pass returns or raises")

    async def _log_in(self, *, renew: bool) -> Wire:
        server = self._settings.smtp
        oauth = self._settings.auth == "oauth"
        token = await self._ports.access_token(renew=renew) if oauth else ""

        async def give_token() -> str:
            return token

        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username or None,
            password=server.password if server.username and not oauth else None,
            oauth_token_generator=give_token if oauth else None,
            local_hostname=addr_spec(self._settings.address).rpartition("@")[2],
            timeout=self._timing.connect,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._context or await tls.trusted(),
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await _greet(client)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise _explained(server.name, error) from error
        except BaseException:
            client.close()
            raise
        transport = cast("asyncio.Transport", client.transport)
        wire = Wire(transport, dict(client.esmtp_extensions))
        transport.set_protocol(wire)
        self._wires.add(wire)
        return wire

    def _take_idle(self) -> Wire | None:
        while self._idle:
            wire, timer = self._idle.popitem()
            timer.cancel()
            if wire.usable:
                return wire
            wire.quit()
        return None

    def _keep(self, wire: Wire) -> None:
        if self._closed or not wire.usable or wire.messages >= MESSAGES_PER_CONNECTION:
            wire.quit()
            return
        self._idle[wire] = asyncio.get_running_loop().call_later(self._timing.idle, self._dismiss, wire)

    def _dismiss(self, wire: Wire) -> None:
        self._idle.pop(wire).cancel()
        wire.quit()


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


def _parameters(wire: Wire, mail: Composed) -> tuple[bytes, Rejected | None]:
    """The parameters of MAIL, or why this server cannot take this mail at all."""
    parameters = b""
    offered = wire.extensions.get("size")
    if offered is not None:
        parameters = b" SIZE=%d" % len(mail.message)
        limit = int(offered) if offered.isdigit() else 0
        if 0 < limit < len(mail.message):
            return b"", Rejected(
                "552", f"The mail has {_megabytes(len(mail.message))}, the server takes {_megabytes(limit)}"
            )
    foreign = [address for address in (mail.envelope_from, *mail.recipients) if not address.isascii()]
    if foreign:
        if "smtputf8" not in wire.extensions:
            return b"", Rejected("553", f"The server cannot send from or to {', '.join(foreign)}")
        parameters += b" SMTPUTF8"
    return parameters, None


def _failure(reply: Reply) -> Retry | Rejected:
    if reply.code in _LOGIN_NEEDED:
        return Retry(_words(reply), SETTINGS_RETRY, str(reply.code), refused=True)
    if reply.later:
        return Retry(_words(reply), None, str(reply.code))
    return Rejected(str(reply.code), _words(reply))


def _words(reply: Reply) -> str:
    return f"{reply.code} {reply.text}".strip()


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB"


def _explained(server: str, error: Exception) -> Refused | Unreachable:
    """What a failed connection means for the person who set it up."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        words = f"{server} did not accept the login: {error.code} {error.message}"
        return Unreachable(words, str(error.code)) if error.code < 500 else Refused(words, str(error.code))
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Unreachable(f"{server} answered: {error.code} {error.message}", str(error.code))
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refused(f"The certificate of {server} is not trusted: {cause.verify_message}")
    if isinstance(error, OSError | TimeoutError):
        return Unreachable(f"Cannot connect to {server}: {error}")
    return Refused(f"{server}: {error}")


def _causes(error: BaseException | None) -> Sequence[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__
    return chain
