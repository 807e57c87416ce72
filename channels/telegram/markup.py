"""The HTML that our editor writes, to a text with Telegram's entities. Pure, never raises.

What Telegram has no entity for becomes text: lists get bullets and numbers, headings are bold, a rule is a line.
https://core.telegram.org/bots/api#html-style
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import msgspec

from channels.telegram.text import Entity, Formatted, utf16_length

MAX_DEPTH = 100
"""Deeper nesting is read as if it were not there."""
MAX_ENTITIES = 2000
"""What is formatted beyond these is plain text: each is compared with all others."""
_INLINE: Mapping[str, str] = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "cite": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "kbd": "code",
    "tt": "code",
    "samp": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-spoiler": "spoiler",
    "h1": "bold",
    "h2": "bold",
    "h3": "bold",
    "h4": "bold",
    "h5": "bold",
    "h6": "bold",
}
_SPACED = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre", "blockquote"})
_BLOCKS = _SPACED | {"div", "li", "tr", "dl", "dt", "dd", "section", "article", "header", "footer", "figure", "hr"}
_EMPTY = frozenset({"br", "hr", "img", "wbr", "input", "meta", "link", "col", "area", "source"})
_UNSEEN = frozenset({"script", "style", "head", "title", "template"})
_SPACE = re.compile(r"[ \t\n\r\f]+")
_WEB_LINK = re.compile(r"(?:https?://|tg://)\S+", re.IGNORECASE)
_USER_LINK = re.compile(r"tg://user\?id=(\d{1,15})")
_OTHER_LINK = re.compile(r"(?:mailto|tel):([^?\s]+)", re.IGNORECASE)


def from_html(html: str) -> Formatted:
    """The text a person reads in `html`, with the entities Telegram has for its markup; trimmed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.finish()


class _Open(msgspec.Struct):
    """An element that is open, and the entity it will be (none: an empty `kind`)."""

    tag: str
    kind: str
    start: int
    entity: Mapping[str, str | int] = {}
    shown: str = ""
    """A link's target that has no entity: written out where the text does not say it."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._at = 0
        self._gap = 0
        self._space = False
        self._open: list[_Open] = []
        self._lists: list[int | None] = []
        self._pre = 0
        self._unseen = 0
        self._found: list[Entity] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._line_break()
            return
        if tag in _UNSEEN:
            self._unseen += 1
            return
        if tag in _BLOCKS:
            self._break(2 if tag in _SPACED and not (self._lists and tag in ("ul", "ol")) else 1)
        if tag == "hr":
            self._write("———")
            self._break(1)
        elif tag in ("td", "th"):
            self._space = self._space or bool(self._at)
        if tag in _EMPTY or len(self._open) >= MAX_DEPTH:
            return
        attributes = {name: value or "" for name, value in attrs}
        if tag in ("ul", "ol"):
            self._lists.append(None if tag == "ul" else 0)
        elif tag == "li":
            self._bullet()
        elif tag == "pre":
            self._pre += 1
        elif tag == "code" and self._pre and self._open and self._open[-1].tag == "pre":
            language = attributes.get("class", "").partition("language-")[2].split(" ")[0]
            if language:
                self._open[-1].entity = {"language": language}
        self._open.append(self._opened(tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
            return
        place = next((n for n in range(len(self._open) - 1, -1, -1) if self._open[n].tag == tag), None)
        if place is None:
            return
        while len(self._open) > place:
            self._close(self._open.pop())

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._pre:
            for number, line in enumerate(data.replace("\r\n", "\n").split("\n")):
                if number:
                    self._line_break()
                self._write(line)
            return
        text = _SPACE.sub(" ", data)
        if text.startswith(" "):
            self._space = True
        body = text.strip(" ")
        if body:
            self._write(body)
            self._space = text.endswith(" ")

    def finish(self) -> Formatted:
        while self._open:
            self._close(self._open.pop())
        text = "".join(self._parts).rstrip()
        found = [trimmed for each in self._found[:MAX_ENTITIES] if (trimmed := _trimmed(text, each)) is not None]
        return Formatted(text, tuple(sorted(_lawful(found), key=lambda each: (each.offset, -each.length, each.type))))

    def _opened(self, tag: str, attributes: dict[str, str]) -> _Open:
        start = self._next_at()
        if tag == "a":
            return _link(attributes.get("href", "").strip(), start)
        if tag == "tg-emoji" and attributes.get("emoji-id", "").isdecimal():
            return _Open(tag, "custom_emoji", start, {"custom_emoji_id": attributes["emoji-id"]})
        if tag == "span" and attributes.get("class") == "tg-spoiler":
            return _Open(tag, "spoiler", start)
        if tag == "blockquote" and "expandable" in attributes:
            return _Open(tag, "expandable_blockquote", start)
        if self._pre and tag != "pre":
            return _Open(tag, "", start)
        return _Open(tag, _INLINE.get(tag, ""), start)

    def _close(self, opened: _Open) -> None:
        if opened.tag in ("ul", "ol"):
            self._lists.pop()
        elif opened.tag == "pre":
            self._pre -= 1
        if opened.shown and opened.shown not in "".join(self._parts[-3:])[-len(opened.shown) - 40 :]:
            self._write(f" ({opened.shown})")
        if opened.kind and self._at > opened.start:
            self._found.append(_entity(opened, self._at - opened.start))
        if opened.tag in _BLOCKS:
            self._break(2 if opened.tag in _SPACED and not self._lists else 1)

    def _next_at(self) -> int:
        """Where the next text begins, once the breaks and the space before it are written."""
        if self._at:
            return self._at + (self._gap or int(self._space and not self._ends_line()))
        return 0

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._at:
            if self._gap:
                self._put("\n" * self._gap)
            elif self._space and not self._ends_line():
                self._put(" ")
        elif not self._pre:
            text = text.lstrip()
        self._gap = 0
        self._space = False
        self._put(text)

    def _put(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._at += utf16_length(text)

    def _ends_line(self) -> bool:
        return bool(self._parts) and self._parts[-1].endswith("\n")

    def _line_break(self) -> None:
        if self._at:
            if self._gap:
                self._put("\n" * self._gap)
                self._gap = 0
            self._put("\n")
        self._space = False

    def _break(self, lines: int) -> None:
        self._space = False
        if self._at:
            ended = len(self._parts[-1]) - len(self._parts[-1].rstrip("\n"))
            self._gap = max(self._gap, lines - ended)

    def _bullet(self) -> None:
        indent = "  " * max(0, len(self._lists) - 1)
        number = self._lists[-1] if self._lists else None
        if number is None:
            self._write(f"{indent}•")
        else:
            self._lists[-1] = number + 1
            self._write(f"{indent}{number + 1}.")
        self._space = True


def _link(target: str, start: int) -> _Open:
    if mentioned := _USER_LINK.fullmatch(target):
        return _Open("a", "text_mention", start, {"user_id": int(mentioned[1])})
    if _WEB_LINK.fullmatch(target):
        return _Open("a", "text_link", start, {"url": target})
    other = _OTHER_LINK.match(target)
    return _Open("a", "", start, {}, other[1] if other else "")


def _entity(opened: _Open, length: int) -> Entity:
    given = opened.entity
    return Entity(
        type=opened.kind,
        offset=opened.start,
        length=length,
        url=str(given.get("url", "")),
        language=str(given.get("language", "")),
        custom_emoji_id=str(given.get("custom_emoji_id", "")),
        user_id=int(given.get("user_id", 0)),
    )


def _trimmed(text: str, entity: Entity) -> Entity | None:
    """Without the space at its ends, which the API would take away anyhow; None where nothing is left."""
    units = text.encode("utf-16-le", "surrogatepass")
    covered = units[2 * entity.offset : 2 * entity.end].decode("utf-16-le", "surrogatepass")
    inner = covered.rstrip() if entity.type == "pre" else covered.strip()
    if not inner:
        return None
    start = covered.index(inner)  # only space comes before it, and no space is a pair
    return msgspec.structs.replace(entity, offset=entity.offset + start, length=utf16_length(inner))


def _lawful(found: list[Entity]) -> list[Entity]:
    """Without what the API refuses: anything within code, a quote within a quote, one thing said twice."""
    kept: list[Entity] = []
    # The widest first, and code before all that has the same extent: who comes later is within, or apart.
    for each in sorted(found, key=lambda each: (-each.length, _family(each.type) != "code")):
        around = [outer for outer in kept if outer.offset <= each.offset and each.end <= outer.end]
        families = {_family(outer.type) for outer in around}
        if "code" not in families and _family(each.type) not in families:
            kept.append(each)
    return kept


def _family(kind: str) -> str:
    """Kinds that cannot be within each other; those of one name say the same."""
    if kind in ("code", "pre"):
        return "code"
    if kind in ("blockquote", "expandable_blockquote"):
        return "quote"
    return "link" if kind in ("text_link", "text_mention") else kind
