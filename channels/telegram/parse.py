"""An update of the Bot API to events of the normal form. Pure; what is of no use to an inbox gives none.

https://core.telegram.org/bots/api#update. Any update may carry what no version of the API has had so far, so that
everything is read as if it might be missing or of another type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from channels.base import Address, ConsentChange, InboundEvent, InboundMessage, MessageChange, Raw, ThreadHints
from channels.telegram import refs
from channels.telegram.contents import Contents, identity, name_of, read_contents
from channels.telegram.values import integer, items, mapping, string

EXTERNAL_ID = "update:{}"
OTHER_REACTION = "✴️"
"""Stands for a reaction that has no emoji of its own: a custom one, of which an update has only the id."""
PAID_REACTION = "⭐"


def parse(raw: Raw, inbox_id: str, bot_id: int) -> list[InboundEvent]:
    """What an update says; the same update gives the same events however often and whichever way it comes."""
    try:
        update = msgspec.json.decode(raw.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if not isinstance(update, dict) or not (update_id := integer(update.get("update_id"))):
        return []
    reader = _Reader(inbox_id, bot_id, EXTERNAL_ID.format(update_id))
    for kind, value in update.items():
        read = reader.readers.get(kind)
        if read is not None and isinstance(value, dict):
            return read(value)
    return []


def pressed(raw: Raw) -> str:
    """The id of an update's callback query, which wants to be told that it was heard; empty for other updates."""
    if b'"callback_query"' not in raw.body:
        return ""
    try:
        update = msgspec.json.decode(raw.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return string(mapping(mapping(update).get("callback_query")).get("id"))


class _Reader:
    """Reads one update."""

    def __init__(self, inbox_id: str, bot_id: int, external_id: str) -> None:
        self._inbox_id = inbox_id
        self._bot_id = bot_id
        self._external_id = external_id
        self.readers: Mapping[str, Callable[[dict[str, Any]], list[InboundEvent]]] = {
            "message": self._message,
            "business_message": self._message,
            "edited_message": self._edited,
            "edited_business_message": self._edited,
            "deleted_business_messages": self._deleted,
            "message_reaction": self._reaction,
            "callback_query": self._pressed,
            "my_chat_member": self._membership,
        }

    def _message(self, message: dict[str, Any]) -> list[InboundEvent]:
        chat = mapping(message.get("chat"))
        sender = self._sender(message, chat)
        if sender is None:
            return []
        contents = read_contents(message)
        if not contents:
            return []
        author = mapping(message.get("from"))
        ours = _is_owners(message, chat)
        return [
            InboundMessage(
                inbox_id=self._inbox_id,
                external_id=self._external_id,
                message_ref=refs.message_ref(message),
                sender=sender,
                to=(_chat_address(chat),) if ours else (Address("telegram", str(self._bot_id)),),
                sent_at=_time(message.get("date")),
                thread=ThreadHints(chat_id=refs.chat_id(message), in_reply_to=_in_reply_to(message)),
                subject=_subject(message, chat),
                text=contents.text,
                reply_text=contents.own,
                html=contents.html,
                attachments=contents.attachments,
                language=string(author.get("language_code")),
                auto_submitted=_is_machine(message, author),
                sent_by_us=ours,
                identities=identity(message),
                source=_source(contents),
                album=_album(message, chat),
            )
        ]

    def _edited(self, message: dict[str, Any]) -> list[InboundEvent]:
        sender = self._sender(message, mapping(message.get("chat")))
        if sender is None or not (contents := read_contents(message)):
            return []
        return [
            self._change(
                refs.message_ref(message),
                "edited",
                sender=sender,
                text=contents.text,
                html=contents.html,
                at=_time(message.get("edit_date")) or _time(message.get("date")),
            )
        ]

    def _deleted(self, deleted: dict[str, Any]) -> list[InboundEvent]:
        numbers = [number for each in items(deleted.get("message_ids")) if (number := integer(each))]
        return [
            self._change(refs.message_ref({**deleted, "message_id": number}), "deleted", part=f":{number}")
            for number in dict.fromkeys(numbers)
        ]

    def _reaction(self, changed: dict[str, Any]) -> list[InboundEvent]:
        who = mapping(changed.get("user")) or mapping(changed.get("actor_chat"))
        if not integer(who.get("id")) or integer(who.get("id")) == self._bot_id:
            return []
        reactions = (_reaction(mapping(each)) for each in items(changed.get("new_reaction")))
        return [
            self._change(
                refs.message_ref(changed),
                "reaction",
                sender=_address(who),
                reactions=tuple(dict.fromkeys(reactions)),
                at=_time(changed.get("date")),
            )
        ]

    def _pressed(self, query: dict[str, Any]) -> list[InboundEvent]:
        """A pressed button is the answer that is written on it."""
        who, message = mapping(query.get("from")), mapping(query.get("message"))
        label = _label(message, string(query.get("data")))
        if not label or not string(query.get("id")) or not integer(who.get("id")) or not message:
            return []
        return [
            InboundMessage(
                inbox_id=self._inbox_id,
                external_id=f"callback:{string(query.get('id'))}",
                sender=_address(who),
                to=(Address("telegram", str(self._bot_id)),),
                thread=ThreadHints(chat_id=refs.chat_id(message), in_reply_to=(refs.message_ref(message),)),
                subject=string(mapping(message.get("chat")).get("title")),
                text=label,
                reply_text=label,
                language=string(who.get("language_code")),
            )
        ]

    def _membership(self, changed: dict[str, Any]) -> list[InboundEvent]:
        """Whom a group lets in is nobody's consent; a person who blocks the bot takes his own back."""
        chat = mapping(changed.get("chat"))
        before, now = (string(mapping(changed.get(each)).get("status")) for each in _MEMBERSHIP)
        gone = {"kicked", "left"}
        if chat.get("type") != "private" or not integer(chat.get("id")) or (before in gone) == (now in gone):
            return []
        return [
            ConsentChange(
                inbox_id=self._inbox_id,
                external_id=self._external_id,
                address=_chat_address(chat),
                opted_out=now in gone,
                words="Blocked the bot" if now in gone else "Let the bot in again",
                at=_time(changed.get("date")),
            )
        ]

    def _sender(self, message: dict[str, Any], chat: dict[str, Any]) -> Address | None:
        """Who said it; None where it is nobody an inbox would answer: a channel, or this bot itself."""
        if not integer(chat.get("id")) or chat.get("type") == "channel" or message.get("is_automatic_forward"):
            return None
        author = mapping(message.get("from"))
        own = (integer(each.get("id")) for each in (author, mapping(message.get("sender_business_bot"))))
        if self._bot_id in own:
            return None
        who = mapping(message.get("sender_chat")) or author
        return _address(who) if integer(who.get("id")) else None

    def _change(self, message_ref: str, change: Any, *, part: str = "", **given: Any) -> MessageChange:
        return MessageChange(
            inbox_id=self._inbox_id,
            external_id=self._external_id + part,
            message_ref=message_ref,
            change=change,
            **given,
        )


_MEMBERSHIP = ("old_chat_member", "new_chat_member")


def _address(who: Mapping[str, Any]) -> Address:
    return Address("telegram", str(integer(who.get("id"))), name_of(who))


def _chat_address(chat: Mapping[str, Any]) -> Address:
    return _address(chat)


def _is_owners(message: Mapping[str, Any], chat: Mapping[str, Any]) -> bool:
    """Whether the owner of a business account wrote it: all but what the other side of the chat did."""
    author = integer(mapping(message.get("from")).get("id"))
    return bool(string(message.get("business_connection_id"))) and author != integer(chat.get("id"))


def _is_machine(message: Mapping[str, Any], author: Mapping[str, Any]) -> bool:
    """Bots, and greetings that an account sends by itself; a chat that speaks has a bot as its stand-in."""
    return (author.get("is_bot") is True and not message.get("sender_chat")) or message.get("is_from_offline") is True


def _in_reply_to(message: Mapping[str, Any]) -> tuple[str, ...]:
    answered = mapping(message.get("reply_to_message"))
    if not integer(answered.get("message_id")) or answered.get("forum_topic_created"):
        return ()  # what is said in a topic "answers" the message that opened it
    return (refs.message_ref({**message, "message_id": answered["message_id"]}),)


def _subject(message: Mapping[str, Any], chat: Mapping[str, Any]) -> str:
    opened = mapping(mapping(message.get("reply_to_message")).get("forum_topic_created"))
    names = (string(chat.get("title")), string(opened.get("name")))
    return ": ".join(name for name in names if name)


def _album(message: Mapping[str, Any], chat: Mapping[str, Any]) -> str:
    group = string(message.get("media_group_id"))
    return f"{refs.room(message, chat)}:{group}" if group else ""


def _source(contents: Contents) -> str:
    """The parameter of the deep link a person came by (https://core.telegram.org/bots/features#deep-linking)."""
    command, _, parameter = contents.own.partition(" ")
    return parameter.strip()[:64] if command.partition("@")[0] == "/start" else ""


def _reaction(reaction: Mapping[str, Any]) -> str:
    if reaction.get("type") == "paid":
        return PAID_REACTION
    return string(reaction.get("emoji")) or OTHER_REACTION


def _label(message: Mapping[str, Any], data: str) -> str:
    """What is written on the button with this data; the data itself where the message does not have it any more."""
    for row in items(mapping(message.get("reply_markup")).get("inline_keyboard")):
        for button in items(row):
            if data and mapping(button).get("callback_data") == data:
                return string(mapping(button).get("text")) or data
    return data


def _time(value: Any) -> datetime | None:
    seconds = integer(value)
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 2**36 else None
