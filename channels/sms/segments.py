"""How many SMS a text takes, and where a long text is cut into several messages.

The counting follows 3GPP TS 23.038 (alphabets) and TS 23.040 (concatenation, 6 octets of header), as networks bill it.
The composer counts the same way in the browser; `tests/fixtures/segments.json` holds both to it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

import msgspec

Encoding = Literal["gsm7", "ucs2"]

GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet: one septet each."""
GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")
"""The extension table: an escape and a septet, which stay in one segment."""
SINGLE: dict[Encoding, int] = {"gsm7": 160, "ucs2": 70}
"""Units that one SMS holds on its own."""
PART: dict[Encoding, int] = {"gsm7": 153, "ucs2": 67}
"""Units that an SMS holds when it is part of a longer one."""
MAX_BODY = 1600
"""Characters in one message, at most (Twilio, Message resource, `Body`); counted in UTF-16 units, the stricter way."""

_JOINER = "\u200d"
_LOOK_BACK = 32
"""Characters to go back at most for the beginning of an emoji or of a letter with its marks."""


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """What a text takes."""

    encoding: Encoding
    units: int
    """Septets of GSM-7, or UTF-16 code units."""
    segments: int
    left: int
    """Units that still fit before another segment begins."""
    forced_by: str = ""
    """The first character that GSM-7 has not, which makes the whole text UCS-2."""


def count(text: str) -> Segments:
    """What `text` takes as it is: nothing is replaced by look-alikes ("smart encoding" is off)."""
    forced_by = next((each for each in text if each not in GSM7 and each not in GSM7_EXTENSION), "")
    encoding: Encoding = "ucs2" if forced_by else "gsm7"
    sizes = [_size(each, encoding) for each in text]
    units = sum(sizes)
    if units <= SINGLE[encoding]:
        return Segments(
            encoding=encoding,
            units=units,
            segments=1 if units else 0,
            left=SINGLE[encoding] - units,
            forced_by=forced_by,
        )
    segments, used = _pack(sizes, PART[encoding])
    return Segments(encoding=encoding, units=units, segments=segments, left=PART[encoding] - used, forced_by=forced_by)


def split(text: str, limit: int = MAX_BODY) -> tuple[str, ...]:
    """`text` in pieces of at most `limit` UTF-16 units (at least 2), cut after white space where there is any.

    Joined they are the text again. A paragraph's end is preferred, then a line's, then a word's; no character is torn
    apart, and no emoji or letter with marks unless it alone is longer than a piece.
    """
    pieces = []
    while text:
        fits = _fitting(text, limit)
        end = fits if fits == len(text) else _cut(text, fits)
        pieces.append(text[:end])
        text = text[end:]
    return tuple(pieces)


def _size(character: str, encoding: Encoding) -> int:
    if encoding == "gsm7":
        return 2 if character in GSM7_EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1


def _pack(sizes: Iterable[int], room: int) -> tuple[int, int]:
    """(segments, units used of the last one) when each size has to be whole in a segment."""
    segments, used = 1, 0
    for size in sizes:
        if used + size > room:
            segments, used = segments + 1, 0
        used += size
    return segments, used


def _fitting(text: str, limit: int) -> int:
    """How many characters of the beginning fit."""
    units = 0
    for index, character in enumerate(text):
        units += _size(character, "ucs2")
        if units > limit:
            return index
    return len(text)


def _cut(text: str, fits: int) -> int:
    """Where to end the first piece, given that `fits` characters have room and more follow."""
    for ending in ("\n\n", "\n"):
        at = text.rfind(ending, fits // 2, fits)
        if at >= 0:
            return at + len(ending)
    for at in range(fits, 0, -1):
        if text[at - 1].isspace():
            return at
    for at in range(fits, max(0, fits - _LOOK_BACK), -1):
        if _may_part(text[at - 1], text[at]):
            return at
    return fits


def _may_part(before: str, after: str) -> bool:
    """Whether two neighbours belong to different emoji or letters; close to Unicode UAX 29 without its tables."""
    if before == _JOINER or after == _JOINER:
        return False
    if unicodedata.category(after) in ("Mn", "Me", "Mc") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    regional = "\U0001f1e6", "\U0001f1ff"
    return not (regional[0] <= before <= regional[1] and regional[0] <= after <= regional[1])
