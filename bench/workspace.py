"""A busy shop after some years: 100,000 conversations with 500,000 messages, written straight into the collections.

Made of the product's own models, so that every document has the shape that the product gives it. What no page reads
(raw sources, receipts, references, events) is left out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bench import words
from channels.base import Address
from inbox.accounts.model import Agent
from inbox.conversations.model import Conversation, Delivery, Message, MessageKind, Priority, State, Status
from inbox.conversations.outgoing import excerpt
from inbox.core.clock import utcnow
from inbox.core.mongo import Mongo, to_document
from inbox.customers.model import Customer, Identity
from inbox.inboxes.model import Inbox

CONVERSATIONS = 100_000
LABELS = ("billing", "bug", "complaint", "delivery", "praise", "question", "refund", "return", "sales", "urgent", "vip")
_MESSAGES_OF_TEN = (1, 1, 2, 2, 3, 3, 4, 5, 8, 21)
"""How many messages each of ten conversations has: five on average."""
_CUSTOMERS = CONVERSATIONS * 2 // 5
_YEARS = timedelta(days=3 * 365)
_STATUSES = (Status.OPEN, Status.PENDING, Status.SNOOZED, Status.RESOLVED, Status.SPAM)
_STATUS_WEIGHTS = (5, 3, 1, 88, 3)
_BATCH = 500


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """What of it the load asks for."""

    open_ids: Sequence[str]
    """Open conversations, the latest first."""
    other_ids: Sequence[str]
    """All others."""


async def build(mongo: Mongo, agents: Sequence[Agent], inboxes: Sequence[Inbox]) -> Workspace:
    """Fill the collections of an empty database; their indexes are there already."""
    maker = _Maker(agents, inboxes)
    writer = _Writer(mongo)
    for number in range(_CUSTOMERS):
        customer, identity = maker.customer(number)
        await writer.add("customers", to_document(customer) | {"search": customer.name.lower().split()})
        await writer.add("identities", to_document(identity))
    for number in range(CONVERSATIONS):
        conversation, messages = maker.conversation(number)
        await writer.add("conversations", to_document(conversation))
        for message in messages:
            await writer.add("messages", to_document(message))
    await writer.close()
    await mongo.collection("counters").insert_one({"_id": "conversation", "value": CONVERSATIONS})
    return Workspace(open_ids=[one for _, one in sorted(maker.open_ids, reverse=True)], other_ids=maker.other_ids)


class _Writer:
    """Inserts in batches, one of each collection on its way while the next is made."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._writing: dict[str, asyncio.Task[Any]] = {}

    async def add(self, collection: str, document: dict[str, Any]) -> None:
        batch = self._waiting.setdefault(collection, [])
        batch.append(document)
        if len(batch) >= _BATCH:
            await self._write(collection)

    async def close(self) -> None:
        for collection in list(self._waiting):
            await self._write(collection)
        await asyncio.gather(*self._writing.values())

    async def _write(self, collection: str) -> None:
        batch = self._waiting.pop(collection)
        if collection in self._writing:
            await self._writing[collection]
        inserting = self._mongo.collection(collection).insert_many(batch, ordered=False)
        self._writing[collection] = asyncio.ensure_future(inserting)
        await asyncio.sleep(0)


class _Maker:
    """Makes documents, the same in every run but for the moment they lead up to."""

    def __init__(self, agents: Sequence[Agent], inboxes: Sequence[Inbox]) -> None:
        self.open_ids: list[tuple[datetime, str]] = []
        self.other_ids: list[str] = []
        self._chance = random.Random(2)
        self._now = utcnow()
        self._agents = agents
        self._inboxes = inboxes
        self._names: list[str] = []
        self._paragraphs = [words.paragraphs(self._chance, 4, words.language(self._chance)) for _ in range(2000)]
        self._sizes = self._message_counts()

    def customer(self, number: int) -> tuple[Customer, Identity]:
        """One customer with their address."""
        name = words.name(self._chance)
        self._names.append(name)
        at = self._now - _YEARS
        customer = Customer(id=f"customer{number:018}", name=name, created_at=at, last_contact_at=self._now)
        identity = Identity(id=f"email:{_address(number)}", customer_id=customer.id, name=name, first_seen=at)
        return customer, identity

    def conversation(self, number: int) -> tuple[Conversation, list[Message]]:
        """One conversation, the later the higher its number."""
        chance = self._chance
        status = chance.choices(_STATUSES, _STATUS_WEIGHTS)[0]
        customer = chance.randrange(_CUSTOMERS)
        conversation_id = f"conversation{number:014}"
        inbox = chance.choice(self._inboxes)
        begun = self._now - _YEARS * (1 - number / CONVERSATIONS)
        at = begun - timedelta(hours=1)
        messages = []
        for place in range(next(self._sizes)):
            at = min(at + timedelta(hours=chance.uniform(0.1, 20)), self._now)
            messages.append(
                self._message(f"message{number:012}{place:04}", conversation_id, inbox, customer, at, place)
            )
        if status is Status.OPEN:
            self.open_ids.append((at, conversation_id))
        else:
            self.other_ids.append(conversation_id)
        return Conversation(
            id=conversation_id,
            number=number + 1,
            inbox_id=inbox.id,
            customer_id=f"customer{customer:018}",
            customer_name=self._names[customer],
            subject=messages[0].subject,
            status=status,
            created_at=begun,
            updated_at=at,
            excerpt=excerpt(messages[-1].text),
            assignee_id="" if chance.random() < 0.3 else chance.choice(self._agents).id,
            priority=chance.choices(tuple(Priority), (1, 6, 2, 1))[0],
            labels=tuple(chance.sample(LABELS, chance.choice((0, 0, 1, 1, 2)))),
            unread=status is Status.OPEN and chance.random() < 0.4,
            last_kind=messages[-1].kind,
            has_attachments=chance.random() < 0.15,
            snoozed_until=self._now + timedelta(days=chance.randint(1, 30)) if status is Status.SNOOZED else None,
            version=len(messages),
        ), messages

    def _message(
        self, message_id: str, conversation_id: str, inbox: Inbox, customer: int, at: datetime, place: int
    ) -> Message:
        chance, theirs = self._chance, Address(kind="email", value=_address(customer), name=self._names[customer])
        ours = Address(kind="email", value=inbox.address, name=inbox.name)
        said = chance.choice(self._paragraphs)
        history = chance.choice(self._paragraphs) if place else []
        answers = place % 2 == 1
        agent = chance.choice(self._agents)
        is_note = answers and chance.random() < 0.1
        has_html = answers or chance.random() < 0.5
        return Message(
            id=message_id,
            conversation_id=conversation_id,
            inbox_id=inbox.id,
            kind=MessageKind.NOTE if is_note else MessageKind.OUT if answers else MessageKind.IN,
            at=at,
            sent_at=at,
            message_ref="" if is_note else f"{message_id}@example.com",
            author_id=agent.id if answers else "",
            sender=None if is_note else ours if answers else theirs,
            to=() if is_note else (theirs,) if answers else (ours,),
            subject="" if is_note else f"{'Re: ' if place else ''}{said[0][:50]}",
            text="\n\n".join(said),
            full_text="\n\n".join([*said, *(f"> {line}" for line in history)]) if history and not answers else "",
            html="".join(f'<div dir="ltr"><p>{line}</p></div>' for line in (*said, *history)) if has_html else "",
            joined_by="" if answers else "reply" if place else "new",
            raw_id="" if answers else f"{place:08x}{message_id}",
            delivery=Delivery(state=State.SENT, at=at, attempts=1) if answers and not is_note else None,
        )

    def _message_counts(self) -> Iterator[int]:
        while True:
            yield from self._chance.sample(_MESSAGES_OF_TEN, len(_MESSAGES_OF_TEN))


def _address(number: int) -> str:
    return f"customer{number}@example.com"
