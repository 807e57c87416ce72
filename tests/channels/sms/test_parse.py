"""Webhooks as Twilio writes them, by case: `tests/fixtures/twilio/*.form` are their bodies."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Address, ConsentChange, DeliveryUpdate, InboundEvent, InboundMessage, Raw
from channels.sms.parse import callback_url, parse

FOLDER = Path(__file__).parents[2] / "fixtures" / "twilio"
HOOK = "https://inbox.example.mn/hooks/inbox-1"
REPORTS = callback_url(HOOK, "ref-1@example.mn", 1, 1)
CUSTOMER = "+97688001122"


def sid(number: int, kind: str = "SM") -> str:
    return f"{kind}{number:032x}"


def events(case: str, url: str = HOOK) -> list[InboundEvent]:
    body = (FOLDER / f"{case}.form").read_bytes().strip()
    return parse(Raw(body=body, url=url, headers={"Content-Type": "application/x-www-form-urlencoded"}), "inbox-1")


def message(case: str) -> InboundMessage:
    first = events(case)[0]
    assert isinstance(first, InboundMessage)
    return first


def update(case: str, url: str = REPORTS) -> DeliveryUpdate:
    first = events(case, url)[0]
    assert isinstance(first, DeliveryUpdate)
    return first


def consent(case: str) -> ConsentChange | None:
    found = [each for each in events(case) if isinstance(each, ConsentChange)]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_text_message() -> None:
    got = message("sms")
    assert got.external_id == got.message_ref == sid(1)
    assert got.sender == Address("phone", CUSTOMER)
    assert got.to == (Address("phone", "+97677001122"),)
    assert got.text == got.reply_text == "Сайн байна уу? Is the tour still on & where? 100% sure"
    assert not got.auto_submitted
    assert len(events("sms")) == 1


def test_a_short_code_stays_as_it_is() -> None:
    assert message("sms_from_short_code").sender.value == "12345"


def test_every_picture_is_named_for_fetching() -> None:
    got = message("mms_two_pictures")
    assert got.text == ""
    assert [(each.name, each.media_type, each.content, each.size) for each in got.attachments] == [
        ("picture-1.jpg", "image/jpeg", None, 0),
        ("picture-2.png", "image/png", None, 0),
    ]
    assert got.attachments[1].ref.endswith(f"/Media/{sid(2, 'ME')}")


def test_other_files_are_named_by_their_type() -> None:
    assert message("mms_contact_card").attachments[0].name == "contact-1.vcf"
    voice = message("whatsapp_voice").attachments[0]
    assert (voice.name, voice.media_type) == ("sound-1.ogg", "audio/ogg")


@pytest.mark.parametrize(
    ("case", "opted_out", "words"),
    [
        ("stop_by_twilio", True, "Stop"),
        ("stop_in_words_of_the_service", True, "Болих"),
        ("start_by_twilio", False, "YES"),
        ("unsubscribe_without_type", True, "Unsubscribe"),
        ("unstop_without_type", False, "unstop"),
    ],
)
def test_opting_out_and_in(case: str, opted_out: bool, words: str) -> None:
    change = consent(case)
    assert change is not None
    assert (change.opted_out, change.words) == (opted_out, words)
    assert change.address == Address("phone", CUSTOMER)
    assert change.external_id != message(case).external_id
    assert message(case).auto_submitted, "nothing may answer it: Twilio did"


@pytest.mark.parametrize("case", ["yes_without_type", "stop_in_a_sentence", "whatsapp_cancel", "sms"])
def test_what_only_sounds_like_it_changes_nothing(case: str) -> None:
    assert consent(case) is None
    assert not message(case).auto_submitted


@pytest.mark.parametrize("word", ["STOP", "stopall", " Unsubscribe\n", "CANCEL", "End", "QUIT", "OptOut", "REVOKE"])
def test_each_default_word_opts_out(word: str) -> None:
    body = urlencode({"From": CUSTOMER, "MessageSid": sid(1), "Body": word}).encode()
    change = parse(Raw(body=body, url=HOOK), "inbox-1")[1]
    assert isinstance(change, ConsentChange)
    assert change.opted_out


def test_help_is_answered_by_twilio_and_is_no_consent() -> None:
    assert message("help_by_twilio").auto_submitted
    assert consent("help_by_twilio") is None


def test_whatsapp_comes_with_a_name_and_without_its_prefix() -> None:
    got = message("whatsapp")
    assert got.sender == Address("phone", CUSTOMER, "Батаа")
    assert got.to == (Address("phone", "+97677001122"),)


def test_a_location_can_be_read_and_opened() -> None:
    assert message("whatsapp_location").text == (
        "Meeting point, Sukhbaatar Square, Ulaanbaatar\nhttps://www.openstreetmap.org/?mlat=47.918873&mlon=106.917701"
    )


def test_a_reply_names_what_it_replies_to() -> None:
    assert message("whatsapp_reply").thread.in_reply_to == (sid(77),)


def test_a_pressed_button_says_its_label() -> None:
    assert message("whatsapp_button").text == "Confirm"
    assert message("whatsapp_list").text == "Gobi tour"


@pytest.mark.parametrize(
    ("case", "state", "code", "permanent"),
    [
        ("status_sent", "accepted", "", False),
        ("status_delivered", "delivered", "", False),
        ("status_whatsapp_read", "read", "", False),
        ("status_undelivered_30003", "failed", "30003", False),
        ("status_undelivered_30005", "bounced", "30005", True),
        ("status_failed_21610", "failed", "21610", False),
        ("status_whatsapp_63016", "failed", "63016", False),
    ],
)
def test_reports_become_states_of_our_message(case: str, state: str, code: str, permanent: bool) -> None:
    got = update(case)
    assert (got.state, got.code, got.permanent) == (state, code, permanent)
    assert got.message_ref == "ref-1@example.mn"
    assert got.recipient == CUSTOMER
    assert bool(got.reason) == bool(code)


def test_each_status_of_a_message_is_an_event_of_its_own() -> None:
    cases = ("status_sent", "status_delivered", "status_undelivered_30003")
    assert len({update(case).external_id for case in cases}) == 3
    assert update("status_sent") == update("status_sent")


def test_reasons_say_what_to_do() -> None:
    assert "switched off" in update("status_undelivered_30003").reason
    assert "24 hours" in update("status_whatsapp_63016").reason
    assert update("status_failed_unknown_code").reason == "Something new"


def test_a_report_of_an_opt_out_is_consent_too() -> None:
    _, change = events("status_failed_21610", REPORTS)
    assert isinstance(change, ConsentChange)
    assert change.opted_out
    assert change.address.value == CUSTOMER


def test_a_report_without_our_reference_goes_by_twilios() -> None:
    assert update("status_delivered", HOOK).message_ref == sid(20)
    assert update("status_delivered", REPORTS.replace("/status", "")).message_ref == sid(20), (
        "only our own address names a message"
    )


def test_an_address_of_reports_is_written_in_one_way_only() -> None:
    """Proxies may write `%40` as `@` and the other way round, and Twilio signs what it calls."""
    query = callback_url(HOOK, "<ref 1&2+é@example.mn>", 1, 2).partition("?")[2]
    assert re.fullmatch("ref=[A-Za-z0-9_-]+&part=1-2", query)


@pytest.mark.parametrize("ref", ["", "%", "a", "_w", "ref-1@example.mn", "%FF%FE"])
def test_a_reference_that_is_none_is_left_out(ref: str) -> None:
    assert update("status_delivered", f"{HOOK}/status?ref={ref}").message_ref == sid(20)


def test_a_long_message_has_arrived_when_its_last_piece_has() -> None:
    url = callback_url(HOOK, "ref 1&2@x", 1, 2)
    assert update("status_delivered", url).message_ref == "ref 1&2@x"
    assert update("status_delivered", url).state == "accepted"
    assert update("status_undelivered_30003", url).state == "failed"
    assert update("status_delivered", callback_url(HOOK, "r", 2, 2)).state == "delivered"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"MessageSid=SM1",
        b"From=%2B97688001122&MessageSid=SM1&NumMedia=99999999999999999999999&Latitude=nan&Longitude=1",
        b"From=%2B97688001122&MessageSid=SM1&NumMedia=1&MediaUrl0=javascript:alert(1)",
        b"MessageStatus=invented&MessageSid=SM1",
    ],
)
def test_nonsense_is_taken_calmly(body: bytes) -> None:
    for event in parse(Raw(body=body, url=HOOK), "inbox-1"):
        assert isinstance(event, InboundMessage)
        assert event.attachments == ()
        assert event.text == ""


def test_a_message_without_an_id_gets_one_of_its_own() -> None:
    one, same, other = (
        parse(Raw(body=f"From=%2B97688001122&Body={text}".encode(), url=HOOK), "inbox-1")[0].external_id
        for text in ("a", "a", "b")
    )
    assert one == same != other


names = st.sampled_from(["From", "To", "Body", "MessageSid", "MessageStatus", "NumMedia", "MediaUrl0", "Latitude", "x"])


@given(st.dictionaries(names, st.text(max_size=30)), st.text(max_size=40))
def test_any_form_is_taken(form: dict[str, str], url: str) -> None:
    raw = Raw(body=urlencode(form, errors="replace").encode(), url=url)
    assert parse(raw, "inbox-1") == parse(raw, "inbox-1")
