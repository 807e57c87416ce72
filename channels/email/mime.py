"""Bytes of a mail to a tree of MIME parts (RFC 5322, RFC 2045-2046). Pure, never raises.

Not the standard library's feed parser: that one nests a generator per MIME level (a 40 KB mail makes it raise
RecursionError, a larger one keeps it busy for minutes), rewrites attached mails, and has no limits. This one looks for
boundaries in the source bytes, keeps offsets only, and stops at the limits below.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from channels.email import wording
from channels.email.headers import Headers, parse_headers, parse_params

MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_HEADER_BYTES = 1_000_000

_BLANK_LINE = re.compile(rb"\n\r?\n")
_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/]+")


@dataclass(slots=True)
class Part:
    """One MIME entity. `source[start:end]` is its body, still encoded; `whole` begins at its headers."""

    source: bytes = field(repr=False)
    headers: Headers
    type: str
    params: dict[str, str]
    whole: int
    start: int
    end: int
    children: list[Part] = field(default_factory=list)

    @property
    def main_type(self) -> str:
        """The part before the slash."""
        return self.type.partition("/")[0]

    def body(self) -> bytes:
        """The body as transferred."""
        return self.source[self.start : self.end]

    def content(self, warnings: set[str]) -> bytes:
        """The body with its transfer encoding taken off; what is damaged is kept as far as it decodes."""
        return decode_transfer(self.body(), self.headers.first("content-transfer-encoding"), warnings)

    def disposition(self) -> tuple[str, dict[str, str]]:
        """`inline`, `attachment` or nothing, with the parameters (RFC 2183)."""
        return parse_params(self.headers.first("content-disposition"))


@dataclass(slots=True)
class _Limits:
    warnings: set[str]
    parts: int = 0


def read(source: bytes, warnings: set[str]) -> Part:
    """The tree of a whole mail. What is wrong with it is added to `warnings`."""
    if b"\n" not in source:
        source = source.replace(b"\r", b"\n")
    start = len(source) - len(source.lstrip(b"\r\n"))
    return _entity(source, start, len(source), "text/plain", _Limits(warnings), 0)


def read_headers(source: bytes) -> Headers:
    """The headers alone, of a returned or attached mail."""
    return _head(source.lstrip(b"\r\n"), 0, len(source), set())[0]


def decode_transfer(body: bytes, encoding: str, warnings: set[str]) -> bytes:
    """Take off a Content-Transfer-Encoding (RFC 2045 section 6)."""
    name = encoding.strip().strip("\"'").lower().partition(" ")[0].rstrip(";")
    if name == "base64":
        return _base64(body, warnings)
    if name == "quoted-printable":
        return binascii.a2b_qp(body)
    if name in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _uuencoded(body, warnings)
    if name not in ("", "7bit", "8bit", "binary"):
        warnings.add(wording.UNKNOWN_ENCODING)
    return body


def _entity(source: bytes, start: int, end: int, default_type: str, limits: _Limits, depth: int) -> Part:
    headers, body = _head(source, start, end, limits.warnings)
    value, params = parse_params(headers.first("content-type"))
    declared = value.lower()
    if not declared:
        media_type = default_type
    else:
        # RFC 2045 section 5.2: what is not a type at all is plain text.
        media_type = declared if _TYPE.fullmatch(declared) else "text/plain"
    part = Part(source, headers, media_type, params, start, body, end)
    if media_type.startswith("multipart/"):
        _add_children(part, limits, depth)
    return part


def _add_children(part: Part, limits: _Limits, depth: int) -> None:
    boundary = part.params.get("boundary", "").rstrip().encode("utf-8", "surrogateescape")
    if depth >= MAX_DEPTH:
        limits.warnings.add(wording.TOO_DEEP)
        part.type = "application/octet-stream"
        return
    spans = _spans(part.source, part.start, part.end, boundary, limits) if boundary else []
    if not spans:
        limits.warnings.add(wording.NO_BOUNDARY)
        part.type = "text/plain"
        return
    default_type = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
    for start, end in spans:
        if limits.parts >= MAX_PARTS:
            limits.warnings.add(wording.TOO_MANY_PARTS)
            return
        limits.parts += 1
        part.children.append(_entity(part.source, start, end, default_type, limits, depth + 1))


def _spans(source: bytes, start: int, end: int, boundary: bytes, limits: _Limits) -> list[tuple[int, int]]:
    """Where the parts lie: between delimiter lines, the line break before a delimiter being the delimiter's."""
    mark = b"--" + boundary
    spans: list[tuple[int, int]] = []
    opened = -1
    at = source.find(mark, start, end)
    while at >= 0 and limits.parts + len(spans) <= MAX_PARTS:
        after = at + len(mark)
        if at == start or source[at - 1 : at] == b"\n":
            closing = source.startswith(b"--", after, end)
            rest = after + 2 if closing else after
            line_end = source.find(b"\n", rest, end)
            after = end if line_end < 0 else line_end
            if not source[rest:after].strip():
                if opened >= 0:
                    spans.append((opened, max(opened, _before_break(source, at))))
                opened = -1 if closing else min(after + 1, end)
        at = source.find(mark, after, end)
    if opened >= 0:
        spans.append((opened, end))
    return spans


def _before_break(source: bytes, at: int) -> int:
    if source[at - 2 : at] == b"\r\n":
        return at - 2
    return at - 1


def _head(source: bytes, start: int, end: int, warnings: set[str]) -> tuple[Headers, int]:
    """The headers of the entity at `start`, and where its body begins."""
    if source.startswith((b"\n", b"\r\n"), start, end):
        return Headers({}), source.find(b"\n", start) + 1
    blank = _BLANK_LINE.search(source, start, end)
    head_end, body = (blank.start() + 1, blank.end()) if blank else (end, end)
    if head_end - start > MAX_HEADER_BYTES:
        warnings.add(wording.LONG_HEADERS)
        head_end = start + MAX_HEADER_BYTES
    headers, used, broken = parse_headers(source[start:head_end])
    if broken:
        warnings.add(wording.BAD_HEADERS)
    return headers, body if used is None else start + used


def _base64(body: bytes, warnings: set[str]) -> bytes:
    packed = body.translate(None, b"\r\n \t")
    try:
        return binascii.a2b_base64(packed, strict_mode=True)
    except binascii.Error:
        warnings.add(wording.BAD_ENCODING)
    # Some senders glue several encodings together, each with its own padding; some append plain lines.
    lines = (line for line in body.split(b"\n") if not line.strip() or not _NOT_BASE64.search(line.strip()))
    clean = b"".join(lines).translate(None, b"\r\n \t") or _NOT_BASE64.sub(b"", body)
    decoded = bytearray()
    for run in _BASE64_RUN.findall(clean):
        whole = run[:-1] if len(run) % 4 == 1 else run
        decoded += binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
    return bytes(decoded)


def _uuencoded(body: bytes, warnings: set[str]) -> bytes:
    decoded = bytearray()
    inside = False
    for line in body.splitlines():
        if not inside:
            inside = line.startswith(b"begin ")
        elif line.strip() in (b"end", b"`"):
            break
        elif line:
            try:
                decoded += binascii.a2b_uu(line)
            except binascii.Error:
                warnings.add(wording.BAD_ENCODING)
    return bytes(decoded) if inside else body
