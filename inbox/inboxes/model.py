"""Inboxes: types and rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from channels.base import AddressKind, Capabilities, CheckStep, InboundMessage
from inbox.inboxes.model_hours import BusinessHours

_PHONE_MARKS = re.compile(r"[\s()./\u2010-\u2015-]")
_PHONE = re.compile(r"\+?[0-9]+")
_CHAT_LINK = re.compile(r"^(https?://)?(www\.)?(t|telegram)\.me/")
_LOOP_TOKEN = re.compile(r"\bortoo-test-[0-9a-f]{32}\b")


class HealthState(StrEnum):
    """How an inbox is doing, at a glance."""

    UNKNOWN = "unknown"
    OK = "ok"
    DEGRADED = "degraded"
    """Trying again by itself."""
    DEAD = "dead"
    """A person must act."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the health page shows."""

    state: HealthState = HealthState.UNKNOWN
    words: str = ""
    sending: str = ""
    """Why nothing can leave until a person acts; empty while messages leave."""
    since: datetime | None = None
    checked_at: datetime | None = None
    last_in: datetime | None = None
    last_out: datetime | None = None
    reconciled_at: datetime | None = None
    missing: int = 0
    """Messages the server has and the store has not, at the last reconciliation."""
    token_expires_at: datetime | None = None

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty while nothing is."""
        return self.words or self.sending


class Mark(StrEnum):
    """What the list of inboxes shows beside a name."""

    OK = "ok"
    UNKNOWN = "unknown"
    PAUSED = "paused"
    DEGRADED = "degraded"
    DEAD = "dead"


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """One configured address or account of a channel."""

    id: str
    channel: str
    name: str
    created_at: datetime
    address: str = ""
    """Normalised address customers reach it by; unique as `address_key` says."""
    settings: dict[str, Any] = {}
    """The channel's fields without the secret ones."""
    paused: bool = False
    catch_all: bool = False
    """Takes mail at the door for addresses no other inbox has."""
    team_id: str = ""
    signature: str = ""
    """Sanitised HTML put below replies of agents who have none of their own."""
    reopen_days: int = 30
    """A customer's message joins their last conversation for so long after it was resolved."""
    max_per_minute: int = 0
    """Messages sent a minute, 0 for no limit."""
    auto_reply: str = ""
    """Plain text sent once when a new conversation begins; empty for none."""
    hours: BusinessHours | None = None
    """When people are there; None for always."""
    auto_reply_closed: str = ""
    """The text sent instead outside business hours; empty for the same one."""
    health: Health = Health()
    version: int = 0
    """Rises with every change of settings, so that workers rebuild their adapters."""
    built_in: bool = False
    """The inbox a new workspace began with."""
    archived_at: datetime | None = None
    """Taken out of use: neither receives nor sends; its conversations stay."""

    def auto_reply_at(self, now: datetime) -> str:
        """What answers a conversation that begins at a moment (aware), plain text; empty for nothing."""
        closed = self.hours is not None and not self.hours.is_open(now)
        return (self.auto_reply_closed if closed else "") or self.auto_reply

    @property
    def mark(self) -> Mark:
        """The worst of what is known, as one word."""
        if self.health.state is HealthState.DEAD or self.health.sending:
            return Mark.DEAD
        if self.paused:
            return Mark.PAUSED
        if self.health.state is HealthState.DEGRADED or self.health.missing:
            return Mark.DEGRADED
        return Mark(self.health.state.value)


class InboxForm(msgspec.Struct, frozen=True, kw_only=True):
    """What an admin fills in. `settings` are the channel's fields; a secret that is missing or empty stays as saved."""

    name: str
    address: str = ""
    settings: Mapping[str, Any] = {}
    catch_all: bool = False
    signature: str = ""
    reopen_days: int = 30
    max_per_minute: int = 0
    auto_reply: str = ""
    auto_reply_closed: str = ""
    hours: BusinessHours | None = None
    team_id: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong with an inbox, for its health page."""

    at: datetime
    state: HealthState
    words: str


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits inside, between an inbox's provider and its conversations."""

    arrived: int = 0
    """Calls and mails that are kept and not yet taken in."""
    arrived_since: datetime | None = None
    queued_since: datetime | None = None
    """When the oldest message that waits to leave was due."""
    files: int = 0
    """Files that the provider still holds."""

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest of them waits."""
        return min((at for at in (self.arrived_since, self.queued_since) if at is not None), default=None)


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """The health page of one inbox."""

    inbox: Inbox
    problems: tuple[Problem, ...]
    """Newest first."""
    waiting: int = 0
    """Messages that are to leave and have not yet."""
    backlog: Backlog | None = None
    """None where nobody counts it."""
    connected: bool | None = None
    """Whether the account's OAuth connection is alive; None where the inbox does not use one."""


class LoopState(StrEnum):
    """How far a message sent to ourselves has come."""

    SENDING = "sending"
    SENT = "sent"
    CAUGHT = "caught"
    """It went to the catcher, from where nothing comes back."""
    SEEN = "seen"
    FAILED = "failed"


class LoopTest(msgspec.Struct, frozen=True, kw_only=True):
    """A message an inbox sent to itself, to see whether it comes back. The id is the token in its subject."""

    id: str
    inbox_id: str
    at: datetime
    state: LoopState = LoopState.SENDING
    words: str = ""
    seen_at: datetime | None = None


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """The webhook of an inbox."""

    url: str
    fetches: bool = False
    """The channel can fetch instead, which needs no public address."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a live check of an inbox found."""

    steps: tuple[CheckStep, ...]

    @property
    def ok(self) -> bool:
        """Whether every step went well."""
        return all(step.ok for step in self.steps)


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """A mail the catcher kept instead of letting it leave."""

    id: str
    inbox_id: str
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    subject: str
    size: int
    file_id: str = ""
    """Where the source is, when it is too large for the document."""


class CaughtMail(msgspec.Struct, frozen=True, kw_only=True):
    """A caught mail, opened."""

    caught: Caught
    head: str
    """The header lines as they would have left."""
    message: InboundMessage | None
    """As the inbox's own channel reads it; None where it reads no message in it."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An account's OAuth tokens as stored; the id is the inbox's."""

    id: str
    sealed: bytes
    expires_at: datetime
    version: int
    refused: str = ""
    """Why the provider takes the refresh token no more; empty while it lives."""


class OAuthAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in at a provider that somebody began. The id is the digest of the state parameter."""

    id: str
    agent_id: str
    inbox_id: str
    sealed_verifier: bytes
    expires_at: datetime


def takes_mail(kind: AddressKind) -> bool:
    """Whether inboxes with such addresses take mail at the door, and can write to themselves."""
    return kind == "email"


def address_key(channel: str, kind: AddressKind, address: str) -> str:
    """The key under which an address is unique among inboxes.

    A mail address belongs to one inbox (`email:support@x.mn`): the door has to know whose a mail is. Any other is
    unique within its channel (`sms:phone:+97677001122`), so that texts and calls may share a number.
    """
    return f"{kind}:{address}" if takes_mail(kind) else f"{channel}:{kind}:{address}"


def normalise(kind: AddressKind, address: str) -> str:
    """An address as it is compared, however it was typed or pasted.

    E-mail in lower case; a phone number as + and digits (a sender id of letters keeps its blanks); a Telegram name
    in lower case with its @, also from a link.
    """
    address = address.strip()
    if kind == "phone":
        bare = _PHONE_MARKS.sub("", address)
        if not _PHONE.fullmatch(bare):
            return address
        return f"+{bare[2:]}" if bare.startswith("00") else bare
    if kind == "telegram":
        name = _CHAT_LINK.sub("", address.lower()).lstrip("@").rstrip("/")
        return f"@{name}" if name and not name.isdigit() else name
    return address.lower()


def chat_link(capabilities: Capabilities, address: str) -> str:
    """Where a person's own device begins to write to an inbox; empty where its address leads nowhere."""
    kind = capabilities.address_kind
    if kind == "phone" and _PHONE.fullmatch(address):
        # Of what goes to numbers, only WhatsApp has a window to answer in.
        return f"sms:{address}" if capabilities.window_hours is None else f"https://wa.me/{address.lstrip('+')}"
    if kind == "telegram" and address.startswith("@"):
        return f"https://t.me/{address[1:]}"
    return ""


def can_be_answered(capabilities: Capabilities, address: str) -> bool:
    """Whether customers can write to the address: not to a sender id of letters."""
    return capabilities.address_kind != "phone" or _PHONE.fullmatch(address) is not None


def without_tag(address: str) -> str:
    """An e-mail address without what follows the first plus sign of its local part (RFC 5233)."""
    local, at, domain = address.rpartition("@")
    tagless = local.partition("+")[0]
    return f"{tagless}{at}{domain}" if tagless else address


def loop_token(subject: str) -> str | None:
    """The token of one of our loop tests that a subject holds."""
    found = _LOOP_TOKEN.search(subject)
    return found.group() if found else None
