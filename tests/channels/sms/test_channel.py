"""The settings and what is wrong with them; and the contract that every channel keeps, with settings of each kind."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import (
    Adapter,
    Address,
    AskableAdapter,
    ConsentChange,
    DeliveryUpdate,
    FetchingAdapter,
    HookedAdapter,
    InboundMessage,
    OutboundMessage,
    PollingAdapter,
    Raw,
    SendResult,
)
from channels.sms.channel import CHANNEL, FIELDS, validate
from channels.sms.settings import price, read
from tests.fakes.ports import FakePorts

MINIMAL: list[dict[str, Any]] = [
    {
        "address": "+97677001122",
        "account_sid": "AC" + "0" * 32,
        "auth_token": "x" * 32,
        "api_url": "http://127.0.0.1:9",
    },
    {
        "address": "+97677001122",
        "account_sid": "AC" + "0" * 32,
        "auth_token": "x" * 32,
        "api_url": "http://127.0.0.1:9",
        "sender": "service",
        "service_sid": "MG" + "0" * 32,
        "whatsapp": True,
    },
]
minimal = pytest.mark.parametrize("settings", MINIMAL, ids=["number", "whatsapp service"])


def with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    return {**{field.name: field.default for field in FIELDS}, **settings}


def build(settings: dict[str, Any]) -> Adapter:
    return CHANNEL.build("inbox-1", with_defaults(settings), FakePorts())


@minimal
def test_minimal_settings_are_valid(settings: dict[str, Any]) -> None:
    assert validate(with_defaults(settings)) == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": ""}, "address"),
        ({"address": "88001122"}, "address"),
        ({"address": "+9768800"}, "address"),
        ({"account_sid": "AC123"}, "account_sid"),
        ({"account_sid": "SK" + "0" * 32}, "account_sid"),
        ({"auth_token": " "}, "auth_token"),
        ({"api_key_sid": "SK1", "api_key_secret": "s"}, "api_key_sid"),
        ({"api_key_sid": "SK" + "0" * 32}, "api_key_secret"),
        ({"api_key_secret": "s"}, "api_key_sid"),
        ({"sender": "service"}, "service_sid"),
        ({"sender": "service", "service_sid": "MG"}, "service_sid"),
        ({"sender": "alpha"}, "address"),
        ({"sender": "alpha", "address": "12345"}, "address"),
        ({"sender": "alpha", "address": "TWELVELETTER"}, "address"),
        ({"sender": "alpha", "address": "NOMAD", "whatsapp": True}, "whatsapp"),
        ({"sender": "pigeon"}, "sender"),
        ({"price_per_segment": "cheap"}, "price_per_segment"),
        ({"price_per_segment": "-1"}, "price_per_segment"),
        ({"price_per_segment": "NaN"}, "price_per_segment"),
        ({"price_currency": "$"}, "price_currency"),
        ({"max_media_mb": 0}, "max_media_mb"),
        ({"max_media_mb": "many"}, "max_media_mb"),
        ({"max_per_minute": "9" * 5000}, "max_per_minute"),
        ({"api_url": "api.twilio.com"}, "api_url"),
        ({"api_url": "http://api.twilio.com"}, "api_url"),
        ({"api_url": "https://api.twilio.com/2010"}, "api_url"),
        ({"api_url": "https://u:p@api.twilio.com"}, "api_url"),
        ({"api_url": "ftp://127.0.0.1"}, "api_url"),
        ({"name": "two\nlines"}, "name"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(change: dict[str, Any], field: str) -> None:
    assert list(validate(with_defaults(MINIMAL[0] | change))) == [field]


def test_numbers_are_taken_as_people_write_them() -> None:
    settings = with_defaults(MINIMAL[0] | {"address": " +976 7700-1122 "})
    assert validate(settings) == {}
    assert read(settings).address == "+97677001122"


def test_a_price_may_have_a_comma() -> None:
    assert price({"price_per_segment": " 0,0079 "}) == Decimal("0.0079")
    assert price({}) is None


def test_nothing_works_from_defaults_alone() -> None:
    assert set(validate(with_defaults({}))) == {"address", "account_sid", "auth_token"}


@minimal
async def test_capabilities_and_adapter_agree(settings: dict[str, Any]) -> None:
    adapter = build(settings)
    assert isinstance(adapter, HookedAdapter)
    assert isinstance(adapter, FetchingAdapter)
    assert isinstance(adapter, AskableAdapter)
    assert not isinstance(adapter, PollingAdapter)
    assert adapter.capabilities.hooks
    assert adapter.capabilities.address_kind == CHANNEL.capabilities.address_kind == "phone"
    assert adapter.capabilities.window_hours == (24 if settings.get("whatsapp") else None)
    await adapter.close()


@minimal
@given(body=st.binary(max_size=2000), headers=st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
def test_anything_can_be_received(settings: dict[str, Any], body: bytes, headers: dict[str, str]) -> None:
    raw = Raw(body=body, url="https://inbox.example.mn/hook", headers=headers)
    assert not build(settings).verify(raw)
    events = build(settings).receive(raw)
    assert events == build(settings).receive(raw)
    for event in events:
        assert isinstance(event, InboundMessage | DeliveryUpdate | ConsentChange)
        assert event.inbox_id == "inbox-1"
        assert event.external_id


@minimal
async def test_sending_and_checking_end_in_words_with_nobody_there(settings: dict[str, Any]) -> None:
    adapter = build(settings)
    passed = 0

    async def point_of_no_return() -> None:
        nonlocal passed
        passed += 1

    for recipient in ("+97688001122", "", "\r\n", "nonsense"):
        out = OutboundMessage(
            inbox_id="inbox-1",
            message_ref="ref-1@example.mn",
            sender=Address("phone", "+97677001122"),
            to=(Address("phone", recipient),),
            text="hello",
            sent_at=datetime(2026, 11, 21, tzinfo=UTC),
        )
        assert isinstance(await adapter.send(out, point_of_no_return), SendResult)
    assert passed <= 1
    steps = await adapter.check()
    assert steps
    assert all(step.ok or step.words for step in steps)
    await adapter.close()
    await adapter.close()
