"""What every way of writing has in common inside its transaction: once for each key, the draft used up, the message
queued with everything that goes with it."""

from __future__ import annotations

from typing import Any

import msgspec

from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.model import Conversation, FileRef, Message, MessageKind, Ref, next_at
from inbox.conversations.outgoing import excerpt
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_outbox import OutboxEntry, OutboxStore
from inbox.core.clock import Clock
from inbox.core.errors import Conflict, NotFound
from inbox.core.events import Event, EventType
from inbox.core.ids import digest
from inbox.core.mongo import Session
from inbox.core.store import EventStore


class SentAlready(Exception):
    """The composer sent this before."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.id)
        self.message = message


class OutboundWrites:
    """The writes around an outbound message."""

    def __init__(self, store: ConversationStore, outbox: OutboxStore, events: EventStore, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._events = events
        self._clock = clock

    async def sent_already(self, actor: Actor, written: Written) -> Message | None:
        """What this composer sent before under the same key."""
        message_id = await self._store.sent_by_key(digest(actor.id, written.key)) if written.key else ""
        return await self._store.message(message_id) if message_id else None

    async def note_key(self, session: Session, actor: Actor, written: Written, message_id: str) -> None:
        """Take the composer's key for this message. Raises `SentAlready`."""
        if not written.key:
            return
        key = digest(actor.id, written.key)
        if not await self._store.take_send_key(session, key, message_id, self._clock()):
            earlier = await self.sent_already(actor, written)
            if earlier is None:
                raise Conflict("This was taken back at this very moment. Look at it once more, then send it.")
            raise SentAlready(earlier)

    async def use_draft(self, session: Session, own_id: str, files: tuple[FileRef, ...]) -> None:
        """The draft is gone, and has the files that are sent. Raises `Conflict` where another tab changed them."""
        draft = await self._store.draft(own_id, session)
        if (draft.attachments if draft else ()) != files:
            raise Conflict("The files of this draft were changed meanwhile. Look at them once more, then send it.")
        await self._store.delete_draft(own_id, session)

    async def queue(
        self,
        session: Session,
        actor: Actor,
        seen: Conversation,
        message: Message,
        entry: OutboxEntry,
        ref: Ref,
        changes: dict[str, Any],
    ) -> Message:
        """Write an outbound message with everything that goes with it; what came in after `seen` stays to be seen."""
        current = await self._store.get(seen.id, session)
        if current is None:
            raise NotFound("This conversation is no longer there.")
        if current.updated_at != seen.updated_at and current.last_kind is MessageKind.IN:
            changes = {name: value for name, value in changes.items() if name == "assignee_id"}
        at = next_at(current, message.at)
        message = msgspec.structs.replace(message, at=at)
        await self._store.add_messages(session, [message])
        await self._store.add_refs(session, [ref])
        await self._outbox.add(session, [msgspec.structs.replace(entry, first_at=at)])
        summary = {
            "updated_at": at,
            "excerpt": excerpt(message.text or message.subject),
            "last_kind": MessageKind.OUT.value,
        }
        changed = await self._store.change(session, seen.id, changes | summary)
        await self._events.append(session, [self.event(EventType.MESSAGE_QUEUED, actor, changed, message.id)])
        return message

    def event(
        self, kind: EventType, actor: Actor, conversation: Conversation | None, message_id: str = "", state: str = ""
    ) -> Event:
        """What happened, now."""
        return Event(
            type=kind,
            at=self._clock(),
            actor=actor.id,
            inbox_id=conversation.inbox_id if conversation else "",
            conversation_id=conversation.id if conversation else "",
            customer_id=conversation.customer_id if conversation else "",
            message_id=message_id,
            data={"state": state} if state else {},
        )
