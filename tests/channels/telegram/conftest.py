"""A Bot API server, and adapters that speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.telegram.adapter import PollingTelegramAdapter, WebhookTelegramAdapter
from channels.telegram.client import Timing
from channels.telegram.pace import Limit, Limits
from channels.telegram.settings import TelegramSettings
from tests.fakes.ports import FakePorts
from tests.fakes.telegram_server import TelegramServer

SECRET = "webhook-secret_1"
TIMING = Timing(connect=5, answer=30, upload=60, poll=20)
NO_LIMITS = Limits(everybody=Limit(1e6, 10**6), chat=Limit(1e6, 10**6), group=Limit(1e6, 10**6))
ANN = 5512001


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
