"""Modified UTF-7, in which IMAP writes folder names outside ASCII (RFC 3501 section 5.1.3)."""

from __future__ import annotations

import base64
import binascii
import re

_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e]+|&|[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([^-]*)-")


def encode(name: str) -> str:
    """A folder's name as the server wants it: `Илгээсэн` becomes `&BBgEOwQzBE0EOQRBBE0EPQ-`."""
    return "".join(_encode_run(run) for run in _PLAIN.findall(name))


def decode(name: str) -> str:
    """A server's folder name as a person reads it; what is not valid is left as it is."""
    return _SHIFTED.sub(_decode_run, name)


def _encode_run(run: str) -> str:
    if run == "&":
        return "&-"
    if " " <= run[0] <= "~":
        return run
    shifted = base64.b64encode(run.encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
    return f"&{shifted.decode()}-"


def _decode_run(match: re.Match[str]) -> str:
    shifted = match[1].replace(",", "/")
    if not shifted:
        return "&"
    try:
        return base64.b64decode(shifted + "=" * (-len(shifted) % 4), validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return match[0]
