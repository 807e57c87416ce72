"""How an account is connected without its password: what a channel with OAuth offers its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What an OAuth provider gave out. `refresh` is empty where the one we hold stays good."""

    access: str
    expires_in: int
    """Seconds from now."""
    refresh: str = ""


class OAuthFlow(Protocol):
    """How a person lets us into their account without giving a password (RFC 6749, PKCE by RFC 7636).

    `settings` include the secret ones. `exchange` and `refresh` raise `Refused` where the provider said no for good and
    `Unreachable` where trying again may help.
    """

    def wanted(self, settings: Mapping[str, Any]) -> bool:
        """Whether these settings sign in this way."""

    def authorize_url(self, settings: Mapping[str, Any], redirect_uri: str, state: str, challenge: str) -> str:
        """Where to send the person; `challenge` is the S256 PKCE challenge."""

    async def exchange(self, settings: Mapping[str, Any], code: str, redirect_uri: str, verifier: str) -> Tokens:
        """The code the person came back with, for tokens."""

    async def refresh(self, settings: Mapping[str, Any], refresh_token: str) -> Tokens:
        """A new access token."""
