"""Drafts and files as the browser takes them. Pictures are shown, sounds and films played; the rest is a download."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import web

from inbox.accounts.model import Permission
from inbox.conversations.model import Draft, FileRef
from inbox.conversations.web_addresses import write_addresses
from inbox.conversations.web_parts import Parts
from inbox.web.pages import agent
from inbox.web.routes import Route

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What a browser only paints. SVG is not among them: it is a document."""


SOUNDS = frozenset({"audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/wav", "audio/webm", "audio/x-m4a"})
FILMS = frozenset({"video/mp4", "video/webm", "video/ogg", "video/quicktime"})
"""What a browser plays, and runs nothing of."""
_SHOWN = PICTURES | SOUNDS | FILMS


def file_path(owner: str, ref: FileRef) -> str:
    """Where a file of a message or a draft is fetched."""
    return f"/files/{quote(owner, safe='')}/{quote(ref.id, safe='')}/{quote(ref.name, safe='')}"


def draft_json(draft: Draft) -> dict[str, Any]:
    """A draft as the composer takes it."""
    return {
        "conversation_id": draft.conversation_id,
        "mode": draft.mode,
        "to": write_addresses(draft.to),
        "cc": write_addresses(draft.cc),
        "bcc": write_addresses(draft.bcc),
        "subject": draft.subject,
        "html": draft.html,
        "files": [file_json(draft.id, ref) for ref in draft.attachments],
        "saved_at": draft.saved_at.isoformat(),
    }


def file_json(owner: str, ref: FileRef) -> dict[str, Any]:
    """A draft's file as the composer takes it."""
    return {
        "id": ref.id,
        "name": ref.name,
        "size": ref.size,
        "media_type": ref.media_type,
        "content_id": ref.content_id,
        "inline": ref.inline,
        "url": file_path(owner, ref),
    }


class FilePages:
    """The way out for files."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """The route of files; the name in it is for the person who saves it."""
        return [Route("GET", "/files/{owner}/{file}/{name}", self.file, Permission.INBOX_READ)]

    async def file(self, request: web.Request) -> web.StreamResponse:
        """One file. No browser may take it for anything else, or let anything in it run."""
        info = request.match_info
        ref, start, end = await self._wanted(request)
        _, chunks = await self._parts.conversations.file(agent(request).actor, info["owner"], info["file"], start, end)
        shown = ref.media_type in _SHOWN and "download" not in request.query
        response = web.StreamResponse(
            status=206 if end - start < ref.size else 200,
            headers={
                "Content-Type": ref.media_type if shown else "application/octet-stream",
                "Content-Length": str(end - start),
                "Content-Disposition": _disposition("inline" if shown else "attachment", ref.name),
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=86400, immutable",
                "Accept-Ranges": "bytes",
            },
        )
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{ref.size}"
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _wanted(self, request: web.Request) -> tuple[FileRef, int, int]:
        """The file and the bytes of it that are asked for (RFC 9110 section 14.2; one range), as [start, end)."""
        info = request.match_info
        ref, _ = await self._parts.conversations.file(agent(request).actor, info["owner"], info["file"])
        try:
            asked = request.http_range
        except ValueError:
            return ref, 0, ref.size  # a range we do not understand is none
        start, end, _ = slice(asked.start, asked.stop).indices(ref.size)
        if start >= end and ref.size:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{ref.size}"})
        return ref, start, end


def _disposition(kind: str, name: str) -> str:
    """RFC 6266; the plain name first, for old clients."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\;' else "_" for char in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
