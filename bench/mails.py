"""Raw mails as a support address gets them: generated, realistic in kind and size, the same in every run.

Of a hundred, 40 are answers from Gmail with quoted history, 15 from Outlook, 20 plain text, 10 HTML alone of 10 to
25 KB and 15 carry a file or a picture of 10 to 90 KB. Of those from somebody known, two in five answer an earlier one.
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime

import msgspec

from bench import words

ADDRESS = "hello@shop.mn"
_BEGIN = datetime(2026, 11, 2, 8, tzinfo=UTC)
_CONTINUES = 0.4
_EOL = "\r\n"


class _Writer(msgspec.Struct):
    name: str
    address: str
    language: int
    sent: list[str]
    """Message-IDs so far."""


def mails(count: int, seed: int, people: int = 0) -> list[bytes]:
    """That many different mails from `people`, or half as many as mails; other seeds give others, from other people.

    Everybody has written once before somebody writes again.
    """
    chance = random.Random(seed)
    people = people or max(1, count // 2)
    writers = [_writer(chance, f"{seed}-{number}") for number in range(people)]
    writing = [*writers, *chance.choices(writers, k=count)][:count]
    return [_mail(chance, writer, f"{seed}.{number}") for number, writer in enumerate(writing)]


def _writer(chance: random.Random, number: str) -> _Writer:
    name = words.name(chance)
    address = f"{name.replace(' ', '.').lower()}.{number}@{chance.choice(('example.com', 'example.mn', 'example.org'))}"
    return _Writer(name, address, words.language(chance), [])


def _mail(chance: random.Random, writer: _Writer, number: str) -> bytes:
    message_id = f"<{number}.{chance.getrandbits(64):x}@mail.example.com>"
    subject = words.sentence(chance, chance.randint(3, 7), writer.language).rstrip(".")
    headers = [
        *_transport_headers(chance, writer),
        f"From: {writer.name} <{writer.address}>",
        f"To: Shop <{ADDRESS}>",
        f"Date: {format_datetime(_BEGIN + timedelta(seconds=chance.randrange(1_500_000)))}",
        f"Message-ID: {message_id}",
        "MIME-Version: 1.0",
    ]
    if chance.random() < 0.15:
        headers.append("Cc: Colleague <colleague@example.com>")
    if writer.sent and chance.random() < _CONTINUES:
        headers += [f"In-Reply-To: {writer.sent[-1]}", "References: " + "\r\n ".join(writer.sent[-10:])]
        subject = f"Re: {subject}"
    headers.append(f"Subject: {Header(subject, 'utf-8' if writer.language else None).encode(linesep=_EOL)}")
    writer.sent.append(message_id)
    part = chance.choices(_KINDS, _WEIGHTS)[0](chance, writer)
    return _EOL.join([*headers, part]).encode()


def _transport_headers(chance: random.Random, writer: _Writer) -> list[str]:
    """What servers on the way put on top."""
    received = [
        f"Received: from {hop} ([192.0.2.{chance.randrange(256)}]) by {hop} with ESMTPS id {chance.getrandbits(80):x}"
        f"\r\n for <{ADDRESS}>; Mon, 02 Nov 2026 08:00:00 +0000"
        for hop in ("mx.shop.mn", "relay.example.com", "out.example.com")
    ]
    signature = base64.b64encode(chance.randbytes(256)).decode()
    folded = "\r\n ".join(signature[at : at + 70] for at in range(0, len(signature), 70))
    signed = f"h=from:to:subject:date:message-id; bh={signature[:44]};\r\n b={folded}"
    return [
        f"Return-Path: <{writer.address}>",
        *received,
        "Authentication-Results: mx.shop.mn; dkim=pass header.i=@example.com; spf=pass; dmarc=pass",
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=20230601; t=1793606400;\r\n {signed}",
    ]


def _gmail(chance: random.Random, writer: _Writer) -> str:
    said = words.paragraphs(chance, 3, writer.language)
    text, html = "\r\n\r\n".join(said), "".join(f'<div dir="ltr">{one}</div><div><br></div>' for one in said)
    head = "On Mon, Nov 2, 2026 at 9:00 AM Shop <hello@shop.mn> wrote:"
    for level in range(1, chance.randint(2, 4)):
        old = words.paragraphs(chance, 4, writer.language)
        text += f"\r\n\r\n{'> ' * (level - 1)}{head}\r\n\r\n"
        text += _EOL.join(f"{'> ' * level}{line}" for one in old for line in _wrapped(one))
        quoted = "".join(f"<p>{one}</p>" for one in old)
        html += (
            '<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Mon, Nov 2, 2026 at 9:00 AM Shop '
            '&lt;<a href="mailto:hello@shop.mn">hello@shop.mn</a>&gt; wrote:<br></div>'
            '<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);'
            f'padding-left:1ex"><div style="font-family:arial,sans-serif">{quoted}</div></blockquote></div>'
        )
    return _multipart("alternative", _text("plain", text), _text("html", html))


def _outlook(chance: random.Random, writer: _Writer) -> str:
    said, old = words.paragraphs(chance, 4, writer.language), words.paragraphs(chance, 6, writer.language)
    head = ("From: Shop <hello@shop.mn>", "Sent: Monday, November 2, 2026 9:00 AM", "To: You", "Subject: Your order")
    text = "\r\n\r\n".join([*said, f"Best regards\r\n{writer.name}", "_" * 32, _EOL.join(head), *old])
    style = "p.MsoNormal{margin:0cm;font-size:11.0pt;font-family:Calibri,sans-serif;mso-fareast-language:EN}\r\n" * 12
    new_rows, old_rows = (
        "".join(f'<p class="MsoNormal"><span lang="EN-US">{one}<o:p></o:p></span></p>\r\n' for one in rows)
        for rows in (said, old)
    )
    lines = "<br>".join(f"<b>{line.replace('<', '&lt;').replace('>', '&gt;')}</b>" for line in head)
    html = (
        f'<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style><!--{style}--></style></head>'
        f'<body lang="EN-US"><div class="WordSection1">{new_rows}'
        '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">'
        f'<p class="MsoNormal">{lines}</p></div>{old_rows}</div></body></html>'
    )
    return _multipart("alternative", _text("plain", text), _text("html", html))


def _plain(chance: random.Random, writer: _Writer) -> str:
    said = [line for one in words.paragraphs(chance, 5, writer.language) for line in (*_wrapped(one), "")]
    return _text("plain", _EOL.join([*said, "-- ", writer.name, "+976 7000 0000"]))


def _html_alone(chance: random.Random, writer: _Writer) -> str:
    cell = '<td style="padding:8px 16px;font:14px/20px Arial,sans-serif;color:#333" align="left" valign="top">'
    rows = []
    for number in range(chance.randint(20, 50)):
        url = f"https://shop.example.com/item/{chance.randrange(10_000)}?utm_source=mail&amp;n={number}"
        picture = f'<img src="https://cdn.example.com/{number}.jpg" width="64" height="64" alt="">'
        caption = words.sentence(chance, 12, writer.language)
        rows.append(f'<tr>{cell}{picture}</td>{cell}<a href="{url}">{caption}</a></td></tr>')
    table = f'<table width="600" cellpadding="0" border="0">{_EOL.join(rows)}</table>'
    return _text("html", f"<html><body>{table}</body></html>")


def _with_file(chance: random.Random, writer: _Writer) -> str:
    said = words.paragraphs(chance, 2, writer.language)
    text, html = "\r\n\r\n".join(said), "".join(f"<p>{one}</p>" for one in said)
    body = _multipart("alternative", _text("plain", text), _text("html", html))
    media_type, name = chance.choice((("application/pdf", "invoice.pdf"), ("image/jpeg", "photo of it.jpg")))
    data = base64.encodebytes(chance.randbytes(chance.randint(10_000, 90_000))).decode().replace("\n", _EOL)
    file = (
        f'Content-Type: {media_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n{data}'
    )
    return _multipart("mixed", body, file)


def _text(subtype: str, content: str) -> str:
    encoded = binascii.b2a_qp(content.encode(), istext=True).decode().replace(_EOL, "\n").replace("\n", _EOL)
    return (
        f'Content-Type: text/{subtype}; charset="UTF-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{encoded}'
    )


def _multipart(subtype: str, *parts: str) -> str:
    boundary = f"000000000000{subtype}0615af"
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n{body}--{boundary}--\r\n'


def _wrapped(text: str) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > 72:
            lines.append(line)
            line = ""
        line = f"{line} {word}".lstrip()
    return [*lines, line]


_KINDS: tuple[Callable[[random.Random, _Writer], str], ...] = (_gmail, _outlook, _plain, _html_alone, _with_file)
_WEIGHTS = (40, 15, 20, 10, 15)
