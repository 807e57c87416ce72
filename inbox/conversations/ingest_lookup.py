"""What a group of arrivals refers to, read in its transaction: references, conversations, people, sent messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from channels.base import Address, Capabilities, DeliveryUpdate, InboundEvent, InboundMessage, MessageChange
from inbox.conversations.model import Conversation, EarlyChange, FileRef, Message, Ref
from inbox.conversations.store import ConversationStore, ref_id
from inbox.conversations.store_fetches import FetchStore
from inbox.conversations.store_outbox import AutoReplies, OutboxStore
from inbox.conversations.store_raw import RawStore
from inbox.conversations.threading import BOUNCE_TOKEN, REPLY_TOKEN
from inbox.core.crypto import Keyring
from inbox.core.ids import digest, new_id
from inbox.core.mongo import Session
from inbox.core.store import Counters, EventStore
from inbox.customers.service import CustomerService
from inbox.inboxes.model import Inbox


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One event with all that was prepared for it outside the transaction."""

    inbox: Inbox
    capabilities: Capabilities
    raw_id: str
    event: InboundEvent
    message_id: str = msgspec.field(default_factory=new_id)
    files: tuple[FileRef, ...] = ()

    @property
    def receipt_id(self) -> str:
        """The `_id` under which this event is taken in at most once."""
        return digest(self.inbox.id, self.event.external_id)

    @property
    def message(self) -> InboundMessage | None:
        """The message to be shown: the event itself, or the notice that told of it."""
        if isinstance(self.event, InboundMessage):
            return self.event
        return self.event.notice if isinstance(self.event, DeliveryUpdate) else None

    @property
    def receipt_ids(self) -> set[str]:
        """The event's receipt and that of the message to be shown."""
        return {self.receipt_id} | ({digest(self.inbox.id, self.message.external_id)} if self.message else set())


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What a group reads and writes."""

    conversations: ConversationStore
    raws: RawStore
    outbox: OutboxStore
    fetches: FetchStore
    auto_replies: AutoReplies
    customers: CustomerService
    events: EventStore
    counters: Counters
    keyring: Keyring


class Known:
    """Filled by `load`; the group then keeps it true to what it decides."""

    def __init__(self, stores: Stores, session: Session) -> None:
        self._stores = stores
        self._session = session
        self.people = stores.customers.people(session)
        self.conversations: dict[str, Conversation] = {}
        self.refs: dict[str, Ref] = {}
        self.latest: dict[tuple[str, str], str] = {}
        """Conversation ids by (inbox id, customer id)."""
        self.chats: dict[tuple[str, str], str] = {}
        """Conversation ids by (inbox id, chat id)."""
        self.sent: dict[str, dict[str, Any]] = {}
        """Outbound messages that updates are about."""
        self.changing: dict[str, Message] = {}
        """Messages that changes and further parts of albums are about."""
        self.early: dict[str, list[EarlyChange]] = {}
        """Changes that came before their messages, by the reference's id."""
        self.auto_replied: dict[str, datetime] = {}

    async def load(self, arrivals: Sequence[Arrival]) -> None:
        """Read all that the arrivals refer to."""
        store, session = self._stores.conversations, self._session
        messages = [(item, item.message) for item in arrivals if item.message is not None]
        updates = [(item, item.event) for item in arrivals if isinstance(item.event, DeliveryUpdate)]
        wanted = {ref_id(item.inbox.id, ref) for item, message in messages for ref in names(message)}
        wanted |= {ref_id(item.inbox.id, update.message_ref) for item, update in updates if update.message_ref}
        touched = {key for item in arrivals if (key := changed_ref(item))}
        wanted |= touched
        self.refs = await store.refs(wanted, session) if wanted else {}
        sent = {ref.message_id for ref in self.refs.values() if ref.outbound}
        sent |= {message_id for _, update in updates if (message_id := self.bounce_target(update))}
        if updates and sent:
            self.sent = await store.states(session, sent)
        changing = {ref.message_id for key, ref in self.refs.items() if key in touched}
        self.changing = await store.messages(changing, session) if changing else {}
        coming = {
            ref_id(item.inbox.id, message.message_ref)
            for item, message in messages
            if item.capabilities.edits and message.message_ref
        }
        early = await store.early_changes(session, coming) if coming else []
        for each in sorted(early, key=lambda each: each.change.at or each.at):
            self.early.setdefault(each.ref, []).append(each)
        ids = {ref.conversation_id for ref in self.refs.values()}
        ids |= {document["conversation_id"] for document in self.sent.values()}
        ids |= {token for _, message in messages if (token := self.reply_target(message))}
        self.conversations = await store.get_many(ids, session) if ids else {}
        people = {customer_address(item.inbox, message).key for item, message in messages}
        people |= {address.key for _, message in messages for address in message.identities}
        await self.people.load(people)
        for inbox_id, customers in self._customers_by_inbox(messages).items():
            for customer_id, conversation in (await store.latest_of(session, inbox_id, customers)).items():
                self.conversations.setdefault(conversation.id, conversation)
                self.latest[inbox_id, customer_id] = conversation.id
        for item, message in messages:
            if message.thread.chat_id:
                found = await store.by_chat(session, item.inbox.id, [message.thread.chat_id])
                for chat_id, conversation in found.items():
                    self.conversations.setdefault(conversation.id, conversation)
                    self.chats[item.inbox.id, chat_id] = conversation.id
        keys = [f"{item.inbox.id} {to.key}" for item, message in messages if (to := auto_reply_to(item.inbox, message))]
        self.auto_replied = await self._stores.auto_replies.last(session, keys) if keys else {}

    def customer_id(self, item: Arrival, message: InboundMessage) -> str | None:
        """Whose conversation it is, None for somebody never seen, and where nobody is named."""
        address = customer_address(item.inbox, message)
        return self.people.known(address.key) if address.value else None

    def _customers_by_inbox(self, messages: Sequence[tuple[Arrival, InboundMessage]]) -> dict[str, set[str]]:
        grouped: dict[str, set[str]] = {}
        for item, message in messages:
            customer_id = self.customer_id(item, message)
            if customer_id is not None:
                grouped.setdefault(item.inbox.id, set()).add(customer_id)
        return grouped

    def reply_target(self, message: InboundMessage) -> str:
        """The conversation a valid reply token names, else empty."""
        token = message.thread.reply_token
        return (self._stores.keyring.unsign(REPLY_TOKEN, token) or "") if token else ""

    def bounce_target(self, update: DeliveryUpdate) -> str:
        """The message a valid bounce token names, else empty."""
        token = update.bounce_token
        return (self._stores.keyring.unsign(BOUNCE_TOKEN, token) or "") if token else ""


def changed_ref(item: Arrival) -> str:
    """The reference's id of the earlier message that an event changes or adds to, else empty."""
    if isinstance(item.event, MessageChange):
        return ref_id(item.inbox.id, item.event.message_ref)
    album = item.event.album if isinstance(item.event, InboundMessage) else ""
    return album_ref(item.inbox.id, album) if album else ""


def album_ref(inbox_id: str, album: str) -> str:
    """The reference's id by which the parts of an album find its first."""
    return ref_id(inbox_id, f"album:{album}")


def names(message: InboundMessage) -> list[str]:
    """The references a message gives, its own first where it may be a copy of ours."""
    own = [message.message_ref] if message.from_self and message.message_ref else []
    return [*own, *message.thread.in_reply_to, *message.thread.references]


def customer_address(inbox: Inbox, message: InboundMessage) -> Address:
    """Whose conversation it is: the sender's; of our own mail sent from elsewhere the first recipient's."""
    return _others(inbox, message)[0] if sent_elsewhere(inbox, message) else message.sender


def sent_elsewhere(inbox: Inbox, message: InboundMessage) -> bool:
    """Whether it is our own mail to somebody, written in another program and found in a Sent folder."""
    return message.sent_by_us and bool(_others(inbox, message))


def auto_reply_to(inbox: Inbox, message: InboundMessage) -> Address | None:
    """Whom an automatic answer goes to; None where there is none to give: to a machine, to nobody, to ourselves."""
    to = (message.reply_to or (message.sender,))[0]
    is_silent = not (inbox.auto_reply or inbox.auto_reply_closed)
    if is_silent or message.auto_submitted or message.from_self or to.value in ("", inbox.address):
        return None
    return to


def _others(inbox: Inbox, message: InboundMessage) -> list[Address]:
    own = {inbox.address, message.sender.value}
    return [address for address in (*message.to, *message.cc) if address.value not in own]
