"""The settings pages of inboxes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from aiohttp import web

from channels.base import Channel
from inbox.accounts.model import Permission, Team
from inbox.accounts.service import zones
from inbox.core.clock import utcnow
from inbox.core.errors import Conflict, Invalid
from inbox.inboxes import web_form
from inbox.inboxes.model import Inbox, InboxForm, takes_mail
from inbox.inboxes.service import InboxService
from inbox.inboxes.web_catcher import CatcherPages
from inbox.inboxes.web_trying import TryingPages
from inbox.web.i18n import gettext as _
from inbox.web.pages import actor, form, redirect, render
from inbox.web.routes import Route

Teams = Callable[[], Awaitable[Sequence[Team]]]
_LIST = "/settings/inboxes"


class InboxPages:
    """List, add, change, pause and archive inboxes; with what tries them and the catcher, all pages of this room.

    `public_url` is where people reach this copy, empty for the address they came by; `teams` those that an inbox's
    conversations may go to.
    """

    def __init__(self, inboxes: InboxService, public_url: str = "", teams: Teams | None = None) -> None:
        self._inboxes = inboxes
        self._public_url = public_url
        self._teams = teams
        self._parts = (TryingPages(inboxes, public_url), CatcherPages(inboxes))

    def routes(self) -> list[Route]:
        """Every route of the room."""
        admin = Permission.SETTINGS
        own = [
            Route("GET", _LIST, self.list, admin),
            Route("GET", f"{_LIST}/new", self.new, admin),
            Route("POST", f"{_LIST}/new", self.create, admin),
            Route("GET", f"{_LIST}/{{id}}", self.show, admin),
            Route("POST", f"{_LIST}/{{id}}", self.save, admin),
            Route("POST", f"{_LIST}/{{id}}/pause", self.pause, admin),
            Route("POST", f"{_LIST}/{{id}}/resume", self.resume, admin),
            Route("POST", f"{_LIST}/{{id}}/archive", self.archive, admin),
        ]
        return own + [route for part in self._parts for route in part.routes()]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Every inbox with how it does."""
        inboxes = await self._inboxes.inboxes(actor(request))
        channels = {inbox.id: self._inboxes.channel(inbox.channel) for inbox in inboxes}
        return await render(request, "ui/inboxes/list.html", inboxes=inboxes, channels=channels)

    async def new(self, request: web.Request) -> web.StreamResponse:
        """Choose a kind of inbox and its provider, then fill in the form."""
        name = request.query.get("channel", "")
        if not name:
            kinds = [(channel, web_form.leading(channel)) for channel in self._inboxes.channels.values()]
            return await render(request, "ui/inboxes/choose.html", kinds=kinds)
        channel = self._inboxes.channel(name)
        blank = web_form.blank(channel, request.query.get("preset", ""))
        return await self._form(request, channel, blank, {})

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Add an inbox and go on to its page, where it can be tried."""
        sent = await form(request)
        channel = self._inboxes.channel(sent.get("channel", ""))
        filled = web_form.read(channel, sent)
        try:
            inbox = await self._inboxes.create(actor(request), channel.name, filled)
        except Invalid as error:
            return await self._form(request, channel, filled, error.fields)
        return redirect(f"{_LIST}/{inbox.id}?done=created")

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One inbox's settings."""
        inbox = await self._inboxes.get(request.match_info["id"])
        if inbox.archived_at is not None:
            raise Conflict("This inbox was archived: it neither receives nor sends.")
        return await self._form(request, self._inboxes.channel(inbox.channel), web_form.of_inbox(inbox), {}, inbox)

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Change one inbox."""
        sent = await form(request)
        inbox = await self._inboxes.get(request.match_info["id"])
        channel = self._inboxes.channel(inbox.channel)
        filled = web_form.read(channel, sent)
        version = sent.get("version", "")
        try:
            await self._inboxes.update(
                actor(request), inbox.id, filled, version=int(version) if version.isdecimal() else None
            )
        except Invalid as error:
            return await self._form(request, channel, filled, error.fields, inbox)
        return redirect(f"{_LIST}/{inbox.id}?done=saved")

    async def pause(self, request: web.Request) -> web.StreamResponse:
        """Stop fetching and sending."""
        inbox = await self._inboxes.pause(actor(request), request.match_info["id"])
        return redirect(f"{_LIST}/{inbox.id}?done=paused")

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """Go on."""
        inbox = await self._inboxes.resume(actor(request), request.match_info["id"])
        return redirect(f"{_LIST}/{inbox.id}?done=resumed")

    async def archive(self, request: web.Request) -> web.StreamResponse:
        """Take an inbox out of use, once its name was typed."""
        inbox = await self._inboxes.get(request.match_info["id"])
        try:
            await self._inboxes.archive(actor(request), inbox.id, (await form(request)).get("typed_name", ""))
        except Invalid as error:
            channel = self._inboxes.channel(inbox.channel)
            wrong = _(error.fields.get("typed_name", error.words))
            return await self._form(request, channel, web_form.of_inbox(inbox), {}, inbox, archive_error=wrong)
        return redirect(_LIST)

    async def _form(
        self,
        request: web.Request,
        channel: Channel,
        filled: InboxForm,
        errors: Mapping[str, str],
        inbox: Inbox | None = None,
        *,
        archive_error: str = "",
    ) -> web.Response:
        saved = await self._inboxes.saved_secrets(actor(request), inbox.id) if inbox else frozenset()
        return await render(
            request,
            "ui/inboxes/form.html",
            status=422 if errors or archive_error else 200,
            view=web_form.view(channel, filled, errors, saved),
            archive_error=archive_error,
            inbox=inbox,
            connected=await self._inboxes.connected(inbox) if inbox else None,
            hook=await self._inboxes.hook(actor(request), inbox.id) if inbox else None,
            teams=[(team.id, team.name) for team in await self._teams()] if self._teams else (),
            zones=[(zone, zone.replace("_", " ")) for zone in await zones()],
            opening=_opening(inbox),
            hook_at=web_form.HOOK_AT.get(channel.name, web_form.HOOK_AT[""]),
            reachable=self._public_url.startswith("https://"),
            writes_to_itself=takes_mail(channel.capabilities.address_kind),
            done=request.query.get("done", ""),
        )


def _opening(inbox: Inbox | None) -> tuple[bool, datetime | None] | None:
    """Whether the inbox is open now, and when it opens next; None where it has no hours."""
    if inbox is None or inbox.hours is None:
        return None
    now = utcnow()
    return inbox.hours.is_open(now), inbox.hours.next_opening(now)
