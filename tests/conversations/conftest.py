"""The whole house on the test's database, and mails to put into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from channels.base import Raw
from config.settings import Settings
from inbox.accounts.model import Actor, Agent, Role
from inbox.core.clock import utcnow
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo
from inbox.wiring import House, open_house

Open = Callable[[], Any]
ADDRESS = "hello@shop.mn"


@pytest.fixture
def settings(mongo: Mongo, mongo_uri: str, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, mongodb_uri=SecretStr(mongo_uri), database=mongo.db.name, undo_seconds=0)


@pytest.fixture
async def open_another(settings: Settings) -> AsyncIterator[Open]:
    """Opens one more process' worth of services on the same database."""
    async with AsyncExitStack() as stack:

        async def open_one() -> House:
            return await stack.enter_async_context(open_house(settings))

        yield open_one


@pytest.fixture
async def house(open_another: Open) -> House:
    found: House = await open_another()
    return found


@pytest.fixture
async def inbox_id(house: House) -> str:
    """The built-in inbox."""
    return (await house.inboxes.built_in()).id


@pytest.fixture
async def ann(house: House) -> Actor:
    """An agent."""
    return await hire(house, "Ann Bold", "ann@shop.mn")


async def hire(house: House, name: str, email: str, role: Role = Role.AGENT) -> Actor:
    """Somebody who works here."""
    agent = Agent(id=new_id(), email=email, name=name, role=role, created_at=utcnow())
    await house.mongo.transaction(lambda session: house.accounts.add(session, agent))
    return agent.actor


def mail(
    subject: str = "Hello",
    text: str = "Is the blue one in stock?",
    *,
    sender: str = "Bat <bat@example.mn>",
    to: str = ADDRESS,
    message_id: str = "<1@example.mn>",
    **headers: str,
) -> Raw:
    """A raw mail; header names are written with underscores."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0800"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return Raw(body=message.as_bytes(), url="smtp:")


async def everything(house: House, name: str) -> list[dict[str, Any]]:
    """All documents of a collection."""
    documents: list[dict[str, Any]] = await house.mongo.collection(name).find().sort("_id", 1).to_list(10_000)
    return documents


async def settle(house: House) -> None:
    """Send what is due until nothing is."""
    while await house.delivery.deliver_due():
        await asyncio.sleep(0)
    await house.delivery.close()
