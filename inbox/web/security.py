"""What guards the browser: the headers of every answer, and the proof that a request comes from a page of ours."""

from __future__ import annotations

import hmac

from aiohttp import web

from inbox.core.errors import Forbidden
from inbox.web.pages import NONCE, REQUEST_ID, csrf_token

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'nonce-{nonce}'",
        "style-src 'self' 'nonce-{nonce}'",
        "font-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Headers:
    """Sets the headers of every answer as it leaves; what a handler set itself stays (a mail's frame has its own)."""

    def __init__(self, *, https: bool) -> None:
        self._more = {"Strict-Transport-Security": "max-age=31536000"} if https else {}

    async def __call__(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `app.on_response_prepare`."""
        headers = response.headers
        headers.popall("Server", None)
        headers["X-Request-Id"] = request.get(REQUEST_ID, "")
        headers.setdefault("Content-Security-Policy", _POLICY.format(nonce=request.get(NONCE, "")))
        for name, value in {**_HEADERS, **self._more}.items():
            headers.setdefault(name, value)


async def check_origin_and_token(request: web.Request, public_url: str) -> None:
    """Raise `Forbidden` for an unsafe request that no page of ours made.

    The browser's own word first (Fetch Metadata, `Origin`), so that nothing of a foreign request is read; then the
    token, in the header `X-CSRF-Token` or a form's field `csrf`.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", "")
    ours = {f"{request.scheme}://{request.host}", public_url}
    if site not in ("same-origin", "none") or (origin and origin not in ours):
        raise Forbidden("This request came from another site and was not carried out.")
    sent = request.headers.get("X-CSRF-Token", "")
    if not sent and request.content_type in _FORMS:
        sent = str((await request.post()).get("csrf", ""))
    if not hmac.compare_digest(sent.encode(), csrf_token(request).encode()):
        raise Forbidden("This page was open for too long. Reload it and try again; nothing was changed.")
