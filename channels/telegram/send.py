"""Sending by the Bot API: all pieces of a message in their order, each failure told apart by what it means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from channels.base import OutboundMessage, PointOfNoReturn, Rejected, Retry, SendResult, Sent, Unknown
from channels.telegram.client import ApiError, Client, Lost, NotLeft
from channels.telegram.outgoing import Call, Unsendable, plan
from channels.telegram.pace import Limits, Pace
from channels.telegram.refs import Place, read_place

SETTINGS_RETRY = 300.0
"""Seconds to the next try where a person has to set something right first."""
LONGEST_WAIT = 20.0
"""Seconds that a message may wait for its turn here; with longer to go it is put back into the queue."""
_NO_TOKEN = frozenset({401, 404})
_TOO_MANY = 429
_GONE = ("blocked", "kicked", "deactivated")
_NO_PHOTO = ("PHOTO_", "IMAGE_PROCESS_FAILED", "VOICE_MESSAGES_FORBIDDEN", "VIDEO_")
"""What a 400 says about a file that is all right as a document (`Call.otherwise`)."""
_PATIENCE = 3


class _Chat(msgspec.Struct):
    id: int


class _Message(msgspec.Struct):
    message_id: int
    chat: _Chat


class Sender:
    """An inbox's way out."""

    def __init__(
        self,
        client: Client,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._pace = Pace(limits or Limits())
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """Send all of it; see `Adapter.send`."""
        place = read_place(out.chat_id or (out.to[0].value if out.to else ""))
        if place is None:
            return Rejected("400", "This is not the address of a Telegram chat")
        try:
            calls = plan(out, place)
        except Unsendable as error:
            return Rejected("400", str(error))
        wait = self._reserve(place, calls[0], LONGEST_WAIT)
        if wait > LONGEST_WAIT:
            return Retry("Telegram takes only so many messages for one chat", wait)
        await self._sleep(wait)
        await point_of_no_return()
        return await self._send_all(calls, place)

    async def _send_all(self, calls: list[Call], place: Place) -> SendResult:
        sent: list[str] = []
        for number, call in enumerate(calls):
            if number:
                await self._sleep(self._reserve(place, call, None))
            try:
                place, messages = await self._send_one(call, place, later=bool(sent))
            except (ApiError, NotLeft, Lost) as error:
                failure = _failure(error, group=place.is_group)
                if not sent:
                    return failure
                return Unknown(f"{number} of {len(calls)} parts left, then: {failure.reason}")
            sent += [_name(place, each) for each in messages]
        moved = "The group has a new id" if place.chat != calls[0].parameters["chat_id"] else ""
        return Sent(sent[0], moved, tuple(sent[1:]))

    async def _send_one(self, call: Call, place: Place, *, later: bool) -> tuple[Place, list[_Message]]:
        """What became of one call that was done, and where. Raises `ApiError`, `NotLeft` or `Lost`."""
        current = call
        for _ in range(_PATIENCE):
            try:
                raw = await self._client.call(
                    current.method, {**current.parameters, **place.parameters}, current.uploads
                )
            except ApiError as error:
                if error.retry_after:
                    self._pace.hold(place.chat, error.retry_after, self._clock())
                if error.migrate_to and error.migrate_to != place.chat:
                    # A group became a supergroup; the API did nothing but to say so.
                    place = msgspec.structs.replace(place, chat=error.migrate_to)
                elif current.otherwise and error.code == 400 and any(each in error.words for each in _NO_PHOTO):
                    current = current.otherwise
                elif later and error.code == _TOO_MANY and (error.retry_after or 0) <= LONGEST_WAIT:
                    await self._sleep(error.retry_after or 1)
                else:
                    raise
            else:
                return place, _messages(raw)
        raise ApiError(_TOO_MANY, "Telegram refused it several times")

    def _reserve(self, place: Place, call: Call, most: float | None) -> float:
        return self._pace.reserve(place.chat, call.messages, self._clock(), group=place.is_group, most=most)


def _messages(raw: msgspec.Raw) -> list[_Message]:
    try:
        messages = msgspec.json.decode(raw, type=list[_Message] | _Message)
    except msgspec.DecodeError:
        raise Lost("Telegram answered something that cannot be read") from None
    listed = messages if isinstance(messages, list) else [messages]
    if not listed:
        raise Lost("Telegram did not say what it sent")
    return listed


def _name(place: Place, message: _Message) -> str:
    name = f"{message.chat.id}:{message.message_id}"
    return f"{place.connection}:{name}" if place.connection else name


def _failure(error: ApiError | NotLeft | Lost, *, group: bool) -> Retry | Rejected | Unknown:
    """A person who blocks the bot opts out; who throws it out of a group says nothing about those in it."""
    if isinstance(error, Lost):
        return Unknown(str(error))
    if isinstance(error, NotLeft):
        return Retry(str(error))
    code, words = str(error.code), error.words
    if error.code in _NO_TOKEN:
        return Retry("Telegram does not know this bot token", SETTINGS_RETRY, code, refused=True)
    if error.code == _TOO_MANY:
        return Retry("Telegram asks to send more slowly", error.retry_after, code)
    if error.code == 403:
        return Rejected(code, _explained(words), opted_out=not group and any(each in words for each in _GONE))
    if error.code in (400, 413):
        return Rejected(code, _explained(words))
    if error.code >= 500:
        return Retry(f"Telegram answered: {words}", None, code)
    return Retry(f"Telegram answered: {words}", SETTINGS_RETRY, code, refused=True)


_WORDS = {
    "bot was blocked": "The person has blocked the bot",
    "user is deactivated": "The person's Telegram account does not exist any more",
    "bot was kicked": "The bot was removed from this group",
    "bot is not a member": "The bot is not a member of this group",
    "can't initiate conversation": "The person has to write to the bot first; a bot cannot begin a conversation",
    "chat not found": "Telegram knows no such chat, or the person never wrote to the bot",
    "not enough rights": "The bot may not write in this group",
    "TOPIC_CLOSED": "This topic is closed",
    "message thread not found": "This topic does not exist any more",
    "BUSINESS_CONNECTION_INVALID": "The business account is not connected to the bot any more",
    "BUSINESS_PEER_USAGE_MISSING": "The person has not written in the last 24 hours: a bot may not write then",
    "Request Entity Too Large": "The files are too large for Telegram",
}


def _explained(words: str) -> str:
    """The API's words, after ours where we know what it means by them."""
    ours = next((meaning for sign, meaning in _WORDS.items() if sign in words), "")
    return f"{ours} (Telegram: {words})" if ours else f"Telegram answered: {words}"
