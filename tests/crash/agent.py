"""An agent in a browser, as far as a crash test needs one: signs in, writes replies, listens to what happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

_CSRF = re.compile(r'name="csrf" (?:content|value)="(\w+)"')
_LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, asyncio.TimeoutError, ConnectionError)


class WentAway(Exception):
    """The server went away: what was asked of it may have been done or not."""


class WebAgent:
    """A browser with its cookies; `url` changes when the server starts again elsewhere."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self.url = url
        self._email = email
        self._password = password
        # Plain http on the loopback: without this aiohttp keeps no cookie of an address in numbers.
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._csrf = ""

    async def sign_in(self) -> None:
        """Fill in the form."""
        await self.see("/login")
        form = {"email": self._email, "password": self._password, "csrf": self._csrf}
        async with self._session.post(f"{self.url}/login", data=form, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
        await self.see("/inbox/all")

    async def see(self, path: str) -> str:
        """The text of a page. Raises `WentAway`."""
        try:
            async with self._session.get(self.url + path) as answer:
                text = await answer.text()
        except _LOST as error:
            raise WentAway(path) from error
        assert answer.status == 200, text
        found = _CSRF.search(text)
        self._csrf = found[1] if found else self._csrf
        return text

    async def reply(self, conversation_id: str, to: str, words: str) -> None:
        """Send a reply. Raises `WentAway`."""
        writing = {"to": to, "subject": "Re: your question", "html": f"<p>{words}</p>"}
        headers = {"X-CSRF-Token": self._csrf, "Accept": "application/json"}
        path = f"{self.url}/conversations/{conversation_id}/send"
        try:
            async with self._session.post(path, json=writing, headers=headers) as answer:
                text = await answer.text()
        except _LOST as error:
            raise WentAway(path) from error
        if answer.status == 503:
            raise WentAway(text)
        assert answer.status == 200, text

    async def live(self) -> AsyncGenerator[dict[str, Any], None]:
        """What the server tells this browser, until it is gone; a stream that ends is taken up again where it was."""
        timeout, last = aiohttp.ClientTimeout(total=None), ""
        while True:
            kind = ""
            headers = {"Last-Event-ID": last} if last else {}
            try:
                async with self._session.get(f"{self.url}/live", timeout=timeout, headers=headers) as stream:
                    async for line in stream.content:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name == "id":
                            last = value
                        elif name == "event":
                            kind = value
                        elif name == "data":
                            yield {"event": kind, **msgspec.json.decode(value)}
            except aiohttp.ClientConnectorError:
                return
            except _LOST:
                continue

    async def __aenter__(self) -> WebAgent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._session.close()
