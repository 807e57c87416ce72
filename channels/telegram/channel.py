"""The Telegram channel as the registry lists it: its settings and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from channels.base import Channel, Field
from channels.telegram.adapter import CAPABILITIES, build
from channels.telegram.settings import API_URL, text

_TOKEN = re.compile(r"[1-9][0-9]{0,15}:[A-Za-z0-9_-]{3,100}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ADDRESS = re.compile(r"@?[A-Za-z][A-Za-z0-9_]{2,31}|[1-9][0-9]{0,15}")
_URL = re.compile(
    r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?|https?://\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?"
)
_UNTYPEABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
_INBOX, _RECEIVING, _ADVANCED = "Inbox", "Receiving", "Advanced"

FIELDS = (
    Field(
        name="token",
        label="Bot token",
        kind="password",
        group=_INBOX,
        required=True,
        secret=True,
        help="@BotFather gives it to you when you make a bot; it looks like 123456:ABC-DEF.",
    ),
    Field(
        name="address",
        label="Bot's user name",
        group=_INBOX,
        help="For example @nomad_travel_bot. The check then makes sure that the token is this bot's.",
    ),
    Field(name="name", label="Name", group=_INBOX, help="Shown to your team, for example “Nomad Travel”."),
    Field(
        name="inbound",
        label="Messages come in by",
        kind="select",
        group=_RECEIVING,
        default="polling",
        choices=(
            ("polling", "Fetching: works everywhere"),
            ("webhook", "Webhook: Telegram calls this server, which has to be reachable by HTTPS"),
        ),
    ),
    Field(
        name="webhook_secret",
        label="Webhook secret",
        kind="password",
        group=_RECEIVING,
        secret=True,
        show_when=("inbound", "webhook"),
        help="Made from the token where this is empty. Letters, digits, _ and -, at most 256.",
    ),
    Field(
        name="api_url",
        label="API server",
        group=_ADVANCED,
        default=API_URL,
        help="Only to be changed if you run a Bot API server of your own.",
    ),
    Field(
        name="max_per_minute",
        label="Messages per minute",
        kind="number",
        group=_ADVANCED,
        default=600,
        help="At most so many are sent; the rest waits its turn. Telegram's own limits are kept besides.",
    ),
)


def validate(settings: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong, by field; empty when the settings can be tried."""
    wrong: dict[str, str] = {}
    for field in FIELDS:
        if field.choices and text(settings, field.name, str(field.default)) not in dict(field.choices):
            wrong[field.name] = "Please choose one of the list."
        elif _UNTYPEABLE.search(str(settings.get(field.name) or "")):
            wrong[field.name] = "This has to be one line of text."
    if not text(settings, "token"):
        wrong["token"] = "Please paste the token that @BotFather gave you."  # noqa: S105  # words, not a token
    elif not _TOKEN.fullmatch(text(settings, "token")):
        wrong["token"] = "This is not a bot token: it begins with a number and a colon."  # noqa: S105  # words
    if (address := text(settings, "address")) and not _ADDRESS.fullmatch(address):
        wrong["address"] = "This is not a bot's user name, for example @nomad_travel_bot."
    if (secret := text(settings, "webhook_secret")) and not _SECRET.fullmatch(secret):
        wrong["webhook_secret"] = "Only letters, digits, _ and - are possible here, and at most 256 of them."  # noqa: S105
    if not _URL.fullmatch(text(settings, "api_url", API_URL)):
        wrong["api_url"] = "This is not the address of a server, for example https://api.telegram.org."
    if settings.get("max_per_minute") not in (None, "") and not _whole(settings["max_per_minute"], 100_000):
        wrong["max_per_minute"] = "This has to be a whole number from 1 on, and not beyond what is possible."
    return wrong


def _whole(value: Any, largest: int) -> bool:
    return str(value).isdecimal() and str(value).isascii() and 1 <= int(value) <= largest


CHANNEL = Channel(
    name="telegram",
    label="Telegram",
    blurb="A Telegram bot: private chats, groups and business accounts.",
    icon="brand-telegram",
    capabilities=CAPABILITIES,
    fields=FIELDS,
    build=build,
    validate=validate,
)
