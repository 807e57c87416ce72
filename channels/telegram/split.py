"""Long texts into pieces that Telegram takes, at the best place there is. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import msgspec

from channels.telegram.text import Entity, Formatted, utf16_length

_ENDS = (re.compile(r"\n[^\S\n]*\n"), re.compile(r"\n"), re.compile(r"(?<=[.!?…])\s"), re.compile(r"\s"))
"""Where a text is cut, the best first: paragraph, line, sentence, word."""
_WHOLE = frozenset({"text_link", "text_mention", "code", "custom_emoji", "mention", "url", "email", "phone_number"})
"""Not cut where they fit into the next piece; other entities go on there."""
_JOINER = "\u200d"


def split(message: Formatted, limit: int, first: int | None = None) -> list[Formatted]:
    """Pieces of at most `limit` UTF-16 units, the first of at most `first`, without space at their ends.

    All that is no white space at a cut is kept. A character of several code points (an emoji of a family, a letter with
    its marks) is cut only where it alone is longer than a piece. Nothing but white space gives no piece.
    """
    text = message.text
    starts = _units(text)
    pieces = []
    start, end = 0, len(text.rstrip())
    room = limit if first is None else first
    while (start := _skip_space(text, start)) < end:
        until = _reach(starts, start, room)
        until = end if until >= end else _cut(message, starts, start, until)
        pieces.append(_piece(message, starts, start, start + len(text[start:until].rstrip())))
        start = until
        room = limit
    return pieces


def breaks_character(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` tears apart what a person sees as one character (the common cases of UAX #29)."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if after == _JOINER or before == _JOINER or (before == "\r" and after == "\n"):
        return True
    if unicodedata.category(after) in ("Mn", "Mc", "Me") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if "\U000e0020" <= after <= "\U000e007f":
        return True
    if _is_flag(before) and _is_flag(after):
        return sum(1 for _ in _flags_before(text, at)) % 2 == 1
    return "\u1100" <= before <= "\u11ff" and "\u1160" <= after <= "\u11ff"


def _cut(message: Formatted, starts: list[int], start: int, until: int) -> int:
    """The best place to end a piece that begins at `start` and may reach to `until`."""
    text = message.text
    half = (start + until) // 2
    whole = [each for each in message.entities if each.type in _WHOLE]
    for end in _ENDS:
        earliest = half if end is not _ENDS[-1] else start
        places = [match.start() for match in end.finditer(text, start + 1, until + 1)]
        for place in reversed(places):
            if earliest < place <= until and not _inside(whole, starts[place], starts[start]):
                return place
    for each in whole:
        if starts[half] < each.offset < starts[until] < each.end:
            return starts.index(each.offset) if each.offset in starts else until
    place = until
    while place > start + 1 and breaks_character(text, place):
        place -= 1
    return until if breaks_character(text, place) else place


def _inside(entities: list[Entity], unit: int, start: int) -> bool:
    return any(start < each.offset < unit < each.end for each in entities)


def _piece(message: Formatted, starts: list[int], start: int, end: int) -> Formatted:
    first, last = starts[start], starts[end]
    kept = []
    for each in message.entities:
        begins, ends = max(each.offset, first), min(each.end, last)
        if begins < ends:
            kept.append(msgspec.structs.replace(each, offset=begins - first, length=ends - begins))
    return Formatted(message.text[start:end], tuple(kept))


def _units(text: str) -> list[int]:
    """The UTF-16 unit at which each character begins, and the end."""
    if utf16_length(text) == len(text):
        return list(range(len(text) + 1))
    units, at = [], 0
    for character in text:
        units.append(at)
        at += 2 if character > "\uffff" else 1
    return [*units, at]


def _reach(starts: list[int], start: int, room: int) -> int:
    """The furthest place that `room` units from `start` reach to; at least one character on."""
    low, high = start + 1, len(starts) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if starts[middle] - starts[start] <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> Iterator[int]:
    while at > 0 and _is_flag(text[at - 1]):
        at -= 1
        yield at
