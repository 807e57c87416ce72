"""How chats and messages of Telegram are named outside this channel, both ways. Pure.

A room (`ThreadHints.chat_id`) is a chat's id, `chat:topic` for a forum topic, `chat:d5` for a topic of a channel's
direct messages, and `connection:chat` for a chat of a connected business account. A message (`message_ref`) is
`chat:message`, with the connection before it where there is one: its chats number their messages on their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from channels.telegram.values import integer, mapping, string

_NUMBER = re.compile(r"-?[0-9]{1,18}")
_USERNAME = re.compile(r"@[A-Za-z][A-Za-z0-9_]{3,31}")
_TOPIC = re.compile(r"(d?)([0-9]{1,18})")
_CONNECTION = re.compile(r"[A-Za-z0-9_\-=+/.]{1,128}")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message goes."""

    chat: int | str
    """A number, or the @username of a public chat."""
    topic: int = 0
    direct_topic: int = 0
    connection: str = ""

    @property
    def parameters(self) -> dict[str, int | str]:
        """As the sending methods take it."""
        given: dict[str, int | str] = {"chat_id": self.chat}
        if self.connection:
            given["business_connection_id"] = self.connection
        if self.topic:
            given["message_thread_id"] = self.topic
        if self.direct_topic:
            given["direct_messages_topic_id"] = self.direct_topic
        return given

    @property
    def is_group(self) -> bool:
        """Groups and channels have negative ids."""
        return isinstance(self.chat, str) or self.chat < 0


def room(message: Mapping[str, Any], chat: Mapping[str, Any]) -> str:
    """The chat, with the business connection it is seen through."""
    connection = string(message.get("business_connection_id"))
    number = str(integer(chat.get("id")))
    return f"{connection}:{number}" if connection else number


def chat_id(message: Mapping[str, Any]) -> str:
    """The room a message was said in."""
    name = room(message, mapping(message.get("chat")))
    topic = integer(message.get("message_thread_id"))
    if string(message.get("business_connection_id")):
        return name
    if topic > 0 and message.get("is_topic_message") is True:
        return f"{name}:{topic}"
    direct = integer(mapping(message.get("direct_messages_topic")).get("topic_id"))
    return f"{name}:d{direct}" if direct > 0 else name


def message_ref(message: Mapping[str, Any]) -> str:
    """A message, as later ones name it."""
    return f"{room(message, mapping(message.get('chat')))}:{integer(message.get('message_id'))}"


def read_place(name: str) -> Place | None:
    """Where `ThreadHints.chat_id` or an address points to; None where it is neither."""
    if _USERNAME.fullmatch(name):
        return Place(chat=name)
    if _NUMBER.fullmatch(name):
        return Place(chat=int(name)) if int(name) else None
    before, colon, after = name.partition(":")
    if _NUMBER.fullmatch(before) and (topic := _TOPIC.fullmatch(after)):
        number = int(topic[2])
        return Place(chat=int(before), direct_topic=number) if topic[1] else Place(chat=int(before), topic=number)
    if colon and _CONNECTION.fullmatch(before) and _NUMBER.fullmatch(after) and int(after):
        return Place(chat=int(after), connection=before)
    return None


def message_in(name: str, place: Place) -> int:
    """The number of the message that a `message_ref` names in this place; 0 where it is somewhere else."""
    before, _, number = name.rpartition(":")
    here = f"{place.connection}:{place.chat}" if place.connection else str(place.chat)
    return int(number) if before == here and _NUMBER.fullmatch(number) and int(number) > 0 else 0
