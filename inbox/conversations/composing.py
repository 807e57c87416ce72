"""The rules of writing: who an answer goes to, what it is called, what cannot be sent. Pure."""

from __future__ import annotations

import html as entities
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from channels.base import Address, Capabilities
from inbox.accounts.model import Agent
from inbox.conversations.model import Conversation, Draft, Message, MessageKind, Status
from inbox.conversations.rendering import is_blank, show_inline_files, to_text
from inbox.core.errors import Invalid
from inbox.inboxes.model import Inbox

MODES = ("reply", "reply_all", "forward", "note")
MOST_RECIPIENTS = 100
MOST_FILES = 50
LONGEST_HTML = 2_000_000
_SIGNATURE = '<div class="signature">'


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent wrote and to whom."""

    mode: str = "reply"
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    subject: str = ""
    html: str = ""
    key: str = ""
    """Chosen by the composer once for what it sends: the same sent twice (a double click, an answer that was lost on
    the way) leaves once."""


def draft_id(conversation_id: str, agent_id: str) -> str:
    """The `_id` of an agent's draft in a conversation."""
    return f"{conversation_id}:{agent_id}"


def signed(html: str, agent: Agent, inbox: Inbox, capabilities: Capabilities) -> str:
    """What was written with the agent's signature, else the inbox's, below it; only letters have one."""
    is_letter = capabilities.supports_html and capabilities.subjects
    signature = (agent.signature or inbox.signature) if is_letter else ""
    return html + (f"{_SIGNATURE}-- <br>{signature}</div>" if signature else "")


def unsigned(html: str) -> str:
    """What was written, without the signature that `signed` put below it."""
    begin = html.rfind(_SIGNATURE)
    return html[:begin] if begin >= 0 else html


def as_written(message: Message) -> str:
    """A message of ours as the editor had it: what left as plain text alone keeps its lines and spaces."""
    if message.html or not message.text:
        return unsigned(message.html)
    return f"<pre>{entities.escape(message.text, quote=False)}</pre>"


def taken_back(message: Message, own_id: str, begun: Draft | None, at: datetime) -> Draft:
    """A message as its author's draft, above what was begun since. With a note it is a note: that is for us alone."""
    html = show_inline_files(as_written(message), own_id, message.attachments)
    files = message.attachments
    mode = "forward" if message.forward else "reply"
    if begun is not None:
        files += tuple(file for file in begun.attachments if file not in files)
        mode = "note" if begun.mode == "note" else mode
        if not is_blank(begun.html) and to_text(begun.html) != to_text(html):
            html += begun.html
    return Draft(
        id=own_id,
        conversation_id=message.conversation_id,
        agent_id=message.author_id,
        mode=mode,
        to=message.to,
        cc=message.cc,
        bcc=message.bcc,
        subject=message.subject,
        html=html,
        attachments=files,
        saved_at=at,
    )


def recipients(mode: str, answered: Message | None, inbox: Inbox) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
    """(To, Cc) of an answer (RFC 5322 section 3.6.3); our own addresses are left out. In a room it names nobody."""
    if answered is None or answered.sender is None or answered.chat_id or mode in ("forward", "note"):
        return (), ()
    if answered.kind is MessageKind.OUT:
        return answered.to, answered.cc if mode == "reply_all" else ()
    to = answered.reply_to or (answered.sender,)
    if mode == "reply":
        return to, ()
    taken = {address.key for address in to}
    others = (address for address in (*answered.to, *answered.cc) if address.value != inbox.address)
    return to, tuple(_unique(others, taken))


def _unique(addresses: Iterable[Address], taken: set[str]) -> list[Address]:
    found = []
    for address in addresses:
        if address.key not in taken:
            taken.add(address.key)
            found.append(address)
    return found


def checked_recipients(
    written: Written, capabilities: Capabilities, *, room: bool = False
) -> tuple[tuple[Address, ...], tuple[Address, ...], tuple[Address, ...]]:
    """The recipients without repeats. Raises `Invalid` where there are none, too many, or of another channel.

    In a `room` nobody has to be named: the message goes to the room.
    """
    taken: set[str] = set()
    to, cc, bcc = (tuple(_unique(group, taken)) for group in (written.to, written.cc, written.bcc))
    everybody = (*to, *cc, *bcc)
    if not to and not room:
        raise Invalid("The message was not sent.", fields={"to": "Say who it is for."})
    if len(everybody) > MOST_RECIPIENTS:
        raise Invalid("The message was not sent.", fields={"to": "These are more than 100 recipients."})
    if any(address.kind != capabilities.address_kind for address in everybody):
        raise Invalid("The message was not sent.", fields={"to": "This inbox cannot reach one of these addresses."})
    if (cc or bcc) and not capabilities.copies:
        raise Invalid("The message was not sent.", fields={"cc": "This channel has no copies."})
    if len(to) > 1 and not capabilities.copies:
        raise Invalid("The message was not sent.", fields={"to": "On this channel a message goes to one person."})
    return to, cc, bcc


def check_contents(html: str, files: int, capabilities: Capabilities) -> None:
    """Raises `Invalid` where there is nothing to send, or what this channel cannot carry."""
    if is_blank(html) and not files:
        raise Invalid("There is nothing to send yet.", fields={"html": "Write something first."})
    if not capabilities.attachments and (files or "<img" in html):
        raise Invalid("The message was not sent.", fields={"files": "This channel cannot carry files. Take them off."})
    text, most = to_text(html), capabilities.max_text
    if most is not None and not capabilities.splits and length(text, capabilities) > most:
        raise Invalid("The message was not sent.", fields={"html": "The text is too long for this channel."})


def length(text: str, capabilities: Capabilities) -> int:
    """How long a text is in the channel's units. Segments have no limit of their own, so that characters do there."""
    return len(text.encode("utf-16-le")) // 2 if capabilities.text_units == "utf16" else len(text)


def is_closed(capabilities: Capabilities, last_in: datetime | None, now: datetime) -> bool:
    """Whether free text may not be sent any more (`Capabilities.window_hours`), or not yet."""
    hours = capabilities.window_hours
    return hours is not None and (last_in is None or now - last_in > timedelta(hours=hours))


def check_window(capabilities: Capabilities, last_in: datetime | None, now: datetime) -> None:
    """Raises `Invalid` where free text may not be sent now."""
    if is_closed(capabilities, last_in, now):
        raise Invalid(
            "Not sent: this channel takes free text only for %(hours)d hours after the customer's last message.",
            hours=capabilities.window_hours or 0,
        )


def is_group(conversation: Conversation, own: Iterable[str]) -> bool:
    """Whether a conversation is a group's. A chat that is named by one of the customer's `own` addresses is not."""
    parts = conversation.chat_id.split(":")
    return bool(conversation.chat_id) and not any(value in parts for value in own)


def goes_on(conversation: Conversation, inbox: Inbox, capabilities: Capabilities, now: datetime) -> bool:
    """Whether what we begin to say belongs into the customer's latest conversation of an inbox.

    It does where the customer's answer would come into it: channels without threads have one talk with each person.
    Where messages thread by their headers, every matter has a conversation of its own.
    """
    if capabilities.threads_by_headers or conversation.chat_id or conversation.status is Status.SPAM:
        return False
    return now - conversation.updated_at <= timedelta(days=inbox.reopen_days)


def sender_of(agent: Agent, inbox: Inbox, capabilities: Capabilities) -> Address:
    """Who a message comes from: the agent of the inbox."""
    return Address(kind=capabilities.address_kind, value=inbox.address, name=f"{agent.name} – {inbox.name}")


def named(address: Address | None) -> str:
    """`Name <address>` for a person to read."""
    if address is None:
        return ""
    return f"{address.name} <{address.value}>" if address.name else address.value


def reply_subject(mode: str, subject: str) -> str:
    """The subject of an answer or of a forwarded message; no second prefix where there is one."""
    prefix = "Fwd: " if mode == "forward" else "Re: "
    return subject if subject.lower().startswith(prefix.lower().strip()) else prefix + subject
