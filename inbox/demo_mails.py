"""The raw mails of the demo, as the mail programs of its people would write them, and the files they carry. Pure."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage, MIMEPart
from email.policy import default
from email.utils import format_datetime
from html import escape
from typing import NamedTuple

import msgspec

from inbox.conversations.model import Message
from inbox.demo_script import ZONE, Cue, Person, Said

_POLICY = default.clone(max_line_length=900)
"""Where it folds a long header that is not ASCII, the standard library of Python 3.11 loses a space."""
_WIDTH, _HEIGHT = 400, 225


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to be written."""

    cue: Cue
    said: Said
    message_id: str
    to: str
    """Our own address."""
    answered: Message | None = None
    """What it answers."""

    @property
    def writer(self) -> Person:
        """Who writes it."""
        return self.cue.person


class _Colours(NamedTuple):
    sky: tuple[int, int, int]
    hill: tuple[int, int, int]
    land: tuple[int, int, int]


_PICTURES = (
    _Colours((122, 176, 219), (86, 112, 140), (122, 146, 84)),
    _Colours((240, 190, 140), (150, 110, 120), (196, 160, 104)),
    _Colours((186, 206, 224), (108, 130, 122), (70, 120, 150)),
    _Colours((250, 214, 170), (120, 96, 104), (128, 132, 84)),
)


def write(letter: Letter) -> bytes:
    """The mail as it comes in."""
    said, answered = letter.said, letter.answered
    if said.kind == "bounce" and answered is not None:
        return _bounce(letter, answered)
    mail = _head(letter)
    mail["Subject"] = f"Re: {letter.cue.talk.subject}" if answered else letter.cue.talk.subject
    if answered is not None:
        mail["In-Reply-To"] = f"<{answered.message_ref}>"
        mail["References"] = " ".join(f"<{ref}>" for ref in (*answered.references[-8:], answered.message_ref))
    if said.kind == "away":
        mail["Auto-Submitted"] = "auto-replied" if answered else "auto-generated"
        mail["Precedence"] = "bulk"
    quoted = answered if said.kind == "mail" else None
    mail.set_content(said.text.strip() + "\n" + (_quoted_text(letter, quoted) if quoted else ""))
    if letter.writer.client != "plain" or said.html or said.pictures:
        html = (said.html or _html(letter)) + (_quoted_html(letter, quoted) if quoted else "")
        mail.add_alternative(f"<html><body>{html}</body></html>", subtype="html")
        for name in said.pictures:
            cid = f"<{_content_id(letter, name)}>"
            _page(mail).add_related(document(name), "image", "png", cid=cid, filename=name, disposition="inline")
    if said.kind == "invite":
        _invite(mail, letter)
    for name in said.files:
        kind, _, subtype = media_type(name).partition("/")
        mail.add_attachment(document(name), maintype=kind, subtype=subtype, filename=name)
    return mail.as_bytes()


def media_type(name: str) -> str:
    """The media type of a file of the demo."""
    return "image/png" if name.endswith(".png") else "application/pdf"


def document(name: str) -> bytes:
    """A file of the demo: a small picture or a page, always the same for the same name."""
    title = name.rpartition(".")[0].replace("-", " ")
    return _png(zlib.crc32(name.encode())) if name.endswith(".png") else _pdf(title)


def _head(letter: Letter) -> EmailMessage:
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = f'"{letter.writer.name}" <{letter.writer.email}>'
    mail["To"] = letter.to
    mail["Date"] = format_datetime(letter.cue.at.astimezone(ZONE))
    mail["Message-ID"] = f"<{letter.message_id}>"
    return mail


def _page(mail: EmailMessage) -> MIMEPart:
    html = mail.get_body(("related", "html"))
    assert html is not None  # it was just added
    return html


def _content_id(letter: Letter, name: str) -> str:
    return f"{name}.{letter.message_id}"


def _html(letter: Letter) -> str:
    parts = [escape(part).replace("\n", "<br>") for part in letter.said.text.strip().split("\n\n")]
    parts += [f'<img src="cid:{_content_id(letter, name)}" alt="">' for name in letter.said.pictures]
    return "".join(f"<p>{part}</p>" for part in parts)


def _headline(letter: Letter, answered: Message) -> str:
    at, sender = answered.at.astimezone(ZONE), answered.sender
    name, address = (sender.name, sender.value) if sender else ("", "")
    return letter.cue.headline.format(date=f"{at:%d.%m.%Y}", time=f"{at:%H:%M}", name=name, address=address)


def _quoted_text(letter: Letter, answered: Message) -> str:
    quote = "\n".join(f"> {line}".rstrip() for line in answered.text.splitlines())
    return f"\n{_headline(letter, answered)}\n\n{quote}\n"


def _quoted_html(letter: Letter, answered: Message) -> str:
    """What was answered, marked as each mail program marks it."""
    inner = "<br>".join(escape(line) for line in answered.text.splitlines())
    head = escape(_headline(letter, answered))
    if letter.writer.client == "outlook":
        sender = escape(answered.sender.value if answered.sender else "")
        lines = f"<b>From:</b> {sender}<br><b>Sent:</b> {answered.at:%d.%m.%Y}<br><b>To:</b> {letter.cue.person.email}"
        return f'<hr><div id="divRplyFwdMsg" dir="ltr">{lines}</div><div>{inner}</div>'
    if letter.writer.client == "apple":
        return f'<div><br><blockquote type="cite"><div>{head}<br><br></div><div>{inner}</div></blockquote></div>'
    quote = f'<blockquote class="gmail_quote" style="margin:0 0 0 .8ex;border-left:1px solid #ccc">{inner}</blockquote>'
    return f'<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{head}<br></div>{quote}</div>'


def _invite(mail: EmailMessage, letter: Letter) -> None:
    begins = (letter.cue.at + timedelta(days=5)).replace(hour=8, minute=0, second=0)
    calendar = "\r\n".join(
        (
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//demo//EN",
            "METHOD:REQUEST",
            "BEGIN:VEVENT",
            f"UID:{letter.message_id}",
            f"DTSTAMP:{letter.cue.at:%Y%m%dT%H%M%SZ}",
            f"DTSTART:{begins:%Y%m%dT%H%M%SZ}",
            f"DTEND:{begins + timedelta(minutes=45):%Y%m%dT%H%M%SZ}",
            f"SUMMARY:{letter.cue.talk.subject}",
            f"ORGANIZER;CN={letter.writer.name}:mailto:{letter.writer.email}",
            f"ATTENDEE;RSVP=TRUE:mailto:{letter.to}",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        )
    )
    mail.add_alternative(calendar, subtype="calendar", params={"method": "REQUEST"})


def _bounce(letter: Letter, answered: Message) -> bytes:
    """A delivery status notification (RFC 3464) about what was answered."""
    mail, words, address = _head(letter), letter.said.text, letter.writer.email
    host = address.rpartition("@")[2]
    mail.replace_header("From", f"Mail Delivery System <mailer-daemon@{host}>")
    mail["Subject"] = "Undelivered mail returned to sender"
    mail["Auto-Submitted"] = "auto-replied"
    boundary = f"=_{letter.message_id}"
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
    status = (
        f"Reporting-MTA: dns; mx.{host}\n\nFinal-Recipient: rfc822; {address}\nAction: failed\n"
        f"Status: {words.split()[1]}\nDiagnostic-Code: smtp; {words}\n"
    )
    parts = (
        f"Content-Type: text/plain; charset=utf-8\n\nYour mail could not be delivered to {address}:\n\n  {words}\n",
        f"Content-Type: message/delivery-status\n\n{status}",
        f"Content-Type: text/rfc822-headers\n\nMessage-ID: <{answered.message_ref}>\nTo: {address}\n",
    )
    body = "".join(f"--{boundary}\n{part}\n" for part in parts) + f"--{boundary}--\n"
    return mail.as_bytes() + body.encode()


def _pdf(title: str) -> bytes:
    """A page of text as PDF 1.4, in a font that every reader has."""
    lines = [title.capitalize(), "", "Salkhin Zam, Ulaanbaatar", "", "This page is part of the demo."]
    text = "\n".join(f"({line}) Tj T*" for line in lines)
    stream = f"BT /F1 16 Tf 20 TL 72 760 Td\n{text}\nET".encode("ascii", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + end


def _png(seed: int) -> bytes:
    """A landscape: sky, hills and land, different for each seed."""
    colours = _PICTURES[seed % len(_PICTURES)]
    phase = seed % 628 / 100
    ridges = [
        (0.45 + 0.08 * math.sin(phase + x / 70) + 0.04 * math.sin(2 * phase + x / 23), 0.7 + 0.03 * math.sin(x / 90))
        for x in range(_WIDTH)
    ]
    rows = [b"\0" + _row(y / _HEIGHT, ridges, colours) for y in range(_HEIGHT)]
    head = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _row(height: float, ridges: Sequence[tuple[float, float]], colours: _Colours) -> bytes:
    """One line of the picture; the sky grows paler towards the hills."""
    sky = bytes(min(255, round(part + 60 * height)) for part in colours.sky)
    hill, land = bytes(colours.hill), bytes(colours.land)
    return b"".join(sky if height < ridge else hill if height < shore else land for ridge, shore in ridges)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
