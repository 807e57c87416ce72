"""Which conversation a message joins, and why: pure rules over what was looked up (section 4 of the architecture).

In order: the signed reply token in the address; In-Reply-To and References that belong to this inbox and to a
participant of that conversation; the chat's id; the customer's open conversation in that inbox; else a new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from channels.base import InboundMessage
from inbox.conversations.model import MOST_PARTICIPANTS, Conversation, Ref, Status
from inbox.core.crypto import Keyring

REPLY_TOKEN = "reply"  # noqa: S105 # what the signature is for, not a secret
BOUNCE_TOKEN = "bounce"  # noqa: S105 # the same


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one message."""

    by_token: Conversation | None = None
    """The conversation a valid reply token names."""
    refs: Mapping[str, Ref] = {}
    """By `message_ref`, of this inbox only."""
    by_id: Mapping[str, Conversation] = {}
    """The conversations of the refs."""
    by_chat: Conversation | None = None
    recent: Conversation | None = None
    """The customer's latest conversation in this inbox."""


class Join(msgspec.Struct, frozen=True):
    """Where a message goes: into `conversation`, or a new one where None. `reason` is kept and shown."""

    conversation: Conversation | None
    reason: str


def decide(
    message: InboundMessage,
    customer_id: str | None,
    candidates: Candidates,
    *,
    now: datetime,
    reopen_days: int,
    threads_by_headers: bool,
) -> Join:
    """The first rule that holds. `customer_id` is None for somebody never seen before."""
    if candidates.by_token is not None:
        return Join(candidates.by_token, "token")
    for wanted in (*message.thread.in_reply_to, *reversed(message.thread.references)):
        ref = candidates.refs.get(wanted)
        conversation = candidates.by_id.get(ref.conversation_id) if ref else None
        if ref and conversation and _takes_part(message, customer_id, ref, conversation):
            return Join(conversation, "reply")
    if candidates.by_chat is not None:
        return Join(candidates.by_chat, "chat")
    recent = candidates.recent
    if recent is not None and _still_open(recent, now, reopen_days, threads_by_headers=threads_by_headers):
        return Join(recent, "recent")
    return Join(None, "new")


def status_after(conversation: Conversation, *, automatic: bool) -> Status:
    """The status once a customer's message has come in: what waited is open again, spam stays spam.

    A machine's message (out of office) does not reopen what was put aside.
    """
    if conversation.status is Status.SPAM or automatic:
        return conversation.status
    return Status.OPEN


def sign_reply(keyring: Keyring, conversation_id: str) -> str:
    """The token of a conversation for the address replies go to."""
    return keyring.sign(REPLY_TOKEN, conversation_id)


def sign_bounce(keyring: Keyring, message_id: str) -> str:
    """The token of one outbound message for its return path."""
    return keyring.sign(BOUNCE_TOKEN, message_id)


def participants(*groups: Sequence[str]) -> tuple[str, ...]:
    """Address keys without repeats, at most `MOST_PARTICIPANTS`."""
    return tuple(dict.fromkeys(key for group in groups for key in group))[:MOST_PARTICIPANTS]


def _takes_part(message: InboundMessage, customer_id: str | None, ref: Ref, conversation: Conversation) -> bool:
    if not message.sender.value or message.from_self:
        return False  # our own address takes part in everything, and anybody can write it there
    known = customer_id is not None and customer_id == conversation.customer_id
    return known or message.sender.key in ref.participants


def _still_open(conversation: Conversation, now: datetime, reopen_days: int, *, threads_by_headers: bool) -> bool:
    if conversation.status is Status.SPAM or conversation.chat_id:
        return False
    if conversation.status is Status.RESOLVED and threads_by_headers:
        return False  # a fresh mail after a matter is settled is a new matter; an answer to it came by its headers
    return now - conversation.updated_at <= timedelta(days=reopen_days)
