"""Names and types of attached files. Pure."""

from __future__ import annotations

import mimetypes
import re

from channels.email.headers import decode_words

MAX_NAME = 200

_UNSAFE = re.compile("[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of reading (`exe.fdp` shown as `pdf.exe` backwards)."""
_TYPES = mimetypes.MimeTypes()
"""The standard library's own table: the machine's would make the same mail parse differently elsewhere."""
_DEFAULTS = {
    "application/ics": ".ics",
    "application/pgp-encrypted": ".asc",
    "application/pgp-signature": ".asc",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "image/jpeg": ".jpg",
    "message/delivery-status": ".txt",
    "message/feedback-report": ".txt",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
}


def clean_name(name: str) -> str:
    """A file name without folders, control and direction characters; empty where nothing is left."""
    name = _UNSAFE.sub("", decode_words(name)) if name else ""
    name = name.replace("\\", "/").rpartition("/")[2].strip()
    if name in (".", ".."):
        return ""
    if len(name) > MAX_NAME:
        stem, dot, extension = name.rpartition(".")
        extension = dot + extension[:20] if stem else ""
        name = (stem or name)[: MAX_NAME - len(extension)] + extension
    return name


def default_name(media_type: str, number: int) -> str:
    """A name for a file that has none: `attachment-2.png`."""
    if media_type == "text/calendar":
        return "invite.ics"
    extension = _DEFAULTS.get(media_type) or _TYPES.guess_extension(media_type) or ".bin"
    return f"attachment-{number}{extension}"


def guess_type(name: str) -> str:
    """The media type that the name's ending says."""
    return _TYPES.guess_type(name)[0] or "application/octet-stream"
