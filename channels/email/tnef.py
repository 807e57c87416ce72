"""Outlook's winmail.dat (MS-OXTNEF) unpacked into body and files. Pure.

Not tnefparse: it believes every count in the data, so that eight bytes keep it busy for an hour, and it copies the rest
of the data for each object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from channels.email.charsets import decode

MAX_OBJECTS = 5000
MAX_FILES = 500
_MAX_DEPTH = 3

_SIGNATURE = b"\x78\x9f\x3e\x22"
_BODY, _ATTACHMENT_DATA, _ATTACHMENT_TITLE = 0x800C, 0x800F, 0x8010
_NEW_ATTACHMENT, _MESSAGE_PROPERTIES, _ATTACHMENT_PROPERTIES, _CODE_PAGE = 0x9002, 0x9003, 0x9005, 0x9007
_TEXT, _HTML, _INTERNET_CODE_PAGE = 0x1000, 0x1013, 0x3FDE
_DISPLAY_NAME, _DATA, _SHORT_NAME, _LONG_NAME, _CONTENT_ID = 0x3001, 0x3701, 0x3704, 0x3707, 0x3712
_EMBEDDED_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")

_SIZES = {0x02: 2, 0x0B: 2, 0x03: 4, 0x04: 4, 0x0A: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x14: 8, 0x40: 8, 0x48: 16}
"""Bytes of the property types of fixed size."""
_VARIABLE = frozenset({0x00, 0x0D, 0x1E, 0x1F, 0x102})
_UNICODE = 0x1F
_MULTIPLE = 0x1000
_NAMED = 0x8000


@dataclass(slots=True)
class File:
    """A file inside."""

    name: str = ""
    content: bytes = b""
    content_id: str = ""


@dataclass(slots=True)
class Unpacked:
    """What was inside."""

    text: str = ""
    html: str = ""
    files: list[File] = field(default_factory=list)


def unpack(data: bytes) -> Unpacked | None:
    """The content of a TNEF stream; None where it is damaged or unreasonable."""
    try:
        return _unpack(data, 0)
    except ValueError:
        return None


class _Reader:
    """Little-endian fields one after the other; reading past the end raises ValueError."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("cut off")
        found = self._data[self._at : end]
        self._at = end
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def padded(self, size: int) -> bytes:
        found = self.take(size)
        self.take(-size % 4)
        return found

    def left(self) -> int:
        return len(self._data) - self._at


def _unpack(data: bytes, depth: int) -> Unpacked:
    if not data.startswith(_SIGNATURE) or depth > _MAX_DEPTH:
        raise ValueError("no TNEF")
    out = Unpacked()
    code_page = ""
    for name, value in _objects(_Reader(data, 6)):
        if name == _CODE_PAGE:
            code_page = f"cp{int.from_bytes(value[:4], 'little')}"
        elif name == _BODY:
            out.text = out.text or _string(value, code_page)
        elif name == _MESSAGE_PROPERTIES:
            _read_message(out, dict(_properties(value)), code_page)
        elif name == _NEW_ATTACHMENT:
            out.files.append(File())
        elif out.files and name == _ATTACHMENT_TITLE:
            out.files[-1].name = _string(value, code_page)
        elif out.files and name == _ATTACHMENT_DATA:
            out.files[-1].content = value
        elif out.files and name == _ATTACHMENT_PROPERTIES:
            _read_attachment(out, dict(_properties(value)), code_page, depth)
        if len(out.files) > MAX_FILES:
            raise ValueError("too many files")
    return out


def _objects(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    """(name, data) of each object: level, name, type, length, data, checksum. The checksum is often wrong."""
    for _ in range(MAX_OBJECTS):
        if reader.left() < 11:
            return
        reader.take(1)
        name = reader.number(2)
        reader.take(2)
        yield name, reader.take(reader.number(4))
        reader.take(min(2, reader.left()))
    raise ValueError("too many objects")


def _properties(data: bytes) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """(id, (type, first value)) of each property of a list (MS-OXTNEF section 2.1.3.4)."""
    reader = _Reader(data)
    for _ in range(reader.number(4)):
        kind, name = reader.number(2), reader.number(2)
        if name >= _NAMED:
            reader.take(16)
            if reader.number(4) == 0:
                reader.take(4)
            else:
                reader.padded(reader.number(4))
        variable = kind & ~_MULTIPLE in _VARIABLE
        count = reader.number(4) if variable or kind & _MULTIPLE else 1
        kind &= ~_MULTIPLE
        if not variable and kind not in _SIZES:
            raise ValueError("unknown property type")
        first = b""
        for number in range(count):
            value = reader.padded(reader.number(4)) if variable else reader.take(_SIZES[kind])
            first = value if number == 0 else first
        if not variable and count * _SIZES[kind] % 4:
            reader.take(2)
        yield name, (kind, first)


def _read_message(out: Unpacked, found: dict[int, tuple[int, bytes]], code_page: str) -> None:
    internet = int.from_bytes(found[_INTERNET_CODE_PAGE][1], "little") if _INTERNET_CODE_PAGE in found else 0
    charset = {65001: "utf-8", 28591: "iso-8859-1", 20866: "koi8-r"}.get(internet, f"cp{internet}" if internet else "")
    if _TEXT in found:
        out.text = _value(found[_TEXT], code_page) or out.text
    if _HTML in found:
        out.html = _value(found[_HTML], charset or code_page)


def _read_attachment(out: Unpacked, found: dict[int, tuple[int, bytes]], code_page: str, depth: int) -> None:
    file = out.files[-1]
    for name in (_LONG_NAME, _SHORT_NAME, _DISPLAY_NAME):
        if name in found and (name == _LONG_NAME or not file.name):
            file.name = _value(found[name], code_page)
    if _CONTENT_ID in found:
        file.content_id = _value(found[_CONTENT_ID], code_page)
    if _DATA not in found:
        return
    content = found[_DATA][1]
    if content.startswith(_EMBEDDED_MESSAGE):
        inner = _unpack(content[len(_EMBEDDED_MESSAGE) :], depth + 1)
        file.content = inner.text.encode()
        file.name = f"{file.name or 'message'}.txt"
        out.files.extend(inner.files)
    else:
        file.content = content


def _value(found: tuple[int, bytes], charset: str) -> str:
    kind, value = found
    return _string(value, "utf-16-le" if kind == _UNICODE else charset)


def _string(value: bytes, charset: str) -> str:
    return decode(value, charset)[0].rstrip("\0")
