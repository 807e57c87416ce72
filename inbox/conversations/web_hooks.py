"""The webhooks of providers: verified, taken in, and answered only after the commit."""

from __future__ import annotations

from typing import cast

import structlog
from aiohttp import web

from channels.base import HookedAdapter, Raw
from inbox.conversations.ingest import IngestService
from inbox.core.errors import Conflict, Forbidden, NotFound
from inbox.inboxes.service import InboxService
from inbox.web.routes import Access, Route

log = structlog.get_logger()

MOST_BYTES = 5 * 1024 * 1024
"""Of one call: providers send words and the addresses of files, not files."""


class HookPages:
    """One address for each inbox; what follows it is the adapter's own."""

    def __init__(self, inboxes: InboxService, ingest: IngestService, public_url: str) -> None:
        self._inboxes = inboxes
        self._ingest = ingest
        self._public_url = public_url

    def routes(self) -> list[Route]:
        """POST and GET, as providers can be set to either; a signature proves who they are."""
        return [
            Route(method, path, self.take, Access.HOOK)
            for method in ("POST", "GET")
            for path in ("/hooks/{inbox_id}", "/hooks/{inbox_id}/{what}")
        ]

    async def take(self, request: web.Request) -> web.Response:
        """Take one call in."""
        try:
            adapter = await self._inboxes.adapter(request.match_info["inbox_id"])
        except Conflict as error:  # archived: nobody listens there any more
            raise NotFound("There is no such inbox.") from error
        if not adapter.capabilities.hooks:
            raise NotFound("There is no such inbox.")
        adapter = cast("HookedAdapter", adapter)  # the contract of channels; to ask each time costs more than to verify
        raw = Raw(body=await _body(request), url=self._url(request), headers=dict(request.headers))
        if not adapter.verify(raw):
            log.warning("a webhook has no valid signature", inbox_id=request.match_info["inbox_id"])
            await self._inboxes.hook_refused(request.match_info["inbox_id"])
            raise Forbidden("The signature of this call is not valid.")
        await self._ingest.ingest(request.match_info["inbox_id"], raw)
        reply = adapter.answer(raw)
        return web.Response(body=reply.body, content_type=reply.media_type, charset="utf-8")

    def _url(self, request: web.Request) -> str:
        """The address as the provider called it, which is what it signed."""
        base = self._public_url or f"{request.scheme}://{request.host}"
        return base + request.raw_path


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MOST_BYTES:
            raise web.HTTPRequestEntityTooLarge(MOST_BYTES, len(body))
    return bytes(body)
