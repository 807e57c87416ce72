"""Views and lists: the page of the inbox, its rows, and the first steps of a new workspace."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from inbox.accounts.model import Agent, Permission
from inbox.conversations.model import Page, View, matches
from inbox.conversations.web_parts import VIEW, Parts, Rows, view_context, view_of, view_path
from inbox.conversations.web_thread import ThreadPages
from inbox.core.errors import NotFound
from inbox.web.pages import agent, redirect, render
from inbox.web.routes import Route

ROWS = 50
_SEND_ONE = (
    "python3 -c \"import smtplib; smtplib.SMTP('{host}', {port}).sendmail('ann@example.com', '{to}', "
    "'From: Ann <ann@example.com>\\nTo: {to}\\nSubject: Hello\\n\\nDo you deliver on Sundays?')\""
)
"""A line for a terminal that sends a first mail; needs nothing but Python, which runs this server."""


class ListPages:
    """The inbox's page and what refreshes its views and rows."""

    def __init__(self, parts: Parts, thread: ThreadPages, door: tuple[str, int]) -> None:
        self._parts = parts
        self._thread = thread
        self._door = door
        self._rows = Rows()

    def routes(self) -> list[Route]:
        """The routes of views and lists."""
        read = Permission.INBOX_READ
        return [
            Route("GET", "/inbox", self.home, read),
            Route("GET", "/inbox/first-steps", self.first_steps, read),
            Route("GET", f"/inbox/{VIEW}", self.page, read),
            Route("GET", f"/inbox/{VIEW}/c/{{id}}", self.page, read),
            Route("GET", f"/inbox/{VIEW}/views", self.views, read),
            Route("GET", f"/inbox/{VIEW}/list", self.list_pane, read),
            Route("GET", f"/inbox/{VIEW}/rows", self.rows, read),
            Route("GET", f"/inbox/{VIEW}/rows/{{id}}", self.row, read),
            Route("GET", "/c/{id}", self.link, read),
        ]

    async def home(self, request: web.Request) -> web.StreamResponse:
        """The agent's own conversations if there are any, else everybody's."""
        counts = await self._parts.conversations.counts(agent(request).actor)
        return redirect(view_path(View(kind="mine" if counts.total["mine"] else "all")))

    async def link(self, request: web.Request) -> web.StreamResponse:
        """The link to a conversation that stays the same wherever it is listed."""
        conversation = await self._parts.conversations.row(agent(request).actor, request.match_info["id"])
        view = View(status=conversation.status)
        context = view_context(view)
        return redirect(f"{context['view_path']}/c/{conversation.id}{context['view_query']}")

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The whole inbox: views, the list and, where the address names one, a conversation."""
        who, view = agent(request), view_of(request)
        context = await self._list_context(who, view)
        context |= await self._views_context(who)
        conversation_id = request.match_info.get("id", "")
        if conversation_id:
            context |= await self._thread.context(who, conversation_id)
        else:
            context |= await self._first_steps_context(who)
        return await render(request, "ui/conversations/inbox.html", conversation_id=conversation_id, **context)

    async def views(self, request: web.Request) -> web.StreamResponse:
        """The views with their counts."""
        who = agent(request)
        context = {**view_context(view_of(request)), **await self._views_context(who)}
        return await render(request, "ui/conversations/views.html", **context)

    async def list_pane(self, request: web.Request) -> web.StreamResponse:
        """A list with its head."""
        context = await self._list_context(agent(request), view_of(request))
        return await render(request, "ui/conversations/list.html", **context)

    async def rows(self, request: web.Request) -> web.StreamResponse:
        """The rows after a cursor."""
        context = await self._list_context(agent(request), view_of(request), request.query.get("cursor", ""))
        return await render(request, "ui/conversations/rows.html", **context)

    async def row(self, request: web.Request) -> web.StreamResponse:
        """One row as it is now; no content where it is not in this view (any more)."""
        who, view = agent(request), view_of(request)
        try:
            conversation = await self._parts.conversations.row(who.actor, request.match_info["id"])
        except NotFound:  # gone meanwhile: it is in no view
            return web.Response(status=204)
        if not matches(conversation, view, who.id):
            return web.Response(status=204)
        context = await self._rows_context(who, view, Page(items=(conversation,)))
        return await render(request, "ui/conversations/rows.html", **context)

    async def first_steps(self, request: web.Request) -> web.StreamResponse:
        """What is left to do in a new workspace; it ticks itself."""
        context = await self._first_steps_context(agent(request))
        return await render(request, "ui/conversations/nothing_open.html", **context)

    async def _list_context(self, who: Agent, view: View, cursor: str = "") -> dict[str, Any]:
        page = await self._parts.conversations.page(who.actor, view, cursor, ROWS)
        return await self._rows_context(who, view, page)

    async def _rows_context(self, who: Agent, view: View, page: Page) -> dict[str, Any]:
        context = {**view_context(view), **await self._parts.row_context(who), "page": page}
        return {**context, "drawn": self._rows.drawer(who, view, context)}

    async def _views_context(self, who: Agent) -> dict[str, Any]:
        return {
            "counts": await self._parts.conversations.counts(who.actor),
            "choices": {
                "me": who.id,
                "labels": await self._parts.conversations.labels(who.actor),
                "people": [{"id": one.id, "name": one.name} for one in await self._parts.people()],
            },
            **await self._parts.row_context(who),
        }

    async def _first_steps_context(self, who: Agent) -> dict[str, Any]:
        inboxes = await self._parts.inboxes.inboxes(who.actor)
        received = any(inbox.health.last_in for inbox in inboxes)
        answered = any(inbox.health.last_out for inbox in inboxes)
        first = next((inbox for inbox in inboxes if inbox.catch_all), inboxes[0] if inboxes else None)
        command = _SEND_ONE.format(host=self._door[0], port=self._door[1], to=first.address if first else "")
        return {
            "first_steps": {
                "inbox": first,
                "received": received,
                "answered": answered,
                "door": self._door,
                "command": command,
            },
            "first_steps_done": received and answered,
        }
