"""What is composed is read back by the standard library as it was meant, whatever people write."""

from __future__ import annotations

import email.header
import email.message
import email.policy
import email.utils
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.base import Address, Attachment, OutboundMessage
from channels.email.compose import compose
from channels.email.header_text import Unsendable, addr_spec

Make = Callable[..., OutboundMessage]

SCRIPTS = st.sampled_from(
    [
        "Сайн байна уу",
        "Здравствуйте",
        "Ünïcödé",
        "日本語",
        "🐎🏕️",
        "a",
        "Z 9",
        "=?utf-8?b?x?=",
        '"',
        "\\",
        ",",
        "<x@y>",
        "(",
        "  ",
    ]
)
TEXT = st.one_of(st.text(max_size=200), st.lists(SCRIPTS, max_size=30).map(" ".join))
LONG_WORD = "x" * 2000
ANN = Address("email", "ann@example.org", "Ann")


def message(**fields: Any) -> OutboundMessage:
    return OutboundMessage(
        **{
            "inbox_id": "inbox-1",
            "message_ref": "ref-1@example.mn",
            "sender": Address("email", "shop@example.mn", "Shop"),
            "to": (ANN,),
            "sent_at": datetime(2026, 11, 21, 8, 30, tzinfo=UTC),
            **fields,
        }
    )


def read(out: OutboundMessage, **options: Any) -> email.message.EmailMessage:
    raw = compose(out, **options).message
    assert_well_formed(raw)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert not parsed.defects
    assert isinstance(parsed, email.message.EmailMessage)
    return parsed


def assert_well_formed(raw: bytes) -> None:
    """CRLF and nothing else ends a line, no line is longer than SMTP takes, and all is 7-bit."""
    assert not re.search(rb"[^\r]\n|\r[^\n]", raw)
    assert raw.isascii()
    assert b"\0" not in raw
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


def one_line(value: str) -> str:
    """As a header can hold it."""
    value = re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", value)
    return re.sub("[\ud800-\udfff]", "\ufffd", value).strip()


def decoded(raw: bytes, name: str) -> str:
    """A header by RFC 2047 alone: the newer reader leaves a space between the encoded words of a name."""
    header = email.message_from_bytes(raw)[name]
    return str(email.header.make_header(email.header.decode_header(header)))


@given(TEXT)
@example("a\r\nBcc: eve@example.org")
@example(LONG_WORD)
@example("Хариу: " + "захиалгын дугаар " * 40)
@example(" leading and trailing ")
@example("two  spaces")
def test_any_subject_comes_back_on_one_line(subject: str) -> None:
    raw = compose(message(subject=subject)).message
    assert_well_formed(raw)
    assert decoded(raw, "Subject") == one_line(subject)
    assert "Bcc" not in email.message_from_bytes(raw)


@given(TEXT)
@example('Дорж "Бат", ХХК')
@example("x" * 300)
@example("Ann\r\nBcc: eve@example.org")
@example("=?utf-8?q?evil?= <eve@example.org>")
def test_any_name_comes_back_beside_its_address(name: str) -> None:
    raw = compose(
        message(to=(Address("email", "ann@example.org", name), Address("email", "bob@example.org", "Bob")))
    ).message
    assert_well_formed(raw)
    header = email.message_from_bytes(raw)["To"]
    pairs = email.utils.getaddresses([header])
    assert [address for _, address in pairs] == ["ann@example.org", "bob@example.org"]
    found = str(email.header.make_header(email.header.decode_header(pairs[0][0])))
    assert found == one_line(name)


@given(TEXT, TEXT)
@example("plain\nlines\n-- \nAnn", "")
@example("trailing space \nFrom the start\n.\n..\n", "<p>hi</p>")
@example(LONG_WORD, f"<p>{LONG_WORD}</p>")
@example("нэг\r\nхоёр\rгурав\n", "<p>Дөрөв — é</p>")
@example("nul \x00 here", "a = b")
def test_any_text_and_html_come_back(text: str, html: str) -> None:
    parsed = read(message(text=text, html=html))
    for subtype, content in (("plain", text), ("html", html)):
        body = parsed.get_body((subtype,))
        if not content and (subtype == "html" or html):
            assert body is None
            continue
        assert body is not None
        expected = content.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
        assert body.get_content().replace("\r\n", "\n").rstrip("\n") == expected.rstrip("\n")


@given(st.lists(st.tuples(TEXT, st.binary(max_size=300)), max_size=4))
@example([("Гэрээ 2026 эцсийн хувилбар — гарын үсэгтэй.pdf", b"%PDF"), ('a"b\\c.txt', b"")])
@example([("../../etc/passwd\r\nX: y", b"x"), ("n" * 400, b"x"), ("🐎" * 60 + ".png", b"x")])
@example([("100%.txt", b"x"), ("it's; a=b.txt", b"x")])
def test_any_attachment_comes_back_with_its_name(files: list[tuple[str, bytes]]) -> None:
    attachments = tuple(
        Attachment(name=name, media_type="application/pdf", size=len(content), content=content)
        for name, content in files
    )
    parsed = read(message(text="see attached", attachments=attachments))
    found = list(parsed.iter_attachments())
    assert [part.get_content() for part in found] == [content for _, content in files]
    for part, (name, _) in zip(found, files, strict=True):
        # The reader takes away quotes around the whole name, though they belong to it.
        assert (part.get_filename() or "") == email.utils.unquote(one_line(name)).strip()
        assert part.get_content_disposition() == "attachment"


def test_all_layers_stand_where_mail_programs_look_for_them() -> None:
    picture = Attachment(
        name="зураг.png", media_type="image/png", size=3, content=b"png", content_id="pic@x", inline=True
    )
    contract = Attachment(name="a.pdf", media_type="application/pdf", size=3, content=b"pdf")
    parsed = read(message(text="hi", html='<img src="cid:pic@x">', attachments=(picture, contract)))
    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    image = next(part for part in parsed.walk() if part.get_content_type() == "image/png")
    assert (image["Content-ID"], image.get_content_disposition()) == ("<pic@x>", "inline")


def test_layers_that_would_hold_one_part_are_left_out() -> None:
    assert read(message(text="hi")).get_content_type() == "text/plain"
    assert read(message(html="<p>hi</p>")).get_content_type() == "text/html"
    assert read(message(text="hi", html="<p>hi</p>")).get_content_type() == "multipart/alternative"


def test_an_inline_picture_of_a_text_only_mail_is_attached() -> None:
    picture = Attachment(name="a.png", media_type="image/png", size=3, content=b"png", content_id="a", inline=True)
    parsed = read(message(text="hi", attachments=(picture,)))
    assert [part.get_content_type() for part in parsed.walk()] == ["multipart/mixed", "text/plain", "image/png"]


@pytest.mark.parametrize("media_type", ["evil\r\nX-Evil: 1", "multipart/mixed", "nonsense", "", "image/png; name=x"])
def test_a_strange_media_type_becomes_a_plain_file(media_type: str) -> None:
    attachment = Attachment(name="a", media_type=media_type, size=1, content=b"x")
    parsed = read(message(text="hi", attachments=(attachment,)))
    assert next(parsed.iter_attachments()).get_content_type() == "application/octet-stream"


def test_a_forwarded_mail_stays_a_mail_where_it_can() -> None:
    plain = Attachment(name="a.eml", media_type="message/rfc822", size=1, content=b"Subject: old\r\n\r\nbody\r\n")
    foreign = Attachment(name="b.eml", media_type="message/rfc822", size=1, content="Subject: é\n\n".encode())
    first, second = read(message(text="hi", attachments=(plain, foreign))).iter_attachments()
    assert first.get_content()["Subject"] == "old"
    assert second.get_content_type() == "application/octet-stream"
    assert second.get_content() == foreign.content


def test_the_headers_of_an_answer() -> None:
    out = message(
        subject="Re: order",
        in_reply_to="q3@example.org",
        references=("q1@example.org", "q2@example.org"),
        cc=(ANN,),
        bcc=(ANN,),
    )
    parsed = read(out)
    assert parsed["Date"] == "Sat, 21 Nov 2026 08:30:00 +0000"
    assert parsed["Message-ID"] == "<ref-1@example.mn>"
    assert parsed["In-Reply-To"] == "<q3@example.org>"
    assert parsed["References"] == "<q1@example.org> <q2@example.org> <q3@example.org>"
    assert parsed["Cc"] == "Ann <ann@example.org>"
    for name in ("Bcc", "Reply-To", "Auto-Submitted", "X-Auto-Response-Suppress"):
        assert parsed[name] is None


def test_a_long_thread_keeps_its_beginning_and_its_latest() -> None:
    references = tuple(f"message-number-{number}@mail.example.org" for number in range(400))
    found = read(message(references=references))["References"].split()
    assert len(found) == 50
    assert found[0] == "<message-number-0@mail.example.org>"
    assert found[1:] == [f"<{each}>" for each in references[-49:]]


def test_an_id_that_is_none_is_left_out() -> None:
    parsed = read(message(references=("a@b", "c d", "x>\r\nBcc: eve@example.org", "é@b", ""), in_reply_to="b\r\nad"))
    assert parsed["References"] == "<a@b>"
    assert parsed["In-Reply-To"] is None
    assert parsed["Bcc"] is None


def test_the_tokens_go_into_our_own_address_where_plus_addressing_works() -> None:
    out = message(reply_token="RT", bounce_token="BT")
    composed = compose(out, plus_addressing=True)
    assert composed.envelope_from == "shop+b.BT@example.mn"
    assert read(out, plus_addressing=True)["Reply-To"] == "Shop <shop+r.RT@example.mn>"
    assert compose(out).envelope_from == "shop@example.mn"
    assert read(out)["Reply-To"] is None


def test_an_automatic_mail_says_so() -> None:
    assert read(message(auto_submitted=True))["Auto-Submitted"] == "auto-generated"
    answer = read(message(auto_submitted=True, in_reply_to="a@b"))
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["X-Auto-Response-Suppress"] == "All"


def test_other_headers_are_added_but_none_of_ours_is_replaced() -> None:
    headers = {
        "List-Unsubscribe": "<https://example.mn/u/" + "t" * 90 + ">, <mailto:u@example.mn>",
        "X-Campaign": "Намар",
        "Bcc": "eve@example.org",
        "from": "eve@example.org",
        "Content-Type": "text/evil",
        "X-Evil: yes\r\nBcc": "eve@example.org",
        "X-Lines": "a\r\nBcc: eve@example.org",
    }
    raw = compose(message(headers=headers)).message
    parsed = email.message_from_bytes(raw)
    assert decoded(raw, "X-Campaign") == "Намар"
    assert re.sub(r"\s+", " ", parsed["List-Unsubscribe"]) == headers["List-Unsubscribe"]
    assert parsed["Bcc"] is None
    assert parsed["From"] == "Shop <shop@example.mn>"
    assert parsed["X-Lines"] == "a Bcc: eve@example.org"
    assert parsed.get_content_type() == "text/plain"


def test_everybody_is_a_recipient_once_and_bcc_is_told_to_nobody() -> None:
    bob, eve = Address("email", "bob@example.org"), Address("email", "eve@example.org")
    composed = compose(message(to=(ANN, bob), cc=(ANN,), bcc=(eve,)))
    assert composed.recipients == ["ann@example.org", "bob@example.org", "eve@example.org"]
    assert b"eve@" not in composed.message
    assert b"To: undisclosed-recipients:;\r\n" in compose(message(to=(), bcc=(eve,))).message


@pytest.mark.parametrize(
    ("given_address", "written"),
    [
        ("ann@example.org", "ann@example.org"),
        ("ann@өвөө.mn", "ann@xn--b1a97aba.mn"),
        ("ann@straße.de", "ann@xn--strae-oqa.de"),
        ("бат@өвөө.mn", "бат@xn--b1a97aba.mn"),
        ('"a b"@example.org', '"a b"@example.org'),
        ("a..b@example.org", '"a..b"@example.org'),
        ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
    ],
)
def test_addresses_are_written_as_smtp_wants_them(given_address: str, written: str) -> None:
    assert addr_spec(given_address) == written


@pytest.mark.parametrize(
    "nonsense",
    ["", "ann", "@example.org", "ann@", "ann@exa mple.org", "ann@example.org>\r\nRCPT TO:<eve@example.org", "a\n@b.mn",
     "ann@-x-", "ann@a>b", "ann@б\u200e\u2028.mn", "\ud800@example.org"],
)  # fmt: skip
def test_what_is_no_address_cannot_be_sent_to(nonsense: str) -> None:
    with pytest.raises(Unsendable):
        compose(message(to=(Address("email", nonsense),)))


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_address_reaches_beyond_its_place(local: str, domain: str) -> None:
    try:
        composed = compose(message(to=(Address("email", f"{local}@{domain}"), ANN)))
    except Unsendable:
        return
    assert composed.recipients[-1] == "ann@example.org"
    assert not re.search(r"[\x00-\x1f\x7f]", composed.recipients[0])
    headers = composed.message.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.split(b":")[0] for line in headers if line[:1] not in {b" ", b"\t"}]
    assert names[:5] == [b"Date", b"Message-ID", b"From", b"To", b"Subject"]
    assert names[5:] == [b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"]


def test_a_message_to_nobody_cannot_be_sent() -> None:
    with pytest.raises(Unsendable, match="no recipient"):
        compose(message(to=()))


def test_the_same_message_is_written_the_same_on_every_try() -> None:
    out = message(
        text="hi", html="<p>hi</p>", attachments=(Attachment(name="a", media_type="a/b", size=1, content=b"x"),)
    )
    assert compose(out) == compose(out)
