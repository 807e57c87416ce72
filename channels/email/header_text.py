"""Writing mail headers: RFC 5322 syntax and folding, RFC 2047 encoded words, RFC 2231 parameters.

Everything given is taken as hostile: no value can end its header or begin another.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import idna

from channels.base import Address

LINE = 76
"""Where lines are folded (RFC 2047 section 2 sets it for lines with encoded words)."""
_WORD_LONGEST = 900
"""A longer word cannot stand unencoded: 998 octets end a line (RFC 5322 section 2.1.1)."""
_ENCODED_BYTES = 39
"""UTF-8 bytes in one encoded word: 64 characters, which leaves room for the names of our headers before the first."""
_PHRASE_LONGEST = 200
_REFERENCES_MAX = 50
_PARAMETER_LONGEST = 50
_PLAIN_PARAMETER = re.compile(rf"[ !#-\[\]-~]{{0,{_PARAMETER_LONGEST}}}")
"""Escapes within quotes are legal too, and read wrongly by many."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOTTED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
"""Dots where none may stand unquoted, as some Japanese providers give them out."""
_QUOTED_LOCAL = re.compile(r'"(?:[ !#-\[\]-~]|\\[ -~])*"')
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\]")
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
_NAME = re.compile(r"[!-9;-~]{1,70}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")


class Unsendable(ValueError):
    """The message cannot be written as a mail; the words are for the person who wrote it."""


def cleaned(value: str) -> str:
    """One line of text: each run of control characters becomes a space, half characters are marked."""
    if value.isascii() and value.isprintable():
        return value
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub(" ", value))


def text_header(name: str, value: str) -> str:
    """A header of free text, such as Subject, with its line end. Surrounding space is dropped."""
    value = cleaned(value).strip()
    if not _needs_encoding(value):
        return _folded(name, value.split(" "))
    return f"{name}: {_encoded_words(value)}\r\n"


def addresses_header(name: str, addresses: Iterable[Address]) -> str:
    """To, Cc, From or Reply-To. Raises `Unsendable` for what is no address."""
    mailboxes = [_mailbox(address) for address in addresses]
    line = f"{name}: {', '.join(mailboxes)}\r\n"
    if len(line) <= LINE + 2:
        return line
    return f"{name}: {f',{_FOLD}'.join(mailboxes)}\r\n"


def references_header(name: str, ids: Sequence[str]) -> str:
    """In-Reply-To or References; of a very long thread its beginning and its latest. Empty where no id is usable."""
    usable = [f"<{each}>" for each in ids if _MESSAGE_ID.fullmatch(each)]
    if len(usable) > _REFERENCES_MAX:
        usable = [usable[0], *usable[1 - _REFERENCES_MAX :]]
    return _folded(name, usable) if usable else ""


def parameter(name: str, value: str) -> str:
    """`; name=value` of a Content-Type or Content-Disposition, on lines of its own (RFC 2231 where needed)."""
    value = cleaned(value)
    if _PLAIN_PARAMETER.fullmatch(value) and "=?" not in value:
        return f';{_FOLD}{name}="{value}"'
    encoded = quote(value, safe="")
    if len(encoded) <= _PARAMETER_LONGEST:
        return f";{_FOLD}{name}*=utf-8''{encoded}"
    # Cut between characters: some readers decode each piece by itself.
    pieces = [""]
    for character in value:
        escaped = quote(character, safe="")
        if len(pieces[-1]) + len(escaped) > _PARAMETER_LONGEST:
            pieces.append("")
        pieces[-1] += escaped
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join(f";{_FOLD}{name}*{number}*={piece}" for number, piece in enumerate(pieces))


def usable_name(name: str) -> bool:
    """Whether a header may be called so."""
    return _NAME.fullmatch(name) is not None


def usable_media_type(media_type: str) -> bool:
    """Whether it is one that a single part may have."""
    return _MEDIA_TYPE.fullmatch(media_type) is not None and not media_type.lower().startswith("multipart/")


def message_id(value: str) -> str:
    """A Message-ID header."""
    if not _MESSAGE_ID.fullmatch(value):
        raise Unsendable("The message has no valid Message-ID")
    return f"Message-ID: <{value}>\r\n"


@functools.lru_cache(maxsize=4096)
def addr_spec(value: str) -> str:
    """An address as it is written on the wire: domain in ASCII, local part quoted where it must be.

    Outside ASCII only where the local part is; such mail needs SMTPUTF8 (RFC 6531).
    """
    local, at, domain = value.strip().rpartition("@")
    if not at or not local or _UNPRINTABLE.search(value) or _SURROGATE.search(value):
        raise Unsendable(f"Not an email address: {cleaned(value)}")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError as error:
            raise Unsendable(f"Not a domain: {domain}") from error
    if not _DOMAIN.fullmatch(domain):
        raise Unsendable(f"Not an email address: {value}")
    if not _LOCAL.fullmatch(local) and not _QUOTED_LOCAL.fullmatch(local):
        if not _DOTTED.fullmatch(local):
            raise Unsendable(f"Not an email address: {value}")
        local = f'"{local}"'
    return f"{local}@{domain}"


_FOLD = "\r\n "


def _needs_encoding(value: str) -> bool:
    return (
        not value.isascii()
        or "=?" in value
        or "  " in value
        or (len(value) > _WORD_LONGEST and max(map(len, value.split(" "))) > _WORD_LONGEST)
    )


def _folded(name: str, words: Sequence[str]) -> str:
    lines: list[str] = []
    line = f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > LINE and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join([*lines, line]) + "\r\n"


def _encoded_words(value: str) -> str:
    """Base64 words of whole characters; the space between two of them is not part of the text."""
    data = value.encode()
    words: list[str] = []
    start = 0
    while start < len(data):
        end = min(start + _ENCODED_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{base64.b64encode(data[start:end]).decode()}?=")
        start = end
    return _FOLD.join(words)


def _mailbox(address: Address) -> str:
    spec = addr_spec(address.value)
    name = cleaned(address.name).strip()
    if not name:
        return spec
    if _needs_encoding(name) or len(name) > _PHRASE_LONGEST:
        return f"{_encoded_words(name)}{_FOLD}<{spec}>"
    return f"{name if _PHRASE.fullmatch(name) else _quoted(name)} <{spec}>"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
