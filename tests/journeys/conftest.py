"""Worlds to order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import Settings
from inbox.core.mongo import Mongo
from tests.journeys.worlds import SmsWorld, TelegramWorld, World

MakeWorld = Callable[..., Awaitable[Any]]


@pytest.fixture
async def make_world(mongo: Mongo, mongo_uri: str, tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Makes the world of a channel; `away`: its provider does not listen yet."""
    settings = Settings(data=tmp_path, mongodb_uri=SecretStr(mongo_uri), database=mongo.db.name, undo_seconds=0)
    async with AsyncExitStack() as stack:

        async def make(channel: str, *, away: bool = False, patience: float | None = None) -> World:
            world = SmsWorld(settings) if channel == "sms" else TelegramWorld(settings)
            world.patience = patience
            provider = world.twilio if isinstance(world, SmsWorld) else world.telegram
            stack.push_async_callback(provider.stop)
            if not away:
                await world.start_provider()
            stack.push_async_callback(world.close)
            await world.open()
            made.append(world)
            return world

        made: list[World] = []
        yield make
    for world in made:
        wrong = world.twilio.wrong if isinstance(world, SmsWorld) else world.telegram.violations  # type: ignore[attr-defined]  # it is the other
        assert wrong == [], "a request that the provider does not allow"
