"""The catalogue of events: every change of state appends one, in the transaction that makes the change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from inbox.core.ids import new_id


class EventType(StrEnum):
    """What can happen. The words are stable: webhooks and automation will name them."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_QUEUED = "message.queued"
    MESSAGE_STATE = "message.state"
    MESSAGE_CHANGED = "message.changed"
    NOTE_ADDED = "note.added"
    CONVERSATION_CREATED = "conversation.created"
    CONVERSATION_CHANGED = "conversation.changed"
    CUSTOMER_CREATED = "customer.created"
    CUSTOMER_CHANGED = "customer.changed"
    INBOX_CREATED = "inbox.created"
    INBOX_CHANGED = "inbox.changed"
    INBOX_HEALTH = "inbox.health"
    AGENT_CREATED = "agent.created"
    AGENT_CHANGED = "agent.changed"
    DEAD_LETTER = "dead_letter.changed"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `actor` is an agent's id, or `system:` and a worker's role. `data` stays small."""

    type: EventType
    at: datetime
    actor: str
    id: str = msgspec.field(default_factory=new_id)
    inbox_id: str = ""
    conversation_id: str = ""
    customer_id: str = ""
    message_id: str = ""
    data: dict[str, Any] = {}
