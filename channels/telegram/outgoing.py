"""A message as the calls of the Bot API that send it, in their order. Pure.

https://core.telegram.org/bots/api#sending-files for what a bot may upload.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters
from telegram.constants import FileSizeLimit, InlineKeyboardButtonLimit, MediaGroupLimit, MessageLimit

from channels.base import Attachment, Button, OutboundMessage
from channels.telegram.client import Upload
from channels.telegram.markup import from_html
from channels.telegram.refs import Place, message_in
from channels.telegram.split import split
from channels.telegram.text import Entity, Formatted, utf16_length

MAX_TEXT = int(MessageLimit.MAX_TEXT_LENGTH)
MAX_FILE = int(FileSizeLimit.FILESIZE_UPLOAD)
_MAX_CAPTION = int(MessageLimit.CAPTION_LENGTH)
_MAX_PHOTO = int(FileSizeLimit.PHOTOSIZE_UPLOAD)
_MAX_ENTITIES = int(MessageLimit.MESSAGE_ENTITIES)
_ALBUM = int(MediaGroupLimit.MAX_MEDIA_LENGTH)
_DATA_BYTES = int(InlineKeyboardButtonLimit.MAX_CALLBACK_DATA)
_BUTTONS_ALONE = "👇"
"""The text of a message that is only there for its buttons."""
_PHOTOS = frozenset({"image/jpeg", "image/png", "image/webp"})
_VOICE = frozenset({"audio/ogg", "audio/opus"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNFIT_NAME = re.compile(r'[\x00-\x1f\x7f"\\/\ud800-\udfff]+')
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")


class Unsendable(Exception):
    """Telegram would not take it; the words say why."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `messages` is how many messages it makes."""

    method: str
    parameters: dict[str, Any]
    uploads: tuple[Upload, ...] = ()
    messages: int = 1
    otherwise: Call | None = None
    """Instead of it, where Telegram cannot make a photo of the file."""


def plan(out: OutboundMessage, place: Place) -> list[Call]:
    """The calls that send all of a message. Raises `Unsendable`."""
    text = _text(out)
    files = [_batch_call(batch) for batch in _batches(out.attachments)]
    markup = _keyboard(out.buttons)
    captioned = bool(files) and utf16_length(text.text) <= _MAX_CAPTION
    if captioned and markup and (len(files) > 1 or files[0].messages > 1):
        captioned = False  # an album has no buttons: they come below it, with the text
    if captioned:
        calls = [_captioned(files[0], text), *files[1:]]
    elif markup:
        calls = [*files, *_texts(text or Formatted(_BUTTONS_ALONE))]
    else:
        calls = [*_texts(text), *files]
    if not calls:
        raise Unsendable("There is nothing to send: no text and no file")
    if answered := message_in(out.in_reply_to, place):
        reply = ReplyParameters(answered, allow_sending_without_reply=True).to_dict()
        calls[0] = _with(calls[0], reply_parameters=reply)
    if markup:
        calls[-1] = _with(calls[-1], reply_markup=markup)
    return [_with(call, **place.parameters) for call in calls]


def _text(out: OutboundMessage) -> Formatted:
    written = from_html(out.html) if out.html else Formatted("")
    written = written or Formatted(out.text.replace("\r\n", "\n"))
    # A half of a pair cannot be encoded; a question mark has the same length.
    return Formatted(_SURROGATE.sub("?", written.text), written.entities)


def _texts(text: Formatted) -> list[Call]:
    return [
        Call(method="sendMessage", parameters={"text": piece.text, "entities": _entities(piece)})
        for piece in split(text, MAX_TEXT)
    ]


def _captioned(call: Call, text: Formatted) -> Call:
    pieces = split(text, _MAX_CAPTION)
    if not pieces:
        return call
    caption = {"caption": pieces[0].text, "caption_entities": _entities(pieces[0])}
    if call.method != "sendMediaGroup":
        return _with(call, **caption)
    first, *others = call.parameters["media"]
    return _with(call, media=[{**first, **_given(caption)}, *others])


def _with(call: Call, **parameters: Any) -> Call:
    return msgspec.structs.replace(
        call,
        parameters={**call.parameters, **_given(parameters)},
        otherwise=_with(call.otherwise, **parameters) if call.otherwise else None,
    )


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value not in (None, [])}


def _entities(text: Formatted) -> list[dict[str, Any]]:
    return [_entity(each) for each in text.entities[:_MAX_ENTITIES]]


def _entity(entity: Entity) -> dict[str, Any]:
    given: dict[str, Any] = {"type": entity.type, "offset": entity.offset, "length": entity.length}
    if entity.user_id:
        given["user"] = {"id": entity.user_id, "is_bot": False, "first_name": ""}
    for name in ("url", "language", "custom_emoji_id"):
        if value := getattr(entity, name):
            given[name] = value
    return given


def _keyboard(buttons: Sequence[Button]) -> dict[str, Any] | None:
    rows = [
        (InlineKeyboardButton(each.label, callback_data=_data(each.value or each.label)),)
        for each in buttons
        if each.label.strip()
    ]
    return InlineKeyboardMarkup(rows).to_dict() if rows else None


def _data(value: str) -> str:
    return value.encode("utf-8", "replace")[:_DATA_BYTES].decode("utf-8", "ignore")


def _batches(attachments: Sequence[Attachment]) -> list[list[Attachment]]:
    """Neighbours that can be one album together, all others alone."""
    for each in attachments:
        if each.content is None:
            raise ValueError("an attachment has to be loaded before it can be sent")
        if not each.content:
            raise Unsendable(f"“{each.name}” is empty: Telegram takes no empty files")
        if len(each.content) > MAX_FILE:
            raise Unsendable(f"“{each.name}” is larger than the {MAX_FILE // 10**6} MB that Telegram takes from a bot")
    batches: list[list[Attachment]] = []
    for visual, run in groupby(attachments, lambda each: _kind(each) in ("photo", "video")):
        size = _ALBUM if visual else 1
        neighbours = list(run)
        batches += [neighbours[at : at + size] for at in range(0, len(neighbours), size)]
    return batches


def _batch_call(batch: list[Attachment]) -> Call:
    if len(batch) > 1:
        return Call(
            method="sendMediaGroup",
            parameters={"media": [{"type": _kind(each), "media": f"attach://file{n}"} for n, each in enumerate(batch)]},
            uploads=tuple(_upload(each, f"file{n}") for n, each in enumerate(batch)),
            messages=len(batch),
        )
    kind = _kind(batch[0])
    document = Call(method="sendDocument", parameters={}, uploads=(_upload(batch[0], "document"),))
    if kind == "document":
        return document
    method = f"send{kind.capitalize()}"
    return Call(method=method, parameters={}, uploads=(_upload(batch[0], kind),), otherwise=document)


def _kind(attachment: Attachment) -> str:
    media_type = attachment.media_type.lower().partition(";")[0].strip()
    if media_type in _PHOTOS and len(attachment.content or b"") <= _MAX_PHOTO:
        return "photo"
    if media_type in _VOICE:
        return "voice"
    return "video" if media_type == "video/mp4" else "document"


def _upload(attachment: Attachment, field: str) -> Upload:
    name = _UNFIT_NAME.sub("_", attachment.name).strip(" .")[-200:]
    media_type = attachment.media_type.lower()
    return Upload(
        field=field,
        name=name or "file",
        media_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream",
        content=attachment.content or b"",
    )
