"""What the inbox's pages share: the services, views as addresses, and what a row needs to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from channels.base import Capabilities
from inbox.accounts.model import Agent, Permission
from inbox.accounts.service import AccountService
from inbox.conversations.drafts import DraftService
from inbox.conversations.model import Conversation, Status, View
from inbox.conversations.replies import ReplyService
from inbox.conversations.service import ConversationService
from inbox.conversations.web_dates import age
from inbox.core.clock import utcnow
from inbox.core.errors import NotFound
from inbox.customers.service import CustomerService
from inbox.inboxes.model import Inbox
from inbox.inboxes.service import InboxService
from inbox.web import i18n

VIEW = r"{view:mine|unassigned|all|in/[^/]+|label/[^/]+}"
"""A view in a route: /inbox/mine, /inbox/in/{inbox}, /inbox/label/{label}."""
DrawRow = Callable[[Conversation], str]
_KINDS = {"in": "inbox", "label": "label"}


@dataclass(frozen=True)
class Parts:
    """The services that the pages of conversations stand on."""

    conversations: ConversationService
    drafts: DraftService
    replies: ReplyService
    inboxes: InboxService
    accounts: AccountService
    customers: CustomerService

    async def row_context(self, agent: Agent) -> dict[str, Any]:
        """What every template with rows or a thread needs besides the conversations: names of people and inboxes."""
        inboxes = {inbox.id: inbox for inbox in await self.inboxes.inboxes(agent.actor)}
        now = utcnow()
        return {
            "age": partial(age, now=now),
            "now": now,
            "may_reply": agent.actor.may(Permission.INBOX_REPLY),
            "names": await self.accounts.names(),
            "inboxes": inboxes,
            "channels": {inbox.id: self.inboxes.channel(inbox.channel) for inbox in inboxes.values()},
        }

    async def capabilities(self, inbox_id: str) -> Capabilities:
        """What the channel of an inbox can do."""
        inbox: Inbox = await self.inboxes.get(inbox_id)
        return self.inboxes.channel(inbox.channel).capabilities

    async def people(self) -> list[Agent]:
        """Everybody a conversation can be assigned to, by name."""
        may = [a for a in await self.accounts.agents() if a.active and a.actor.may(Permission.INBOX_REPLY)]
        return sorted(may, key=lambda agent: agent.name.casefold())


class Drawn:
    """Pieces of pages as they were drawn before, by everything they show."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._drawn: dict[tuple[object, ...], str] = {}

    def get(self, key: tuple[object, ...], draw: Callable[[], str]) -> str:
        """The piece of a key, drawn where it is not there."""
        found = self._drawn.get(key)
        if found is None:
            if len(self._drawn) >= self._most:
                self._drawn.clear()
            found = self._drawn[key] = draw()
        return found


class Rows:
    """Rows of lists: each has fifty, and most have not changed since somebody last saw them."""

    def __init__(self) -> None:
        self._drawn = Drawn(4_000)

    def drawer(self, agent: Agent, view: View, context: Mapping[str, Any]) -> Callable[[DrawRow, Conversation], str]:
        """What draws rows for one page: everything a row shows is in the key it is kept by."""
        same_for_all = (i18n.current().code, view_path(view), view_query(view), context["may_reply"])
        names, inboxes, words = context["names"], context["inboxes"], context["age"]

        def draw(row: DrawRow, conversation: Conversation) -> str:
            inbox = inboxes.get(conversation.inbox_id)
            mine = conversation.assignee_id == agent.id
            assignee = names.get(conversation.assignee_id)
            key = (conversation, words(conversation.updated_at), inbox and inbox.name, assignee, mine, same_for_all)
            return self._drawn.get(key, lambda: row(conversation))

        return draw


def view_of(request: web.Request) -> View:
    """The view that an address names. Raises `NotFound` for a status there is not."""
    first, _, value = request.match_info["view"].partition("/")
    try:
        status = Status(request.query.get("status", Status.OPEN))
    except ValueError as error:
        raise NotFound("There is no such list.") from error
    return View(kind=_KINDS.get(first, first), value=value, status=status)


def view_path(view: View) -> str:
    """The path of a view, without its status."""
    if view.kind in _KINDS.values():
        first = next(part for part, kind in _KINDS.items() if kind == view.kind)
        return f"/inbox/{first}/{quote(view.value, safe='')}"
    return f"/inbox/{view.kind}"


def view_query(view: View) -> str:
    """The query that names a view's status; empty for open ones."""
    return "" if view.status is Status.OPEN else "?" + urlencode({"status": view.status.value})


def view_context(view: View) -> Mapping[str, Any]:
    """A view for a template: itself, its path and its query."""
    return {"view": view, "view_path": view_path(view), "view_query": view_query(view), "statuses": list(Status)}
