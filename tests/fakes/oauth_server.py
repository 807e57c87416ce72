"""An OAuth token endpoint for tests: checks the code with its PKCE verifier, renews, and refuses as told."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class OAuthServer:
    """One client, one code at a time. `answer` overrides what the token endpoint says: (status, body)."""

    def __init__(self) -> None:
        self.code = "code-1"
        self.code_challenge = ""
        self.refresh_token = "refresh-1"
        self.issued = 0
        self.answer: tuple[int, Any] | None = None
        self.requests: list[dict[str, str]] = []
        app = web.Application()
        app.router.add_post("/token", self._token)
        self._server = TestServer(app)

    @property
    def token_url(self) -> str:
        return str(self._server.make_url("/token"))

    async def __aenter__(self) -> OAuthServer:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(form)
        if self.answer is not None:
            status, body = self.answer
            return (
                web.json_response(body, status=status)
                if isinstance(body, dict)
                else web.Response(status=status, text=body)
            )
        if not self._granted(form):
            return web.json_response(
                {"error": "invalid_grant", "error_description": "Token has been revoked."}, status=400
            )
        self.issued += 1
        tokens = {"access_token": f"access-{self.issued}", "expires_in": 3599, "token_type": "Bearer"}
        if form["grant_type"] == "authorization_code":
            tokens["refresh_token"] = self.refresh_token
        return web.json_response(tokens)

    def _granted(self, form: dict[str, str]) -> bool:
        if form["grant_type"] == "refresh_token":
            return form["refresh_token"] == self.refresh_token
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return form["code"] == self.code and challenge == self.code_challenge
