"""An inboxes room on a real database, with the paper channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from channels.base import Channel
from inbox.accounts.model import Actor, Role
from inbox.core.clock import utcnow
from inbox.core.crypto import Keyring
from inbox.core.events import Event
from inbox.core.files import Files
from inbox.core.mongo import Mongo, from_document
from inbox.core.store import EventStore, Leases
from inbox.inboxes.model import InboxForm
from inbox.inboxes.service import InboxService
from inbox.inboxes.store import InboxStore
from tests.fixtures.web import site
from tests.inboxes.paper import PaperAdapter, PaperFlow, paper_channel

__all__ = ["site"]

ADMIN = Actor(id="agent-admin", name="Bold", role=Role.ADMIN)
AGENT = Actor(id="agent-1", name="Saraa", role=Role.AGENT)
PASSWORD = "correct horse battery"


class Clock:
    """Now, moved by hand."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


class Room(NamedTuple):
    service: InboxService
    mongo: Mongo
    flow: PaperFlow
    built: list[PaperAdapter]
    clock: Clock
    another: Callable[[], InboxService]
    """The same room as another process sees it."""

    async def events(self) -> list[Event]:
        return [from_document(found, Event) async for found in self.mongo.collection("events").find().sort("_id", 1)]


def stone(name: str = "Support", address: str = "support@x.mn", **more: object) -> InboxForm:
    settings = {"provider": "stone", "host": "mail.x.mn", "port": 993, "tls": True, "password": PASSWORD, **more}
    return InboxForm(name=name, address=address, settings=settings)


def cloud(name: str = "Cloud", address: str = "cloud@x.mn") -> InboxForm:
    return InboxForm(name=name, address=address, settings={"provider": "cloud", "client_secret": "the client's secret"})


@pytest.fixture
async def room(mongo: Mongo) -> AsyncIterator[Room]:
    events = EventStore(mongo)
    await events.prepare(30)
    await Files(mongo).prepare()
    await mongo.ensure("leases")
    await InboxStore(mongo, events).prepare()
    flow, clock = PaperFlow(), Clock()
    built: list[PaperAdapter] = []
    channel = paper_channel(flow, built)
    services: list[InboxService] = []

    def another() -> InboxService:
        service = service_of(mongo, {channel.name: channel}, clock)
        services.append(service)
        return service

    yield Room(another(), mongo, flow, built, clock, another)
    for service in services:
        await service.close()


def service_of(mongo: Mongo, channels: Mapping[str, Channel], clock: Clock, **more: Any) -> InboxService:
    """The room with these channels, at its own database."""
    return InboxService(
        InboxStore(mongo, EventStore(mongo)),
        Keyring(b"k" * 32),
        Files(mongo),
        Leases(mongo),
        channels,
        clock=clock,
        cache_seconds=0,
        **more,
    )
