"""The contract of the channel protocol, run over every registered channel."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from channels.base import (
    Adapter,
    Address,
    AddressKind,
    Channel,
    CheckStep,
    HookedAdapter,
    HookReply,
    InboundEvent,
    OutboundMessage,
    PollingAdapter,
    Raw,
    SendResult,
)
from channels.registry import CHANNELS
from tests.fakes.ports import FakePorts

# The least each channel can be built from, pointing at a port where nobody listens. A new channel adds its lines here.
MINIMAL: Mapping[str, list[dict[str, Any]]] = {
    "email": [
        {"address": "shop@example.mn", "provider": "builtin"},
        {
            "address": "shop@example.mn",
            "imap_host": "127.0.0.1",
            "imap_port": 9,
            "imap_password": "p",
            "smtp_host": "127.0.0.1",
            "smtp_port": 9,
        },
    ],
    "sms": [
        {
            "address": "+97677001122",
            "account_sid": "AC" + "0" * 32,
            "auth_token": "t" * 32,
            "api_url": "http://127.0.0.1:9",
        }
    ],
    "telegram": [
        {"address": "@shop_bot", "token": "1:abc-def", "api_url": "http://127.0.0.1:9"},
        {"address": "@shop_bot", "token": "1:abc-def", "api_url": "http://127.0.0.1:9", "inbound": "webhook"},
    ],
}
RECIPIENTS: Mapping[AddressKind, str] = {"email": "ann@example.org", "phone": "+97688001122", "telegram": "12345"}
CASES = [
    pytest.param(channel, settings, id=f"{name}-{number}")
    for name, channel in CHANNELS.items()
    for number, settings in enumerate(MINIMAL[name])
]
every_channel = pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
every_case = pytest.mark.parametrize(("channel", "settings"), CASES)


def with_defaults(channel: Channel, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**{field.name: field.default for field in channel.fields}, **settings}


def build(channel: Channel, settings: Mapping[str, Any]) -> Adapter:
    return channel.build("inbox-1", with_defaults(channel, settings), FakePorts())


@pytest.fixture
async def adapter(channel: Channel, settings: dict[str, Any]) -> AsyncIterator[Adapter]:
    built = build(channel, settings)
    yield built
    await built.close()


@every_channel
def test_the_registry_names_it_as_it_names_itself(channel: Channel) -> None:
    assert CHANNELS[channel.name] is channel
    assert channel.label
    assert channel.blurb
    assert channel.icon


@every_channel
def test_fields_are_well_formed(channel: Channel) -> None:
    fields = {field.name: field for field in channel.fields}
    assert len(fields) == len(channel.fields), "two fields have one name"
    for field in channel.fields:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name)
        assert field.label
        assert field.secret == (field.kind == "password"), "what is typed hidden is stored encrypted, and nothing else"
        assert bool(field.choices) == (field.kind == "select")
        assert not (field.required and field.show_when), "a hidden field cannot be required"
        if field.choices:
            assert field.default in dict(field.choices)
        kind: dict[str, Any] = {"number": int, "checkbox": bool}
        assert isinstance(field.default, kind.get(field.kind, str)) or field.default == ""
        if field.show_when:
            other, value = field.show_when
            assert value in dict(fields[other].choices) or fields[other].kind == "checkbox"


@every_channel
def test_validation_answers_in_words_and_never_raises(channel: Channel) -> None:
    names = {field.name for field in channel.fields}
    wrong = channel.validate(with_defaults(channel, {}))
    assert wrong, "no channel works from its defaults alone"
    for settings in (wrong, channel.validate({})):
        assert set(settings) <= names
        assert all(settings.values())


@every_channel
@budget(max_examples=50)
@given(data=st.data())
def test_validation_of_anything_never_raises(channel: Channel, data: st.DataObject) -> None:
    values = st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.floats(), st.just(""))
    choices = {
        field.name: st.one_of(values, st.sampled_from([value for value, _ in field.choices]))
        if field.choices
        else values
        for field in channel.fields
    }
    settings = data.draw(st.fixed_dictionaries({}, optional=choices))
    assert isinstance(channel.validate(settings), dict)


@every_case
def test_minimal_settings_are_valid(channel: Channel, settings: dict[str, Any]) -> None:
    assert channel.validate(with_defaults(channel, settings)) == {}


@every_case
async def test_capabilities_and_adapter_agree(adapter: Adapter, channel: Channel) -> None:
    assert isinstance(adapter, Adapter)
    assert isinstance(adapter, PollingAdapter) == adapter.capabilities.polls
    assert isinstance(adapter, HookedAdapter) or not adapter.capabilities.hooks
    assert adapter.capabilities.address_kind in get_args(AddressKind)
    assert adapter.capabilities.address_kind == channel.capabilities.address_kind


@every_case
@given(body=st.binary(max_size=2000), headers=st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
def test_anything_can_be_received(
    channel: Channel, settings: dict[str, Any], body: bytes, headers: dict[str, str]
) -> None:
    raw = Raw(body=body, url="https://inbox.example.mn/hook", headers=headers)
    adapter = build(channel, settings)
    adapter.verify(raw)
    events = adapter.receive(raw)
    again = build(channel, settings).receive(raw)
    assert events == again, "the same input gives the same events, ids included"
    if isinstance(adapter, HookedAdapter):
        assert isinstance(adapter.answer(raw), HookReply)
    for event in events:
        assert isinstance(event, InboundEvent)
        assert event.inbox_id == "inbox-1"
        assert event.external_id


@every_case
async def test_sending_ends_in_a_result_whatever_happens(adapter: Adapter) -> None:
    passed = 0

    async def point_of_no_return() -> None:
        nonlocal passed
        passed += 1

    kind = adapter.capabilities.address_kind
    for recipient in (RECIPIENTS[kind], "", "\r\n", "nonsense"):
        out = OutboundMessage(
            inbox_id="inbox-1",
            message_ref="ref-1@example.mn",
            sender=Address("email", "shop@example.mn"),
            to=(Address(kind, recipient),),
            text="hello",
            sent_at=datetime(2026, 11, 21, tzinfo=UTC),
        )
        result = await adapter.send(out, point_of_no_return)
        assert isinstance(result, SendResult)
    assert passed <= 1, "what is refused beforehand never passes the point of no return"


@every_case
async def test_a_check_says_what_it_found(adapter: Adapter) -> None:
    steps = await adapter.check()
    assert steps
    for step in steps:
        assert isinstance(step, CheckStep)
        assert step.name
        assert step.ok or step.words


@every_case
async def test_closing_twice_is_closing_once(adapter: Adapter) -> None:
    await adapter.close()
    await adapter.close()
