"""A Bot API server, and adapters that speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from channels.base import Address, Button, OutboundMessage
from channels.telegram.adapter import PollingTelegramAdapter, TelegramAdapter, WebhookTelegramAdapter
from channels.telegram.client import Timing
from channels.telegram.pace import Limit, Limits
from channels.telegram.settings import TelegramSettings
from tests.fakes.ports import FakePorts
from tests.fakes.telegram_server import TelegramServer

SECRET = "webhook-secret_1"
TIMING = Timing(connect=5, answer=30, upload=60, poll=20)
NO_LIMITS = Limits(everybody=Limit(1e6, 10**6), chat=Limit(1e6, 10**6), group=Limit(1e6, 10**6))
ANN = 5512001
Press = Callable[[TelegramAdapter], Awaitable[dict[str, Any]]]


def outgoing(**changes: Any) -> OutboundMessage:
    """A message to Ann."""
    message = OutboundMessage(
        inbox_id="inbox-1",
        message_ref="ref-1@example.mn",
        sender=Address("telegram", "7"),
        to=(Address("telegram", str(ANN), "Ann"),),
        text="Hello",
        sent_at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    return msgspec.structs.replace(message, **changes)


def settings(server: TelegramServer, *, webhook: bool = False) -> TelegramSettings:
    return TelegramSettings(
        token=server.token,
        inbound="webhook" if webhook else "polling",
        api_url=server.url,
        webhook_secret=SECRET,
    )


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        running.chats.person(ANN, "Ann")
        yield running


@pytest.fixture
async def hooked(server: TelegramServer) -> AsyncIterator[WebhookTelegramAdapter]:
    adapter = WebhookTelegramAdapter(
        "inbox-1", settings(server, webhook=True), FakePorts(), timing=TIMING, limits=NO_LIMITS
    )
    yield adapter
    await adapter.close()


@pytest.fixture
async def polling(server: TelegramServer) -> AsyncIterator[PollingTelegramAdapter]:
    adapter = PollingTelegramAdapter("inbox-1", settings(server), FakePorts(), timing=TIMING, limits=NO_LIMITS)
    yield adapter
    await adapter.close()


@pytest.fixture
def press(server: TelegramServer) -> Press:
    """Sends Ann a question with buttons, of which she presses one: the update of it."""

    async def point_of_no_return() -> None:
        pass

    async def ask(adapter: TelegramAdapter) -> dict[str, Any]:
        await adapter.send(outgoing(buttons=(Button("Friday", "day:5"), Button("Sunday"))), point_of_no_return)
        return server.chats.update_press(server.chats.person(ANN, "Ann"), server.sent[-1], "Friday")

    return ask
