"""Fetching updates by long polling, with the offset moved only after the host has committed.

https://core.telegram.org/bots/api#getupdates: asking with an offset makes Telegram forget all updates before it; so
nothing is lost as long as the offset that is asked with is one that was stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from channels.base import Cursor, Raw, Unreachable
from channels.telegram.client import ApiError, Client, Lost, NotLeft, Timing, explained

ALLOWED_UPDATES = (
    "message",
    "edited_message",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "callback_query",
    "my_chat_member",
    "chat_member",
)
"""What Telegram is asked to send: it leaves reactions and members out where it is not told."""
BATCH = 100
PLACE = "telegram:update/"
"""How `Raw.url` of a polled update begins; its number follows."""
_CONFLICT = 409


class _Numbered(msgspec.Struct):
    update_id: int


class Poller:
    """An inbox's way in where nobody can call us."""

    def __init__(self, client: Client, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    async def poll(self, cursor: Cursor, taken: Callable[[list[Raw]], None]) -> AsyncIterator[tuple[list[Raw], Cursor]]:
        """See `PollingAdapter.poll`. `taken` is told what the host has committed."""
        offset = _offset(cursor)
        webhook_removed = False
        while not self._client.closed:
            try:
                updates = await self._updates(offset)
            except ApiError as error:
                if error.code != _CONFLICT:
                    raise explained(error) from None
                if webhook_removed:
                    raise Unreachable(
                        "Somebody else fetches this bot's updates or sets a webhook for it", "409"
                    ) from None
                await self._remove_webhook()
                webhook_removed = True
                continue
            except (NotLeft, Lost) as error:
                if self._client.closed:
                    return
                raise explained(error) from None
            webhook_removed = False
            raws = [Raw(body=bytes(each), url=f"{PLACE}{number}") for number, each in updates]
            if updates:
                offset = updates[-1][0] + 1
            yield raws, {"offset": offset} if offset else {}
            taken(raws)

    async def _updates(self, offset: int) -> list[tuple[int, msgspec.Raw]]:
        """Updates from `offset` on, each as the JSON it is."""
        raw = await self._client.call(
            "getUpdates",
            {
                "offset": offset or None,
                "limit": BATCH,
                "timeout": self._timing.poll,
                "allowed_updates": list(ALLOWED_UPDATES),
            },
            timeout=self._timing.poll + self._timing.answer,
        )
        try:
            listed = msgspec.json.decode(raw, type=list[msgspec.Raw])
            numbered = [(msgspec.json.decode(each, type=_Numbered).update_id, each.copy()) for each in listed]
        except msgspec.DecodeError:
            raise Lost("Telegram answered something that cannot be read") from None
        return sorted(numbered, key=lambda each: each[0])

    async def _remove_webhook(self) -> None:
        """A webhook that another program (or these settings, earlier) left behind; what it holds back comes to us."""
        try:
            await self._client.call("deleteWebhook", {"drop_pending_updates": False})
        except (ApiError, NotLeft, Lost) as error:
            raise explained(error) from None


class Acknowledger:
    """Tells Telegram that a pressed button was heard, so that it stops turning on the person's screen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, query_id: str) -> None:
        """Answer in the background: nothing depends on it, and it is refused for a query older than a minute or so."""
        task = asyncio.get_running_loop().create_task(self._answer(query_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, query_id: str) -> None:
        try:
            await self._client.call("answerCallbackQuery", {"callback_query_id": query_id})
        except (ApiError, NotLeft, Lost):
            pass  # the button turns a little longer, that is all


def _offset(cursor: Cursor) -> int:
    offset = cursor.get("offset", 0)
    return offset if isinstance(offset, int) else 0
