"""The page of what came in and could not be taken in: download, try again, dismiss."""

from __future__ import annotations

from aiohttp import web

from inbox.accounts.model import Permission
from inbox.conversations.ingest import IngestService
from inbox.conversations.paging import encode_cursor
from inbox.inboxes.service import InboxService
from inbox.web.pages import actor, redirect, render
from inbox.web.routes import Route

_LIST = "/settings/dead-letters"
_PAGE = 50


class DeadLetterPages:
    """Dead letters, for admins."""

    def __init__(self, ingest: IngestService, inboxes: InboxService) -> None:
        self._ingest = ingest
        self._inboxes = inboxes

    def routes(self) -> list[Route]:
        """The routes of dead letters."""
        admin = Permission.SETTINGS
        return [
            Route("GET", _LIST, self.list, admin),
            Route("GET", f"{_LIST}/{{id}}/raw", self.raw, admin),
            Route("POST", f"{_LIST}/{{id}}/replay", self.replay, admin),
            Route("POST", f"{_LIST}/{{id}}/dismiss", self.dismiss, admin),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Newest first."""
        who, before = actor(request), request.query.get("before", "")
        letters = await self._ingest.dead_letters(who, before, _PAGE)
        last = letters[-1] if len(letters) == _PAGE else None
        return await render(
            request,
            "ui/dead_letters/list.html",
            letters=letters,
            names={inbox.id: inbox.name for inbox in await self._inboxes.inboxes(who)},
            count=await self._ingest.count_dead(who),
            before=before,
            older=encode_cursor(last.at, last.id) if last else "",
            done=request.query.get("done", ""),
        )

    async def raw(self, request: web.Request) -> web.StreamResponse:
        """The source as a download; what it is nobody knows, so it is no type a browser opens."""
        key = request.match_info["id"]
        chunks = await self._ingest.dead_letter_raw(actor(request), key)
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": 'attachment; filename="dead-letter.eml"',
            }
        )
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
        return response

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """Try again to take one in."""
        taken = await self._ingest.replay(actor(request), request.match_info["id"])
        return redirect(f"{_LIST}?done={'replayed' if taken else 'failed'}")

    async def dismiss(self, request: web.Request) -> web.StreamResponse:
        """Take one off the list."""
        await self._ingest.dismiss(actor(request), request.match_info["id"])
        return redirect(f"{_LIST}?done=dismissed")
