"""Whatever the bytes: an answer, the same one each time, in bounded time and space."""

from __future__ import annotations

import email.policy
from email.message import EmailMessage

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base import InboundMessage, Raw
from channels.email import mime, wording
from channels.email.parse import parse
from channels.email.report import report, report_line
from tests.channels.email.parse.conftest import MAILS

RECORDED = sorted(MAILS.glob("*.eml"))
SOURCES = [path.read_bytes() for path in RECORDED]


def check(source: bytes) -> None:
    shown = report("x", source)
    assert wording.UNPARSED not in shown["warnings"]
    assert shown == report("x", source)
    assert orjson.loads(report_line("x", source)) == shown
    events = parse(Raw(body=source), "inbox")
    assert events
    assert len({event.external_id for event in events}) == len(events)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2000))
def test_garbage_is_read(source: bytes) -> None:
    check(source)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    source = bytearray(draw(st.sampled_from(SOURCES)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(source)))
        length = draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["drop", "double", "noise", "cut", "splice"]))
        if kind == "drop":
            del source[at : at + length]
        elif kind == "double":
            source[at:at] = source[at : at + length]
        elif kind == "noise":
            source[at : at + length] = draw(st.binary(max_size=40))
        elif kind == "cut":
            del source[at:]
        else:
            other = draw(st.sampled_from(SOURCES))
            source[at:at] = other[: draw(st.integers(0, len(other)))]
    return bytes(source)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(mutated())
def test_damaged_mails_are_read(source: bytes) -> None:
    check(source)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["From", "To", "Subject", "Date", "Message-ID", "References", "Content-Type", "Content-Disposition",
                     "Content-Transfer-Encoding", "Content-ID", "Auto-Submitted", "Return-Path"]),
    st.text(alphabet=st.sampled_from("<>@\"'()[],;:=?*%_.-+/\\ abQB8utf\tё\x00"), max_size=300),
)  # fmt: skip
def test_any_header_value_is_read(name: str, value: str) -> None:
    check(f"{name}: {value}\n\nbody".encode())


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(SOURCES), st.lists(st.from_regex(r"[a-z ]{1,40}", fullmatch=True), max_size=3))
def test_the_external_id_is_the_same_under_more_received_lines(source: bytes, hops: list[str]) -> None:
    # Added at the top, as servers do; what is no header line at the top of these would not be one before either.
    if source.startswith((b"Just", b"From ")):
        return
    longer = b"".join(f"Received: from {hop}\n".encode() for hop in hops) + source
    assert [each.external_id for each in parse(Raw(body=longer), "i")] == [
        each.external_id for each in parse(Raw(body=source), "i")
    ]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["png", "pdf"]), st.binary(max_size=200)), max_size=4),
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"]), max_size=80),
    st.sampled_from([email.policy.default, email.policy.SMTP]),
)
def test_what_the_standard_library_writes_is_read_as_the_standard_library_reads_it(
    files: list[tuple[str, bytes]], subject: str, policy: email.policy.EmailPolicy
) -> None:
    mail = EmailMessage()
    mail["Subject"] = subject
    mail.set_content("Сайн уу\n")
    mail.add_alternative("<p>Сайн уу</p>", subtype="html")
    for number, (kind, data) in enumerate(files):
        mail.add_attachment(data, maintype="application", subtype=kind, filename=f"файл {number}.{kind}")
    source = mail.as_bytes(policy=policy)
    theirs = email.message_from_bytes(source, policy=email.policy.default)
    body = theirs.get_body(("plain",))
    assert body is not None
    (event,) = parse(Raw(body=source), "inbox")
    assert isinstance(event, InboundMessage)
    assert event.subject == " ".join(str(theirs["subject"]).split())
    assert event.text == body.get_content().rstrip()
    assert [(each.name, each.media_type, each.content) for each in event.attachments] == [
        (each.get_filename(), each.get_content_type(), each.get_content()) for each in theirs.iter_attachments()
    ]
    assert event.warnings == (wording.NO_MESSAGE_ID, wording.NO_DATE, wording.NO_SENDER)


def nested(levels: int, inside: bytes) -> bytes:
    opening = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level) for level in range(levels)
    )
    return b"From: a@x.example\nMIME-Version: 1.0\n" + opening + b"\n" + inside


def test_a_deep_mime_bomb_is_cut_off() -> None:
    shown = report("x", nested(5000, b"Words\n" * 100_000))
    assert wording.TOO_DEEP in shown["warnings"]
    assert wording.UNPARSED not in shown["warnings"]


def test_nesting_within_reason_is_read() -> None:
    assert report("x", nested(mime.MAX_DEPTH - 1, b"Words"))["text"] == "Words"


def test_a_wide_mime_bomb_is_cut_off() -> None:
    parts = b"--b\nContent-Type: application/pdf\n\nx\n" * 200_000
    shown = report("x", b"From: a@x.example\nContent-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n")
    assert len(shown["attachments"]) == mime.MAX_PARTS
    assert wording.TOO_MANY_PARTS in shown["warnings"]


@pytest.mark.parametrize(
    "source",
    [
        b"Subject: " + b"x" * 10_000_000 + b"\n\nbody",
        b"".join(b"X-%d: y\n" % number for number in range(800_000)) + b"\nbody",
        b"To: " + b"a@x.example, " * 400_000 + b"\n\nbody",
        b"References: " + b"<a@x> " * 500_000 + b"\n\nbody",
        b"Subject: " + b"=?utf-8?Q?a" * 200_000 + b"\n\nbody",
        b"Content-Type: text/plain; " + b"a" * 900_000 + b"\n\nbody",
        b"noise\n" * 80_000 + b"Subject: x\n" + b"noise\n" * 80_000 + b"\nbody",
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a" * 3_000_000,
        b"Content-Type: message/delivery-status\nFrom: mailer-daemon@x\n\n"
        + b"Final-Recipient: rfc822;a@x\n\n" * 50_000,
        b"\n\n" + b"\n".join(b"On 2026 10:00 a@b wrote:" for _ in range(50_000)),
        b"\n\n" + b"key: a@b 10:00\n" * 100_000,
        b"\n\n" + b"abc:\n\n" * 200_000,
        b"From: mailer-daemon@x\n\n" + b"<a@b>:\n" * 100_000,
        b"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\n" * 50_000,
        b"Content-Type: text/html\n\n" + b"<div>" * 300_000,
        b"Content-Transfer-Encoding: base64\n\n" + b"A=" * 1_000_000,
    ],
    ids=lambda source: source[:24].decode().strip(),
)
def test_floods_are_read_in_bounded_time(source: bytes) -> None:
    assert wording.UNPARSED not in report("x", source)["warnings"]


def test_a_mail_of_25_megabytes_is_read() -> None:
    data = bytes(range(256)) * 72_000
    mail = EmailMessage()
    mail["From"] = "ann@example.org"
    mail.set_content("Big\n")
    mail.add_attachment(data, maintype="application", subtype="zip", filename="big.zip")
    (event,) = parse(Raw(body=mail.as_bytes()), "inbox")
    assert isinstance(event, InboundMessage)
    (attachment,) = event.attachments
    assert (event.text, attachment.name, attachment.content) == ("Big", "big.zip", data)
