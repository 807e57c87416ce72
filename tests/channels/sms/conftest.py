"""An inbox at a Twilio of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import Address, OutboundMessage
from channels.sms.adapter import SmsAdapter
from channels.sms.sending import SendTiming
from channels.sms.settings import read
from channels.twilio.http import HttpTiming
from tests.fakes.ports import FakePorts
from tests.fakes.twilio_server import ACCOUNT, CUSTOMER, NUMBER, TOKEN, TwilioServer

MakeAdapter = Callable[..., SmsAdapter]
MakeMessage = Callable[..., OutboundMessage]


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioServer]:
    """Fails the test at its end if a request was not as Twilio's contract wants it."""
    async with TwilioServer() as server:
        yield server
    assert server.wrong == [], "\n".join(server.wrong)


@pytest.fixture
async def make_adapter(twilio: TwilioServer) -> AsyncIterator[MakeAdapter]:
    """Makes adapters: any setting by its name, `ports` and `http_timing`; closes them all."""
    made: list[SmsAdapter] = []

    def make(*, ports: FakePorts | None = None, http_timing: HttpTiming | None = None, **settings: Any) -> SmsAdapter:
        everything = {
            "address": NUMBER,
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "api_url": twilio.url,
            **settings,
        }
        made.append(
            SmsAdapter(
                "inbox-1",
                read(everything),
                ports or FakePorts(),
                http_timing=http_timing,
                timing=SendTiming(settle=0),
            )
        )
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def adapter(make_adapter: MakeAdapter) -> SmsAdapter:
    """With a number as its sender."""
    return make_adapter()


@pytest.fixture
def outbound() -> MakeMessage:
    """Makes messages to be sent; any field may be given."""

    def make(text: str = "It is on its way.", **fields: Any) -> OutboundMessage:
        return OutboundMessage(
            **{
                "inbox_id": "inbox-1",
                "message_ref": "ref-1@example.mn",
                "sender": Address("phone", NUMBER),
                "to": (Address("phone", CUSTOMER),),
                "text": text,
                "sent_at": datetime.now(UTC),
                **fields,
            }
        )

    return make


class Point:
    """A point of no return that counts, and may be told to stop the message there."""

    def __init__(self, stop: Exception | None = None) -> None:
        self.passed = 0
        self.stop = stop

    async def __call__(self) -> None:
        self.passed += 1
        if self.stop is not None:
            raise self.stop


@pytest.fixture
def point() -> Point:
    return Point()
