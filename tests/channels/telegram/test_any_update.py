"""Whatever the Bot API's description allows is accepted or politely ignored, by whichever way it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from channels.base import ConsentChange, InboundEvent, InboundMessage, MessageChange, Raw
from channels.telegram.parse import parse
from tests.channels.telegram.generated import any_valid, update, updates
from tests.fakes.telegram_contract import ARRAY, problems_of, spec

KINDS = [field["name"] for field in spec()["types"]["Update"]["fields"] if field["name"] != "update_id"]
CONTENTS = [
    field["name"]
    for field in spec()["types"]["Message"]["fields"]
    if not field["required"] and field["types"][0].removeprefix(ARRAY) not in ("Integer", "Boolean", "String")
]
AUTHORS = ("from", "sender_chat", "sender_business_bot")
"""What says who wrote it: with this bot as the writer, or nobody, a message is ignored."""
PERSON = {"id": 5512001, "is_bot": False, "first_name": "Ann"}
CHAT = {"id": 5512001, "type": "private", "first_name": "Ann"}
anything = budget(suppress_health_check=list(HealthCheck), max_examples=60)


def received(given_update: dict[str, Any]) -> list[InboundEvent]:
    """The events, after all that has to hold for any."""
    raw = Raw(body=json.dumps(given_update).encode())
    events = parse(raw, "inbox-1", 7)
    assert events == parse(raw, "inbox-1", 7), "the same update gives the same events"
    assert len({event.external_id for event in events}) == len(events)
    for event in events:
        assert isinstance(event, InboundMessage | MessageChange | ConsentChange)
        assert event.inbox_id == "inbox-1"
        assert event.external_id
        if isinstance(event, InboundMessage):
            assert event.sender.kind == "telegram"
            assert event.sender.value.lstrip("-").isdecimal()
            assert event.text or event.attachments
            assert all(each.name and each.media_type and each.ref and each.size >= 0 for each in event.attachments)
            assert 'href="javascript' not in event.html
    return events


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@anything
def test_any_update_of_each_kind(kind: str, data: st.DataObject) -> None:
    received(data.draw(update(kind)))


@given(updates())
@budget(suppress_health_check=list(HealthCheck), max_examples=300)
def test_any_update(given_update: dict[str, Any]) -> None:
    assert problems_of(given_update, "Update") == [], "what is generated is what the description allows"
    received(given_update)


@pytest.mark.parametrize("content", CONTENTS)
@given(data=st.data())
@budget(suppress_health_check=list(HealthCheck), max_examples=15)
def test_a_message_with_any_content(content: str, data: st.DataObject) -> None:
    field = next(each for each in spec()["types"]["Message"]["fields"] if each["name"] == content)
    value = data.draw(st.one_of([any_valid(each) for each in field["types"]]))
    message = {"message_id": 5, "from": PERSON, "chat": CHAT, "date": 1763900000, content: value}
    if data.draw(st.booleans()):
        message["text"] = "with words"
    events = received({"update_id": 9, "message": message})
    if "text" in message and content not in AUTHORS:
        (event,) = events
        assert isinstance(event, InboundMessage)
        assert event.text.endswith("with words")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(base=updates(), data=st.data())
@anything
def test_an_update_with_a_part_of_another_type(base: dict[str, Any], data: st.DataObject) -> None:
    """What a later version of the API may do to any field."""
    at: Any = base
    while isinstance(at, dict | list) and at:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(junk)
            break
        at = at[key]
    parse(Raw(body=json.dumps(base).encode()), "inbox-1", 7)
