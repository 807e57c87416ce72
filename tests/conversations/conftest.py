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

from channels.base import OutboundMessage, PointOfNoReturn, Raw, SendResult, Sent, Unknown
from channels.email.adapter import EmailAdapter
from config.settings import Settings
from inbox.accounts.model import Actor, Agent, Role
from inbox.conversations.composing import Written
from inbox.conversations.model import Message, State, View
from inbox.core.clock import utcnow
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo
from inbox.inboxes.model import InboxForm
from inbox.wiring import House, open_house

Open = Callable[[], Any]
Answer = Callable[[OutboundMessage], SendResult]
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


@pytest.fixture
def provider(house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return Provider(house, monkeypatch)


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


ADMIN = Actor(id="admin", name="Admin", role=Role.ADMIN)


async def another_inbox(house: House, name: str = "Sales", **form: Any) -> str:
    """One more inbox whose mail comes in by the door and goes to the catcher."""
    settings = house.inboxes.channel("email").built_in
    assert settings is not None
    filled = InboxForm(name=name, address=f"{name.lower()}@shop.mn", settings=settings, **form)
    return (await house.inboxes.create(ADMIN, "email", filled)).id


async def change_inbox(house: House, inbox_id: str, **fields: Any) -> None:
    """Set fields of an inbox past its form."""
    await house.mongo.collection("inboxes").update_one({"_id": inbox_id}, {"$set": fields})
    house.inboxes.forget()


async def everything(house: House, name: str) -> list[dict[str, Any]]:
    """All documents of a collection."""
    documents: list[dict[str, Any]] = await house.mongo.collection(name).find().sort("_id", 1).to_list(10_000)
    return documents


async def settle(house: House) -> None:
    """Send what is due until nothing is."""
    while await house.delivery.deliver_due():
        await asyncio.sleep(0)
    await house.delivery.close()


class Provider:
    """Stands in for the network behind the built-in inbox: answers as told, remembers what it was given."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        self.answer: Answer = lambda out: Sent(out.message_ref)
        self.hold = asyncio.Event()
        self.hold.set()
        self.slow: set[str] | None = None
        """The inboxes that `hold` holds up; None for all."""
        self.late: SendResult | None = None
        """What is answered in the end, after the message was taken."""

        async def send(_: object, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
            result = self.answer(out)
            if isinstance(result, Sent | Unknown):
                await point_of_no_return()
                self.taken.append(out.message_ref)
                if self.slow is None or out.inbox_id in self.slow:
                    await self.hold.wait()
            return self.late or result

        monkeypatch.setattr(EmailAdapter, "send", send)


async def reply(house: House, inbox_id: str, ann: Actor, number: int = 1, **written: Any) -> Message:
    """One more customer's mail, answered."""
    await house.ingest.ingest(inbox_id, mail(f"Q{number}", sender=f"c{number}@x.mn", message_id=f"<{number}@x.mn>"))
    rows = (await house.conversations.page(ann, View(), limit=100)).items
    conversation = next(row for row in rows if row.subject == f"Q{number}")
    draft = await house.drafts.start_reply(ann, conversation.id, "reply")
    fields = {"to": draft.to, "subject": draft.subject, "html": "<p>Yes, it is.</p>"} | written
    return await house.replies.send(ann, conversation.id, Written(**fields), headline=lambda _: "He wrote:")


async def state_of(house: House, ann: Actor, message: Message) -> State:
    delivery = (await house.conversations.message(ann, message.id)).delivery
    assert delivery is not None
    return delivery.state
