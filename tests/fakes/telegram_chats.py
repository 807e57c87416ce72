"""What the fake Bot API server knows: chats and their messages, files, and the updates that people cause.

People act through `update_*`: each makes the change and returns the update, for `TelegramServer.deliver`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.telegram_contract import entity_problems, utf16

_EPOCH = 1_763_900_000
"""Unix time of the first message; each next is a second later."""
_EXTENSIONS = {"photo": "jpg", "video": "mp4", "voice": "ogg", "document": "bin"}
_FILE = {"sendPhoto": "photo", "sendVideo": "video", "sendVoice": "voice", "sendDocument": "document"}


class Refusal(Exception):
    """The API says no. `broken`: to something no client should ask."""

    def __init__(
        self, code: int, description: str, parameters: Mapping[str, Any] | None = None, *, broken: bool = False
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters or {}
        self.broken = broken


class Chats:
    """The state of one bot."""

    def __init__(self, bot_id: int, name: str, username: str) -> None:
        self.me: dict[str, Any] = {
            "id": bot_id,
            "is_bot": True,
            "first_name": name,
            "username": username,
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
        }
        self.chats: dict[int, dict[str, Any]] = {}
        self.blocked: set[int] = set()
        self.moved: dict[int, int] = {}
        """Groups that became supergroups: the old id to the new one."""
        self.messages: dict[tuple[str, int, int], dict[str, Any]] = {}
        """By business connection, chat and number."""
        self.sent: list[dict[str, Any]] = []
        self.contents: dict[str, bytes] = {}
        """Files by their path."""
        self.files: dict[str, dict[str, Any]] = {}
        self.queries: set[str] = set()
        """Pressed buttons that nobody has answered yet."""
        self._numbers = itertools.count(100)
        self._updates = itertools.count(448_100_001)
        self._dates = itertools.count(_EPOCH)

    def person(self, number: int, name: str, *, language: str = "mn") -> dict[str, Any]:
        """Somebody who has begun a private chat with the bot."""
        self.chats[number] = {"id": number, "type": "private", "first_name": name}
        return {"id": number, "is_bot": False, "first_name": name, "language_code": language}

    def group(self, number: int, title: str, *, forum: bool = False) -> dict[str, Any]:
        """A group that the bot is in."""
        chat = {"id": number, "type": "supergroup" if number < -(10**12) else "group", "title": title}
        self.chats[number] = {**chat, "is_forum": True} if forum else chat
        return self.chats[number]

    def file(self, file_id: str, most: int) -> dict[str, Any]:
        """The answer to `getFile`."""
        if file_id not in self.files:
            raise Refusal(400, "Bad Request: invalid file_id")
        if self.files[file_id]["file_size"] > most:
            raise Refusal(400, "Bad Request: file is too big")
        return self.files[file_id]

    def keep(self, kind: str, name: str, content: bytes) -> dict[str, Any]:
        """Store a file; what a message says of it."""
        number = next(self._numbers)
        path = f"{kind}s/file_{number}.{_EXTENSIONS.get(kind, 'bin')}"
        file_id = f"{kind}-{number}"
        self.contents[path] = content
        self.files[file_id] = {
            "file_id": file_id,
            "file_unique_id": f"u{number}",
            "file_size": len(content),
            "file_path": path,
        }
        described: dict[str, Any] = {
            each: self.files[file_id][each] for each in ("file_id", "file_unique_id", "file_size")
        }
        if kind in ("photo", "video"):
            described |= {"width": 800, "height": 600}
        if kind in ("video", "voice"):
            described["duration"] = 3
        if kind == "document":
            described["file_name"] = name
        return described

    def update(self, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """An update of any kind."""
        return {"update_id": next(self._updates), kind: dict(value)}

    def update_message(
        self, author: Mapping[str, Any], chat: int = 0, *, kind: str = "message", **content: Any
    ) -> dict[str, Any]:
        """Somebody writes (`text=...`), in their private chat or in `chat`."""
        message = {
            "message_id": next(self._numbers),
            "from": dict(author),
            "chat": self.chats[chat or author["id"]],
            "date": next(self._dates),
            **content,
        }
        self._keep_message(message)
        return self.update(kind, message)

    def update_edit(self, update: Mapping[str, Any], text: str) -> dict[str, Any]:
        """Who wrote the message of `update` changes it."""
        kind = next(each for each in update if each != "update_id")
        message = {**update[kind], "text": text, "edit_date": next(self._dates)}
        self._keep_message(message)
        return self.update(f"edited_{kind}", message)

    def update_reaction(
        self, person: Mapping[str, Any], message: Mapping[str, Any], emoji: Sequence[str]
    ) -> dict[str, Any]:
        """Somebody reacts to a message; no emoji takes it back."""
        changed = {
            "chat": message["chat"],
            "message_id": message["message_id"],
            "user": dict(person),
            "date": next(self._dates),
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": each} for each in emoji],
        }
        return self.update("message_reaction", changed)

    def update_press(self, person: Mapping[str, Any], message: Mapping[str, Any], label: str) -> dict[str, Any]:
        """Somebody presses a button below a message of the bot."""
        buttons = [button for row in message["reply_markup"]["inline_keyboard"] for button in row]
        button = next(each for each in buttons if each["text"] == label)
        query = str(next(self._numbers))
        self.queries.add(query)
        pressed = {
            "id": query,
            "from": dict(person),
            "message": message,
            "chat_instance": "1",
            "data": button["callback_data"],
        }
        return self.update("callback_query", pressed)

    def update_block(self, person: Mapping[str, Any], *, blocked: bool = True) -> dict[str, Any]:
        """Somebody blocks the bot, or lets it in again."""
        change = self.blocked.add if blocked else self.blocked.discard
        change(person["id"])
        member, kicked = {"user": self.me, "status": "member"}, {"user": self.me, "status": "kicked", "until_date": 0}
        changed = {
            "chat": self.chats[person["id"]],
            "from": dict(person),
            "date": next(self._dates),
            "old_chat_member": member if blocked else kicked,
            "new_chat_member": kicked if blocked else member,
        }
        return self.update("my_chat_member", changed)

    def answer(self, query: str) -> bool:
        """The bot heard that a button was pressed."""
        if query not in self.queries:
            raise Refusal(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self.queries.discard(query)
        return True

    def send(self, method: str, given: dict[str, Any], files: dict[str, tuple[str, bytes]]) -> Any:
        """What the sending methods do; their `result`."""
        chat = self._writable(given)
        if method == "sendMessage":
            _check_text(given["text"], given.get("entities"), "text")
            return self._say(given, chat, {"text": given["text"], **_some(given, "entities")})
        if method == "sendMediaGroup":
            group = str(next(self._numbers))
            said = []
            for media in given["media"]:
                content = self._media(media["type"], *files[media["media"].removeprefix("attach://")])
                _check_text(media.get("caption", "x"), media.get("caption_entities"), "caption")
                content |= {"media_group_id": group, **_some(media, "caption", "caption_entities")}
                said.append(self._say(given, chat, content))
            return said
        kind = _FILE.get(method)
        if kind is None:
            raise Refusal(501, f"the fake cannot {method}", broken=True)
        _check_text(given.get("caption", "x"), given.get("caption_entities"), "caption")
        content = self._media(kind, *files[kind])
        return self._say(given, chat, {**content, **_some(given, "caption", "caption_entities")})

    def _media(self, kind: str, name: str, content: bytes) -> dict[str, Any]:
        if kind == "photo" and (len(content) > 10 * 2**20 or content.startswith(b"too wide")):
            raise Refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")
        described = self.keep(kind, name, content)
        return {kind: [described] if kind == "photo" else described}

    def _writable(self, given: dict[str, Any]) -> dict[str, Any]:
        number = given["chat_id"]
        if number in self.moved:
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refusal(400, words, {"migrate_to_chat_id": self.moved[number]})
        if number not in self.chats:
            raise Refusal(400, "Bad Request: chat not found")
        if number in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        if given.get("message_thread_id") and not self.chats[number].get("is_forum"):
            raise Refusal(400, "Bad Request: message thread not found")
        return self.chats[number]

    def _say(self, given: dict[str, Any], chat: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
        message = {
            "message_id": next(self._numbers),
            "from": self.me,
            "chat": chat,
            "date": next(self._dates),
            **content,
            **_some(given, "reply_markup", "business_connection_id"),
        }
        if thread := given.get("message_thread_id"):
            message |= {"message_thread_id": thread, "is_topic_message": True}
        if reply := given.get("reply_parameters"):
            answered = self.messages.get((given.get("business_connection_id", ""), chat["id"], reply["message_id"]))
            if answered is not None:
                message["reply_to_message"] = {k: v for k, v in answered.items() if k != "reply_to_message"}
            elif not reply.get("allow_sending_without_reply"):
                raise Refusal(400, "Bad Request: message to be replied not found")
        self._keep_message(message)
        self.sent.append(message)
        return message

    def _keep_message(self, message: dict[str, Any]) -> None:
        connection = message.get("business_connection_id", "")
        self.messages[connection, message["chat"]["id"], message["message_id"]] = message


def _some(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _check_text(text: str, entities: Any, what: str) -> None:
    if not text.strip():
        raise Refusal(400, f"Bad Request: message {what} is empty", broken=True)
    for problem in entity_problems(text, entities):
        raise Refusal(400, f"Bad Request: can't parse entities: {problem}", broken=True)
    if utf16(text) > (4096 if what == "text" else 1024):
        raise Refusal(400, f"Bad Request: message {what} is too long", broken=True)
