"""Everything one group of inbound events writes, in one go: collected while the group decides, and then written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from channels.base import ConsentChange
from inbox.conversations.ingest_entry import ACTOR
from inbox.conversations.ingest_lookup import Known, Stores
from inbox.conversations.model import EarlyChange, Message, Ref
from inbox.conversations.store_fetches import Fetch
from inbox.conversations.store_outbox import OutboxEntry
from inbox.core.events import Event, EventType
from inbox.core.mongo import Session


class Writes:
    """New and changed documents of one group, within its transaction."""

    def __init__(self, stores: Stores, session: Session, known: Known, now: datetime) -> None:
        self._stores = stores
        self._session = session
        self._known = known
        self._now = now
        self.created: list[str] = []
        """Conversations, by id in `Known.conversations`."""
        self.changed: set[str] = set()
        """The same."""
        self.messages: dict[str, Message] = {}
        self.changes: dict[str, dict[str, Any]] = {}
        """Fields of earlier messages, by message id."""
        self.early: dict[str, EarlyChange] = {}
        """Changes whose messages are still to come, by id."""
        self.early_used: list[str] = []
        """Ids of those that were waiting."""
        self.fetches: list[Fetch] = []
        self.refs: list[Ref] = []
        self.outbox: list[OutboxEntry] = []
        self.receipts: dict[str, dict[str, Any]] = {}
        self.events: list[Event] = []
        self.deliveries: dict[str, dict[str, Any]] = {}
        self.bounced: dict[str, str] = {}
        """Why, by address key."""
        self.opted_out: set[str] = set()
        """Address keys."""
        self.consents: list[ConsentChange] = []
        self.answered: set[str] = set()
        """Whom an automatic answer goes to, as the loop guard remembers them."""

    async def write(self) -> None:
        """Write all of it."""
        stores, session = self._stores, self._session
        await stores.raws.add_receipts(session, list(self.receipts.values()))
        await self._known.people.save()
        await self._write_conversations()
        await stores.conversations.add_messages(session, list(self.messages.values()))
        for message_id, fields in self.changes.items():
            await stores.conversations.update_message(session, message_id, fields)
        await stores.conversations.keep_early(session, list(self.early.values()), self.early_used)
        await stores.fetches.add(session, self.fetches)
        await stores.conversations.add_refs(session, self.refs)
        await stores.conversations.set_deliveries(session, self.deliveries)
        await stores.outbox.add(session, self.outbox)
        await stores.auto_replies.note(session, self.answered, self._now)
        await self._write_people()
        await stores.events.append(session, self.events)

    async def _write_conversations(self) -> None:
        stores, session, conversations = self._stores, self._session, self._known.conversations
        if self.created:
            numbers = await stores.counters.take("conversation", len(self.created))
            for conversation_id, number in zip(self.created, numbers, strict=True):
                conversations[conversation_id] = msgspec.structs.replace(conversations[conversation_id], number=number)
        await stores.conversations.insert(session, [conversations[key] for key in self.created])
        changed = self.changed - set(self.created)
        await stores.conversations.replace(session, [conversations[key] for key in changed])

    async def _write_people(self) -> None:
        customers, session = self._stores.customers, self._session
        for key, why in self.bounced.items():
            await customers.came_back(session, key, why or "bounced")
        for key in self.opted_out:
            await customers.set_consent(session, key, opted_out=True, words="", at=self._now)
        for said in self.consents:
            at = said.at or self._now
            await customers.set_consent(session, said.address.key, opted_out=said.opted_out, words=said.words, at=at)
        for customer in self._known.people.created:
            created = Event(type=EventType.CUSTOMER_CREATED, at=self._now, actor=ACTOR, customer_id=customer.id)
            self.events.append(created)
