"""A channel that says what it was taught, and a house in which it is one: for what channels beyond mail bring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, ClassVar

import pytest
from aiohttp.test_utils import TestClient, TestServer

from channels.base import (
    Address,
    Attachment,
    Capabilities,
    Channel,
    CheckStep,
    HookReply,
    InboundEvent,
    InboundMessage,
    MessageChange,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    SendResult,
    Sent,
    ThreadHints,
)
from channels.registry import CHANNELS
from config.settings import Settings
from inbox.accounts.model import Actor
from inbox.app import build
from inbox.conversations.model import Conversation, Message
from inbox.core.clock import utcnow
from inbox.inboxes.model import InboxForm
from inbox.wiring import House, open_house
from tests.conversations.conftest import ADMIN, everything, hire

CAPABILITIES = Capabilities(
    address_kind="telegram", rooms=True, hooks=True, edits=True, albums=True, reactions=True, attachments=True
)
BAT = Address("telegram", "7", "Bat")
SARNAI = Address("telegram", "8", "Sarnai")


class Parrot:
    """An adapter that says what it was taught: `events` by the body of a call, `files` by their reference."""

    capabilities = CAPABILITIES
    events: ClassVar[dict[bytes, Sequence[InboundEvent]]] = {}
    files: ClassVar[dict[str, Attachment | Exception]] = {}
    result: ClassVar[Callable[[OutboundMessage], SendResult]] = lambda out: Sent("chat:1")
    sent: ClassVar[list[OutboundMessage]] = []

    def __init__(self, inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> None:
        self.hook_url = ports.hook_url()

    def verify(self, raw: Raw) -> bool:
        return raw.headers.get("X-Signature") == f"signed {raw.url}"

    def receive(self, raw: Raw) -> list[InboundEvent]:
        return list(Parrot.events[raw.body])

    def answer(self, raw: Raw) -> HookReply:
        return HookReply(b"<Response/>", "text/xml")

    async def connect(self) -> list[CheckStep]:
        return []

    async def fetch(self, ref: str, max_bytes: int) -> Attachment:
        found = Parrot.files[ref]
        if isinstance(found, Exception):
            raise found
        return found

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        await point_of_no_return()
        Parrot.sent.append(out)
        return Parrot.result(out)

    async def check(self) -> list[CheckStep]:
        return []

    async def close(self) -> None:
        pass


PARROT = Channel(
    name="parrot",
    label="Parrot",
    blurb="Repeats.",
    icon="message",
    capabilities=CAPABILITIES,
    fields=(),
    build=Parrot,
    validate=lambda settings: {},
)


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def house(settings: Settings, clock: Clock) -> AsyncIterator[House]:
    Parrot.events, Parrot.files, Parrot.sent, Parrot.result = {}, {}, [], lambda out: Sent("chat:1")
    async with open_house(settings, clock=clock, channels={**CHANNELS, "parrot": PARROT}) as opened:
        yield opened


@pytest.fixture
async def inbox_id(house: House) -> str:
    return (await house.inboxes.create(ADMIN, "parrot", InboxForm(name="Parrot", address="99"))).id


@pytest.fixture
async def ann(house: House) -> Actor:
    return await hire(house, "Ann Bold", "ann@shop.mn")


@pytest.fixture
async def client(house: House) -> AsyncIterator[TestClient[Any, Any]]:
    async with AsyncExitStack() as stack:
        server = TestServer(await build(house))
        yield await stack.enter_async_context(TestClient(server))


def said(
    ref: str = "1", text: str = "Sain uu", *, sender: Address = BAT, chat: str = "7", **more: Any
) -> InboundMessage:
    return InboundMessage(
        inbox_id="",
        external_id=f"update:{ref}",
        message_ref=f"{chat}:{ref}",
        sender=sender,
        text=text,
        thread=ThreadHints(chat_id=chat),
        **more,
    )


def change(ref: str, kind: Any, number: str = "a", **more: Any) -> MessageChange:
    return MessageChange(inbox_id="", external_id=f"change:{number}", message_ref=f"7:{ref}", change=kind, **more)


async def take(house: House, inbox_id: str, *groups: Sequence[InboundEvent]) -> None:
    """Take in groups of events, each group as one call."""
    for number, events in enumerate(groups):
        body = f"{len(Parrot.events)} {number}".encode()
        Parrot.events[body] = events
        await house.ingest.ingest(inbox_id, Raw(body=body))


async def only_message(house: House, kind: str = "in") -> Message:
    [document] = [each for each in await everything(house, "messages") if each["kind"] == kind]
    return await house.conversations.message(ADMIN, document["_id"])


async def only_conversation(house: House) -> Conversation:
    [document] = await everything(house, "conversations")
    return (await house.conversations.open(ADMIN, document["_id"])).conversation
