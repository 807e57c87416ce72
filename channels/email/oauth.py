"""OAuth 2.0 for mail: the authorization-code flow with PKCE (RFC 6749, RFC 7636) at Google and Microsoft.

Tokens are kept by the host, which hands them to the adapter through `Ports.access_token`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from channels.base import Refused, Unreachable
from channels.email.settings import text

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_DEFAULT_LIFE = 3600
"""Seconds, where the provider does not say how long a token lives."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider gave. An empty `refresh_token` means: keep using the one you have."""

    access_token: str
    refresh_token: str = ""
    expires_at: datetime
    scope: str = ""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """Our registration with a provider, and where it is to be used."""

    client_id: str = ""
    client_secret: str = ""
    authorize_url: str
    token_url: str
    scope: str
    parameters: Mapping[str, str] = {}
    """What else this provider's authorization page wants to know."""


def read_app(settings: Mapping[str, Any]) -> App:
    """The registration an inbox's settings name; the addresses can be overridden by `oauth_authorize_url` and
    `oauth_token_url`. Raises `Refused` where the provider has none.
    """
    known = _PROVIDERS.get(text(settings, "provider"))
    if known is None:
        raise Refused("This provider has no sign-in of its own: use a password")
    tenant = quote(text(settings, "oauth_tenant", "common"), safe="")
    return App(
        client_id=text(settings, "oauth_client_id"),
        client_secret=text(settings, "oauth_client_secret"),
        authorize_url=text(settings, "oauth_authorize_url", known.authorize_url.format(tenant=tenant)),
        token_url=text(settings, "oauth_token_url", known.token_url.format(tenant=tenant)),
        scope=known.scope,
        parameters={**known.parameters, "login_hint": text(settings, "address")},
    )


def challenge(verifier: str) -> str:
    """The PKCE challenge (S256) of a verifier of 43 to 128 characters."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorize_url(app: App, *, redirect_uri: str, state: str, code_challenge: str) -> str:
    """Where to send the administrator's browser."""
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": redirect_uri,
        "scope": app.scope,
        "state": state,
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
        **app.parameters,
    }
    return f"{app.authorize_url}?{urlencode(query)}"


async def exchange_code(
    app: App, http: aiohttp.ClientSession, *, code: str, redirect_uri: str, verifier: str, now: datetime
) -> Tokens:
    """Trade the code that came back to `redirect_uri` for tokens. Raises `Refused` or `Unreachable`."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    return await _ask(app, http, form, now)


async def refresh(app: App, http: aiohttp.ClientSession, *, refresh_token: str, now: datetime) -> Tokens:
    """A new access token. Raises `Refused` where the refresh token is dead: a person must sign in again."""
    return await _ask(app, http, {"grant_type": "refresh_token", "refresh_token": refresh_token}, now)


_PROVIDERS: Mapping[str, App] = {
    # https://developers.google.com/identity/protocols/oauth2/web-server; without "consent" there is no refresh token
    "gmail": App(
        authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url="https://oauth2.googleapis.com/token",  # noqa: S106  # an address, not a secret
        scope="https://mail.google.com/",
        parameters={"access_type": "offline", "prompt": "consent"},
    ),
    # https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
    "microsoft": App(
        authorize_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        token_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",  # noqa: S106  # an address
        scope="offline_access https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send",
    ),
}


async def _ask(app: App, http: aiohttp.ClientSession, form: Mapping[str, str], now: datetime) -> Tokens:
    data = {"client_id": app.client_id, **form}
    if app.client_secret:
        data["client_secret"] = app.client_secret
    try:
        async with http.post(app.token_url, data=data, timeout=_TIMEOUT, allow_redirects=False) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"The sign-in service cannot be reached: {str(error) or type(error).__name__}") from error
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status >= 500 or status == 429 or not isinstance(answer, dict):
        raise Unreachable(f"The sign-in service answered with status {status}", str(status))
    if status != 200 or not answer.get("access_token"):
        raise _refusal(answer, status)
    return Tokens(
        access_token=str(answer["access_token"]),
        refresh_token=str(answer.get("refresh_token") or ""),
        expires_at=now.astimezone(UTC) + timedelta(seconds=_life(answer.get("expires_in"))),
        scope=str(answer.get("scope") or ""),
    )


def _refusal(answer: Mapping[str, Any], status: int) -> Refused | Unreachable:
    code = str(answer.get("error") or status)
    if code == "temporarily_unavailable":
        return Unreachable("The sign-in service is busy", code)
    said = str(answer.get("error_description") or code).split("\r\n")[0]
    return Refused(f"The sign-in was refused: {said}", code)


def _life(value: Any) -> int:
    return int(value) if str(value).isdigit() else _DEFAULT_LIFE
