"""Address lists of mails (RFC 5322 section 3.4) as people and programs really write them. Pure, never raises."""

from __future__ import annotations

import re
from collections.abc import Iterable

from channels.email.headers import Headers, decode_words

MAX_ADDRESSES = 1000

_SIMPLE = re.compile(r'\s*(?:"([^"\\]*)"|([^"<>(),:;@\\]*?))\s*<([^<>\s@"\\,:;]+@[^<>\s@"\\,:;]+)>\s*')
_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.)*)"(?!@)|<([^<>]*)>|([(),;:])|("(?:[^"\\]|\\.)*"@|[^\s"<(),;:]+)|(\s+)|(.)', re.DOTALL
)
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'@]+@[^\s<>()\[\],;:\"'@]+")
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")
_WHOLE = re.compile(r'(?:"[^"]*"|[^\s@"]+)@[^\s@"]+')
_AT = re.compile(r"\s*@\s*")
_BLANKS = re.compile(r"\s+")
_TAG = re.compile(r"(.+?)\+([rb])\.([a-z0-9_-]+)@(.+)")

Mailbox = tuple[str, str]
"""(display name, lower-case address); either may be empty."""


def parse_addresses(value: str) -> list[Mailbox]:
    """Mailboxes of a header value: groups are flattened, comments become names, what is no address is left out.

    A bare word without a domain is kept, as `root` of a local mailer is: callers that need a domain drop it.
    """
    simple = _SIMPLE.fullmatch(value)
    if simple:
        return [(_clean_name(simple[1] if simple[1] is not None else simple[2]), simple[3].lower().rstrip("."))]
    if "=?" in value and "@" not in _ENCODED_WORD.sub("", value):
        # Some mailers encode the whole field, address and all.
        value = _ENCODED_WORD.sub(lambda word: decode_words(word[0]), value)
    return _List(value).mailboxes[:MAX_ADDRESSES]


def header_addresses(headers: Headers, name: str) -> list[Mailbox]:
    """Mailboxes of every field of that name, each address once."""
    found: dict[str, Mailbox] = {}
    for value in headers.all(name):
        for mailbox in parse_addresses(value):
            if mailbox[1] not in found and len(found) < MAX_ADDRESSES:
                found[mailbox[1]] = mailbox
    return list(found.values())


def strip_tag(address: str) -> str:
    """The address without our own reply or bounce tag; other people's plus tags stay."""
    match = _TAG.fullmatch(address) if "+" in address else None
    return f"{match[1]}@{match[4]}" if match else address


def find_tokens(addresses: Iterable[str]) -> tuple[str, str]:
    """The first reply token and the first bounce token that the addresses carry."""
    tokens = {"r": "", "b": ""}
    for address in addresses:
        match = _TAG.fullmatch(address) if "+" in address else None
        if match and not tokens[match[2]]:
            tokens[match[2]] = match[3]
    return tokens["r"], tokens["b"]


class _List:
    """One pass over the tokens of an address list."""

    def __init__(self, value: str) -> None:
        self.mailboxes: list[Mailbox] = []
        self._words: list[str] = []
        self._comments: list[str] = []
        self._angle: str | None = None
        self._loose = ""
        self._loose_name = ""
        self._depth = 0
        for token in _TOKEN.finditer(value):
            if len(self.mailboxes) >= MAX_ADDRESSES:
                break
            self._take(token)
        self._flush(last=True)

    def _take(self, token: re.Match[str]) -> None:
        quoted, angle, sign, word, _, stray = token.groups()
        if self._depth or sign in ("(", ")"):
            self._comment(token[0])
        elif quoted is not None:
            self._words.append(re.sub(r"\\(.)", r"\1", quoted))
        elif angle is not None:
            if self._angle is not None:
                self._flush()
            self._angle = angle
        elif sign == ":":
            self._colon()
        elif sign is not None:
            self._flush(last=sign == ";")
        elif word is not None:
            if self._angle is not None:
                self._flush()
            self._words.append(word)
        elif stray is None:
            self._words.append(" ")

    def _comment(self, text: str) -> None:
        if text == "(":
            self._depth += 1
            if self._depth == 1:
                return
        elif text == ")":
            self._depth = max(0, self._depth - 1)
            if self._depth == 0:
                self._comments.append(" ")
                return
        self._comments.append(text)

    def _colon(self) -> None:
        # `Team: a@x, b@x;` and `mailto:a@x`: what stands before is no part of the first address.
        if self._angle is None and "@" not in "".join(self._words):
            self._words.clear()
            self._loose = ""
        else:
            self._words.append(":")

    def _flush(self, *, last: bool = False) -> None:
        text = "".join(self._words).strip()
        comment = _BLANKS.sub(" ", "".join(self._comments)).strip()
        angle = self._angle
        self._words.clear()
        self._comments.clear()
        self._angle = None
        if angle is not None:
            address = _clean_address(angle)
            name = text or comment
            if self._loose:
                # `Doe, John <john@x>`: a comma that should have been quoted.
                name = f"{self._loose}, {name}" if name else self._loose
                self._loose = ""
            if not address and "@" in text:
                name, address = "", _clean_address(text)
            self.mailboxes.append((_clean_name(name), address))
            return
        self._drop_loose()
        text = _AT.sub("@", text)
        match = _WHOLE.fullmatch(text) or _ADDRESS.search(text)
        if match:
            name = text.replace(match[0], "") or comment
            self.mailboxes.append((_clean_name(name), _clean_address(match[0])))
        elif text:
            self._loose, self._loose_name = text, comment
            if last:
                self._drop_loose()

    def _drop_loose(self) -> None:
        """A part without an address: kept only where it is a bare local name."""
        if self._loose and re.fullmatch(r"[\w.+-]+", self._loose):
            self.mailboxes.append((_clean_name(self._loose_name), self._loose.lower()))
        self._loose = ""


def _clean_address(text: str) -> str:
    """Lower case, without blanks, quotes around it, a source route (`@a,@b:c@d`) or `mailto:`."""
    address = _AT.sub("@", text).strip("'<>,; ").lower()
    address = address if address.startswith('"') else _BLANKS.sub("", address)
    if address.startswith("@") and ":" in address:
        address = address.rpartition(":")[2]
    return address.removeprefix("mailto:").rstrip(".")[:320]


def _clean_name(text: str) -> str:
    name = decode_words(text).strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1].strip()
    return name[:200]
