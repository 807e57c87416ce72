"""A Bot API server on a loopback port: one bot, chats with state, webhooks with their secret, and faults to order.

Every request is checked against the API's own description (`telegram_contract`). One that does not keep to it is
answered with 400 as Telegram would, and makes leaving the server's context an error. It also backs `make demo`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes import telegram_contract as contract
from tests.fakes.telegram_chats import Chats, Refusal

DOWNLOAD_BYTES = 20 * 2**20
UPLOAD_BYTES = 50 * 2**20
_HEADER = "X-Telegram-Bot-Api-Secret-Token"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one call instead of the usual."""

    kind: Literal["answer", "hang", "cut_before", "cut_after", "garbage_after"]
    """An error answered; no answer ever; the connection cut after reading the request, before or after acting on it;
    acted on, but answered with what is no JSON."""
    code: int = 0
    description: str = ""
    retry_after: int = 0
    body: str = ""
    """Answered as it is, instead of a JSON object."""


def too_many(seconds: int) -> Fault:
    """429, to be tried again in so many seconds."""
    words = f"Too Many Requests: retry after {seconds}"
    return Fault(kind="answer", code=429, description=words, retry_after=seconds)


def error(code: int, description: str) -> Fault:
    """An error of the API."""
    return Fault(kind="answer", code=code, description=description)


HANG = Fault(kind="hang")
CUT_BEFORE = Fault(kind="cut_before")
CUT_AFTER = Fault(kind="cut_after")
GARBAGE_AFTER = Fault(kind="garbage_after")
BAD_GATEWAY = Fault(kind="answer", code=502, body="<html>502 Bad Gateway</html>")


class TelegramServer:
    """The server; an async context manager that runs in the loop of the test."""

    def __init__(self, token: str = "7:test-token", *, name: str = "Nomad Travel", username: str = "nomad_bot") -> None:
        self.token = token
        self.chats = Chats(int(token.partition(":")[0]), name, username)
        self.webhook: dict[str, Any] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """Every call that kept to the contract, in order."""
        self.violations: list[str] = []
        self.hanging = asyncio.Event()
        """Set when a call hangs."""
        self.polling = asyncio.Event()
        """Set when somebody waits for updates."""
        self.downloads = 0
        """How many files were asked for."""
        self.heard = asyncio.Event()
        """Set when the bot answered that a button was pressed."""
        self.held: list[dict[str, Any]] | None = None
        """A list: updates go there instead of out, until `release`."""
        self.answers: list[tuple[int, str]] = []
        """What the webhook answered."""
        self._faults: list[tuple[str, Fault | None]] = []
        self._queue: list[dict[str, Any]] = []
        self._arrived = asyncio.Event()
        self._let_go = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        app = web.Application(client_max_size=UPLOAD_BYTES + 2**20)
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        app.router.add_get("/file/bot{token}/{path:.*}", self._download)
        self._server = TestServer(app)

    @property
    def url(self) -> str:
        """The API's base address, without a slash at its end."""
        return str(self._server.make_url("")).rstrip("/")

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The messages the bot has sent, in order."""
        return self.chats.sent

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """Updates that nobody has confirmed yet."""
        return list(self._queue)

    def fail(self, *faults: Fault | None, method: str = "") -> None:
        """The next calls (of `method`) meet these faults, one each; None for a call that goes well."""
        self._faults += [(method, fault) for fault in faults]

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        if port:
            self._server.port = port
        self._http = aiohttp.ClientSession()
        await self._server.start_server()

    async def stop(self) -> None:
        """Stop listening; what hangs is let go."""
        self._let_go.set()
        self._arrived.set()
        if self._http is not None:
            await self._http.close()
        await self._server.close()

    async def __aenter__(self) -> TelegramServer:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if kind is None and self.violations:
            raise AssertionError("not what the Bot API describes: " + "; ".join(self.violations))

    async def deliver(self, update: Mapping[str, Any], *, times: int = 1) -> None:
        """Take an update to the webhook (`times` over), or keep it for who fetches."""
        if self.held is not None:
            self.held.append(dict(update))
            return
        if not self.webhook:
            self._queue.append(dict(update))
            self._arrived.set()
            return
        for _ in range(times):
            await self._post(update)

    async def release(self, order: list[int] | None = None) -> None:
        """Deliver what was held, by default in its order; a number may come twice."""
        held, self.held = self.held or [], None
        for number in order if order is not None else range(len(held)):
            await self.deliver(held[number])

    async def _post(self, update: Mapping[str, Any]) -> None:
        assert self._http is not None
        headers = {_HEADER: self.webhook["secret_token"]} if self.webhook.get("secret_token") else {}
        async with self._http.post(self.webhook["url"], json=update, headers=headers) as response:
            text = await response.text()
        self.answers.append((response.status, text))
        if response.status >= 300:
            self._queue.append(dict(update))
        elif text:
            # An answer may be a call (https://core.telegram.org/bots/api#making-requests-when-getting-updates).
            call = json.loads(text)
            await self._act(call.pop("method"), call, {})

    async def redeliver(self) -> None:
        """Post again what the webhook did not take."""
        queue, self._queue = self._queue, []
        for update in queue:
            await self._post(update)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        parameters, files = await _read(request)
        if request.match_info["token"] != self.token:
            return _refusal(401, "Unauthorized")
        fault = self._next_fault(method)
        if fault is None or fault.kind in ("cut_after", "garbage_after"):
            response = await self._act(method, parameters, files)
            if fault is None:
                return response
            if fault.kind == "garbage_after":
                return web.Response(text="<html>")
        elif fault.kind == "answer":
            return _answered(fault)
        elif fault.kind == "hang":
            self.hanging.set()
            await self._let_go.wait()
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    def _next_fault(self, method: str) -> Fault | None:
        for number, (only, fault) in enumerate(self._faults):
            if only in ("", method):
                del self._faults[number]
                return fault
        return None

    async def _act(
        self, method: str, parameters: dict[str, Any], files: dict[str, tuple[str, bytes]]
    ) -> web.StreamResponse:
        if wrong := contract.problems(method, parameters, files.keys()):
            self.violations += wrong
            return _refusal(400, f"Bad Request: {wrong[0]}")
        given = contract.decoded(method, parameters)
        self.calls.append((method, given))
        try:
            result = await self._result(method, given, files)
        except Refusal as refusal:
            if refusal.broken:
                self.violations.append(f"{method}: {refusal.description}")
            return _refusal(refusal.code, refusal.description, refusal.parameters)
        return web.json_response({"ok": True, "result": result})

    async def _result(self, method: str, given: dict[str, Any], files: dict[str, tuple[str, bytes]]) -> Any:
        match method:
            case "getMe":
                return self.chats.me
            case "getUpdates":
                return await self._updates(given)
            case "setWebhook":
                if not given["url"].startswith(("https://", "http://127.0.0.1")):
                    raise Refusal(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
                self.webhook = given if given["url"] else {}
                return True
            case "deleteWebhook":
                self.webhook = {}
                return True
            case "getWebhookInfo":
                return {
                    "url": self.webhook.get("url", ""),
                    "has_custom_certificate": False,
                    "pending_update_count": len(self._queue),
                    "allowed_updates": self.webhook.get("allowed_updates", []),
                }
            case "getFile":
                return self.chats.file(given["file_id"], DOWNLOAD_BYTES)
            case "answerCallbackQuery":
                self.heard.set()
                return self.chats.answer(given["callback_query_id"])
        return self.chats.send(method, given, files)

    async def _updates(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        if self.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook first")
        offset = given.get("offset", 0)
        self._queue = [update for update in self._queue if update["update_id"] >= offset]
        if not self._queue and given.get("timeout"):
            self._arrived.clear()
            self.polling.set()
            try:
                await asyncio.wait_for(self._arrived.wait(), given["timeout"])
            except TimeoutError:
                pass  # an empty list is the answer then
        return self._queue[: given.get("limit", 100)]

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self.downloads += 1
        content = self.chats.contents.get(unquote(request.match_info["path"]))
        fault = self._next_fault("file")
        if request.match_info["token"] != self.token or content is None:
            return _refusal(404, "Not Found")
        if fault is not None and fault.kind == "answer":
            return _answered(fault)
        if fault is not None:
            assert request.transport is not None
            request.transport.close()
        return web.Response(body=content, content_type="application/octet-stream")


async def _read(request: web.Request) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    """The parameters, and the uploaded files as (name, content)."""
    if request.content_type == "application/json":
        return await request.json(), {}
    parameters: dict[str, Any] = dict(request.query)
    files: dict[str, tuple[str, bytes]] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = (value.filename, value.file.read())
        else:
            parameters[name] = value
    return parameters, files


def _answered(fault: Fault) -> web.Response:
    if fault.body:
        return web.Response(status=fault.code, text=fault.body, content_type="text/html")
    return _refusal(fault.code, fault.description, {"retry_after": fault.retry_after} if fault.retry_after else {})


def _refusal(code: int, description: str, parameters: Mapping[str, Any] | None = None) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = dict(parameters)
    return web.json_response(body, status=code)
