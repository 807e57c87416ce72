"""Trying an inbox from its settings page: the test, the account's connection, the health page.

With htmx a test shows each part as it is done; without it, each part is a page.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from inbox.accounts.model import Permission
from inbox.core.clock import utcnow
from inbox.core.errors import NotFound
from inbox.inboxes.model import Inbox, LoopState, LoopTest, can_be_answered, chat_link, takes_mail
from inbox.inboxes.service import InboxService
from inbox.web.i18n import gettext as _
from inbox.web.pages import actor, is_htmx, redirect, render
from inbox.web.routes import Route

_LOOP_SECONDS = 120
_WAIT_SECONDS = 300
_BACK = "/oauth/callback"


class TryingPages:
    """What an admin does to see whether an inbox works."""

    def __init__(self, inboxes: InboxService, public_url: str) -> None:
        self._inboxes = inboxes
        self._public_url = public_url

    def routes(self) -> list[Route]:
        """The routes of these pages."""
        admin, one = Permission.SETTINGS, "/settings/inboxes/{id}"
        return [
            Route("POST", f"{one}/test", self.test, admin),
            Route("POST", f"{one}/test/steps", self.steps, admin),
            Route("POST", f"{one}/test/loop", self.loop, admin),
            Route("GET", f"{one}/test/{{token}}", self.loop_result, admin),
            Route("POST", f"{one}/hook", self.hook, admin),
            Route("GET", f"{one}/wait", self.wait, admin),
            Route("GET", f"{one}/health", self.health, admin),
            Route("POST", f"{one}/connect", self.connect, admin),
            Route("GET", _BACK, self.connected, admin),
        ]

    async def test(self, request: web.Request) -> web.StreamResponse:
        """Begin a test: with htmx say so at once and let the page ask for the steps, else do them now."""
        if not is_htmx(request):
            return await self.steps(request)
        inbox = await self._inboxes.get(request.match_info["id"])
        return await render(request, "ui/inboxes/test_begun.html", inbox=inbox)

    async def steps(self, request: web.Request) -> web.StreamResponse:
        """Try the settings both ways."""
        inbox = await self._inboxes.get(request.match_info["id"])
        result = await self._inboxes.check(actor(request), inbox.id)
        steps = [msgspec.structs.replace(step, name=_(step.name)) for step in result.steps]
        way = await self._way(inbox)
        hook = None if result.ok else await self._inboxes.hook(actor(request), inbox.id)
        return await self._answer(request, "steps", inbox, steps=steps, ok=result.ok, way=way, hook=hook)

    async def hook(self, request: web.Request) -> web.StreamResponse:
        """Tell the provider where the inbox's webhook is."""
        inbox = await self._inboxes.get(request.match_info["id"])
        result = await self._inboxes.connect_hook(actor(request), inbox.id)
        steps = [msgspec.structs.replace(step, name=_(step.name)) for step in result.steps]
        return await self._answer(request, "hook", inbox, steps=steps, ok=result.ok)

    async def wait(self, request: web.Request) -> web.StreamResponse:
        """Whether somebody has written to the inbox since the page began to wait."""
        inbox = await self._inboxes.get(request.match_info["id"])
        now, last = _milliseconds(utcnow()), _milliseconds(inbox.health.last_in)
        since, before = _asked(request, "since", now), _asked(request, "before", last)
        seen, waiting = last > before, now - since < _WAIT_SECONDS * 1000
        if waiting and not seen and is_htmx(request) and "since" in request.query:
            return web.Response(status=204)  # nothing new: what is shown stays as it is
        link = chat_link(await self._inboxes.capabilities(inbox), inbox.address)
        again = f"/settings/inboxes/{inbox.id}/wait?since={since}&before={before}"
        return await self._answer(request, "wait", inbox, seen=seen, waiting=waiting, link=link, again=again)

    async def loop(self, request: web.Request) -> web.StreamResponse:
        """Send a message from the inbox to itself."""
        inbox = await self._inboxes.get(request.match_info["id"])
        test = await self._inboxes.begin_loop_test(actor(request), inbox.id)
        if is_htmx(request):
            return await self._loop(request, inbox, test)
        return redirect(f"/settings/inboxes/{inbox.id}/test/{test.id}")

    async def loop_result(self, request: web.Request) -> web.StreamResponse:
        """Whether it has come back."""
        inbox = await self._inboxes.get(request.match_info["id"])
        test = await self._inboxes.loop_test(actor(request), request.match_info["token"])
        if test.inbox_id != inbox.id:
            raise NotFound("This test is no longer kept.")
        return await self._loop(request, inbox, test)

    async def health(self, request: web.Request) -> web.StreamResponse:
        """How an inbox does, in figures and words."""
        report = await self._inboxes.health(actor(request), request.match_info["id"])
        compares = (await self._inboxes.capabilities(report.inbox)).polls or report.inbox.health.reconciled_at
        return await render(
            request, "ui/inboxes/health.html", report=report, inbox=report.inbox, compares=compares, now=utcnow()
        )

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Send the admin to the provider: by a page, since our policy lets no form lead to another site."""
        inbox = await self._inboxes.get(request.match_info["id"])
        url = await self._inboxes.begin_oauth(actor(request), inbox.id, self._redirect_uri(request))
        return await render(request, "ui/inboxes/connect.html", inbox=inbox, url=url)

    async def connected(self, request: web.Request) -> web.StreamResponse:
        """Where the provider sends the admin back to."""
        query = request.query
        inbox = await self._inboxes.finish_oauth(
            actor(request),
            state=query.get("state", ""),
            code=query.get("code", ""),
            redirect_uri=self._redirect_uri(request),
            refusal=(query.get("error_description") or query.get("error", ""))[:300],
        )
        return redirect(f"/settings/inboxes/{inbox.id}?done=connected")

    async def _loop(self, request: web.Request, inbox: Inbox, test: LoopTest) -> web.Response:
        late = (utcnow() - test.at).total_seconds() > _LOOP_SECONDS
        waiting = test.state in (LoopState.SENDING, LoopState.SENT) and not late
        return await self._answer(request, "loop", inbox, test=test, waiting=waiting)

    async def _answer(self, request: web.Request, part: str, inbox: Inbox, **context: Any) -> web.Response:
        name = f"test_{part}.html" if is_htmx(request) else "test.html"
        return await render(request, f"ui/inboxes/{name}", inbox=inbox, part=part, **context)

    async def _way(self, inbox: Inbox) -> str:
        """What shows that messages come in: a message to itself (`loop`), one from a person (`wait`), or nothing."""
        can = await self._inboxes.capabilities(inbox)
        if takes_mail(can.address_kind):
            return "loop" if inbox.address else ""
        return "wait" if can_be_answered(can, inbox.address) else ""

    def _redirect_uri(self, request: web.Request) -> str:
        return f"{self._public_url or request.url.origin()}{_BACK}"


def _milliseconds(at: datetime | None) -> int:
    return 0 if at is None else int(at.timestamp() * 1000)


def _asked(request: web.Request, name: str, default: int) -> int:
    """A time from the address, in milliseconds."""
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else default
