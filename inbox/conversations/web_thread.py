"""One conversation: its thread, its customer beside it, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from markupsafe import Markup

from channels.base import Capabilities
from inbox.accounts.model import Agent, Permission
from inbox.conversations.model import Conversation, Message, Opened, Priority, Status
from inbox.conversations.rendering import has_remote_images
from inbox.conversations.web_addresses import names_of, write_addresses
from inbox.conversations.web_dates import clock, day_words
from inbox.conversations.web_files import FILMS, PICTURES, SOUNDS, draft_json, file_path
from inbox.conversations.web_parts import Drawn, Parts
from inbox.conversations.web_text import linked, message_text
from inbox.web import i18n
from inbox.web.pages import agent, body, render
from inbox.web.routes import Route

MESSAGES = 50
TAIL = 20
_FRAME_CSP = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src 'self' data:{images}; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the thread shows it."""

    message: Message
    text: Markup
    whole: Markup
    """All of it, where there is more than `text` and no HTML to show instead."""
    day: date
    new_day: bool
    is_mail: bool
    """Its HTML is a document of its own, and not all of it may be meant to be read."""


class Entries:
    """Entries of threads: one that is open is drawn again with every change, and most of it is as it was."""

    def __init__(self) -> None:
        self._drawn = Drawn(1_500)

    def drawer(
        self, agent: Agent, opened: Opened, context: Mapping[str, Any], capabilities: Capabilities
    ) -> Callable[[Callable[[Entry], str], Entry], str]:
        """What draws the entries of one page: everything an entry shows is in the key it is kept by."""
        language, now, names = i18n.current(), context["now"], context["names"]
        today = now.astimezone(language.zone).date()
        customer = opened.conversation.customer_name
        same_for_all = (language.code, language.zone, today, context["may_reply"], capabilities, customer)

        def draw(entry_of: Callable[[Entry], str], entry: Entry) -> str:
            message = entry.message
            delivery = message.delivery
            if delivery and delivery.due_at and delivery.due_at > now and message.author_id == agent.id:
                return entry_of(entry)  # with its way back, for a few seconds
            key = (msgspec.msgpack.encode(message), names.get(message.author_id), same_for_all)
            return self._drawn.get(key, lambda: entry_of(entry))

        return draw


class Assignment(msgspec.Struct, frozen=True):
    """Whom to assign to; empty for nobody."""

    agent_id: str


class StatusChange(msgspec.Struct, frozen=True):
    """The new status, and until when where that is snoozed."""

    status: Status
    until: datetime | None = None


class PriorityChange(msgspec.Struct, frozen=True):
    """The new priority."""

    priority: Priority


class LabelChange(msgspec.Struct, frozen=True):
    """A label to add or to take off."""

    add: str = ""
    remove: str = ""


class ThreadPages:
    """What refreshes an open conversation, and the actions of its head."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._entries = Entries()

    def routes(self) -> list[Route]:
        """The routes of one conversation."""
        read, act = Permission.INBOX_READ, Permission.INBOX_REPLY
        one = "/conversations/{id}"
        return [
            Route("GET", f"{one}/pane", self.pane, read),
            Route("GET", f"{one}/tail", self.tail, read),
            Route("GET", f"{one}/earlier", self.earlier, read),
            Route("GET", f"{one}/customer", self.customer, read),
            Route("GET", "/messages/{id}/html", self.html, read),
            Route("POST", f"{one}/assign", self.assign, act),
            Route("POST", f"{one}/status", self.set_status, act),
            Route("POST", f"{one}/priority", self.set_priority, act),
            Route("POST", f"{one}/labels", self.set_labels, act),
            Route("POST", f"{one}/read", self.mark_read, read),
            Route("POST", f"{one}/unread", self.mark_unread, act),
            Route("POST", f"{one}/dismiss-failure", self.dismiss_failure, act),
        ]

    async def context(self, who: Agent, conversation_id: str) -> dict[str, Any]:
        """What the templates of an open conversation need. Raises `NotFound`."""
        opened = await self._parts.conversations.open(who.actor, conversation_id, limit=MESSAGES)
        may_reply = who.actor.may(Permission.INBOX_REPLY)
        draft = await self._parts.drafts.draft(who.actor, conversation_id) if may_reply else None
        return {
            **await self._opened_context(who, opened),
            **await self._customer_context(who, opened.conversation),
            "draft": draft and draft_json(draft),
        }

    async def pane(self, request: web.Request) -> web.StreamResponse:
        """An open conversation."""
        context = await self.context(agent(request), request.match_info["id"])
        return await render(request, "ui/conversations/thread.html", **context)

    async def tail(self, request: web.Request) -> web.StreamResponse:
        """The head and the newest messages, to bring a thread that is shown up to date."""
        who = agent(request)
        opened = await self._parts.conversations.open(who.actor, request.match_info["id"], limit=TAIL)
        return await render(request, "ui/conversations/tail.html", **await self._opened_context(who, opened))

    async def earlier(self, request: web.Request) -> web.StreamResponse:
        """The messages before those that are shown."""
        who, before = agent(request), request.query.get("before", "")
        opened = await self._parts.conversations.open(
            who.actor, request.match_info["id"], before=before, limit=MESSAGES
        )
        return await render(request, "ui/conversations/entries.html", **await self._opened_context(who, opened))

    async def customer(self, request: web.Request) -> web.StreamResponse:
        """The customer of a conversation."""
        who = agent(request)
        conversation = await self._parts.conversations.row(who.actor, request.match_info["id"])
        context = {**await self._parts.row_context(who), **await self._customer_context(who, conversation)}
        return await render(request, "ui/customers/pane.html", **context)

    async def html(self, request: web.Request) -> web.StreamResponse:
        """A message's own HTML, for a frame in which nothing can run and, unless asked for, nothing is fetched."""
        images = request.query.get("images") == "1"
        document = await self._parts.conversations.html_document(
            agent(request).actor, request.match_info["id"], images=images
        )
        headers = {
            "Content-Security-Policy": _FRAME_CSP.format(images=" https: http:" if images else ""),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(text=document, content_type="text/html", headers=headers)

    async def assign(self, request: web.Request) -> web.StreamResponse:
        """Assign to an agent or to nobody."""
        change = await body(request, Assignment)
        await self._parts.conversations.assign(agent(request).actor, request.match_info["id"], change.agent_id)
        return web.Response(status=204)

    async def set_status(self, request: web.Request) -> web.StreamResponse:
        """Open, pending, snoozed, resolved or spam."""
        change = await body(request, StatusChange)
        await self._parts.conversations.set_status(
            agent(request).actor, request.match_info["id"], change.status, change.until
        )
        return web.Response(status=204)

    async def set_priority(self, request: web.Request) -> web.StreamResponse:
        """How urgent it is."""
        change = await body(request, PriorityChange)
        await self._parts.conversations.set_priority(agent(request).actor, request.match_info["id"], change.priority)
        return web.Response(status=204)

    async def set_labels(self, request: web.Request) -> web.StreamResponse:
        """Add a label or take one off."""
        change = await body(request, LabelChange)
        who, conversation_id = agent(request).actor, request.match_info["id"]
        if change.add:
            await self._parts.conversations.label(who, conversation_id, change.add)
        if change.remove:
            await self._parts.conversations.unlabel(who, conversation_id, change.remove)
        return web.Response(status=204)

    async def mark_read(self, request: web.Request) -> web.StreamResponse:
        """Somebody has seen what came in."""
        await self._parts.conversations.mark_read(agent(request).actor, request.match_info["id"])
        return web.Response(status=204)

    async def mark_unread(self, request: web.Request) -> web.StreamResponse:
        """To be looked at again."""
        await self._parts.conversations.mark_unread(agent(request).actor, request.match_info["id"])
        return web.Response(status=204)

    async def dismiss_failure(self, request: web.Request) -> web.StreamResponse:
        """Somebody has dealt with a failed message in another way."""
        await self._parts.conversations.dismiss_failure(agent(request).actor, request.match_info["id"])
        return web.Response(status=204)

    async def _opened_context(self, who: Agent, opened: Opened) -> dict[str, Any]:
        capabilities = await self._parts.capabilities(opened.conversation.inbox_id)
        shown = entries(opened.messages, ZoneInfo(who.timezone), is_mail=capabilities.threads_by_headers)
        context = await self._parts.row_context(who)
        return {
            **context,
            "conversation": opened.conversation,
            "entries": shown,
            "draw_entry": self._entries.drawer(who, opened, context, capabilities),
            "earlier": opened.earlier,
            "capabilities": capabilities,
            "addresses": write_addresses,
            "names_of": names_of,
            "clock": clock,
            "day_words": day_words,
            "has_remote_images": has_remote_images,
            "file_path": file_path,
            "pictures": PICTURES,
            "sounds": SOUNDS,
            "films": FILMS,
        }

    async def _customer_context(self, who: Agent, conversation: Conversation) -> dict[str, Any]:
        customer_id = conversation.customer_id
        return {
            "conversation": conversation,
            "customer": await self._parts.customers.get(who.actor, customer_id),
            "identities": await self._parts.customers.identities(who.actor, customer_id),
            "others": await self._parts.conversations.customer_conversations(who.actor, customer_id),
            "may_edit": who.actor.may(Permission.CUSTOMER_EDIT),
        }


def entries(messages: Iterable[Message], zone: tzinfo, *, is_mail: bool = True) -> list[Entry]:
    """Messages with the day each was on for the reader, and their text as it is shown."""
    shown: list[Entry] = []
    for message in messages:
        day = message.at.astimezone(zone).date()
        whole = linked(message.full_text) if message.full_text and not message.html else Markup("")
        new_day = not shown or shown[-1].day != day
        text = message_text(message, is_mail=is_mail)
        shown.append(Entry(message=message, text=text, whole=whole, day=day, new_day=new_day, is_mail=is_mail))
    return shown
