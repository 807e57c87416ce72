"""A live check of a bot's settings, and setting its webhook, in words for the person who does it."""

from __future__ import annotations

import msgspec

from channels.base import CheckStep
from channels.telegram.client import ApiError, Client, Lost, NotLeft, explained
from channels.telegram.poll import ALLOWED_UPDATES
from channels.telegram.settings import TelegramSettings


class Me(msgspec.Struct):
    """The bot itself (https://core.telegram.org/bots/api#user)."""

    id: int
    first_name: str
    username: str = ""
    can_join_groups: bool = False
    can_read_all_group_messages: bool = False
    can_connect_to_business: bool = False


class WebhookInfo(msgspec.Struct):
    """Where updates go (https://core.telegram.org/bots/api#webhookinfo)."""

    url: str
    pending_update_count: int = 0
    last_error_date: int = 0
    last_error_message: str = ""
    allowed_updates: list[str] = []


async def check_bot(client: Client, settings: TelegramSettings) -> list[CheckStep]:
    """Who the bot is, and what it may hear."""
    try:
        me = msgspec.json.decode(await client.call("getMe"), type=Me)
    except (ApiError, NotLeft, Lost) as error:
        return [CheckStep("Bot", ok=False, words=explained(error).words)]
    except msgspec.DecodeError:
        return [CheckStep("Bot", ok=False, words="The server does not answer as Telegram does")]
    name = f"@{me.username}" if me.username else me.first_name
    if settings.address.lstrip("@").lower() not in ("", me.username.lower(), str(me.id)):
        return [CheckStep("Bot", ok=False, words=f"This is the token of {name}, not of {settings.address}")]
    return [
        CheckStep("Bot", ok=True, words=f"{me.first_name}, {name}"),
        CheckStep("Groups", ok=True, words=_groups(me)),
    ]


async def check_webhook(client: Client, wanted: str) -> list[CheckStep]:
    """Whether Telegram calls `wanted`; empty where updates are fetched."""
    try:
        info = msgspec.json.decode(await client.call("getWebhookInfo"), type=WebhookInfo)
    except (ApiError, NotLeft, Lost) as error:
        return [CheckStep("Receive messages", ok=False, words=explained(error).words)]
    except msgspec.DecodeError:
        return [CheckStep("Receive messages", ok=False, words="The server does not answer as Telegram does")]
    ok, words = _webhook_words(info, wanted)
    return [CheckStep("Receive messages", ok=ok, words=words)]


async def connect(client: Client, settings: TelegramSettings, url: str) -> list[CheckStep]:
    """Give Telegram the webhook's address and secret."""
    parameters = {
        "url": url,
        "secret_token": settings.webhook_secret,
        "allowed_updates": list(ALLOWED_UPDATES),
        "drop_pending_updates": False,
    }
    try:
        await client.call("setWebhook", parameters)
    except (ApiError, NotLeft, Lost) as error:
        return [CheckStep("Webhook", ok=False, words=explained(error).words)]
    return [CheckStep("Webhook", ok=True, words=f"Telegram sends messages to {url}")]


def _groups(me: Me) -> str:
    if not me.can_join_groups:
        return "The bot cannot be added to groups; @BotFather can allow it (/setjoingroups)"
    if me.can_read_all_group_messages:
        return "In groups the bot hears everything"
    return (
        "In groups the bot hears only commands and answers to itself (privacy mode); "
        "@BotFather can turn that off (/setprivacy), or make the bot an administrator of the group"
    )


def _webhook_words(info: WebhookInfo, wanted: str) -> tuple[bool, str]:
    if not wanted:
        if info.url:
            return True, "A webhook is set; it is removed when fetching begins"
        return True, f"Messages are fetched; {info.pending_update_count} are waiting"
    if info.url != wanted:
        where = f"sends messages to {info.url}" if info.url else "knows no webhook"
        return False, f"Telegram {where}. Press “Set it at the provider” to have them sent here."
    if missing := [each for each in ALLOWED_UPDATES if info.allowed_updates and each not in info.allowed_updates]:
        return False, f"Telegram does not send {', '.join(missing)}. Press “Set it at the provider” to have them sent."
    if info.last_error_message and info.pending_update_count:
        return False, f"Telegram could not reach us: {info.last_error_message}; {info.pending_update_count} are waiting"
    return True, f"Telegram sends messages to {wanted}"
