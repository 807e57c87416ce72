"""What a Telegram inbox's stored settings mean: the typed form."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

API_URL = "https://api.telegram.org"
_SECRET_FOR = b"ortoo telegram webhook"


class TelegramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A Telegram inbox as its adapter needs it."""

    token: str
    address: str = ""
    """The bot's @username as it was typed; empty where nobody did."""
    inbound: Literal["webhook", "polling"]
    api_url: str = API_URL
    webhook_secret: str
    """What Telegram has to send along with every update: 1-256 letters, digits, `_` and `-`."""

    @property
    def bot_id(self) -> int:
        """The bot's numeric id, with which its token begins."""
        return int(self.token.partition(":")[0])


def read(settings: Mapping[str, Any]) -> TelegramSettings:
    """Settings that passed `validate` as the adapter's own; what is not set takes its default."""
    token = text(settings, "token")
    return TelegramSettings(
        token=token,
        address=text(settings, "address"),
        inbound="webhook" if settings.get("inbound") == "webhook" else "polling",
        api_url=text(settings, "api_url", API_URL).rstrip("/"),
        webhook_secret=text(settings, "webhook_secret") or secret_of(token),
    )


def secret_of(token: str) -> str:
    """A webhook secret that follows from the token, so that nobody has to make one up; the token does not follow from
    it."""
    return hmac.new(token.encode(), _SECRET_FOR, hashlib.sha256).hexdigest()


def text(settings: Mapping[str, Any], name: str, default: str = "") -> str:
    """A setting as text without surrounding space."""
    value = settings.get(name)
    return default if value is None else str(value).strip() or default
