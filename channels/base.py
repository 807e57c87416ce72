"""The normal form every channel turns the outside world into, and the protocol its adapter satisfies.

Times are aware UTC, sizes are bytes. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from channels.signing_in import OAuthFlow

AddressKind = Literal["email", "phone", "telegram"]
DeliveryState = Literal["accepted", "delivered", "read", "bounced", "failed", "complained", "unsubscribed"]
Cursor = dict[str, Any]
"""Where a poller stands, as the adapter wants it kept; JSON values only. `{}` is the beginning."""


class Address(msgspec.Struct, frozen=True):
    """Somebody's address on a channel; `value` is normalised (lower-case email, E.164 phone, numeric Telegram id)."""

    kind: AddressKind
    value: str
    name: str = ""

    @property
    def key(self) -> str:
        """The identity key, for example `email:ann@x.mn`."""
        return f"{self.kind}:{self.value}"


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a message. `content` is None where it is fetched later by `ref` (see `Adapter.fetch`)."""

    name: str
    media_type: str
    size: int
    content: bytes | None = None
    ref: str = ""
    content_id: str = ""
    inline: bool = False


class Button(msgspec.Struct, frozen=True):
    """A quick answer below a message; pressed, it comes back as a message whose text is `label`."""

    label: str
    value: str = ""
    """What the provider hands back, at most 64 bytes (Bot API, `callback_data`); the label where empty."""


class ThreadHints(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says about the conversation it belongs to; all of it unverified."""

    reply_token: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    chat_id: str = ""
    """The provider's id of the room all of this is said in (a group, a topic): one conversation for each. Empty where a
    channel has no rooms besides its two ends."""


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived, untouched: a webhook's public URL, headers and body, or a mail and where it was taken from.

    For a mail, `url` names the source (`imap:INBOX;uidvalidity=1;uid=7`, `smtp:`) and `headers` is the envelope
    (`mail-from`, `rcpt-to`: comma-separated), empty where unknown.
    """

    body: bytes
    url: str = ""
    headers: Mapping[str, str] = {}


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a person or a machine.

    `external_id` is unique within the inbox: the same event always yields the same one. `message_ref` is the
    provider's own id for the message (an email's Message-ID), by which later messages refer to it.
    """

    inbox_id: str
    external_id: str
    message_ref: str = ""
    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    sent_at: datetime | None = None
    thread: ThreadHints = ThreadHints()
    subject: str = ""
    text: str = ""
    reply_text: str = ""
    """`text` without quoted history and signature; equal to `text` where the channel has neither."""
    html: str = ""
    """Sanitised; inline images are `cid:` links, remote ones are kept as they were (the page blocks them)."""
    attachments: tuple[Attachment, ...] = ()
    language: str = ""
    auto_submitted: bool = False
    """Written by a machine: never answered automatically (RFC 3834)."""
    auto_reply: bool = False
    """It answers one of ours by itself (out of office and the like)."""
    from_self: bool = False
    """Its sender is this inbox's own address; anybody can write that there."""
    sent_by_us: bool = False
    """It was found where only this inbox's own programs put what they have sent (a Sent folder)."""
    warnings: tuple[str, ...] = ()
    identities: tuple[Address, ...] = ()
    """Further addresses that the provider vouches are the sender's own (a contact he shared of himself)."""
    source: str = ""
    """Where the sender comes from, as the provider says (the parameter of a deep link)."""
    album: str = ""
    """Messages of one inbox with the same one are parts of one message, which is the first of them. Their files have no
    content yet and are fetched."""


class MessageChange(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did with an earlier message, named by its `message_ref`: theirs or one of ours.

    An edit carries the whole new text and files it adds. A reaction carries all that `sender` has on the message now:
    none takes them back.
    """

    inbox_id: str
    external_id: str
    message_ref: str
    change: Literal["edited", "deleted", "reaction"]
    sender: Address | None = None
    text: str = ""
    html: str = ""
    reactions: tuple[str, ...] = ()
    at: datetime | None = None


class ConsentChange(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody does not want messages any more, or wants them again: STOP and START, a bot blocked and let in again."""

    inbox_id: str
    external_id: str
    address: Address
    opted_out: bool
    words: str = ""
    """How he said so, for the record: what he wrote, or what the provider reports."""
    at: datetime | None = None


class DeliveryUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an outbound message, named by its `message_ref` or by the signed `bounce_token`."""

    inbox_id: str
    external_id: str
    state: DeliveryState
    message_ref: str = ""
    bounce_token: str = ""
    recipient: str = ""
    code: str = ""
    reason: str = ""
    permanent: bool = True
    at: datetime | None = None
    notice: InboundMessage | None = None
    """The notification itself, to be shown in the thread where a person should be able to read it."""


InboundEvent = InboundMessage | MessageChange | ConsentChange | DeliveryUpdate


class OutboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent. `message_ref` was fixed when it was queued and stays the same over every attempt."""

    inbox_id: str
    message_ref: str
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    reply_token: str = ""
    bounce_token: str = ""
    auto_submitted: bool = False
    sent_at: datetime
    headers: Mapping[str, str] = {}
    chat_id: str = ""
    """The room to say it in (`ThreadHints.chat_id`), else it goes to `to`."""
    buttons: tuple[Button, ...] = ()


class Sent(msgspec.Struct, frozen=True, tag=True):
    """The provider took it. `external_id` is the provider's id, by which later events may name the message too; `note`
    is its answer, for the record."""

    external_id: str
    note: str = ""
    also: tuple[str, ...] = ()
    """Further ids of the provider's, where the message left in several pieces."""


class Retry(msgspec.Struct, frozen=True, tag=True):
    """Not taken, may be later. `after` is seconds, None where the provider named no time."""

    reason: str
    after: float | None = None
    code: str = ""
    refused: bool = False
    """It is our settings or credentials that were refused: a person must act before any message can leave."""


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """Refused for good; sending the same again would be refused again."""

    code: str
    reason: str
    opted_out: bool = False
    """The recipient does not want messages from us (a STOP, a blocked bot)."""


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """The connection died after the request left: the provider may or may not have it. Never sent again by itself."""

    reason: str


SendResult = Sent | Retry | Rejected | Unknown
PointOfNoReturn = Callable[[], Awaitable[None]]
"""Awaited by `Adapter.send` right before the step that cannot be taken back (DATA, the API call)."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the core asks instead of a channel's name."""

    address_kind: AddressKind
    threads_by_headers: bool = False
    subjects: bool = False
    supports_html: bool = False
    copies: bool = False
    """Has Cc and Bcc."""
    attachments: bool = False
    max_text: int | None = None
    """Longest text in `text_units`, None for no limit. What is longer leaves in several pieces where `splits`."""
    text_units: Literal["characters", "utf16", "segments"] = "characters"
    """What a text is measured in: code points, UTF-16 units, or SMS segments of GSM-7 or UCS-2 (3GPP TS 23.038)."""
    splits: bool = False
    window_hours: int | None = None
    """Free text may be sent only so long after the customer's last message (WhatsApp: 24), None for always."""
    buttons: bool = False
    reactions: bool = False
    rooms: bool = False
    """Has groups, which are conversations of their own (`ThreadHints.chat_id`)."""
    hooks: bool = False
    """Has `answer`: events come by webhook."""
    max_total_bytes: int | None = None
    edits: bool = False
    albums: bool = False
    calls: bool = False
    receipts: bool = False
    """Says what became of a message after it was sent."""
    polls: bool = False
    """Has `poll`."""


FieldKind = Literal["text", "email", "password", "number", "select", "checkbox"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of an inbox: drives the form, its validation and what is encrypted. Words are gettext msgids."""

    name: str
    label: str
    kind: FieldKind = "text"
    group: str = ""
    help: str = ""
    default: str | int | bool = ""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = False
    secret: bool = False
    show_when: tuple[str, str] | None = None
    """(field, value): asked for only when the other field has that value."""


class CheckStep(msgspec.Struct, frozen=True):
    """One line of a live check of an inbox's settings, in words for the person who sets it up."""

    name: str
    ok: bool
    words: str = ""


class ChannelError(Exception):
    """A failure on the provider's side, in words for a person. `code` is the provider's."""

    def __init__(self, words: str, code: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.code = code


class Unreachable(ChannelError):
    """The provider cannot be reached or answers that it is busy: try again with back-off."""


class Refused(ChannelError):
    """Credentials or settings were refused: a person must act; trying again changes nothing."""


class Ports(Protocol):
    """What an adapter may ask of its host; the only way out of an adapter besides the provider."""

    async def access_token(self, *, renew: bool = False) -> str:
        """A valid OAuth access token; `renew` forces a refresh after the provider refused one. Raises `Refused`."""

    async def catch(self, message: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Keep an outgoing mail on the catcher page instead of sending it (the built-in inbox)."""

    def hook_url(self) -> str:
        """The public address of this inbox's webhook, without a slash at its end.

        `/word` and `?name=value` may be added to it and come back in `Raw.url`.
        """


@runtime_checkable
class Adapter(Protocol):
    """One configured inbox's way in and out. Built inside the running loop; closed exactly once."""

    @property
    def capabilities(self) -> Capabilities:
        """What this channel can do."""

    def verify(self, raw: Raw) -> bool:
        """Whether a webhook's signature is right (constant time). Always true where the way in is authenticated."""

    def receive(self, raw: Raw) -> list[InboundEvent]:
        """Parse what arrived. Pure and synchronous; degrades rather than raises."""

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """Send once. Never raises for what the provider does: every outcome is a `SendResult`."""

    async def check(self) -> list[CheckStep]:
        """Try the settings against the provider, both ways, and say what happened."""

    async def close(self) -> None:
        """Close connections; may be called while a poll is running, which then ends."""


class HookReply(msgspec.Struct, frozen=True):
    """The body of a webhook's 200 answer."""

    body: bytes = b""
    media_type: str = "text/plain"


@runtime_checkable
class HookedAdapter(Adapter, Protocol):
    """An adapter whose provider calls us: POST (or GET) to `Ports.hook_url`. The host answers 403 where `verify` says
    no, and otherwise 200 with `answer` only after the commit, so that a provider that hears nothing calls again."""

    def answer(self, raw: Raw) -> HookReply:
        """What the provider hears once the event is taken in. Pure and synchronous."""

    async def connect(self) -> list[CheckStep]:
        """Tell the provider our webhook's address, and say what happened."""


@runtime_checkable
class FetchingAdapter(Adapter, Protocol):
    """An adapter whose attachments are fetched after the message that names them was taken in."""

    async def fetch(self, ref: str, max_bytes: int) -> Attachment:
        """The file `Attachment.ref` names, with its content.

        Raises `Unreachable` where trying again may help, `Refused` where a person must act, and `ChannelError` where
        the file cannot be had at all (gone, larger than `max_bytes`).
        """


@runtime_checkable
class AskableAdapter(Adapter, Protocol):
    """An adapter whose provider can be asked what became of a send nobody saw the end of."""

    async def find_sent(self, out: OutboundMessage) -> SendResult:
        """`Sent` where the provider has it, `Retry` where it certainly has not, else `Unknown`."""


Known = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Of some places (`Raw.url`), those that something was stored from."""


@runtime_checkable
class PollingAdapter(Adapter, Protocol):
    """An adapter that fetches."""

    def poll(self, cursor: Cursor) -> AsyncIterator[tuple[list[Raw], Cursor]]:
        """Yield (raws, cursor after them) for ever. The caller asks on only after it has committed both.

        An empty list with a cursor is a heartbeat. Raises `Unreachable` or `Refused`; the caller backs off.
        """

    def reconcile(self, cursor: Cursor, known: Known) -> AsyncIterator[tuple[list[str], list[Raw]]]:
        """Compare what the server has up to the cursor with what the host has stored.

        Yields the places (`Raw.url`) the host does not know, and those of their messages that can be had now.
        """


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of inbox, as the registry lists it. `label` and `blurb` are gettext msgids."""

    name: str
    label: str
    blurb: str
    icon: str
    capabilities: Capabilities
    fields: tuple[Field, ...]
    build: Callable[[str, Mapping[str, Any], Ports], Adapter]
    """(inbox_id, settings with secrets, ports) -> adapter."""
    validate: Callable[[Mapping[str, Any]], dict[str, str]]
    """Settings -> {field: what is wrong, a gettext msgid}."""
    oauth: OAuthFlow | None = None
    """How accounts of this channel are connected; None where it has no such way."""
    built_in: Mapping[str, Any] | None = None
    """Settings of the inbox a new workspace begins with; None where the channel offers none."""
