"""Twilio's REST API over aiohttp: what was never sent told apart from what was sent and not answered.

The package's resource classes are not used for requests: of an error they keep neither the headers (`Retry-After`) nor
whether the request left. Its HTTP client's interface is kept, so that `twilio.rest.Client` takes this one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from twilio.http.async_http_client import (  # type: ignore[import-untyped,unused-ignore]  # publishes no types
    AsyncTwilioHttpClient,
)
from twilio.http.response import Response  # type: ignore[import-untyped,unused-ignore]  # the same

from channels.twilio.reach import PublicOnly

MAX_ANSWER = 16 * 2**20
"""Bytes of an answer, at most; the longest ones are lists of a thousand messages."""
_OFFICIAL = ".twilio.com"
_NO_LIMIT = aiohttp.ClientTimeout(total=None, connect=None)
"""Ours is `_Departure.limit`, which knows when the request leaves."""
Leaving = Callable[[], Awaitable[None]]
"""Awaited when a connection stands, right before the request's first byte leaves."""


class HttpTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds."""

    connect: float = 15
    answer: float = 40
    """From the first byte out to the last byte in."""
    idle: float = 15
    """How long an unused connection is kept: shorter than Twilio does, or a request may run into its end."""


class NotSent(Exception):
    """The request never left: doing it again is safe. In words for a person."""


class Lost(Exception):
    """The request left and no whole answer came back: it may have been done. In words for a person."""


class Answer(msgspec.Struct, frozen=True):
    """What the API said."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    text: str

    @property
    def json(self) -> Mapping[str, Any]:
        """The body, empty where it is no JSON object."""
        try:
            body = json.loads(self.text)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def code(self) -> str:
        """Twilio's error code, empty where it gave none."""
        code = self.json.get("code")
        return str(code) if isinstance(code, int | str) else ""

    @property
    def message(self) -> str:
        """Twilio's words for an error."""
        body = self.json
        return str(body.get("detail") or body.get("message") or body.get("title") or "")

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait that it asks for, by number or by date (RFC 9110 section 10.2.3)."""
        asked = self.headers.get("retry-after", "").strip()
        if asked.isascii() and asked.isdecimal():
            return float(asked[:9])
        try:
            at = parsedate_to_datetime(asked)
        except ValueError:
            return None
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class TwilioHttp(AsyncTwilioHttpClient):  # type: ignore[misc]  # it publishes no types
    """One account's requests over one session, opened by the first and closed by `close`."""

    def __init__(self, base_url: str, auth: tuple[str, str], *, timing: HttpTiming | None = None) -> None:
        super().__init__(pool_connections=False)
        self.base_url = base_url.rstrip("/")
        self.auth = auth
        self.timing = timing or HttpTiming()
        self.session: aiohttp.ClientSession | None = None
        self._closed = False

    async def get(self, url: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET one of Twilio's addresses. Raises `NotSent` or `Lost`."""
        return _answer(await self.request("GET", url, params=query, auth=self.auth))

    async def post(self, url: str, form: Mapping[str, str], leaving: Leaving | None = None) -> Answer:
        """POST a form to one of Twilio's addresses. Raises `NotSent` or `Lost`."""
        return _answer(await self.request("POST", url, data=form, auth=self.auth, leaving=leaving))

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
        leaving: Leaving | None = None,
    ) -> Response:
        """One request, never repeated by itself where it could be done twice. Raises `NotSent` or `Lost`.

        Nothing of it is logged (the original logs texts and numbers), nor kept.
        """
        host = urlsplit(self.base_url).netloc
        departure = _Departure(leaving, timeout or self.timing.answer)
        try:
            async with (
                asyncio.timeout(self.timing.connect) as departure.limit,
                self.open_session().request(
                    method.upper(),
                    self.address(url),
                    params=params,
                    data=data,
                    headers={"Accept": "application/json", **basic_auth(auth), **(headers or {})},
                    timeout=_NO_LIMIT,
                    allow_redirects=allow_redirects,
                    trace_request_ctx=departure,
                ) as response,
            ):
                text = (await read_at_most(response, MAX_ANSWER)).decode("utf-8", "replace")
                return Response(response.status, text, response.headers)
        except (aiohttp.ClientError, OSError, TooLong, ValueError) as error:
            if departure.hook_failed:
                raise
            if departure.left:
                raise Lost(f"The connection to {host} was lost: {_words(error)}") from error
            raise NotSent(f"Cannot connect to {host}: {_words(error)}") from error

    def address(self, url: str) -> str:
        """Where one of Twilio's official addresses is with this account's base URL.

        A region's base (`https://api.dublin.ie1.twilio.com`) has other products beside it; any other base has them all.
        """
        official = urlsplit(url)
        base = urlsplit(self.base_url)
        product, _, rest = (official.hostname or "").partition(".")
        if f".{rest}" != _OFFICIAL:
            return url
        host = base.hostname or ""
        if host.startswith("api.") and host.endswith(_OFFICIAL):
            origin = f"{base.scheme}://{product}{host[3:]}"
        else:
            origin = self.base_url
        return origin + official._replace(scheme="", netloc="").geturl()

    def open_session(self) -> aiohttp.ClientSession:
        """The session, opened where it is not yet; inside the running loop."""
        if self._closed:
            raise NotSent("This inbox was closed")
        if self.session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_depart)
            own = urlsplit(self.base_url).hostname or ""
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=PublicOnly(own), keepalive_timeout=self.timing.idle),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
            )
        return self.session

    async def close(self) -> None:
        """Close the session; what is under way ends."""
        self._closed = True
        if self.session is not None:
            await self.session.close()
            self.session = None


def basic_auth(auth: tuple[str, str] | None) -> dict[str, str]:
    """The header for a user name and a password, none without them (RFC 7617)."""
    return {"Authorization": aiohttp.encode_basic_auth(*auth, encoding="utf-8")} if auth else {}


class TooLong(Exception):
    """More bytes came than are wanted."""


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body. Raises `TooLong` as soon as there are more bytes than `limit`."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > limit:
            raise TooLong(f"more than {limit} bytes")
    return bytes(body)


class _Departure:
    """Whether a request has left, what is done right before, and how long it may take from then on."""

    limit: asyncio.Timeout

    def __init__(self, leaving: Leaving | None, answer: float) -> None:
        self.left = False
        self.hook_failed = False
        self._leaving = leaving
        self._answer = answer

    async def leave(self) -> None:
        if self._leaving is not None:
            self.limit.reschedule(None)  # the host's own affair, and nothing has left while it lasts
            self.hook_failed = True
            await self._leaving()
            self.hook_failed = False
            self._leaving = None
        self.left = True
        self.limit.reschedule(asyncio.get_running_loop().time() + self._answer)


async def _depart(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """aiohttp awaits this with the connection open and nothing written yet (`StreamWriter.write_headers`)."""
    if isinstance(context.trace_request_ctx, _Departure):
        await context.trace_request_ctx.leave()


def _answer(response: Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.text)


def _words(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
