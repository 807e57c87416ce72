"""The Telegram channel's adapters: tie the ways in and out to the normal form."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from channels.base import (
    Adapter,
    Attachment,
    Capabilities,
    ChannelError,
    CheckStep,
    Cursor,
    HookReply,
    InboundEvent,
    Known,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    SendResult,
)
from channels.telegram import checks
from channels.telegram.client import ApiError, Client, Lost, NotLeft, Timing, TooLarge, explained
from channels.telegram.contents import TYPES
from channels.telegram.outgoing import MAX_FILE, MAX_TEXT
from channels.telegram.pace import Limits
from channels.telegram.parse import parse, pressed
from channels.telegram.poll import PLACE, Acknowledger, Poller
from channels.telegram.send import Sender
from channels.telegram.settings import TelegramSettings, read

CAPABILITIES = Capabilities(
    address_kind="telegram",
    supports_html=True,
    attachments=True,
    max_text=MAX_TEXT,
    text_units="utf16",
    splits=True,
    buttons=True,
    reactions=True,
    rooms=True,
    edits=True,
    albums=True,
    max_total_bytes=MAX_FILE,
)
SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105  # a header's name
MAX_DOWNLOAD = 20 * 2**20
"""What a bot may download (https://core.telegram.org/bots/api#getfile)."""


class _File(msgspec.Struct):
    file_path: str = ""
    file_size: int = 0


class TelegramAdapter:
    """What both ways in have in common: everything but the way in."""

    def __init__(
        self,
        inbox_id: str,
        settings: TelegramSettings,
        ports: Ports,
        *,
        timing: Timing | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._inbox_id = inbox_id
        self._settings = settings
        self._ports = ports
        self._timing = timing or Timing()
        self._client = Client(settings, self._timing)
        self._sender = Sender(self._client, limits=limits)

    @property
    def capabilities(self) -> Capabilities:
        """See `Adapter`."""
        return CAPABILITIES

    def verify(self, raw: Raw) -> bool:
        """Whether the webhook's secret came along (https://core.telegram.org/bots/api#setwebhook)."""
        given = next((value for name, value in raw.headers.items() if name.lower() == SECRET_HEADER), "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._settings.webhook_secret.encode())

    def receive(self, raw: Raw) -> list[InboundEvent]:
        """See `Adapter`."""
        return parse(raw, self._inbox_id, self._settings.bot_id)

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """See `Adapter`."""
        return await self._sender.send(out, point_of_no_return)

    async def fetch(self, ref: str, max_bytes: int) -> Attachment:
        """See `FetchingAdapter`. The message that names the file knows its name and type better."""
        try:
            found = msgspec.json.decode(await self._client.call("getFile", {"file_id": ref}), type=_File)
            if found.file_size > max_bytes:
                raise TooLarge
            if not found.file_path:
                raise ChannelError("Telegram does not hand out this file")
            content = await self._client.download(found.file_path, max_bytes)
        except TooLarge:
            raise ChannelError(f"The file is larger than {max_bytes / 2**20:.0f} MB") from None
        except msgspec.DecodeError:
            raise ChannelError("Telegram answered something that cannot be read") from None
        except (ApiError, NotLeft, Lost) as error:
            if isinstance(error, ApiError) and "too big" in error.words:
                words = f"Telegram lets a bot download {MAX_DOWNLOAD // 2**20} MB at most, and this file is larger"
                raise ChannelError(words, str(error.code)) from None
            raise explained(error) from None
        name = found.file_path.rpartition("/")[2]
        media_type = TYPES.guess_type(name)[0] or "application/octet-stream"
        return Attachment(name=name, media_type=media_type, size=len(content), content=content, ref=ref)

    async def check(self) -> list[CheckStep]:
        """See `Adapter`."""
        steps = await checks.check_bot(self._client, self._settings)
        return [*steps, *await checks.check_webhook(self._client, self._wanted_hook())] if steps[0].ok else steps

    async def close(self) -> None:
        """See `Adapter`."""
        await self._client.close()

    def _wanted_hook(self) -> str:
        return ""


class WebhookTelegramAdapter(TelegramAdapter):
    """A bot whose updates Telegram sends to us."""

    @property
    def capabilities(self) -> Capabilities:
        """See `Adapter`."""
        return msgspec.structs.replace(CAPABILITIES, hooks=True)

    def answer(self, raw: Raw) -> HookReply:
        """Nothing; but to a pressed button that it was heard, which an answer may say by itself.

        https://core.telegram.org/bots/api#making-requests-when-getting-updates
        """
        query = pressed(raw)
        if not query:
            return HookReply()
        heard = {"method": "answerCallbackQuery", "callback_query_id": query}
        return HookReply(msgspec.json.encode(heard), "application/json")

    async def connect(self) -> list[CheckStep]:
        """See `HookedAdapter`."""
        return await checks.connect(self._client, self._settings, self._ports.hook_url())

    def _wanted_hook(self) -> str:
        return self._ports.hook_url()


class PollingTelegramAdapter(TelegramAdapter):
    """A bot whose updates we fetch."""

    def __init__(
        self,
        inbox_id: str,
        settings: TelegramSettings,
        ports: Ports,
        *,
        timing: Timing | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(inbox_id, settings, ports, timing=timing, limits=limits)
        self._poller = Poller(self._client, self._timing)
        self._acknowledger = Acknowledger(self._client)

    @property
    def capabilities(self) -> Capabilities:
        """See `Adapter`."""
        return msgspec.structs.replace(CAPABILITIES, polls=True)

    def verify(self, raw: Raw) -> bool:
        """What we fetched ourselves is Telegram's; what was sent to us has to have the secret all the same."""
        return raw.url.startswith(PLACE) or super().verify(raw)

    def poll(self, cursor: Cursor) -> AsyncIterator[tuple[list[Raw], Cursor]]:
        """See `PollingAdapter`."""
        return self._poller.poll(cursor, self._taken)

    async def reconcile(self, cursor: Cursor, known: Known) -> AsyncIterator[tuple[list[str], list[Raw]]]:
        """The API keeps no history: what was confirmed cannot be compared with anything."""
        nothing: tuple[tuple[list[str], list[Raw]], ...] = ()
        for each in nothing:
            yield each

    async def close(self) -> None:
        """See `Adapter`."""
        await self._acknowledger.close()
        await super().close()

    def _taken(self, raws: list[Raw]) -> None:
        for raw in raws:
            if query := pressed(raw):
                self._acknowledger.hear(query)


def build(inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> Adapter:
    """The adapter of an inbox; settings have passed `validate`."""
    bot = read(settings)
    if bot.inbound == "webhook":
        return WebhookTelegramAdapter(inbox_id, bot, ports)
    return PollingTelegramAdapter(inbox_id, bot, ports)
