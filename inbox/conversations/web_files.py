"""Drafts and files as the browser takes them. Pictures are shown, every other file is only a download."""

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
        ref, chunks = await self._parts.conversations.file(agent(request).actor, info["owner"], info["file"])
        picture = ref.media_type in PICTURES and "download" not in request.query
        response = web.StreamResponse(
            headers={
                "Content-Type": ref.media_type if picture else "application/octet-stream",
                "Content-Length": str(ref.size),
                "Content-Disposition": _disposition("inline" if picture else "attachment", ref.name),
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=86400, immutable",
            }
        )
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
        return response


def _disposition(kind: str, name: str) -> str:
    """RFC 6266; the plain name first, for old clients."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\;' else "_" for char in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
