"""Telegram's formatted text, which is a text and entities counted in UTF-16 units, to safe HTML. Pure, never raises.

https://core.telegram.org/bots/api#messageentity and #html-style, whose notation the HTML keeps where HTML has none.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

MAX_ENTITIES = 300
"""Telegram sends a hundred for a message; more than this would only be sent to keep us busy."""
_LINK = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,40}")
_EMOJI_ID = re.compile(r"[0-9]{1,20}")
_TAGS: Mapping[str, str] = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strikethrough": "s",
    "code": "code",
    "blockquote": "blockquote",
}
_ORDER = ("blockquote", "expandable_blockquote", "pre", "text_link", "text_mention", "url", "email", "phone_number")
"""Outermost first, where two begin and end together."""
_BLOCKS = ("blockquote", "expandable_blockquote", "pre")
_SURROUNDING = re.compile(r"(?:<br>)?(<(?:blockquote|pre)\b)|(</(?:blockquote|pre)>)(?:<br>)?")


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of text that is special; `offset` and `length` are UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str = ""
    language: str = ""
    custom_emoji_id: str = ""
    user_id: int = 0

    @property
    def end(self) -> int:
        """Where it ends, in UTF-16 units."""
        return self.offset + self.length


class Formatted(msgspec.Struct, frozen=True):
    """A text with its entities."""

    text: str
    entities: tuple[Entity, ...] = ()

    @property
    def html(self) -> str:
        """As safe HTML; empty where the text says it all."""
        return to_html(self.text, self.entities)

    def __bool__(self) -> bool:
        return bool(self.text)

    def __add__(self, other: Formatted) -> Formatted:
        shift = utf16_length(self.text)
        moved = tuple(msgspec.structs.replace(each, offset=each.offset + shift) for each in other.entities)
        return Formatted(self.text + other.text, self.entities + moved)


def utf16_length(text: str) -> int:
    """How many UTF-16 units a text has: two for each character beyond the basic plane."""
    return len(text) + sum(1 for each in text if each > "\uffff")


def read_formatted(text: Any, entities: Any) -> Formatted:
    """A text and its entities as an update has them; what is no entity is left out."""
    if not isinstance(text, str) or not text:
        return Formatted("")
    listed = entities if isinstance(entities, list) else []
    read = (_read_entity(each) for each in listed[:MAX_ENTITIES] if isinstance(each, dict))
    return Formatted(text, tuple(each for each in read if each is not None))


def to_html(text: str, entities: Iterable[Entity]) -> str:
    """Safe HTML: well-formed whatever the entities are, with no link but to the web, mail and telephone.

    Empty where no entity changes anything, as the plain text then is all there is.
    """
    places = _places(text)
    spans = []
    for each in entities:
        start, end = (places[min(max(0, at), len(places) - 1)] for at in (each.offset, each.end))
        if start < end and (tags := _tags(each, text[start:end])) is not None:
            spans.append((start, end, _rank(each), tags))
    if not spans:
        return ""
    spans.sort(key=lambda span: (span[0], span[2] >= len(_BLOCKS), -span[1], span[2]))
    return _SURROUNDING.sub(lambda match: match[1] or match[2], _woven(text, spans))


def _woven(text: str, spans: list[tuple[int, int, int, tuple[str, str]]]) -> str:
    """Each stretch between two boundaries, in the tags of the spans that cover it."""
    cuts = sorted({0, len(text), *(span[0] for span in spans), *(span[1] for span in spans)})
    written: list[str] = []
    opened: list[int] = []
    for start, end in itertools.pairwise(cuts):
        active = [number for number, span in enumerate(spans) if span[0] <= start and span[1] >= end]
        active.sort(key=lambda number: spans[number][2] >= len(_BLOCKS))
        links = [number for number in active if spans[number][3][1] == "</a>"]
        active = [number for number in active if number not in links[1:]]  # HTML has no link within a link
        kept = 0
        while kept < min(len(opened), len(active)) and opened[kept] == active[kept]:
            kept += 1
        written += [spans[number][3][1] for number in reversed(opened[kept:])]
        written += [spans[number][3][0] for number in active[kept:]]
        opened = active
        piece = html.escape(text[start:end], quote=False)
        within_pre = any(spans[number][3][0].startswith("<pre") for number in active)
        written.append(piece if within_pre else piece.replace("\n", "<br>"))
    written += [spans[number][3][1] for number in reversed(opened)]
    return "".join(written)


def _places(text: str) -> list[int]:
    """The index in `text` of each UTF-16 unit, and of the end; the second half of a pair is its character's."""
    if text.isascii():
        return list(range(len(text) + 1))
    places: list[int] = []
    for index, character in enumerate(text):
        places += (index, index) if character > "\uffff" else (index,)
    return [*places, len(text)]


def _rank(entity: Entity) -> int:
    return _ORDER.index(entity.type) if entity.type in _ORDER else len(_ORDER)


def _tags(entity: Entity, covered: str) -> tuple[str, str] | None:
    """What to write before and after it; None where it only names what the text says."""
    if tag := _TAGS.get(entity.type):
        return f"<{tag}>", f"</{tag}>"
    if link := _link(entity, covered):
        return f'<a href="{html.escape(link)}">', "</a>"
    match entity.type:
        case "expandable_blockquote":
            return "<blockquote expandable>", "</blockquote>"
        case "spoiler":
            return '<span class="tg-spoiler">', "</span>"
        case "pre" if _LANGUAGE.fullmatch(entity.language):
            return f'<pre><code class="language-{html.escape(entity.language)}">', "</code></pre>"
        case "pre":
            return "<pre>", "</pre>"
        case "custom_emoji" if _EMOJI_ID.fullmatch(entity.custom_emoji_id):
            return f'<tg-emoji emoji-id="{entity.custom_emoji_id}">', "</tg-emoji>"
    return None


def _link(entity: Entity, covered: str) -> str:
    match entity.type:
        case "text_link" if _LINK.match(entity.url):
            return entity.url
        case "text_mention" if entity.user_id > 0:
            return f"tg://user?id={entity.user_id}"
        case "url":
            target = covered if _SCHEME.match(covered) else f"http://{covered}"
            return target if _LINK.match(target) else ""
        case "email":
            return f"mailto:{covered}"
        case "phone_number":
            return "tel:" + re.sub(r"[^0-9+*#]", "", covered)
        case "mention":
            return f"https://t.me/{covered.lstrip('@')}"
    return ""


def _read_entity(given: dict[str, Any]) -> Entity | None:
    kind, offset, length = given.get("type"), given.get("offset"), given.get("length")
    if not isinstance(kind, str) or not isinstance(offset, int) or not isinstance(length, int):
        return None
    user = given.get("user")
    user_id = user.get("id") if isinstance(user, dict) else 0
    return Entity(
        type=kind,
        offset=offset,
        length=length,
        url=_string(given.get("url")),
        language=_string(given.get("language")),
        custom_emoji_id=_string(given.get("custom_emoji_id")),
        user_id=user_id if isinstance(user_id, int) else 0,
    )


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
