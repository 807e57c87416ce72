"""Mail accounts connected by their provider's own sign-in page: the hook of the channel over `oauth`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp

from channels.email import oauth
from channels.email.settings import text
from channels.signing_in import Tokens


class SignIn:
    """Satisfies `channels.base.OAuthFlow`."""

    def wanted(self, settings: Mapping[str, Any]) -> bool:
        """See `OAuthFlow`."""
        return text(settings, "auth") == "oauth"

    def authorize_url(self, settings: Mapping[str, Any], redirect_uri: str, state: str, challenge: str) -> str:
        """See `OAuthFlow`."""
        app = oauth.read_app(settings)
        return oauth.authorize_url(app, redirect_uri=redirect_uri, state=state, code_challenge=challenge)

    async def exchange(self, settings: Mapping[str, Any], code: str, redirect_uri: str, verifier: str) -> Tokens:
        """See `OAuthFlow`."""
        now = datetime.now(UTC)
        async with aiohttp.ClientSession() as http:
            return _tokens(
                await oauth.exchange_code(
                    oauth.read_app(settings), http, code=code, redirect_uri=redirect_uri, verifier=verifier, now=now
                ),
                now,
            )

    async def refresh(self, settings: Mapping[str, Any], refresh_token: str) -> Tokens:
        """See `OAuthFlow`."""
        now = datetime.now(UTC)
        async with aiohttp.ClientSession() as http:
            given = await oauth.refresh(oauth.read_app(settings), http, refresh_token=refresh_token, now=now)
        return _tokens(given, now)


def _tokens(given: oauth.Tokens, now: datetime) -> Tokens:
    life = int((given.expires_at - now).total_seconds())
    return Tokens(access=given.access_token, refresh=given.refresh_token, expires_in=life)
