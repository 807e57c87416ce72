"""The email channel's adapter: ties the ways in and out to the normal form."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from channels.base import (
    Adapter,
    Capabilities,
    CheckStep,
    Cursor,
    InboundEvent,
    Known,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    Rejected,
    SendResult,
    Sent,
)
from channels.email.compose import Composed, compose
from channels.email.header_text import Unsendable
from channels.email.imap import ImapPoller, Timing
from channels.email.parse import parse
from channels.email.settings import EmailSettings, read
from channels.email.smtp import SmtpSender, SmtpTiming

CAPABILITIES = Capabilities(
    address_kind="email",
    threads_by_headers=True,
    subjects=True,
    supports_html=True,
    copies=True,
    attachments=True,
    max_total_bytes=25 * 2**20,
)
_COMPOSE_INLINE_BYTES = 512 * 1024
"""Attachments beyond this are encoded in a thread: it would hold up the loop for too long."""


class EmailAdapter:
    """An inbox whose mail comes in by the door; out by SMTP or to the catcher."""

    def __init__(
        self,
        inbox_id: str,
        settings: EmailSettings,
        ports: Ports,
        *,
        smtp_timing: SmtpTiming | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._inbox_id = inbox_id
        self._settings = settings
        self._ports = ports
        self._smtp = (
            SmtpSender(settings, ports, timing=smtp_timing or SmtpTiming(), context=context)
            if settings.outbound == "smtp"
            else None
        )

    @property
    def capabilities(self) -> Capabilities:
        """See `Adapter`."""
        return CAPABILITIES

    def verify(self, raw: Raw) -> bool:
        """Mail comes over connections that we made, or by the door, which asks nobody who he is."""
        return True

    def receive(self, raw: Raw) -> list[InboundEvent]:
        """See `Adapter`."""
        return parse(raw, self._inbox_id, (self._settings.address,))

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """See `Adapter`."""
        try:
            mail = await self._compose(out)
        except Unsendable as error:
            return Rejected("553", str(error))
        if self._smtp is not None:
            return await self._smtp.send(mail, out.message_ref, point_of_no_return)
        await point_of_no_return()
        await self._ports.catch(mail.message, mail.envelope_from, mail.recipients)
        return Sent(out.message_ref, "Kept by the mail catcher")

    async def check(self) -> list[CheckStep]:
        """See `Adapter`."""
        if self._smtp is None:
            return [CheckStep("Send mail", ok=True, words="Kept by the mail catcher")]
        return await self._smtp.check()

    async def close(self) -> None:
        """See `Adapter`."""
        if self._smtp is not None:
            await self._smtp.close()

    async def _compose(self, out: OutboundMessage) -> Composed:
        plus = self._settings.plus_addressing
        if sum(each.size for each in out.attachments) > _COMPOSE_INLINE_BYTES:
            return await asyncio.to_thread(compose, out, plus_addressing=plus)
        return compose(out, plus_addressing=plus)


class PollingEmailAdapter(EmailAdapter):
    """An inbox whose mail is fetched by IMAP."""

    def __init__(
        self,
        inbox_id: str,
        settings: EmailSettings,
        ports: Ports,
        *,
        timing: Timing | None = None,
        smtp_timing: SmtpTiming | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(inbox_id, settings, ports, smtp_timing=smtp_timing, context=context)
        self._imap = ImapPoller(settings, ports, timing=timing or Timing(), context=context)

    @property
    def capabilities(self) -> Capabilities:
        """See `Adapter`."""
        return msgspec.structs.replace(CAPABILITIES, polls=True)

    def poll(self, cursor: Cursor) -> AsyncIterator[tuple[list[Raw], Cursor]]:
        """See `PollingAdapter`."""
        return self._imap.poll(cursor)

    def reconcile(self, cursor: Cursor, known: Known) -> AsyncIterator[tuple[list[str], list[Raw]]]:
        """See `PollingAdapter`."""
        return self._imap.reconcile(cursor, known)

    async def check(self) -> list[CheckStep]:
        """See `Adapter`."""
        return [*await self._imap.check(), *await super().check()]

    async def close(self) -> None:
        """See `Adapter`."""
        await self._imap.close()
        await super().close()


def build(inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> Adapter:
    """The adapter that the settings ask for."""
    mail = read(settings)
    return (PollingEmailAdapter if mail.inbound == "imap" else EmailAdapter)(inbox_id, mail, ports)
