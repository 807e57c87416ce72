"""The channel's settings, and the protocol's contract run over it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from channels.base import Address, InboundEvent, OutboundMessage, Raw, SendResult
from channels.telegram.adapter import PollingTelegramAdapter, WebhookTelegramAdapter
from channels.telegram.channel import CHANNEL, FIELDS
from channels.telegram.settings import read, secret_of
from tests.channels.telegram.conftest import outgoing
from tests.fakes.ports import FakePorts

NOWHERE = "http://127.0.0.1:9"
MINIMAL: list[dict[str, Any]] = [
    {"token": "1:abc", "inbound": "webhook", "api_url": NOWHERE},
    {"token": "1:abc", "api_url": NOWHERE},
]


def with_defaults(**settings: Any) -> dict[str, Any]:
    return {**{field.name: field.default for field in FIELDS}, **settings}


@pytest.mark.parametrize("settings", [{"token": "1:abc", "inbound": "webhook"}, {"token": "1:abc"}])
def test_the_least_is_enough(settings: dict[str, Any]) -> None:
    assert CHANNEL.validate(settings) == {}
    assert CHANNEL.validate(with_defaults(**settings)) == {}
    assert read(settings).api_url == "https://api.telegram.org"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", ""),
        ("token", "abc"),
        ("token", "1:abc/../getMe"),
        ("token", "1:ab\ncd"),
        ("inbound", "pigeon"),
        ("address", "two words"),
        ("webhook_secret", "with space"),
        ("webhook_secret", "x" * 257),
        ("api_url", "ftp://x"),
        ("api_url", "http://user@x/"),
        ("api_url", "https://x/?q"),
        ("max_per_minute", "0"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(name: str, value: str) -> None:
    wrong = CHANNEL.validate(with_defaults(**{"token": "1:abc", name: value}))
    assert list(wrong) == [name]
    assert wrong[name].endswith(".")


@given(st.fixed_dictionaries({}, optional={field.name: st.text() | st.none() | st.integers() for field in FIELDS}))
@budget(max_examples=100)
def test_what_passes_can_be_built(settings: dict[str, Any]) -> None:
    wrong = CHANNEL.validate(settings)
    assert set(wrong) <= {field.name for field in FIELDS}
    if not wrong:
        read(settings)


def test_nobody_has_to_think_of_a_secret() -> None:
    derived = read({"token": "1:abc"}).webhook_secret
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", derived)
    assert derived != secret_of("1:abd")
    assert "abc" not in derived
    assert read({"token": "1:abc", "webhook_secret": "own"}).webhook_secret == "own"


async def test_each_way_in_is_built() -> None:
    webhook, polling = (CHANNEL.build("inbox-1", with_defaults(**settings), FakePorts()) for settings in MINIMAL)
    assert isinstance(webhook, WebhookTelegramAdapter)
    assert isinstance(polling, PollingTelegramAdapter)
    for adapter in (webhook, polling):
        steps = await adapter.check()
        assert all(step.name and (step.ok or step.words) for step in steps)
        await adapter.close()
        await adapter.close()


@given(body=st.binary(max_size=2000), headers=st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
def test_anything_can_be_received(body: bytes, headers: dict[str, str]) -> None:
    adapter = CHANNEL.build("inbox-1", MINIMAL[0], FakePorts())
    raw = Raw(body=body, url="https://inbox.example.mn/hook", headers=headers)
    adapter.verify(raw)
    events: list[InboundEvent] = adapter.receive(raw)
    assert all(event.external_id for event in events)


async def test_sending_to_nowhere_ends_in_a_result() -> None:
    passed = 0

    async def point_of_no_return() -> None:
        nonlocal passed
        passed += 1

    adapter = CHANNEL.build("inbox-1", MINIMAL[0], FakePorts())
    for recipient in ("12345", "", "\r\n", "nonsense"):
        out: OutboundMessage = outgoing(to=(Address("telegram", recipient),))
        assert isinstance(await adapter.send(out, point_of_no_return), SendResult)
    await adapter.close()
    assert passed == 1
