"""Making an outbound message: its stable reference, its place in the thread, its entry in the outbox. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from channels.base import Address, Sent
from inbox.conversations.model import Conversation, Delivery, FileRef, Message, MessageKind, Ref, State
from inbox.conversations.store import ref_id
from inbox.conversations.store_outbox import OutboxEntry
from inbox.conversations.threading import participants
from inbox.inboxes.model import Inbox

EXCERPT = 160
MOST_REFERENCES = 50


def message_ref(inbox: Inbox, message_id: str, attempt: int = 0) -> str:
    """The id a message goes by outside, fixed when it is queued (for mail a Message-ID, RFC 5322 section 3.6.4)."""
    domain = inbox.address.rpartition("@")[2] or "ortoo"
    return f"{message_id}.{attempt}@{domain}" if attempt else f"{message_id}@{domain}"


def excerpt(text: str) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: EXCERPT * 4].split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1].rstrip() + "…"


def reply_references(answered: Message | None) -> tuple[str, tuple[str, ...]]:
    """(In-Reply-To, References) of an answer: RFC 5322 section 3.6.4."""
    if answered is None or not answered.message_ref:
        return "", ()
    chain = dict.fromkeys((*answered.references, answered.message_ref))
    kept = tuple(chain)
    if len(kept) > MOST_REFERENCES:
        kept = (kept[0], *kept[-(MOST_REFERENCES - 1) :])
    return answered.message_ref, kept


def outgoing(
    *,
    message_id: str,
    conversation: Conversation,
    inbox: Inbox,
    author_id: str,
    to: tuple[Address, ...],
    cc: tuple[Address, ...] = (),
    bcc: tuple[Address, ...] = (),
    subject: str,
    text: str,
    html: str,
    full_text: str = "",
    attachments: tuple[FileRef, ...] = (),
    answered: Message | None = None,
    auto_submitted: bool = False,
    forward: bool = False,
    now: datetime,
    undo_seconds: int = 0,
    sender: Address,
) -> tuple[Message, OutboxEntry, Ref]:
    """A queued message that may leave after the undo window, its outbox entry and its reference."""
    due_at = now + timedelta(seconds=undo_seconds)
    reference = message_ref(inbox, message_id)
    in_reply_to, references = reply_references(answered)
    message = Message(
        id=message_id,
        conversation_id=conversation.id,
        inbox_id=inbox.id,
        kind=MessageKind.OUT,
        at=now,
        sent_at=now,
        message_ref=reference,
        author_id=author_id,
        sender=sender,
        to=to,
        cc=cc,
        bcc=bcc,
        subject=subject,
        text=text,
        full_text=full_text,
        html=html,
        attachments=attachments,
        auto_submitted=auto_submitted,
        forward=forward,
        delivery=Delivery(state=State.QUEUED, at=now, due_at=due_at),
        in_reply_to=in_reply_to,
        references=references,
        chat_id=conversation.chat_id,
    )
    entry = OutboxEntry(id=message_id, inbox_id=inbox.id, due_at=due_at, first_at=now, leased_until=now)
    ref = Ref(
        id=ref_id(inbox.id, reference),
        conversation_id=conversation.id,
        message_id=message_id,
        at=now,
        participants=participants([address.key for address in (*to, *cc, *bcc)]),
        outbound=True,
    )
    return message, entry, ref


def provider_refs(message_id: str, result: Sent, document: Mapping[str, Any], now: datetime) -> list[Ref]:
    """By what the provider calls a sent message, later events (a reaction, a receipt) find it."""
    names = {result.external_id, *result.also} - {"", document["message_ref"]}
    people = participants([f"{to['kind']}:{to['value']}" for field in ("to", "cc", "bcc") for to in document[field]])
    return [
        Ref(
            id=ref_id(document["inbox_id"], name),
            conversation_id=document["conversation_id"],
            message_id=message_id,
            at=now,
            participants=people,
            outbound=True,
        )
        for name in sorted(names)
    ]
