"""The SMS channel as the registry lists it: its settings and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from channels.base import Channel, Field
from channels.sms.adapter import CAPABILITIES, build
from channels.sms.numbers import e164
from channels.sms.settings import API_URL, MAX_MEDIA_MB, SENDER_ID, price, text
from channels.twilio.reach import is_private_host

_UNTYPEABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
_INBOX, _ACCOUNT, _SENDER, _ADVANCED = "Inbox", "Twilio account", "Sender", "Advanced"
_SIDS = {"account_sid": "AC", "api_key_sid": "SK", "service_sid": "MG"}

FIELDS = (
    Field(
        name="address",
        label="Phone number",
        group=_INBOX,
        required=True,
        help="With its country code, for example +976 7700 1122. For a sender id, the id itself.",
    ),
    Field(name="name", label="Name", group=_INBOX, help="For your own people, for example “Nomad Travel SMS”."),
    Field(
        name="account_sid",
        label="Account SID",
        group=_ACCOUNT,
        required=True,
        help="On the first page of the Twilio console; it begins with AC.",
    ),
    Field(
        name="auth_token",
        label="Auth token",
        kind="password",
        group=_ACCOUNT,
        required=True,
        secret=True,
        help="Beside the account SID. Twilio signs with it what it sends to us, so it is needed in any case.",
    ),
    Field(
        name="api_key_sid",
        label="API key SID",
        group=_ACCOUNT,
        help="Optional: messages are then sent with this key, which can be withdrawn on its own.",
    ),
    Field(name="api_key_secret", label="API key secret", kind="password", group=_ACCOUNT, secret=True),
    Field(
        name="sender",
        label="Messages come from",
        kind="select",
        group=_SENDER,
        default="number",
        choices=(
            ("number", "This phone number"),
            ("service", "A messaging service, which picks the number"),
            ("alpha", "A sender id of letters, which cannot be answered"),
        ),
    ),
    Field(name="service_sid", label="Messaging service SID", group=_SENDER, show_when=("sender", "service")),
    Field(
        name="whatsapp",
        label="This is a WhatsApp number",
        kind="checkbox",
        group=_SENDER,
        default=False,
        help="Free text may then be sent for 24 hours after the customer has written.",
    ),
    Field(
        name="price_per_segment",
        label="Price of one SMS",
        group=_SENDER,
        help="Shown while a message is written, for example 0.0079. A long message is several SMS.",
    ),
    Field(name="price_currency", label="Currency", group=_SENDER, default="USD", help="Three letters."),
    Field(
        name="max_per_minute",
        label="Messages per minute",
        kind="number",
        group=_ADVANCED,
        default=60,
        help="At most so many are sent; the rest waits its turn.",
    ),
    Field(
        name="max_media_mb",
        label="Largest file taken in, in MB",
        kind="number",
        group=_ADVANCED,
        default=25,
    ),
    Field(
        name="api_url",
        label="API address",
        group=_ADVANCED,
        default=API_URL,
        help="Another one for a Twilio region, for example https://api.dublin.ie1.twilio.com.",
    ),
)


def validate(settings: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong, by field; empty when the settings can be tried."""
    wrong = _wrong_sender(settings) | _wrong_account(settings)
    for name, largest in (("max_per_minute", 100_000), ("max_media_mb", MAX_MEDIA_MB)):
        if settings.get(name) not in (None, "") and not _whole(settings[name], largest):
            wrong[name] = "This has to be a whole number from 1 on, and not beyond what is possible."
    try:
        price(settings)
    except ValueError:
        wrong["price_per_segment"] = "This is not a price. Please write it like 0.0079."
    if not re.fullmatch("[A-Za-z]{3}", text(settings, "price_currency", "USD")):
        wrong["price_currency"] = "Please give the currency's three letters, for example USD."
    if not _is_address(text(settings, "api_url", API_URL)):
        wrong["api_url"] = "This is not an address. It begins with https:// and has no path."
    for field in FIELDS:
        if _UNTYPEABLE.search(str(settings.get(field.name) or "")):
            wrong[field.name] = "This has to be one line of text."
    return wrong


def _wrong_sender(settings: Mapping[str, Any]) -> dict[str, str]:
    sender = text(settings, "sender", "number")
    address = text(settings, "address")
    if sender not in ("number", "service", "alpha"):
        return {"sender": "Please choose one of the list."}
    wrong: dict[str, str] = {}
    if sender == "alpha":
        if not SENDER_ID.fullmatch(address):
            wrong["address"] = "A sender id has at most 11 letters and digits, and at least one letter."
        if settings.get("whatsapp") is True:
            wrong["whatsapp"] = "WhatsApp needs a phone number as its sender."
    elif not e164(address):
        wrong["address"] = "This is not a phone number. Please begin with + and the country code."
    if sender == "service" and not _is_sid(settings, "service_sid"):
        wrong["service_sid"] = "A messaging service's SID is MG and 32 letters and digits."
    return wrong


def _wrong_account(settings: Mapping[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not _is_sid(settings, "account_sid"):
        wrong["account_sid"] = "An account SID is AC and 32 letters and digits."
    if not text(settings, "auth_token"):
        wrong["auth_token"] = "The auth token is needed."  # noqa: S105  # words, not a token
    if text(settings, "api_key_sid"):
        if not _is_sid(settings, "api_key_sid"):
            wrong["api_key_sid"] = "An API key's SID is SK and 32 letters and digits."
        if not text(settings, "api_key_secret"):
            wrong["api_key_secret"] = "The API key needs its secret."  # noqa: S105  # the same
    elif text(settings, "api_key_secret"):
        wrong["api_key_sid"] = "The secret needs its API key's SID."
    return wrong


def _is_sid(settings: Mapping[str, Any], name: str) -> bool:
    return re.fullmatch(_SIDS[name] + "[0-9a-fA-F]{32}", text(settings, name)) is not None


def _is_address(url: str) -> bool:
    try:
        split = urlsplit(url)
        _ = split.port  # raises here, not later
    except ValueError:
        return False
    plain = not (split.query or split.fragment or split.username or split.path.strip("/"))
    host = re.fullmatch(r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]{2,45}", split.hostname or "")
    # Credentials go there: without encryption only inside one's own network.
    encrypted = split.scheme == "https" or (split.scheme == "http" and is_private_host(url))
    return encrypted and plain and host is not None


def _whole(value: Any, largest: int) -> bool:
    digits = str(value)
    return digits.isdecimal() and digits.isascii() and len(digits) < 10 and 1 <= int(digits) <= largest


CHANNEL = Channel(
    name="sms",
    label="SMS and WhatsApp",
    blurb="Text messages and WhatsApp through a Twilio account.",
    icon="message",
    capabilities=CAPABILITIES,
    fields=FIELDS,
    build=build,
    validate=validate,
)
