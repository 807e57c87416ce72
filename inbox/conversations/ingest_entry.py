"""What an inbound event becomes in the thread: a new entry, or what an edit or a reaction makes of an old one.

Pure: everything that was looked up comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from channels.base import InboundMessage, MessageChange
from inbox.conversations.ingest_lookup import Arrival, sent_elsewhere
from inbox.conversations.model import (
    MOST_REACTIONS,
    MOST_VERSIONS,
    Delivery,
    FileRef,
    Message,
    MessageKind,
    Reaction,
    State,
    Version,
)
from inbox.core.mongo import to_value

ACTOR = "system:receive"
LONGEST_TEXT = 500_000
LONGEST_HTML = 2_000_000
"""Characters kept beside the raw source: a document holds 16 MB (MongoDB's limit) and a page far less."""


def entry(
    item: Arrival, message: InboundMessage, conversation_id: str, reason: str, at: datetime, now: datetime
) -> Message:
    """The entry of an inbound message, at its place in the thread (`at`)."""
    own = sent_elsewhere(item.inbox, message)
    text = (message.reply_text or message.text)[:LONGEST_TEXT]
    full_text = message.text[:LONGEST_TEXT]
    html = message.html if len(message.html) <= LONGEST_HTML else ""
    warnings = message.warnings
    if len(message.text) > LONGEST_TEXT or html != message.html:
        warnings = (*warnings, "The message is too long to be shown whole; its original has all of it.")
    if message.from_self and not own:
        warnings = (*warnings, "It names our own address as its sender. It was not sent from here.")
    return Message(
        id=item.message_id,
        conversation_id=conversation_id,
        inbox_id=item.inbox.id,
        kind=MessageKind.OUT if own else MessageKind.IN,
        at=at,
        sent_at=message.sent_at,
        message_ref=message.message_ref,
        author_id="" if not own else ACTOR,
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        reply_to=message.reply_to,
        subject=message.subject,
        text=text,
        full_text=full_text if full_text != text else "",
        html=html,
        attachments=item.files,
        auto_submitted=message.auto_submitted,
        joined_by=reason,
        warnings=warnings,
        raw_id=item.raw_id,
        references=(*message.thread.references, *message.thread.in_reply_to)[-100:],
        delivery=Delivery(state=State.SENT, at=now) if own else None,
        chat_id=message.thread.chat_id,
    )


def with_part(first: Message, part: InboundMessage, files: tuple[FileRef, ...]) -> dict[str, Any]:
    """The fields of a message that change as another part of its album comes in."""
    fields: dict[str, Any] = {"attachments": (*first.attachments, *files)}
    if part.text and part.text not in first.text:
        fields["text"] = "\n".join(filter(None, (first.text, part.text)))[:LONGEST_TEXT]
        html = first.html + part.html
        fields["html"] = html if len(html) <= LONGEST_HTML else first.html
    return fields


def changed(message: Message, change: MessageChange, now: datetime) -> dict[str, Any]:
    """The fields of a message that a change gives new values; none where it changes nothing."""
    match change.change:
        case "deleted":
            return {} if message.deleted_at else {"deleted_at": change.at or now}
        case "reaction":
            return _reacted(message, change)
        case "edited":
            return _edited(message, change, now)


def as_stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Changed fields as the database keeps them."""
    return {
        name: [to_value(each) for each in value] if isinstance(value, tuple) else value
        for name, value in fields.items()
    }


def _edited(message: Message, change: MessageChange, now: datetime) -> dict[str, Any]:
    text, html = change.text[:LONGEST_TEXT], change.html if len(change.html) <= LONGEST_HTML else ""
    if (text, html) == (message.text, message.html):
        return {}
    last = message.versions[-1] if message.versions else None
    if last is not None and change.at is not None and change.at < last.at:  # a later edit has overtaken it
        overtaken = Version(at=last.at, text=text, html=html)
        versions = (*message.versions[:-1], msgspec.structs.replace(last, at=change.at), overtaken)
        return {"versions": _kept(versions)}
    versions = (*message.versions, Version(at=change.at or now, text=message.text, html=message.html))
    return {"text": text, "html": html, "full_text": "", "versions": _kept(versions)}


def _kept(versions: tuple[Version, ...]) -> tuple[Version, ...]:
    if len(versions) > MOST_VERSIONS:
        return (versions[0], *versions[-(MOST_VERSIONS - 1) :])
    return versions


def _reacted(message: Message, change: MessageChange) -> dict[str, Any]:
    if change.sender is None:
        return {}
    others = tuple(each for each in message.reactions if each.by.key != change.sender.key)
    own = (Reaction(by=change.sender, emoji=change.reactions),) if change.reactions else ()
    reactions = (*others, *own)[-MOST_REACTIONS:]
    return {"reactions": reactions} if reactions != message.reactions else {}
