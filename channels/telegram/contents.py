"""What a message of Telegram says and carries: its text as a person reads it, and its files. Pure, never raises."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import phonenumbers

from channels.base import Address, Attachment
from channels.telegram.kinds import describe
from channels.telegram.text import Entity, Formatted, read_formatted, utf16_length
from channels.telegram.values import integer, items, mapping, string

TYPES = mimetypes.MimeTypes()  # made with the module: the first one reads files
"""Media types and the endings of file names; with those of Telegram, which Python does not know everywhere."""
for _kind, _endings in {
    "audio/ogg": (".ogg", ".oga"),
    "image/webp": (".webp",),
    "video/webm": (".webm",),
    "application/x-tgsticker": (".tgs",),
}.items():
    for _ending in _endings:
        TYPES.add_type(_kind, _ending)
_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069\ud800-\udfff]+')
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,80}")
_PHONE = re.compile(r"\+?[0-9]{5,15}")


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says and carries."""

    own: str = ""
    """What the sender wrote himself."""
    text: str = ""
    """With what is quoted, marked with `> `, and where it was forwarded from."""
    html: str = ""
    """The same with its formatting; empty where there is none."""
    attachments: tuple[Attachment, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.own) or bool(self.attachments)


def read_contents(message: Mapping[str, Any]) -> Contents:
    """False where nothing is said to anybody: somebody came, a title changed, and all that is unknown."""
    attachments = tuple(_attachments(message))
    own = read_formatted(message.get("text"), message.get("entities"))
    own = own or read_formatted(message.get("caption"), message.get("caption_entities")) or describe(message)
    if not own and not attachments:
        return Contents()
    origin, quote = _origin(message), _quote(message)
    quoted = "".join(f"> {line}\n" for line in quote.text.splitlines())
    return Contents(
        own=own.text,
        text=origin.text + quoted + own.text,
        html=(origin + quote + own).html,
        attachments=attachments,
    )


def identity(message: Mapping[str, Any]) -> tuple[Address, ...]:
    """The telephone number of a person who shared his own contact: Telegram says whose number it is."""
    contact = mapping(message.get("contact"))
    sender = integer(mapping(message.get("from")).get("id"))
    if not sender or integer(contact.get("user_id")) != sender:
        return ()
    digits = re.sub(r"[\s()-]", "", string(contact.get("phone_number")))
    if not _PHONE.fullmatch(digits):
        return ()
    try:
        number = phonenumbers.parse("+" + digits.lstrip("+"), None)
    except phonenumbers.NumberParseException:
        return ()
    if not phonenumbers.is_possible_number(number):
        return ()
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return (Address("phone", e164, name_of(contact)),)


def name_of(who: Mapping[str, Any]) -> str:
    """A person's name, or a chat's title, or at the least its @username."""
    names = (string(who.get(part)).strip() for part in ("first_name", "last_name"))
    username = string(who.get("username"))
    return " ".join(name for name in names if name) or string(who.get("title")) or (username and f"@{username}")


def _origin(message: Mapping[str, Any]) -> Formatted:
    origin = mapping(message.get("forward_origin"))
    if not origin:
        return Formatted("")
    who = (mapping(origin.get(part)) for part in ("sender_user", "sender_chat", "chat"))
    name = string(origin.get("sender_user_name")) or next((name_of(each) for each in who if each), "")
    words = f"Forwarded from {name}" if name else "Forwarded"
    return Formatted(f"{words}\n", (Entity(type="italic", offset=0, length=utf16_length(words)),))


def _quote(message: Mapping[str, Any]) -> Formatted:
    """What the sender picked from the message he answers, as a quotation before his own words."""
    given = mapping(message.get("quote"))
    quote = read_formatted(given.get("text"), given.get("entities"))
    if not quote:
        return quote
    length = utf16_length(quote.text)
    inner = tuple(each for each in quote.entities if not each.type.endswith("blockquote"))
    return Formatted(quote.text + "\n", (Entity(type="blockquote", offset=0, length=length), *inner))


def _attachments(message: Mapping[str, Any]) -> list[Attachment]:
    found = [
        read(mapping(value))
        for kind, read in _FILES.items()
        if (value := message.get(kind)) and not (kind == "document" and message.get("animation"))
    ]
    if (photo := _photo(message.get("photo"))) is not None:
        found.append(photo)
    for paid in items(mapping(message.get("paid_media")).get("paid_media")):
        each = mapping(paid)
        found += [_photo(each.get("photo")), _FILES["video"](mapping(each.get("video")))]
    return [attachment for attachment in found if attachment is not None]


def _photo(sizes: Any) -> Attachment | None:
    """The largest of a photo's sizes."""
    known = [mapping(size) for size in items(sizes)]
    known = [size for size in known if string(size.get("file_id"))]
    if not known:
        return None
    largest = max(known, key=lambda size: integer(size.get("width")) * integer(size.get("height")))
    return _file("photo.jpg", "image/jpeg")(largest)


def _file(name: str, media_type: str) -> Callable[[Mapping[str, Any]], Attachment | None]:
    """A reader of one kind of file; its name and type where Telegram says none."""

    def read(file: Mapping[str, Any]) -> Attachment | None:
        if not (ref := string(file.get("file_id"))):
            return None
        kind = string(file.get("mime_type")).lower()
        kind = kind if _MEDIA_TYPE.fullmatch(kind) else media_type
        given = _UNFIT.sub(" ", string(file.get("file_name"))).strip(" .")[-200:]
        return Attachment(
            name=given or _named_for(name, kind, media_type),
            media_type=kind,
            size=max(0, integer(file.get("file_size"))),
            ref=ref,
        )

    return read


def _audio(file: Mapping[str, Any]) -> Attachment | None:
    read = _file("audio.mp3", "audio/mpeg")(file)
    parts = [string(file.get(part)).strip() for part in ("performer", "title")]
    title = _UNFIT.sub(" ", " - ".join(part for part in parts if part)).strip(" .")[:150]
    if read is None or not title or string(file.get("file_name")):
        return read
    return msgspec.structs.replace(read, name=f"{title}{TYPES.guess_extension(read.media_type) or '.mp3'}")


def _sticker(file: Mapping[str, Any]) -> Attachment | None:
    if file.get("is_animated") is True:
        return _file("sticker.tgs", "application/x-tgsticker")(file)
    if file.get("is_video") is True:
        return _file("sticker.webm", "video/webm")(file)
    return _file("sticker.webp", "image/webp")(file)


def _named_for(name: str, kind: str, usual: str) -> str:
    """`name` with the ending of what it really is."""
    ending = TYPES.guess_extension(kind) if kind != usual else None
    return f"{name.partition('.')[0]}{ending}" if ending else name


_FILES: Mapping[str, Callable[[Mapping[str, Any]], Attachment | None]] = {
    "animation": _file("animation.mp4", "video/mp4"),
    "audio": _audio,
    "document": _file("document", "application/octet-stream"),
    "live_photo": _file("live-photo.mp4", "video/mp4"),
    "sticker": _sticker,
    "video": _file("video.mp4", "video/mp4"),
    "video_note": _file("video-note.mp4", "video/mp4"),
    "voice": _file("voice.ogg", "audio/ogg"),
}
