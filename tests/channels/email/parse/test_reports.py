"""Delivery reports, complaints and automatic answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from channels.base import DeliveryUpdate, InboundMessage, Raw
from channels.email.parse import parse

Shown = Callable[[str], dict[str, Any]]
Built = Callable[..., dict[str, Any]]
Recorded = Callable[[str], bytes]


def updates(source: bytes, **envelope: str) -> list[DeliveryUpdate]:
    headers = {name.replace("_", "-"): value for name, value in envelope.items()}
    events = parse(Raw(body=source, headers=headers), "inbox")
    assert all(isinstance(event, DeliveryUpdate) for event in events)
    return [event for event in events if isinstance(event, DeliveryUpdate)]


def test_a_dsn_reports_each_recipient(shown: Shown) -> None:
    mail = shown("dsn_postfix_two_recipients")
    assert mail["kind"] == "bounce"
    assert mail["auto_submitted"] is True
    assert mail["bounce"] == {
        "recipients": [
            {
                "address": "nobody@example.org",
                "status": "5.1.1",
                "permanent": True,
                "diagnostic": "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown",
            },
            {
                "address": "full@example.org",
                "status": "5.2.2",
                "permanent": True,
                "diagnostic": "552 5.2.2 mailbox full",
            },
        ],
        "original_message_id": "out-1@shop.example",
    }


def test_a_dsn_becomes_one_update_a_recipient_with_the_notice(recorded: Recorded) -> None:
    first, second = updates(recorded("dsn_postfix_two_recipients"))
    assert (first.state, first.permanent, first.code) == ("bounced", True, "5.1.1")
    assert first.recipient == "nobody@example.org"
    assert first.message_ref == "out-1@shop.example"
    assert first.bounce_token == "tok3n"
    assert first.reason.startswith("550 5.1.1")
    assert first.external_id != second.external_id
    assert first.notice is not None
    assert first.notice.auto_submitted
    assert first.notice.to[0].value == "support@shop.example"
    assert first.notice.text.startswith("This is the mail system")


def test_a_delay_is_no_lasting_failure(shown: Shown, recorded: Recorded) -> None:
    assert shown("dsn_delayed")["kind"] == "bounce"
    (update,) = updates(recorded("dsn_delayed"))
    assert (update.state, update.permanent, update.code) == ("bounced", False, "4.4.1")


def test_a_server_that_gave_up_for_a_passing_reason_has_failed(recorded: Recorded) -> None:
    (update,) = updates(recorded("dsn_gave_up_exchange"))
    assert (update.state, update.permanent, update.code) == ("failed", False, "4.4.7")
    assert update.message_ref == "out-2@shop.example"


def test_a_success_report_says_delivered(shown: Shown, recorded: Recorded) -> None:
    (update,) = updates(recorded("dsn_success"))
    assert update.state == "delivered"
    assert shown("dsn_success")["bounce"] is None


@pytest.mark.parametrize(
    ("name", "address", "status", "words", "original"),
    [
        ("bounce_qmail", "gone@qmail.example", "5.1.1", "550 5.1.1 unknown user", "out-3@shop.example"),
        ("bounce_exim", "lost@exim.example", "5.7.1", "550 5.7.1 policy rejection", "out-4@shop.example"),
        ("bounce_exchange_2003", "away@old.example", "5.0.0", "not recognized", "out-5@shop.example"),
    ],
)
def test_bounces_that_follow_no_standard(
    shown: Shown, name: str, address: str, status: str, words: str, original: str
) -> None:
    mail = shown(name)
    assert mail["kind"] == "bounce"
    (recipient,) = mail["bounce"]["recipients"]
    assert (recipient["address"], recipient["status"], recipient["permanent"]) == (address, status, True)
    assert words in recipient["diagnostic"]
    assert mail["bounce"]["original_message_id"] == original


def test_the_bounce_token_is_taken_from_the_envelope(recorded: Recorded) -> None:
    (update,) = updates(recorded("bounce_qmail"), mail_from="<>", rcpt_to="support+b.FROMENV@shop.example")
    assert update.bounce_token == "fromenv"


def test_a_daemons_notice_to_a_bounce_address_is_a_bounce_even_if_nothing_else_is_known() -> None:
    source = b"From: MAILER-DAEMON@x.example\nTo: support+b.abc@shop.example\n\nFehler 550 5.1.1 Unbekannt\n"
    (update,) = updates(source)
    assert (update.state, update.permanent, update.bounce_token, update.recipient) == ("bounced", True, "abc", "")


def test_a_complaint_names_recipient_and_mail(shown: Shown, recorded: Recorded) -> None:
    assert shown("arf_complaint")["kind"] == "complaint"
    (update,) = updates(recorded("arf_complaint"))
    assert update.state == "complained"
    assert update.recipient == "angry@isp.example"
    assert update.message_ref == "out-6@shop.example"
    assert update.bounce_token == "c0mpl"


def test_a_report_of_no_abuse_is_no_complaint(recorded: Recorded) -> None:
    source = recorded("arf_complaint").replace(b"Feedback-Type: abuse", b"Feedback-Type: not-spam")
    (event,) = parse(Raw(body=source), "inbox")
    assert isinstance(event, InboundMessage)


def test_a_person_who_forwards_a_notice_has_not_bounced(recorded: Recorded) -> None:
    inner = recorded("dsn_postfix_two_recipients")
    source = (
        b"From: Ann <ann@example.org>\nSubject: Fwd: Undelivered\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="zz"\n\n--zz\n\nWhat is this?\n'
        b"--zz\nContent-Type: message/rfc822\n\n" + inner + b"\n--zz--\n"
    )
    (event,) = parse(Raw(body=source), "inbox")
    assert isinstance(event, InboundMessage)
    assert not event.auto_submitted


def test_an_out_of_office_note_is_an_automatic_answer(shown: Shown) -> None:
    mail = shown("out_of_office_exchange")
    assert (mail["kind"], mail["auto_submitted"]) == ("auto_reply", True)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ("Auto-Submitted: auto-replied", "auto_reply"),
        ("Auto-Submitted: auto-replied (vacation)", "auto_reply"),
        ("Auto-Submitted: auto-replied; owner-email=a@x", "auto_reply"),
        ("X-Autoreply: yes", "auto_reply"),
        ("X-Autorespond: away", "auto_reply"),
        ("Precedence: auto_reply", "auto_reply"),
        ("Precedence: bulk\nSubject: Out of Office: Re: Order", "auto_reply"),
        ("Return-Path: <>\nSubject: Автоответ: Заказ", "auto_reply"),
        ("X-Auto-Response-Suppress: All\nSubject: Automatische Antwort: Bestellung", "auto_reply"),
        ("X-Auto-Response-Suppress: All\nSubject: Otomatik yanıt: Sipariş", "auto_reply"),
        ("Auto-Submitted: auto-generated", "message"),
        ("Precedence: bulk", "message"),
        ("Precedence: junk", "message"),
        ("List-Id: <x.example>", "message"),
        ("Return-Path: <>", "message"),
        ("X-Auto-Response-Suppress: OOF, DR", "message"),
    ],
)
def test_machines_are_known_by_their_headers(built: Built, headers: str, kind: str) -> None:
    mail = built(f"From: a@x.example\n{headers}", "words")
    assert (mail["kind"], mail["auto_submitted"]) == (kind, True)


@pytest.mark.parametrize(
    "headers",
    [
        "Auto-Submitted: no",
        "X-Auto-Response-Suppress: None",
        "Subject: Out of office furniture, a question",
        "Return-Path: <a@x.example>",
        "Precedence: normal",
        "X-Autoreply: no",
    ],
)
def test_people_are_not_taken_for_machines(built: Built, headers: str) -> None:
    mail = built(f"From: a@x.example\n{headers}", "words")
    assert (mail["kind"], mail["auto_submitted"]) == ("message", False)


def test_a_null_envelope_sender_is_a_machine() -> None:
    (event,) = parse(
        Raw(body=b"From: a@x.example\n\nx", headers={"mail-from": "<>", "rcpt-to": "s@y.example"}), "inbox"
    )
    assert isinstance(event, InboundMessage)
    assert event.auto_submitted
