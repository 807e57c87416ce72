"""What an agent should know before writing: whom it goes to, what the channel takes, what stands in the way, and which
other inboxes reach the same customer."""

from __future__ import annotations

from datetime import datetime

import msgspec

from channels.base import Address, AddressKind, Capabilities
from inbox.accounts.model import Actor, Permission
from inbox.conversations.composing import is_closed, is_group, recipients
from inbox.conversations.model import Conversation
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_inbound import InboundTimes
from inbox.core.clock import Clock
from inbox.core.errors import NotFound
from inbox.customers.model import Identity
from inbox.customers.service import CustomerService
from inbox.inboxes.model import Inbox
from inbox.inboxes.service import InboxService


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """An inbox that reaches the customer, at one of their addresses."""

    inbox: Inbox
    address: Address


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What to know before writing from `inbox`."""

    inbox: Inbox
    capabilities: Capabilities
    room: bool
    """It goes to everybody in a group."""
    to: tuple[Address, ...]
    """Whom an answer goes to by itself."""
    closed: bool
    """Free text may not be sent now (`Capabilities.window_hours`)."""
    last_in: datetime | None
    """When the customer last wrote in this conversation."""
    unwanted: tuple[Identity, ...]
    """Addresses of the customer on this channel that asked for no more messages, or that messages came back from."""
    ways: tuple[Way, ...]
    """Other inboxes and addresses."""

    @property
    def is_fixed(self) -> bool:
        """Whether there is nobody to choose."""
        return self.room or not self.capabilities.copies


class Outlooks:
    """Reads what there is to know; each method checks the actor's access."""

    def __init__(
        self,
        store: ConversationStore,
        inbound: InboundTimes,
        inboxes: InboxService,
        customers: CustomerService,
        clock: Clock,
    ) -> None:
        self._store = store
        self._inbound = inbound
        self._inboxes = inboxes
        self._customers = customers
        self._clock = clock

    async def outlook(self, actor: Actor, conversation_id: str, inbox_id: str = "") -> Outlook:
        """Before writing in a conversation, from its own inbox or another one. Raises `NotFound`."""
        actor.require(Permission.INBOX_REPLY)
        conversation = await self._store.get(conversation_id)
        if conversation is None:
            raise NotFound("This conversation is no longer there.")
        is_own = inbox_id in ("", conversation.inbox_id)
        inbox = await self._inboxes.get(conversation.inbox_id if is_own else inbox_id)
        capabilities = await self.capabilities(inbox)
        identities = await self._customers.identities(actor, conversation.customer_id)
        group = is_group(conversation, [each.value for each in identities])
        room = group and is_own
        to = self._own(identities, capabilities.address_kind)
        last_in = await self._inbound.last(conversation_id) if is_own else None
        if is_own:
            to = recipients("reply", await self._store.answerable(conversation_id), inbox)[0] or to[-1:]
        elif capabilities.window_hours is not None:
            last_in = await self._last_in_other(conversation, inbox)
        return Outlook(
            inbox=inbox,
            capabilities=capabilities,
            room=room,
            to=to,
            closed=is_closed(capabilities, last_in, self._clock()),
            last_in=last_in,
            unwanted=() if room else tuple(_unwanted(identities, capabilities.address_kind)),
            ways=() if group else await self._ways(actor, conversation, identities),
        )

    async def senders(self, actor: Actor) -> list[Inbox]:
        """The inboxes that can send now: in use, not paused, and refused by nobody."""
        actor.require(Permission.INBOX_REPLY)
        return [inbox for inbox in await self._inboxes.inboxes(actor) if not inbox.paused and not inbox.health.sending]

    async def capabilities(self, inbox: Inbox) -> Capabilities:
        """What an inbox can do at its present settings; of one that is archived, what its channel can do."""
        if inbox.archived_at is not None:
            return self._inboxes.channel(inbox.channel).capabilities
        return (await self._inboxes.adapter(inbox.id)).capabilities

    async def only_address(
        self, actor: Actor, conversation: Conversation, capabilities: Capabilities
    ) -> tuple[Address, ...]:
        """The customer's address on a channel, where there is exactly one."""
        own = self._own(await self._customers.identities(actor, conversation.customer_id), capabilities.address_kind)
        return own if len(own) == 1 else ()

    async def _ways(self, actor: Actor, conversation: Conversation, identities: list[Identity]) -> tuple[Way, ...]:
        found = []
        for inbox in await self.senders(actor):
            if inbox.id == conversation.inbox_id:
                continue
            kind = self._inboxes.channel(inbox.channel).capabilities.address_kind
            found += [Way(inbox=inbox, address=address) for address in self._own(identities, kind)]
        return tuple(found)

    async def _last_in_other(self, conversation: Conversation, inbox: Inbox) -> datetime | None:
        others = await self._store.of_customer(conversation.customer_id, 20)
        latest = next((other for other in others if other.inbox_id == inbox.id), None)
        return await self._inbound.last(latest.id) if latest else None

    def _own(self, identities: list[Identity], kind: AddressKind) -> tuple[Address, ...]:
        return tuple(Address(kind, each.value, each.name) for each in identities if each.kind == kind)


def _unwanted(identities: list[Identity], kind: AddressKind) -> list[Identity]:
    return [each for each in identities if each.kind == kind and (each.opted_out or each.undeliverable)]
