"""Outlook's winmail.dat (MS-OXTNEF) unpacked into body and files. Pure."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from tnefparse import TNEF

from channels.email.charsets import decode

MAX_OBJECTS = 2000
"""The library copies the rest of the data for each object, so that many small ones would take hours."""

_EMBEDDED = b"\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
_MAX_EMBEDDED = 20
_HEADER = 6
_OBJECT_HEADER = 9
_CHECKSUM = 2

# It warns of every odd property; a mail from outside may not fill the log.
logging.getLogger("tnefparse").setLevel(logging.CRITICAL)


@dataclass(slots=True)
class Unpacked:
    """What was inside."""

    text: str = ""
    html: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)


def unpack(data: bytes) -> Unpacked | None:
    """The content of a TNEF stream; None where it is damaged or unreasonable."""
    if not _is_sane(data):
        return None
    try:
        tnef = TNEF(data, do_checksum=False)
        out = Unpacked(text=_text(tnef.body), html=_text(tnef.htmlbody))
        out.files = [(_text(each.long_filename()).strip("\0 "), bytes(each.data)) for each in tnef.attachments]
    except Exception:  # noqa: BLE001 - the library raises all kinds of errors on damaged input; the file is then kept whole
        return None
    return out


def _is_sane(data: bytes) -> bool:
    if data.count(_EMBEDDED) > _MAX_EMBEDDED or not _few_objects(data, 0):
        return False
    at = data.find(_EMBEDDED)
    while at >= 0:
        if not _few_objects(data, at + len(_EMBEDDED)):
            return False
        at = data.find(_EMBEDDED, at + 1)
    return True


def _few_objects(data: bytes, start: int) -> bool:
    """Whether the chain of objects (level, name, type, length, data, checksum) at `start` is short."""
    at = start + _HEADER
    count = 0
    while at + _OBJECT_HEADER < len(data):
        count += 1
        if count > MAX_OBJECTS:
            return False
        at += _OBJECT_HEADER + int.from_bytes(data[at + 5 : at + 9], "little") + _CHECKSUM
    return True


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return decode(value)[0].rstrip("\0")
    return value if isinstance(value, str) else ""
