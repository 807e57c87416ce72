"""The rules of writing: who an answer goes to, what it is called, what cannot be sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from channels.base import Address, Capabilities
from inbox.accounts.model import Agent
from inbox.conversations.model import Draft, Message, MessageKind
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


def signed(html: str, agent: Agent, inbox: Inbox) -> str:
    """What was written with the agent's signature, else the inbox's, below it."""
    signature = agent.signature or inbox.signature
    return html + (f"{_SIGNATURE}-- <br>{signature}</div>" if signature else "")


def unsigned(html: str) -> str:
    """What was written, without the signature that `signed` put below it."""
    begin = html.rfind(_SIGNATURE)
    return html[:begin] if begin >= 0 else html


def taken_back(message: Message, own_id: str, begun: Draft | None, at: datetime) -> Draft:
    """A message as its author's draft, above what was begun since. With a note it is a note: that is for us alone."""
    html = show_inline_files(unsigned(message.html), own_id, message.attachments)
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
    """(To, Cc) of an answer (RFC 5322 section 3.6.3); our own addresses are left out."""
    if answered is None or answered.sender is None or mode in ("forward", "note"):
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
    written: Written, capabilities: Capabilities
) -> tuple[tuple[Address, ...], tuple[Address, ...], tuple[Address, ...]]:
    """The recipients without repeats. Raises `Invalid` where there are none, too many, or of another channel."""
    taken: set[str] = set()
    to, cc, bcc = (tuple(_unique(group, taken)) for group in (written.to, written.cc, written.bcc))
    everybody = (*to, *cc, *bcc)
    if not to:
        raise Invalid("The message was not sent.", fields={"to": "Say who it is for."})
    if len(everybody) > MOST_RECIPIENTS:
        raise Invalid("The message was not sent.", fields={"to": "These are more than 100 recipients."})
    if any(address.kind != capabilities.address_kind for address in everybody):
        raise Invalid("The message was not sent.", fields={"to": "This inbox cannot reach one of these addresses."})
    if (cc or bcc) and not capabilities.copies:
        raise Invalid("The message was not sent.", fields={"cc": "This channel has no copies."})
    return to, cc, bcc


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
