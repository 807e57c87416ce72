"""Conversations and messages: types, the state machine of an outbound message, views."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec

from channels.base import Address, MessageChange


class Status(StrEnum):
    """Where a conversation stands."""

    OPEN = "open"
    PENDING = "pending"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    SPAM = "spam"


class Priority(StrEnum):
    """How urgent a conversation is."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class MessageKind(StrEnum):
    """What an entry of a thread is."""

    IN = "in"
    OUT = "out"
    NOTE = "note"
    SYSTEM = "system"


class State(StrEnum):
    """The state of an outbound message."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    BOUNCED = "bounced"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"


_NEXT: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.QUEUED, State.CANCELLED}),
    State.QUEUED: frozenset({State.SENDING, State.FAILED, State.CANCELLED}),
    State.SENDING: frozenset(
        {
            State.QUEUED,
            State.SENT,
            State.DELIVERED,
            State.READ,
            State.BOUNCED,
            State.FAILED,
            State.UNCONFIRMED,
        }
    ),
    State.UNCONFIRMED: frozenset({State.SENT, State.DELIVERED, State.READ, State.BOUNCED, State.FAILED}),
    State.SENT: frozenset({State.DELIVERED, State.READ, State.BOUNCED, State.FAILED}),
    State.DELIVERED: frozenset({State.READ, State.BOUNCED}),
    State.READ: frozenset(),
    State.BOUNCED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


def may_follow(current: State, new: State) -> bool:
    """Whether an outbound message may go from one state to another; late and repeated callbacks may not."""
    return new in _NEXT[current]


def sources_of(new: State) -> list[State]:
    """The states from which `new` can be reached, for a conditional update."""
    return [state for state, following in _NEXT.items() if new in following]


MOST_PARTICIPANTS = 100
MOST_VERSIONS = 20
MOST_REACTIONS = 100
FileState = Literal["", "pending", "failed"]


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """A message of ours or theirs that later ones may refer to. `id` is the digest of inbox and `message_ref`."""

    id: str
    conversation_id: str
    message_id: str
    at: datetime
    participants: tuple[str, ...] = ()
    """Address keys of its sender and recipients, at most `MOST_PARTICIPANTS`."""
    outbound: bool = False


class FileRef(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file of a message or a draft."""

    id: str
    name: str
    media_type: str
    size: int
    content_id: str = ""
    inline: bool = False
    state: FileState = ""
    """`pending` while it is still to be fetched from the provider (its id then names the fetch), `failed` where it
    could not be had, empty once it is here."""
    reason: str = ""
    """Why it could not be had."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was before an edit."""

    at: datetime
    """When it was replaced."""
    text: str = ""
    html: str = ""


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody put on a message."""

    by: Address
    emoji: tuple[str, ...]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an outbound message."""

    state: State
    at: datetime
    reason: str = ""
    code: str = ""
    attempts: int = 0
    due_at: datetime | None = None
    """When it is to leave; within the undo window it can still be taken back."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a thread."""

    id: str
    conversation_id: str
    inbox_id: str
    kind: MessageKind
    at: datetime
    """When it was taken in or queued: the order of the thread."""
    sent_at: datetime | None = None
    """When the sender says it was written."""
    message_ref: str = ""
    author_id: str = ""
    """The agent who wrote it, or the actor of a system entry."""
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    text: str = ""
    """What the person wrote, without quoted history."""
    full_text: str = ""
    """The whole, where it differs from `text`."""
    html: str = ""
    """Sanitised."""
    attachments: tuple[FileRef, ...] = ()
    auto_submitted: bool = False
    forward: bool = False
    """It passes a message on to somebody who is not the customer: no answer to it is meant for the customer."""
    joined_by: str = ""
    """Why it is in this conversation: token, reply, chat, recent, new, bounce."""
    warnings: tuple[str, ...] = ()
    raw_id: str = ""
    delivery: Delivery | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    quoted_text: str = ""
    quoted_html: str = ""
    """History put below an outbound message when it leaves."""
    data: dict[str, Any] = {}
    """Of a system entry: what changed, for its line of words."""
    chat_id: str = ""
    """The room it is said in, where the channel has rooms."""
    versions: tuple[Version, ...] = ()
    """What it said before its sender edited it, oldest first; the first and the newest `MOST_VERSIONS` - 1."""
    deleted_at: datetime | None = None
    """When its sender took it back; what it said is kept."""
    reactions: tuple[Reaction, ...] = ()


class EarlyChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that came before the message it is about, and waits for it. `id` is its receipt's."""

    id: str
    ref: str
    """The id of the message's `Ref` to come."""
    at: datetime
    change: MessageChange


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A thread with one customer in one inbox."""

    id: str
    number: int
    inbox_id: str
    customer_id: str
    customer_name: str
    subject: str
    status: Status
    created_at: datetime
    updated_at: datetime
    """Of the last message: the order of the list."""
    excerpt: str = ""
    assignee_id: str = ""
    team_id: str = ""
    priority: Priority = Priority.NORMAL
    labels: tuple[str, ...] = ()
    unread: bool = True
    """Has an inbound message nobody has opened."""
    last_kind: MessageKind = MessageKind.IN
    has_attachments: bool = False
    failed: bool = False
    """An outbound message in it failed or bounced and nobody has dealt with it."""
    snoozed_until: datetime | None = None
    chat_id: str = ""
    version: int = 0
    """Rises with every message and change."""


def next_at(conversation: Conversation, now: datetime) -> datetime:
    """When the next message of a conversation is: after the last, also where the last came by a machine whose clock is
    ahead, so that a thread reads in the order in which it was written down."""
    return max(now, conversation.updated_at + timedelta(milliseconds=1))


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is writing in a conversation, kept on the server. One per agent and conversation."""

    id: str
    """`conversation_id:agent_id`."""
    conversation_id: str
    agent_id: str
    mode: str = "reply"
    """reply, reply_all, forward or note."""
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    subject: str = ""
    html: str = ""
    attachments: tuple[FileRef, ...] = ()
    saved_at: datetime


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many open conversations each view has, and how many of those are unread; 1,000 stands for more."""

    total: dict[str, int]
    """By view key: `mine`, `unassigned`, `all`, `inbox:<id>`, `label:<name>`."""
    unread: dict[str, int]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversations a list shows. Fields left empty do not narrow."""

    kind: str = "all"
    """mine, unassigned, all, inbox or label."""
    value: str = ""
    """The inbox's id or the label of the last two kinds."""
    status: Status = Status.OPEN

    @property
    def key(self) -> str:
        """The view's key in `Counts`."""
        return f"{self.kind}:{self.value}" if self.value else self.kind


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list; `next` is the cursor of the following one, empty at the end."""

    items: tuple[Conversation, ...]
    next: str = ""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with its newest messages, oldest first; `earlier` is the cursor to those before them, or empty."""

    conversation: Conversation
    messages: tuple[Message, ...]
    earlier: str = ""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Something that came in and could not be taken in. Its raw source is kept until an admin deals with it."""

    id: str
    """The raw source's id."""
    inbox_id: str
    at: datetime
    error: str
    size: int
    attempts: int = 1
    resolved_at: datetime | None = None


def matches(conversation: Conversation, view: View, agent_id: str) -> bool:
    """Whether a conversation is in a view, as one agent sees it."""
    if conversation.status is not view.status:
        return False
    return {
        "mine": conversation.assignee_id == agent_id,
        "unassigned": conversation.assignee_id == "",
        "inbox": conversation.inbox_id == view.value,
        "label": view.value in conversation.labels,
    }.get(view.kind, True)
