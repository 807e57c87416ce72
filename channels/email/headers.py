"""Header fields: unfolding, encoded words (RFC 2047), parameters (RFC 2231), ids and dates. Pure, never raises."""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes

from channels.email.charsets import decode, tidy

MAX_VALUE_BYTES = 256_000
MAX_WORDS = 20_000
"""Characters of a header value that are decoded for people."""
MAX_REFERENCES = 100
MAX_ID = 998
"""A line of a mail is no longer (RFC 5322 section 2.1.1), so no honest id is either."""

_LINE = re.compile(rb"[^\n]+(?:\n[ \t]+[^\n]*)*")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_MBOX_LINE = re.compile(rb">?From [^\n]*\n")
_KNOWN_FIELD = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|received|reply-to|return-path|x-[a-z-]+)"
    rb"[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?(.{0,4000}?)\?=", re.DOTALL)
_WORD_GAP = re.compile(r"(\?=)\s+(?==\?[^?\s]+\?[bBqQ]\?)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_PARAM = re.compile(r"""([^\s=;"]{1,80})\s{0,80}=\s{0,80}(?:"((?:[^"\\]|\\.)*)("|$)|([^;]*))""", re.DOTALL)
_SECTION = re.compile(r"(.+?)\*(?:(\d{1,3})(\*)?)?")
_ESCAPE = re.compile(r'\\(["\\])')
_ID = re.compile(r"<([^<>]*)>")
_SPACE = re.compile(r"\s+")


class Headers:
    """Header fields by lower-case name, in order; values unfolded, raw bytes until asked for."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, list[bytes]]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def raw(self, name: str) -> bytes:
        """The first field's value as it came, unfolded; empty where there is none."""
        values = self._fields.get(name)
        return values[0] if values else b""

    def count(self, name: str) -> int:
        """How often the field occurs."""
        return len(self._fields.get(name, ()))

    def first(self, name: str) -> str:
        """The first field's value as text, encoded words still encoded; empty where there is none."""
        values = self._fields.get(name)
        return _text(values[0]) if values else ""

    def all(self, name: str) -> list[str]:
        """Every value of the field as text."""
        return [_text(value) for value in self._fields.get(name, ())]

    def words(self, name: str) -> str:
        """The first value that says anything, decoded for people: one line, no control characters."""
        for value in self.all(name):
            readable = decode_words(value)
            if readable:
                return readable
        return ""


def parse_headers(block: bytes) -> tuple[Headers, int | None, bool]:
    """Fields of a header block; the offset where it ends early (None where it does not); whether it is broken.

    A line that is no field ends the headers, as the body of a mail without a blank line does; but where well-known
    fields follow it, it is noise and left out.
    """
    fields: dict[str, list[bytes]] = {}
    mbox = _MBOX_LINE.match(block)
    start = mbox.end() if mbox else 0
    last_known = -1
    broken = False
    for line in _LINE.finditer(block, start):
        match = _FIELD.match(line[0])
        if match:
            value = match[2]
            if b"\n" in value:
                value = _FOLD.sub(b" ", value)
            fields.setdefault(match[1].decode("ascii").lower(), []).append(value.strip())
        elif line[0].strip():
            if not broken:
                broken = True
                last_known = max((known.start() for known in _KNOWN_FIELD.finditer(block)), default=-1)
            if last_known < line.start():
                return Headers(fields), line.start(), broken
    return Headers(fields), None, broken


def decode_words(value: str) -> str:
    """`value` with its encoded words decoded, also those that stand where none may; one line, blanks collapsed."""
    value = value[:MAX_WORDS]
    if "=?" in value:
        value = _decode_runs(_WORD_GAP.sub(r"\1", value))
    return _SPACE.sub(" ", _CONTROL.sub(" ", tidy(value))).strip()


def parse_params(value: str) -> tuple[str, dict[str, str]]:
    """`text/plain; charset=x` as (`text/plain`, {`charset`: `x`}); RFC 2231 continuations and charsets resolved."""
    main, _, tail = value.partition(";")
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAM.finditer(tail):
        name = match[1].lower()
        text = _ESCAPE.sub(r"\1", match[2]) if match[2] is not None else match[4].strip()
        section = _SECTION.fullmatch(name) if "*" in name else None
        if section is None:
            plain.setdefault(name, text)
        else:
            number = int(section[2] or 0)
            encoded = section[2] is None or section[3] is not None
            sections.setdefault(section[1], {}).setdefault(number, (text, encoded))
    for name, pieces in sections.items():
        plain[name] = _join_sections(pieces)
    return main.strip(), plain


def message_ids(values: list[str]) -> tuple[str, ...]:
    """Message ids without angle brackets, in order, each once; the first and the latest where there are too many."""
    found: dict[str, None] = {}
    for value in values:
        ids = [_SPACE.sub("", match) for match in _ID.findall(value)]
        if not ids:
            # Without brackets only words that look like ids count: `Your message of Monday` is none.
            ids = [word.strip("<>,;\"'") for word in value.split() if "@" in word and len(value.split()) == 1]
        found.update((each[:MAX_ID], None) for each in ids if each)
    ids = [tidy(each) for each in found]
    if len(ids) > MAX_REFERENCES:
        ids = [ids[0], *ids[-(MAX_REFERENCES - 1) :]]
    return tuple(ids)


def message_id(values: list[str]) -> str:
    """The mail's own id without angle brackets: the first that is one."""
    for value in values:
        match = _ID.search(value)
        found = _SPACE.sub("", tidy(match[1] if match else value.strip("<> \t")))[:MAX_ID]
        if found:
            return found
    return ""


def parse_date(value: str) -> datetime | None:
    """A Date header (RFC 5322, its obsolete forms, ISO 8601) in UTC; None where it makes no sense."""
    text = _CONTROL.sub(" ", value).strip()[:200]
    for reader in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            when = reader(text)
            return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _text(value: bytes) -> str:
    if len(value) > MAX_VALUE_BYTES:
        value = value[:MAX_VALUE_BYTES]
    return value.decode("ascii") if value.isascii() else decode(value)[0]


def _decode_runs(value: str) -> str:
    """Neighbouring words of one charset are decoded together: some mailers cut a letter in two."""
    out: list[str] = []
    pending = bytearray()
    charset = ""
    end = 0
    for match in _WORD.finditer(value):
        name = match[1].partition("*")[0].lower()
        if pending and (match.start() > end or name != charset):
            out.append(decode(bytes(pending), charset)[0])
            pending.clear()
        out.append(value[end : match.start()])
        charset = name
        pending += _unword(match[2], match[3])
        end = match.end()
    if pending:
        out.append(decode(bytes(pending), charset)[0])
    out.append(value[end:])
    return "".join(out)


def _unword(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(data.replace(b" ", b"_"), header=True)
    packed = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    packed = packed[:-1] if len(packed) % 4 == 1 else packed
    return binascii.a2b_base64(packed + b"=" * (-len(packed) % 4))


def _join_sections(pieces: dict[int, tuple[str, bool]]) -> str:
    charset = ""
    data = bytearray()
    for number in sorted(pieces):
        text, encoded = pieces[number]
        if encoded and number == min(pieces) and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        data += unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
    return decode(bytes(data), charset)[0]
