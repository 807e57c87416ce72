"""What makes a mail the same mail, and which conversation and inbox it belongs to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from channels.base import InboundMessage, Raw
from channels.email.parse import parse

MAIL = b"From: Ann <ann@example.org>\nDate: Sat, 21 Nov 2026 10:00:00 +0000\nMessage-ID: <m@example.org>\n\nHello\n"


def message(source: bytes, own: tuple[str, ...] = (), **envelope: str) -> InboundMessage:
    headers = {name.replace("_", "-"): value for name, value in envelope.items()}
    (event,) = parse(Raw(body=source, headers=headers), "inbox", own)
    assert isinstance(event, InboundMessage)
    return event


def test_a_copy_that_took_another_way_is_the_same_mail() -> None:
    first = message(MAIL)
    again = b"Received: from elsewhere\nDelivered-To: x@y\n" + MAIL.replace(b"\n", b"\r\n") + b"\r\n"
    assert message(again, rcpt_to="support@shop.example").external_id == first.external_id


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Hello", b"Hallo"), (b"ann@example.org>", b"eve@example.org>"), (b"10:00:00", b"10:00:01")],
)
def test_another_mail_under_the_same_message_id_is_another_mail(old: bytes, new: bytes) -> None:
    first, other = message(MAIL), message(MAIL.replace(old, new, 1))
    assert first.message_ref == other.message_ref
    assert first.external_id != other.external_id


def test_a_mail_without_message_id_is_known_by_its_digest() -> None:
    bare = MAIL.replace(b"Message-ID: <m@example.org>\n", b"")
    assert message(bare).external_id == message(b"Received: x\n" + bare).external_id
    assert message(bare).message_ref == ""
    assert message(bare).external_id


def test_the_external_id_does_not_change_from_release_to_release() -> None:
    assert message(MAIL).external_id == "m@example.org/66a3b17093b276a5e51a86a60b11947e"


@pytest.mark.parametrize("field", ["To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To"])
def test_the_reply_token_is_found_wherever_the_address_stands(field: str) -> None:
    found = message(f"{field}: Support <support+r.AbC_1-2@shop.example>\n".encode() + MAIL)
    assert found.thread.reply_token == "abc_1-2"


def test_the_envelope_is_believed_before_the_headers() -> None:
    source = b"To: support+r.header@shop.example\n" + MAIL
    assert message(source, rcpt_to="support+r.envelope@shop.example").thread.reply_token == "envelope"


def test_recipients_are_shown_without_our_tags_and_once() -> None:
    found = message(b"To: S <support+r.abc@shop.example>, support@shop.example, bob+tag@x.example\n" + MAIL)
    assert [(each.value, each.name) for each in found.to] == [("support@shop.example", "S"), ("bob+tag@x.example", "")]


def test_a_copy_of_our_own_mail_is_known() -> None:
    assert message(MAIL, own=("Ann@Example.org",)).from_self
    assert message(MAIL.replace(b"ann@", b"ann+r.tok@", 1), own=("ann@example.org",)).from_self
    assert not message(MAIL, own=("support@shop.example",)).from_self


def test_threads_are_hinted_by_ids_without_brackets(recorded: Callable[[str], bytes]) -> None:
    found = message(recorded("gmail_reply"))
    assert found.thread.in_reply_to == ("two@shop.example",)
    assert found.thread.references == ("one@shop.example", "two@shop.example")
    assert found.thread.reply_token == "k7q2mz"
