"""Writing a mail (RFC 5322, RFC 2045 to 2049, RFC 3834) from the normal form; pure.

The standard library builds some 450 messages a second, far fewer than SMTP takes, so the little of MIME that we send
is written here directly. Everything is 7-bit but the addresses that cannot be.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import UTC
from email.utils import format_datetime
from typing import NamedTuple

from channels.base import Address, Attachment, OutboundMessage
from channels.email.header_text import (
    Unsendable,
    addr_spec,
    addresses_header,
    cleaned,
    message_id,
    parameter,
    references_header,
    text_header,
    usable_media_type,
    usable_name,
)

_OWN_HEADERS = frozenset(
    {
        "auto-submitted",
        "bcc",
        "cc",
        "date",
        "from",
        "in-reply-to",
        "message-id",
        "mime-version",
        "received",
        "references",
        "reply-to",
        "return-path",
        "sender",
        "subject",
        "to",
        "x-auto-response-suppress",
    }
)
_LINE_LONGEST = 990
_ASCII = bytes(range(128))


class Composed(NamedTuple):
    """A mail ready for SMTP: lines end in CRLF, dots are not doubled yet."""

    message: bytes
    envelope_from: str
    recipients: list[str]


class _Part(NamedTuple):
    headers: str
    body: bytes


def compose(out: OutboundMessage, *, plus_addressing: bool = False) -> Composed:
    """Write the mail. With `plus_addressing` the tokens of replies and bounces go into our own address.

    Raises `Unsendable`.
    """
    recipients = list(dict.fromkeys(addr_spec(address.value) for address in (*out.to, *out.cc, *out.bcc)))
    if not recipients:
        raise Unsendable("The message has no recipient")
    sender = addr_spec(out.sender.value)
    envelope_from = with_token(sender, "b", out.bounce_token) if plus_addressing and out.bounce_token else sender
    part = _content(out)
    headers = "".join([*_headers(out, plus_addressing), "MIME-Version: 1.0\r\n", part.headers, "\r\n"])
    end = b"" if part.body.endswith(b"\r\n") else b"\r\n"
    return Composed(b"".join([headers.encode(), part.body, end]), envelope_from, recipients)


def with_token(address: str, kind: str, token: str) -> str:
    """Our address with a token in it: `sales@x.mn`, `r`, `TOKEN` -> `sales+r.TOKEN@x.mn` (RFC 5233)."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{kind}.{token}@{domain}"


def _headers(out: OutboundMessage, plus_addressing: bool) -> list[str]:
    lines = [
        f"Date: {format_datetime(out.sent_at.astimezone(UTC))}\r\n",
        message_id(out.message_ref),
        addresses_header("From", [out.sender]),
    ]
    if out.to:
        lines.append(addresses_header("To", out.to))
    if out.cc:
        lines.append(addresses_header("Cc", out.cc))
    if not out.to and not out.cc:
        lines.append("To: undisclosed-recipients:;\r\n")
    if plus_addressing and out.reply_token:
        answer_to = Address("email", with_token(out.sender.value, "r", out.reply_token), out.sender.name)
        lines.append(addresses_header("Reply-To", [answer_to]))
    lines.append(text_header("Subject", out.subject))
    if out.in_reply_to:
        lines.append(references_header("In-Reply-To", [out.in_reply_to]))
    parent = (out.in_reply_to,) if out.in_reply_to and out.in_reply_to not in out.references else ()
    lines.append(references_header("References", (*out.references, *parent)))
    if out.auto_submitted:
        lines.append(f"Auto-Submitted: {'auto-replied' if out.in_reply_to else 'auto-generated'}\r\n")
        # Outlook and Exchange look only at this one.
        lines.append("X-Auto-Response-Suppress: All\r\n")
    lines += [
        text_header(name, value)
        for name, value in out.headers.items()
        if usable_name(name) and name.lower() not in _OWN_HEADERS and not name.lower().startswith("content-")
    ]
    return lines


def _content(out: OutboundMessage) -> _Part:
    """mixed(alternative(text, related(html, images)), attachments), without the layers that would hold one part."""
    boundary = f"=_{hashlib.sha256(out.message_ref.encode()).hexdigest()[:24]}"
    inline: list[Attachment] = []
    attached: list[Attachment] = []
    for each in out.attachments:
        (inline if out.html and each.inline and each.content_id else attached).append(each)
    bodies: list[_Part] = []
    if out.text or not out.html:
        bodies.append(_text("plain", out.text))
    if out.html:
        html = _text("html", out.html)
        related = [html, *(_attachment(each, inline=True) for each in inline)]
        bodies.append(_multipart("related", related, f"{boundary}_r") if inline else html)
    body = bodies[0] if len(bodies) == 1 else _multipart("alternative", bodies, f"{boundary}_a")
    if not attached:
        return body
    return _multipart("mixed", [body, *(_attachment(each, inline=False) for each in attached)], f"{boundary}_m")


def _multipart(kind: str, parts: Sequence[_Part], boundary: str) -> _Part:
    delimiter = f"--{boundary}\r\n".encode()
    pieces: list[bytes] = []
    for part in parts:
        pieces += [delimiter, part.headers.encode(), b"\r\n", part.body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    # "=_" can stand in no encoded body, and in plain text only for who knows the Message-ID beforehand.
    return _Part(f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n', b"".join(pieces))


def _text(subtype: str, content: str) -> _Part:
    data = content.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    foreign = 0 if data.isascii() else len(data.translate(None, _ASCII))
    if not foreign and b"\0" not in data and not _has_long_line(data):
        encoding, body = "7bit", data.replace(b"\n", b"\r\n")
    elif foreign * 6 < len(data):
        encoding, body = "quoted-printable", binascii.b2a_qp(data).replace(b"\n", b"\r\n")
    else:
        encoding, body = "base64", _base64(data.replace(b"\n", b"\r\n"))
    return _Part(f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n", body)


def _attachment(attachment: Attachment, *, inline: bool) -> _Part:
    if attachment.content is None:
        raise ValueError("an attachment has to be loaded before it can be sent")
    content = attachment.content
    media_type = attachment.media_type if usable_media_type(attachment.media_type) else "application/octet-stream"
    encoding, body = "base64", b""
    if media_type.lower().startswith("message/"):
        # Mails in a mail may not be encoded (RFC 2046 section 5.2.1): sent as they are, or as a plain file.
        lines = content.replace(b"\r\n", b"\n")
        if content.isascii() and b"\0" not in lines and b"\r" not in lines and not _has_long_line(lines):
            encoding, body = "7bit", lines.replace(b"\n", b"\r\n")
        else:
            media_type = "application/octet-stream"
    body = body or _base64(content)
    disposition = "inline" if inline else "attachment"
    name = cleaned(attachment.name).strip()
    headers = [
        f"Content-Type: {media_type}\r\n",
        f"Content-Transfer-Encoding: {encoding}\r\n",
        f"Content-Disposition: {disposition}{parameter('filename', name) if name else ''}\r\n",
    ]
    if attachment.content_id:
        headers.append(references_header("Content-ID", [attachment.content_id]))
    return _Part("".join(headers), body)


def _has_long_line(data: bytes) -> bool:
    return max(map(len, data.split(b"\n"))) > _LINE_LONGEST  # eighteen times as fast as a regular expression


def _base64(data: bytes) -> bytes:
    encoded = base64.b64encode(data)
    return b"\r\n".join([encoded[at : at + 76] for at in range(0, len(encoded), 76)])
