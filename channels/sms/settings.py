"""What an SMS inbox's stored settings mean: the typed form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from channels.sms.numbers import WHATSAPP, e164

SenderKind = Literal["number", "service", "alpha"]
API_URL = "https://api.twilio.com"
SENDER_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")
"""An alphanumeric sender id (https://www.twilio.com/docs/messaging/features/alphanumeric-sender-id)."""
MAX_MEDIA_MB = 100


class SmsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS inbox as its adapter needs it."""

    account_sid: str
    auth_token: str
    """Also what webhooks are signed with, so it is needed beside an API key."""
    api_key_sid: str = ""
    api_key_secret: str = ""
    address: str
    """The number customers write to in E.164, or the sender id they see."""
    sender: SenderKind = "number"
    service_sid: str = ""
    whatsapp: bool = False
    api_url: str = API_URL
    max_media_bytes: int = 25 * 2**20

    @property
    def auth(self) -> tuple[str, str]:
        """User name and password for the API."""
        if self.api_key_sid:
            return self.api_key_sid, self.api_key_secret
        return self.account_sid, self.auth_token

    @property
    def from_(self) -> str:
        """The sender as the API wants it; with a messaging service Twilio picks the number."""
        return f"{WHATSAPP}{self.address}" if self.whatsapp else self.address


def read(settings: Mapping[str, Any]) -> SmsSettings:
    """Settings that passed `validate` as the adapter's own; what is not set takes its default."""
    kinds: Mapping[str, SenderKind] = {"service": "service", "alpha": "alpha"}
    sender = kinds.get(text(settings, "sender", "number"), "number")
    address = text(settings, "address")
    key = text(settings, "api_key_sid")
    return SmsSettings(
        account_sid=text(settings, "account_sid"),
        auth_token=text(settings, "auth_token"),
        api_key_sid=key,
        api_key_secret=text(settings, "api_key_secret") if key else "",
        address=address if sender == "alpha" else e164(address) or address,
        sender=sender,
        service_sid=text(settings, "service_sid") if sender == "service" else "",
        whatsapp=settings.get("whatsapp") is True and sender != "alpha",
        api_url=text(settings, "api_url", API_URL).rstrip("/"),
        max_media_bytes=int(text(settings, "max_media_mb", "25")) * 2**20,
    )


def price(settings: Mapping[str, Any]) -> Decimal | None:
    """What a segment costs, for the hint in the composer; None where nobody said. Raises `ValueError`."""
    typed = text(settings, "price_per_segment").replace(",", ".")
    if not typed:
        return None
    try:
        value = Decimal(typed)
    except InvalidOperation as error:
        raise ValueError(typed) from error
    if not value.is_finite() or not 0 <= value < 10_000:
        raise ValueError(typed)
    return value


def text(settings: Mapping[str, Any], name: str, default: str = "") -> str:
    """A setting as text without surrounding space."""
    value = settings.get(name)
    return default if value is None else str(value).strip() or default
