"""Thin calls of the Bot API over aiohttp, each failure told apart by whether the request left.

Not `telegram.Bot`: it answers with its own parsed objects, while an update has to be kept as it came before anything is
parsed (one that it cannot parse would hold up all that follow), and its errors say neither the code nor whether a
request that failed had left. Its request class cannot be called by itself, as how its data is made is private.
https://core.telegram.org/bots/api#making-requests
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
import orjson

from channels.base import ChannelError, Refused, Unreachable
from channels.telegram.settings import TelegramSettings

_OK = 200
_NOT_FOUND = 404
_GATEWAY_TIMEOUT = 504
_CHUNK = 64 * 1024
_ANSWER_BYTES = 50 * 2**20


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds."""

    connect: float = 10
    answer: float = 30
    upload: float = 300
    poll: int = 50
    """How long Telegram holds a request for updates while there are none."""
    retry: float = 1
    """Before the next step where Telegram named no time."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a call; `field` is the parameter, or the name that `attach://` refers to."""

    field: str
    name: str
    media_type: str
    content: bytes


class ApiError(Exception):
    """The API (or what stands before it) answered that it did not do it."""

    def __init__(self, code: int, words: str, retry_after: float | None = None, migrate_to: int = 0) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.retry_after = retry_after
        self.migrate_to = migrate_to


class NotLeft(Exception):
    """There was no connection: nothing was asked for."""


class Lost(Exception):
    """The request left, wholly or in part, and no answer that can be read came back: it may have been done."""


class _Parameters(msgspec.Struct):
    retry_after: float | None = None
    migrate_to_chat_id: int = 0


class _Envelope(msgspec.Struct):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error_code: int = 0
    description: str = ""
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class Client:
    """An inbox's connection to the API. Connects with the first call."""

    def __init__(self, settings: TelegramSettings, timing: Timing) -> None:
        self._base = f"{settings.api_url}/bot{settings.token}/"
        self._files = f"{settings.api_url}/file/bot{settings.token}/"
        self._timing = timing
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def call(
        self,
        method: str,
        parameters: Mapping[str, Any] | None = None,
        uploads: Sequence[Upload] = (),
        *,
        timeout: float | None = None,
    ) -> msgspec.Raw:
        """The answer's `result` as the JSON it is. Raises `ApiError`, `NotLeft` or `Lost`; `timeout` is seconds."""
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        seconds = timeout or (self._timing.upload if uploads else self._timing.answer)
        body: dict[str, Any] = {"data": _form(given, uploads)} if uploads else {"json": given}
        status, content = await self._request("POST", self._base + method, seconds, _ANSWER_BYTES, **body)
        return _read(status, content)

    async def download(self, path: str, max_bytes: int) -> bytes:
        """A file by the path that `getFile` gave. Raises as `call`, and `TooLarge` or `ChannelError`."""
        status, content = await self._request("GET", self._files + path, self._timing.upload, max_bytes)
        if status == _NOT_FOUND:
            # Not `ApiError`, which would say that the token is unknown: it was good for the path a moment ago.
            raise ChannelError("Telegram does not have this file any more", str(status))
        if status != _OK:
            raise ApiError(status, f"HTTP status {status}")
        return content

    async def close(self) -> None:
        """Close the connections; whoever waits for an answer hears `Lost`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _request(self, method: str, url: str, seconds: float, max_bytes: int, **body: Any) -> tuple[int, bytes]:
        # An error's own words may have the address in them, and with it the token: they go nowhere.
        connect = self._timing.connect
        timeout = aiohttp.ClientTimeout(total=seconds + connect, connect=connect, sock_connect=connect)
        try:
            session = self._open()
            async with session.request(method, url, timeout=timeout, allow_redirects=False, **body) as response:
                return response.status, await _content(response, max_bytes)
        except aiohttp.ClientConnectorCertificateError:
            raise NotLeft("The certificate of Telegram's server is not trusted") from None
        except aiohttp.ClientConnectorError as error:
            raise NotLeft(f"Cannot connect to Telegram: {error.os_error.strerror or 'no answer'}") from None
        except (aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            raise NotLeft("Cannot connect to Telegram: no answer") from None
        except TimeoutError:
            raise Lost("Telegram did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"The connection to Telegram was lost: {type(error).__name__}") from None

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise NotLeft("The inbox is being closed")
        if self._session is None:
            # Shorter than the server keeps a connection, so that it is not the one who closes it under a request.
            connector = aiohttp.TCPConnector(keepalive_timeout=10)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


class TooLarge(Exception):
    """A file has more bytes than were asked for."""


def explained(error: ApiError | NotLeft | Lost) -> ChannelError:
    """What a failed call means for who has no message at stake: `Refused`, `Unreachable`, or neither."""
    if not isinstance(error, ApiError):
        return Unreachable(str(error))
    code = str(error.code)
    if error.code in (401, 404):
        return Refused("Telegram does not know this bot token", code)
    if error.code == 429 or error.code >= 500:
        return Unreachable(f"Telegram answered: {error.words}", code)
    return ChannelError(f"Telegram answered: {error.words}", code)


async def _content(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            response.close()
            raise TooLarge
        parts.append(chunk)
    return b"".join(parts)


def _read(status: int, content: bytes) -> msgspec.Raw:
    try:
        answer = msgspec.json.decode(content, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if status in (_OK, _GATEWAY_TIMEOUT):
            raise Lost("Telegram answered something that cannot be read") from None
        raise ApiError(status, f"HTTP status {status}") from None
    if answer.ok:
        return answer.result
    code = answer.error_code or status
    if code == _GATEWAY_TIMEOUT:
        raise Lost("Telegram did not answer the server before it in time")
    given = answer.parameters
    raise ApiError(code, answer.description or f"HTTP status {status}", given.retry_after, given.migrate_to_chat_id)


def _form(parameters: Mapping[str, Any], uploads: Sequence[Upload]) -> aiohttp.FormData:
    # File names go as they are, in UTF-8: percent signs would be shown to the person who gets the file.
    form = aiohttp.FormData(quote_fields=False)
    for name, value in parameters.items():
        form.add_field(name, value if isinstance(value, str) else orjson.dumps(value).decode())
    for each in uploads:
        form.add_field(each.field, io.BytesIO(each.content), filename=each.name, content_type=each.media_type)
    return form
