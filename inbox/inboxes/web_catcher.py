"""The catcher's pages: mails the built-in inbox would have sent."""

from __future__ import annotations

import base64

from aiohttp import web

from channels.base import InboundMessage
from inbox.accounts.model import Permission
from inbox.inboxes.catcher import PAGE
from inbox.inboxes.service import InboxService
from inbox.web.pages import actor, render
from inbox.web.routes import Route

_FRAME_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
_INLINE_BYTES = 5 * 1024 * 1024
_INLINE_TYPES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})


class CatcherPages:
    """List and open caught mails; every agent may."""

    def __init__(self, inboxes: InboxService) -> None:
        self._inboxes = inboxes

    def routes(self) -> list[Route]:
        """The routes of the catcher."""
        reader = Permission.INBOX_READ
        return [
            Route("GET", "/catcher", self.list, reader),
            Route("GET", "/catcher/{id}", self.show, reader),
            Route("GET", "/catcher/{id}/html", self.html, reader),
            Route("GET", "/catcher/{id}/raw", self.raw, reader),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Mails, newest first."""
        before = request.query.get("before", "")
        mails = await self._inboxes.caught(actor(request), before)
        older = mails[-1].id if len(mails) == PAGE else ""
        return await render(request, "ui/catcher/list.html", mails=mails, older=older, before=before)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One mail."""
        mail = await self._inboxes.caught_mail(actor(request), request.match_info["id"])
        return await render(request, "ui/catcher/mail.html", mail=mail.caught, head=mail.head, message=mail.message)

    async def html(self, request: web.Request) -> web.StreamResponse:
        """The mail's HTML for its frame: an origin of its own, no script, nothing fetched."""
        mail = await self._inboxes.caught_mail(actor(request), request.match_info["id"])
        page = f"<!doctype html><meta charset=utf-8>{_document(mail.message)}"
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _FRAME_POLICY})

    async def raw(self, request: web.Request) -> web.StreamResponse:
        """The mail as it would have left, as a download."""
        mail, chunks = await self._inboxes.caught_raw(actor(request), request.match_info["id"])
        response = web.StreamResponse(
            headers={
                "Content-Type": "message/rfc822",
                "Content-Disposition": f'attachment; filename="{mail.id}.eml"',
            }
        )
        response.content_length = mail.size
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
        return response


def _document(message: InboundMessage | None) -> str:
    """The sanitised HTML with its inline images in it, as far as they are not too large."""
    if message is None:
        return ""
    html, room = message.html, _INLINE_BYTES
    for file in message.attachments:
        if not file.content or not file.content_id or file.media_type not in _INLINE_TYPES or file.size > room:
            continue
        room -= file.size
        data = base64.b64encode(file.content).decode()
        html = html.replace(f"cid:{file.content_id}", f"data:{file.media_type};base64,{data}")
    return html
