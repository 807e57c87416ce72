"""The SMS channel's adapter: ties Twilio's messaging to the normal form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from channels.base import (
    Adapter,
    Attachment,
    Capabilities,
    CheckStep,
    HookReply,
    InboundEvent,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    SendResult,
)
from channels.sms.parse import file_name, parse
from channels.sms.segments import MAX_BODY
from channels.sms.sending import SendTiming, SmsSender
from channels.sms.settings import SmsSettings, read
from channels.sms.setup import SmsSetup
from channels.twilio import media
from channels.twilio.http import HttpTiming, TwilioHttp
from channels.twilio.webhook import form_of, verify

CAPABILITIES = Capabilities(
    address_kind="phone",
    text_units="segments",
    splits=True,
    hooks=True,
    receipts=True,
)
WHATSAPP_CAPABILITIES = msgspec.structs.replace(
    CAPABILITIES, text_units="characters", max_text=MAX_BODY, window_hours=24
)
_TWIML = HookReply(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml")
"""Nothing is said in return: answers are messages of their own."""


class SmsAdapter:
    """A number, messaging service or sender id of a Twilio account."""

    def __init__(
        self,
        inbox_id: str,
        settings: SmsSettings,
        ports: Ports,
        *,
        http_timing: HttpTiming | None = None,
        timing: SendTiming | None = None,
    ) -> None:
        self._inbox_id = inbox_id
        self._settings = settings
        self._http = TwilioHttp(settings.api_url, settings.auth, timing=http_timing)
        self._sender = SmsSender(settings, self._http, ports, timing=timing)
        self._setup = SmsSetup(settings, self._http, ports)

    @property
    def capabilities(self) -> Capabilities:
        """See `Adapter`."""
        return WHATSAPP_CAPABILITIES if self._settings.whatsapp else CAPABILITIES

    def verify(self, raw: Raw) -> bool:
        """See `Adapter`: Twilio signs with the account's auth token, also where we use an API key."""
        return verify(raw, self._settings.auth_token)

    def receive(self, raw: Raw) -> list[InboundEvent]:
        """See `Adapter`."""
        return parse(raw, self._inbox_id)

    def answer(self, raw: Raw) -> HookReply:
        """See `HookedAdapter`."""
        return HookReply() if form_of(raw).one("MessageStatus") else _TWIML

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """See `Adapter`."""
        return await self._sender.send(out, point_of_no_return)

    async def find_sent(self, out: OutboundMessage) -> SendResult:
        """See `AskableAdapter`. Takes up to half a minute and two requests."""
        return await self._sender.find(out)

    async def fetch(self, ref: str, max_bytes: int) -> Attachment:
        """See `FetchingAdapter`."""
        file = await media.fetch(self._http, ref, min(max_bytes, self._settings.max_media_bytes))
        return file if file.name else msgspec.structs.replace(file, name=file_name(file.media_type, 1))

    async def check(self) -> list[CheckStep]:
        """See `Adapter`."""
        return await self._setup.check()

    async def connect(self) -> list[CheckStep]:
        """See `HookedAdapter`."""
        return await self._setup.connect()

    async def close(self) -> None:
        """See `Adapter`."""
        await self._http.close()


def build(inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> Adapter:
    """The adapter that the settings ask for."""
    return SmsAdapter(inbox_id, read(settings), ports)
