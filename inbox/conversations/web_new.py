"""Beginning a conversation: the page, the people it finds, and sending."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from aiohttp import web

from channels.base import Address, AddressKind
from inbox.accounts.model import Permission
from inbox.conversations.composing import Written
from inbox.conversations.web_addresses import read_addresses, wrong_address
from inbox.conversations.web_parts import Parts
from inbox.core.errors import Invalid
from inbox.inboxes.model import Inbox, normalise
from inbox.web.i18n import gettext as _
from inbox.web.pages import agent, body, json, render
from inbox.web.routes import Route

MOST_FOUND = 8
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_CHAT = re.compile(r"-?[0-9]{1,18}|@[a-z][a-z0-9_]{3,31}")
_PRICE = re.compile(r"[0-9]{1,4}([.,][0-9]{1,8})?")


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """A first message; the address as it was typed."""

    inbox: str = ""
    to: str = ""
    subject: str = ""
    html: str = ""
    key: Annotated[str, msgspec.Meta(max_length=100)] = ""


class NewPages:
    """Writing first."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """The routes of a new conversation."""
        act = Permission.INBOX_REPLY
        return [
            Route("GET", "/inbox/new", self.page, act),
            Route("POST", "/inbox/new", self.send, act),
            Route("GET", "/inbox/new/people", self.people, act),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page; `to` in the address is an address key to write to."""
        who = agent(request)
        inboxes = await self._parts.replies.senders(who.actor)
        channels = {inbox.id: self._parts.inboxes.channel(inbox.channel) for inbox in inboxes}
        kind, _colon, value = request.query.get("to", "").partition(":")
        fitting = [inbox for inbox in inboxes if channels[inbox.id].capabilities.address_kind == kind]
        return await render(
            request,
            "ui/conversations/new.html",
            inboxes=inboxes,
            channels=channels,
            capabilities={inbox.id: await self._parts.capabilities(inbox.id) for inbox in inboxes},
            prices={inbox.id: price_of(inbox) for inbox in inboxes},
            chosen=next(iter(fitting or inboxes), None),
            to=value if fitting else "",
        )

    async def people(self, request: web.Request) -> web.StreamResponse:
        """Customers found by a name or an address, each with the addresses they can be reached at."""
        who = agent(request).actor
        found = await self._parts.customers.find(who, request.query.get("q", ""), MOST_FOUND)
        people = []
        for customer in found:
            identities = await self._parts.customers.identities(who, customer.id)
            addresses = [{"kind": each.kind, "value": each.value, "opted_out": each.opted_out} for each in identities]
            people.append({"name": customer.name, "addresses": addresses})
        return json(people)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send it; the answer names the conversation it went to."""
        beginning = await body(request, Beginning)
        if beginning.inbox not in {inbox.id for inbox in await self._parts.replies.senders(agent(request).actor)}:
            raise Invalid("The message was not sent.", fields={"inbox": _("This inbox cannot send now.")})
        kind = (await self._parts.capabilities(beginning.inbox)).address_kind
        written = Written(
            to=typed_addresses(kind, beginning.to),
            subject=beginning.subject,
            html=beginning.html,
            key=beginning.key,
        )
        message = await self._parts.replies.compose_new(agent(request).actor, beginning.inbox, written)
        return json({"message_id": message.id, "conversation_id": message.conversation_id})


def typed_addresses(kind: AddressKind, typed: str) -> tuple[Address, ...]:
    """What was typed as addresses that something can be sent to. Raises `Invalid` in words."""
    if kind == "email":
        found = read_addresses(typed, kind)
        wrong = wrong_address(found)
        words = _("“%(address)s” is not a complete address.", address=wrong)
    else:
        value = normalise(kind, typed)
        found = (Address(kind, value),) if value else ()
        fits = (_PHONE if kind == "phone" else _CHAT).fullmatch(value)
        wrong = "" if fits else value
        words = (
            _("This is not a phone number. Begin with + and the country code, for example +976 8800 1122.")
            if kind == "phone"
            else _("Choose somebody who has written to you before.")
        )
    if wrong:
        raise Invalid("The message was not sent.", fields={"to": words})
    return found


def price_of(inbox: Inbox) -> tuple[float, str] | None:
    """What a part of a message costs and in which currency, where the inbox's settings say so."""
    price = str(inbox.settings.get("price_per_segment") or "").strip()
    if not _PRICE.fullmatch(price):
        return None
    return float(price.replace(",", ".")), str(inbox.settings.get("price_currency") or "USD").strip().upper()
