"""Signing in at a provider: authorization code with PKCE, and renewal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from channels.base import Refused, Unreachable
from channels.email import oauth
from tests.fakes.oauth_server import OAuthServer

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
GMAIL = {
    "provider": "gmail",
    "address": "shop@example.mn",
    "oauth_client_id": "client-1",
    "oauth_client_secret": "secret-1",
}


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer() as running:
        running.code_challenge = oauth.challenge(VERIFIER)
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def app(server: OAuthServer) -> oauth.App:
    return oauth.read_app({**GMAIL, "oauth_token_url": server.token_url})


def test_the_challenge_is_the_one_of_the_standard() -> None:
    assert oauth.challenge(VERIFIER) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 appendix B


@pytest.mark.parametrize(
    ("settings", "address", "expected"),
    [
        (
            GMAIL,
            "https://accounts.google.com/o/oauth2/v2/auth",
            {"access_type": "offline", "prompt": "consent", "scope": "https://mail.google.com/"},
        ),
        (
            {**GMAIL, "provider": "microsoft", "oauth_tenant": "example.onmicrosoft.com"},
            "https://login.microsoftonline.com/example.onmicrosoft.com/oauth2/v2.0/authorize",
            {
                "scope": "offline_access https://outlook.office.com/IMAP.AccessAsUser.All"
                " https://outlook.office.com/SMTP.Send"
            },
        ),
    ],
)
def test_the_browser_is_sent_to_the_providers_page(
    settings: dict[str, str], address: str, expected: dict[str, str]
) -> None:
    url = oauth.authorize_url(
        oauth.read_app(settings), redirect_uri="https://inbox.example.mn/back", state="st&te", code_challenge="cc"
    )
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == address
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": "https://inbox.example.mn/back",
        "state": "st&te",
        "code_challenge": "cc",
        "code_challenge_method": "S256",
        "login_hint": "shop@example.mn",
        **expected,
    }


def test_a_tenant_stays_within_its_place() -> None:
    url = oauth.read_app({**GMAIL, "provider": "microsoft", "oauth_tenant": "../evil?x="}).token_url
    assert url == "https://login.microsoftonline.com/..%2Fevil%3Fx%3D/oauth2/v2.0/token"


def test_a_provider_without_a_sign_in_page_says_so() -> None:
    with pytest.raises(Refused):
        oauth.read_app({"provider": "custom"})


async def test_the_code_is_traded_for_tokens(server: OAuthServer, http: aiohttp.ClientSession) -> None:
    tokens = await oauth.exchange_code(
        app(server), http, code=server.code, redirect_uri="https://back", verifier=VERIFIER, now=NOW
    )
    assert tokens == oauth.Tokens(
        access_token="access-1", refresh_token="refresh-1", expires_at=NOW + timedelta(seconds=3599)
    )
    assert server.requests == [
        {
            "client_id": "client-1",
            "client_secret": "secret-1",
            "grant_type": "authorization_code",
            "code": "code-1",
            "redirect_uri": "https://back",
            "code_verifier": VERIFIER,
        }
    ]


async def test_a_code_taken_by_somebody_else_is_worth_nothing(server: OAuthServer, http: aiohttp.ClientSession) -> None:
    with pytest.raises(Refused) as caught:
        await oauth.exchange_code(
            app(server), http, code=server.code, redirect_uri="https://back", verifier="w" * 43, now=NOW
        )
    assert caught.value.code == "invalid_grant"


async def test_a_token_is_renewed(server: OAuthServer, http: aiohttp.ClientSession) -> None:
    tokens = await oauth.refresh(app(server), http, refresh_token="refresh-1", now=NOW)
    assert (tokens.access_token, tokens.refresh_token) == ("access-1", "")


async def test_a_dead_token_needs_a_person(server: OAuthServer, http: aiohttp.ClientSession) -> None:
    with pytest.raises(Refused, match="Token has been revoked") as caught:
        await oauth.refresh(app(server), http, refresh_token="revoked", now=NOW)
    assert caught.value.code == "invalid_grant"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((503, "busy"), Unreachable),
        ((500, {"error": "server_error"}), Unreachable),
        ((429, {"error": "slow down"}), Unreachable),
        ((200, "<html>a captive portal</html>"), Unreachable),
        ((400, {"error": "temporarily_unavailable"}), Unreachable),
        ((401, {"error": "invalid_client"}), Refused),
        ((400, {}), Refused),
        ((200, {"token_type": "Bearer"}), Refused),
    ],
)
async def test_trouble_that_passes_is_told_from_trouble_that_stays(
    server: OAuthServer, http: aiohttp.ClientSession, answer: tuple[int, Any], error: type[Exception]
) -> None:
    server.answer = answer
    with pytest.raises(error):
        await oauth.refresh(app(server), http, refresh_token="refresh-1", now=NOW)


async def test_a_service_that_is_away_is_tried_later(http: aiohttp.ClientSession) -> None:
    nowhere = oauth.read_app({**GMAIL, "oauth_token_url": "http://127.0.0.1:9/token"})
    with pytest.raises(Unreachable):
        await oauth.refresh(nowhere, http, refresh_token="r", now=NOW)


@pytest.mark.parametrize("life", [None, "soon", -1])
async def test_a_token_of_unknown_life_is_taken_to_live_an_hour(
    server: OAuthServer, http: aiohttp.ClientSession, life: Any
) -> None:
    server.answer = (200, {"access_token": "a", "expires_in": life})
    tokens = await oauth.refresh(app(server), http, refresh_token="refresh-1", now=NOW)
    assert tokens.expires_at == NOW + timedelta(hours=1)
