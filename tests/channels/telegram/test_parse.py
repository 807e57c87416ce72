"""Updates as the Bot API sends them, and the events they become."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from channels.base import Address, ConsentChange, InboundEvent, InboundMessage, MessageChange, Raw
from channels.telegram.parse import parse

UPDATES = Path(__file__).parent / "updates"
BOT = 7
ANN = Address("telegram", "5512001", "Ann Bat")
BUSINESS = "Nf3xK0aBSEUBAAAA_9hPkQ:5512001"


def events(case: str) -> list[InboundEvent]:
    return parse(Raw(body=(UPDATES / f"{case}.json").read_bytes()), "inbox-1", BOT)


def message(case: str) -> InboundMessage:
    (event,) = events(case)
    assert isinstance(event, InboundMessage)
    return event


def change(case: str) -> MessageChange:
    (event,) = events(case)
    assert isinstance(event, MessageChange)
    return event


def test_a_text_in_a_private_chat() -> None:
    got = message("text")
    assert got == InboundMessage(
        inbox_id="inbox-1",
        external_id="update:448100201",
        message_ref="5512001:10",
        sender=ANN,
        to=(Address("telegram", "7"),),
        sent_at=datetime(2025, 11, 23, 12, 13, 30, tzinfo=UTC),
        thread=msgspec.structs.replace(got.thread, chat_id="5512001"),
        text="Сайн байна уу?",
        reply_text="Сайн байна уу?",
        language="mn",
    )


def test_entities_become_html_at_their_utf16_places() -> None:
    assert message("entities").html == (
        'Hi <tg-emoji emoji-id="5368324170671202286">👋</tg-emoji> <b>bold <i>it</i></b><i> '
        '<span class="tg-spoiler">spoiler</span></i> <code>code</code><pre><code class="language-python">x = 1</code>'
        '</pre><a href="https://nomad.example/shop?a=1&amp;b=2">shop</a> <a href="https://t.me/nomad">@nomad</a> '
        '<a href="mailto:ann@x.mn">ann@x.mn</a> <a href="http://www.x.mn">www.x.mn</a> '
        '<a href="tel:+97688001122">+976 8800 1122</a>'
    )


def test_entities_that_make_no_sense_do_no_harm() -> None:
    got = message("hostile_entities")
    assert got.text == "<b>👨‍👩‍👧 & you</b>"
    assert got.html == ("<b>&lt;b&gt;<i>👨\u200d</i></b><pre><b><i>👩\u200d👧</i> &amp; y</b></pre><b>ou&lt;/b&gt;</b>")


@pytest.mark.parametrize(
    ("case", "name", "media_type", "size", "ref"),
    [
        ("photo", "photo.jpg", "image/jpeg", 188211, "AgACAgQ-a-y"),
        ("voice", "voice.ogg", "audio/ogg", 17333, "AwACAgQ-v"),
        ("video_note", "video-note.mp4", "video/mp4", 917333, "DQACAgQ-n"),
        ("document", "гэрээ  1.pdf", "application/pdf", 52001, "BQACAgQ-d"),
        ("animation", "animation.mp4", "video/mp4", 5000, "CgACAgQ-g"),
        ("sticker", "sticker.tgs", "application/x-tgsticker", 9021, "CAACAgQ-s"),
        ("audio", "The HU - Yuve Yuve Yu.mp3", "audio/mpeg", 4000000, "CQACAgQ-a"),
    ],
)
def test_files_are_named_and_left_to_be_fetched(case: str, name: str, media_type: str, size: int, ref: str) -> None:
    (attachment,) = message(case).attachments
    assert (attachment.name, attachment.media_type, attachment.size, attachment.ref) == (name, media_type, size, ref)
    assert attachment.content is None


def test_a_caption_is_the_text_and_a_sticker_says_its_emoji() -> None:
    assert (message("photo").text, message("photo").html) == ("Our ger", "Our <b>ger</b>")
    assert message("sticker").text == "😀"


def test_the_parts_of_an_album_name_it() -> None:
    first, second = message("album_1"), message("album_2")
    assert first.album == second.album == "5512001:13900011122233"
    assert first.external_id != second.external_id
    assert message("photo").album == ""


@pytest.mark.parametrize("case", ["location", "venue"])
def test_a_place_has_a_link_to_the_map(case: str) -> None:
    got = message(case)
    assert "47.918873, 106.917701" in got.text
    assert 'href="https://www.openstreetmap.org/?mlat=47.918873&amp;mlon=106.917701#map=16/' in got.html


def test_a_venue_says_what_it_is() -> None:
    assert message("venue").text.startswith("State Department Store\nPeace Avenue 44\n")


def test_only_ones_own_contact_is_an_identity() -> None:
    assert message("contact_own").identities == (Address("phone", "+97688001122", "Ann Bat"),)
    assert message("contact_other").identities == ()
    assert message("contact_other").text == "👤 Contact: Bold, +97699112233"


def test_what_is_no_text_is_told_in_words() -> None:
    assert message("poll").text == "📊 Poll: When?\n• June\n• July"
    assert message("rich").text == "Tour Gobi\nDay one\nA dune"


def test_an_answer_names_its_message_and_keeps_the_quote_apart() -> None:
    got = message("reply_with_quote")
    assert got.thread.in_reply_to == ("5512001:9",)
    assert got.text == "> The large one\nYes, that one"
    assert got.html == "<blockquote>The large one</blockquote>Yes, that one"
    assert got.reply_text == "Yes, that one"


@pytest.mark.parametrize(("case", "name"), [("forwarded", "Bold"), ("forwarded_hidden", "Secret Camel")])
def test_what_was_forwarded_says_from_whom(case: str, name: str) -> None:
    got = message(case)
    assert got.text.startswith(f"Forwarded from {name}\n")
    assert not got.reply_text.startswith("Forwarded")
    assert got.sender == ANN


def test_the_parameter_of_a_deep_link_is_the_source() -> None:
    assert message("start").source == "spring-fair_7"
    assert message("text").source == ""


def test_a_forum_topic_is_a_room_of_its_own() -> None:
    got = message("topic")
    assert got.thread.chat_id == "-1001882200331:77"
    assert got.thread.in_reply_to == ()
    assert got.subject == "Nomad Travel guides: Gobi tour"
    assert got.sender == ANN
    assert got.message_ref == "-1001882200331:31"


def test_who_speaks_as_the_group_is_the_group() -> None:
    got = message("group_anonymous")
    assert got.sender == Address("telegram", "-1001882200331", "Nomad Travel guides")
    assert not got.auto_submitted


def test_another_bot_is_a_machine() -> None:
    assert message("bot_speaks").auto_submitted


@pytest.mark.parametrize(
    "case",
    [
        "own",
        "business_by_bot",
        "channel_post",
        "automatic_forward",
        "member_joined",
        "reaction_count",
        "thrown_out_of_group",
    ],
)
def test_what_needs_no_answer_is_ignored(case: str) -> None:
    assert events(case) == []


def test_a_business_chat_is_its_own_room_and_its_owner_is_us() -> None:
    customer, owner, away = (message(case) for case in ("business", "business_owner", "business_away"))
    assert customer.thread.chat_id == owner.thread.chat_id == BUSINESS
    assert (customer.sender, customer.sent_by_us) == (ANN, False)
    assert (owner.sender.name, owner.sent_by_us, owner.auto_submitted) == ("Tuya", True, False)
    assert owner.to == (ANN,)
    assert away.auto_submitted


def test_edits_carry_the_new_text() -> None:
    private, business = change("edited"), change("edited_business")
    assert (private.change, private.message_ref, private.text) == ("edited", message("text").message_ref, "Сайн уу?")
    assert private.at == datetime(2025, 11, 23, 12, 21, 40, tzinfo=UTC)
    assert private.sender == ANN
    assert business.message_ref == message("business").message_ref


def test_each_deleted_message_is_an_event() -> None:
    got = events("deleted_business")
    assert [each.message_ref for each in got if isinstance(each, MessageChange)] == [
        f"{BUSINESS}:40",
        f"{BUSINESS}:44",
    ]
    assert len({each.external_id for each in got}) == 2


def test_a_reaction_says_all_that_somebody_has_on_a_message_now() -> None:
    assert change("reaction").reactions == ("👍", "✴️", "⭐")
    assert change("reaction").sender == ANN
    assert change("reaction_taken_back").reactions == ()


def test_a_pressed_button_says_what_is_written_on_it() -> None:
    got = message("callback")
    assert (got.text, got.external_id) == ("Saturday", "callback:23675001111")
    assert got.thread.in_reply_to == ("5512001:9",)
    assert got.thread.chat_id == "5512001"
    assert message("callback_inaccessible").text == "Sunday"


def test_blocking_the_bot_takes_consent_back() -> None:
    blocked, unblocked = events("blocked")[0], events("unblocked")[0]
    assert isinstance(blocked, ConsentChange)
    assert isinstance(unblocked, ConsentChange)
    assert (blocked.address, blocked.opted_out) == (ANN, True)
    assert (unblocked.address, unblocked.opted_out) == (ANN, False)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"update_id": "1"}', b"[" * 5000, b'{"update_id":1,"message":7}'])
def test_what_is_no_update_is_ignored(body: bytes) -> None:
    assert parse(Raw(body=body), "inbox-1", BOT) == []
