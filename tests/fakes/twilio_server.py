"""Twilio as its customers see it: the REST API with state behind it, and signed webhooks.

Every request is held against Twilio's own OpenAPI files (`tests/fixtures/twilio/*.json`, from twilio-oai, MIT); one
that they do not allow is answered 400 and fails the test when the server stops. So do credentials where they do not
belong.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import aiohttp
import msgspec
from aiohttp import web
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]  # publishes no types
from yarl import URL

from channels.base import Raw
from tests.fakes.openapi import Contract, Operation

ACCOUNT = "AC" + "0" * 32
TOKEN = "x" * 32
NUMBER = "+97677001122"
CUSTOMER = "+97688001122"
SERVICE = "MG" + "0" * 32
_SPECS = Path(__file__).parents[1] / "fixtures" / "twilio"
_API = "/2010-04-01/Accounts"
_STOP = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}
_START = {"START", "YES", "UNSTOP"}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What befalls the next request of an operation instead of its usual answer."""

    operation: str = "CreateMessage"
    acts: bool = False
    """Whether the request is done all the same."""
    then: Literal["answer", "cut", "cut in answer", "hang"] = "answer"
    status: int = 500
    code: int | None = None
    message: str = "Internal Server Error"
    headers: Mapping[str, str] = {}
    body: str | None = None
    """Instead of Twilio's usual error object."""


class Webhook(msgspec.Struct, frozen=True):
    """A signed call of Twilio's."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def raw(self) -> Raw:
        return Raw(body=self.body, url=self.url, headers=self.headers)


class Message(msgspec.Struct, kw_only=True):
    sid: str
    to: str
    from_: str | None
    body: str
    direction: str
    status: str
    created: datetime
    service: str | None = None
    callback: str | None = None
    error_code: int | None = None


class TwilioServer:
    """One account with one number, one messaging service, and a customer; an async context manager."""

    def __init__(self) -> None:
        self.account: dict[str, Any] = {
            "sid": ACCOUNT,
            "owner_account_sid": ACCOUNT,
            "friendly_name": "Nomad Travel",
            "status": "active",
            "type": "Full",
        }
        self.keys: dict[str, str] = {ACCOUNT: TOKEN}
        """User name and password of each login."""
        self.number: dict[str, Any] = {
            "sid": "PN" + "0" * 32,
            "account_sid": ACCOUNT,
            "phone_number": NUMBER,
            "friendly_name": NUMBER,
            "sms_url": "",
            "sms_method": "POST",
            "sms_application_sid": None,
            "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        }
        self.service: dict[str, Any] = {
            "sid": SERVICE,
            "account_sid": ACCOUNT,
            "friendly_name": "Nomads",
            "inbound_request_url": None,
            "inbound_method": "POST",
            "use_inbound_webhook_on_number": True,
            "synchronous_validation": False,
        }
        self.senders = {NUMBER, f"whatsapp:{NUMBER}", "NOMAD"}
        self.messages: list[Message] = []
        self.media: dict[str, tuple[str, bytes]] = {}
        """By path below the server: media type and content."""
        self.opted_out: set[str] = set()
        self.refusals: dict[str, tuple[int, int, str]] = {}
        """By recipient: status, code and words for who cannot be written to."""
        self.trial_prefix = ""
        self.faults: list[Fault] = []
        """Each befalls one request, in order."""
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        """Operations asked for, with their query and form."""
        self.wrong: list[str] = []
        """What no customer of Twilio's may do; fails the test at the end."""
        self.redirects_media_to = ""
        self.reach: Callable[[str], str] = lambda url: url
        """From a webhook's public address to where it is to be called in fact."""
        self.reports: Sequence[str] = ()
        """Statuses that each message sent goes through by itself, one every `pace` seconds."""
        self.pace = 0.0
        self.arrived = asyncio.Event()
        """Set by each request; for the test to clear."""
        self.answered: Callable[[str], None] = lambda _operation: None
        """Called with each operation that was answered in the usual way: what happens next may hang on it."""
        self.hanging = asyncio.Event()
        """Set when a request hangs, done or not."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._contract = Contract.read(*sorted(_SPECS.glob("*_v*.json")))
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._reporting: set[asyncio.Task[None]] = set()
        self._port = 0
        self._serial = 0

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def sent(self) -> list[Message]:
        """What really was taken for customers."""
        return [message for message in self.messages if message.direction == "outbound-api"]

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self._stopping.set()
        for task in self._reporting:
            task.cancel()
        await asyncio.gather(*self._reporting, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> TwilioServer:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if kind is None:
            assert self.wrong == [], "\n".join(self.wrong)

    # Webhooks

    def inbound(
        self, text: str, *, sender: str = CUSTOMER, media: Sequence[str] = (), service: bool = False, **more: str
    ) -> Webhook:
        """A customer writes. `media` are types of files; `more` goes into the webhook as it is (`ProfileName`)."""
        to = f"whatsapp:{NUMBER}" if sender.startswith("whatsapp:") else NUMBER
        message = self.store("MM" if media else "SM", to, sender, text, direction="inbound", status="received")
        form = {
            "MessageSid": message.sid,
            "SmsSid": message.sid,
            "SmsMessageSid": message.sid,
            "AccountSid": ACCOUNT,
            "From": sender,
            "To": to,
            "Body": text,
            "NumMedia": str(len(media)),
            "NumSegments": "1",
            "SmsStatus": "received",
            "ApiVersion": "2010-04-01",
        }
        for at, media_type in enumerate(media):
            path = f"{_API}/{ACCOUNT}/Messages/{message.sid}/Media/{self._sid('ME')}"
            self.media[path] = (media_type, f"file {at}".encode())
            form |= {f"MediaUrl{at}": self.url + path, f"MediaContentType{at}": media_type}
        kind = self._keyword(sender, text)
        if service:
            form |= {"MessagingServiceSid": SERVICE} | ({"OptOutType": kind} if kind else {})
        url = self.service["inbound_request_url"] if service else self.number["sms_url"]
        return self.signed(str(url), form | more)

    def report(self, message: Message, status: str, code: int | None = None) -> Webhook:
        """A message of ours gets a new status; its callback."""
        message.status, message.error_code = status, code
        form = {
            "MessageSid": message.sid,
            "SmsSid": message.sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "AccountSid": ACCOUNT,
            "From": message.from_ or NUMBER,
            "To": message.to,
            "ApiVersion": "2010-04-01",
        }
        if code is not None:
            form["ErrorCode"] = str(code)
        assert message.callback is not None, "no StatusCallback was given"
        return self.signed(message.callback, form)

    def signed(self, url: str, form: Mapping[str, str], token: str = "") -> Webhook:
        """Any webhook with Twilio's signature."""
        signature = RequestValidator(token or TOKEN).compute_signature(url, dict(form))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": str(signature)}
        return Webhook(url, headers, urlencode(form).encode())

    async def call(
        self, webhooks: Sequence[Webhook], *, twice: bool = False, shuffled: random.Random | None = None
    ) -> list[tuple[int, str]]:
        """Call webhooks over HTTP, as late as the caller likes: each answer's status and text."""
        calls = [*webhooks, *webhooks] if twice else list(webhooks)
        if shuffled is not None:
            shuffled.shuffle(calls)
        answers = []
        async with aiohttp.ClientSession() as http:
            for each in calls:
                url = URL(self.reach(each.url), encoded=True)  # as it was signed
                async with http.post(url, data=each.body, headers=each.headers) as response:
                    answers.append((response.status, await response.text()))
        return answers

    async def _report_on(self, message: Message) -> None:
        for status in self.reports:
            await asyncio.sleep(self.pace)
            await self.call([self.report(message, status)])

    # The API

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.arrived.set()
        if request.path.startswith("/stored/"):
            return self._stored_file(request)
        if request.path in self.media:
            return self._file(request)
        body = await request.read()
        operation = self._contract.operation(request.method, request.path)
        if operation is None:
            self.wrong.append(f"There is no {request.method} {request.path}")
            return _error(404, 20404, "The requested resource was not found")
        query = _values(request.rel_url.raw_query_string)
        form = _values(body.decode()) if body else {}
        self.requests.append((operation.id, {**query, **form}))
        wrong = self._contract.wrong_request(operation, query, form, request.content_type if body else "")
        if wrong:
            self.wrong += [f"{operation.id}: {each}" for each in wrong]
            return _error(400, 20001, "; ".join(wrong))
        fault = next((each for each in self.faults if each.operation == operation.id), None)
        if fault is None:
            return self._answer(request, operation, query, form)
        self.faults.remove(fault)
        return await self._befall(fault, request, operation, query, form)

    async def _befall(
        self, fault: Fault, request: web.Request, operation: Operation, query: _Values, form: _Values
    ) -> web.StreamResponse:
        answer = self._answer(request, operation, query, form) if fault.acts else None
        if fault.then == "hang":
            self.hanging.set()
            await self._stopping.wait()
        elif fault.then == "answer":
            if fault.body is not None:
                return web.Response(status=fault.status, text=fault.body, headers=dict(fault.headers))
            return _error(fault.status, fault.code, fault.message, fault.headers)
        elif fault.then == "cut in answer":
            assert answer is not None
            assert isinstance(answer.body, bytes)
            cut = web.StreamResponse(status=answer.status, headers={"Content-Length": str(len(answer.body))})
            await cut.prepare(request)
            await cut.write(answer.body[:10])
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _answer(self, request: web.Request, operation: Operation, query: _Values, form: _Values) -> web.Response:
        if not self._logged_in(request):
            return _error(401, 20003, "Authenticate")
        if operation.path.get("AccountSid", ACCOUNT) != ACCOUNT:
            return _error(404, 20404, "The requested resource was not found")
        one = {name: values[0] for name, values in {**query, **form}.items()}
        answers: Mapping[str, Callable[[Mapping[str, str], Operation], tuple[int, Any]]] = {
            "CreateMessage": self._create_message,
            "ListMessage": self._list_messages,
            "FetchAccount": lambda _one, at: self._found(self.account, at),
            "ListIncomingPhoneNumber": self._list_numbers,
            "UpdateIncomingPhoneNumber": self._update_number,
            "FetchService": lambda _one, at: self._found(self.service, at),
            "UpdateService": self._update_service,
        }
        if operation.id not in answers:
            self.wrong.append(f"This server has no {operation.id} yet")
            return _error(501, None, "Not implemented")
        status, body = answers[operation.id](one, operation)
        if status < 400:
            wrong = self._contract.wrong_answer(operation, status, body)
            self.wrong += [f"This server is not like Twilio: {operation.id}: {each}" for each in wrong]
        self.answered(operation.id)
        return web.json_response(body, status=status)

    def _logged_in(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        return any(given == aiohttp.encode_basic_auth(*key) for key in self.keys.items())

    def _create_message(self, one: Mapping[str, str], _at: Operation) -> tuple[int, Any]:
        to, body = one["To"], one.get("Body", "")
        sender, service = one.get("From"), one.get("MessagingServiceSid")
        refusal = self._refusal(to, body, sender, service)
        if refusal is not None:
            return refusal[0], _error_object(*refusal)
        message = self.store(
            "SM",
            to,
            sender,
            self.trial_prefix + body,
            direction="outbound-api",
            status="accepted" if service else "queued",
            service=service,
            callback=one.get("StatusCallback"),
        )
        if self.reports and message.callback:
            task = asyncio.create_task(self._report_on(message))
            self._reporting.add(task)
            task.add_done_callback(self._reporting.discard)
        return 201, self._shown(message)

    def _refusal(self, to: str, body: str, sender: str | None, service: str | None) -> tuple[int, int, str] | None:
        if to in self.refusals:
            return self.refusals[to]
        if not to.removeprefix("whatsapp:").startswith("+"):
            return 400, 21211, f"Invalid 'To' Phone Number: {to}"
        if not body.strip():
            return 400, 21602, "Message body is required."
        if len(body) > 1600:
            return 400, 21617, "The concatenated message body exceeds the 1600 character limit."
        if service is None and sender not in self.senders:
            return 400, 21659, f"{sender} is not a Twilio phone number or Short Code country mismatch"
        if service is not None and service != SERVICE:
            return 404, 21701, "The Messaging Service does not exist"
        if to in self.opted_out:
            return 400, 21610, "Attempt to send to unsubscribed recipient"
        return None

    def _list_messages(self, one: Mapping[str, str], _at: Operation) -> tuple[int, Any]:
        newest = [
            each
            for each in reversed(self.messages)
            if one.get("To", each.to) == each.to and one.get("From", each.from_) == each.from_
        ]
        return 200, self._page(
            "messages", [self._shown(each) for each in newest], one, f"{_API}/{ACCOUNT}/Messages.json"
        )

    def _list_numbers(self, one: Mapping[str, str], _at: Operation) -> tuple[int, Any]:
        asked = one.get("PhoneNumber", "").replace("*", "")
        found = [self.number] if asked in self.number["phone_number"] else []
        return 200, self._page("incoming_phone_numbers", found, one, f"{_API}/{ACCOUNT}/IncomingPhoneNumbers.json")

    def _page(self, name: str, items: list[Any], one: Mapping[str, str], path: str) -> dict[str, Any]:
        size, page = int(one.get("PageSize", "50")), int(one.get("Page", "0"))
        first = page * size
        asked = {key: value for key, value in one.items() if key not in ("Page", "PageToken")}
        following = {**asked, "Page": str(page + 1), "PageToken": f"PA{page + 1}"}
        return {
            name: items[first : first + size],
            "page": page,
            "page_size": size,
            "uri": f"{path}?{urlencode(one)}",
            "next_page_uri": f"{path}?{urlencode(following)}" if first + size < len(items) else None,
        }

    def _update_number(self, one: Mapping[str, str], at: Operation) -> tuple[int, Any]:
        if at.path["Sid"] == self.number["sid"]:
            self.number |= {_snake(name): value for name, value in one.items()}
        return self._found(self.number, at)

    def _update_service(self, one: Mapping[str, str], at: Operation) -> tuple[int, Any]:
        values = {_snake(name): {"true": True, "false": False}.get(value, value) for name, value in one.items()}
        if at.path["Sid"] == SERVICE:
            self.service |= values
        return self._found(self.service, at)

    def _found(self, thing: Mapping[str, Any], at: Operation) -> tuple[int, Any]:
        if at.path["Sid"] != thing["sid"]:
            return 404, _error_object(404, 20404, "The requested resource was not found")
        return 200, thing

    # Files

    def _file(self, request: web.Request) -> web.StreamResponse:
        """The API shows where a file is stored, to who may know."""
        if not self._logged_in(request):
            return _error(401, 20003, "Authenticate")
        token = base64.urlsafe_b64encode(request.path.encode()).decode()
        return web.Response(status=307, headers={"Location": self.redirects_media_to or f"/stored/{token}?sig=1"})

    def _stored_file(self, request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            self.wrong.append("Credentials were given to the file store")
        path = base64.urlsafe_b64decode(request.path.removeprefix("/stored/")).decode()
        if path not in self.media:
            return web.Response(status=404)
        media_type, content = self.media[path]
        return web.Response(body=content, headers={"Content-Type": media_type})

    # State

    def store(self, kind: str, to: str, sender: str | None, body: str, **fields: Any) -> Message:
        """Put a message into the list, whoever sent it; `kind` is SM or MM."""
        message = Message(sid=self._sid(kind), to=to, from_=sender, body=body, created=self.now(), **fields)
        self.messages.append(message)
        return message

    def _sid(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}{self._serial:032x}"

    def _keyword(self, sender: str, text: str) -> str:
        word = text.strip().upper()
        if word in _STOP:
            self.opted_out.add(sender)
            return "STOP"
        if word in _START:
            self.opted_out.discard(sender)
            return "START"
        return "HELP" if word in ("HELP", "INFO") else ""

    def _shown(self, message: Message) -> dict[str, Any]:
        waits = message.status in ("queued", "accepted", "scheduled")
        return {
            "sid": message.sid,
            "account_sid": ACCOUNT,
            "to": message.to,
            "from": message.from_,
            "body": message.body,
            "direction": message.direction,
            "status": message.status,
            "messaging_service_sid": message.service,
            "date_created": format_datetime(message.created),
            "date_updated": format_datetime(message.created),
            "date_sent": None if waits else format_datetime(message.created),
            "error_code": message.error_code,
            "error_message": None,
            "num_media": "0",
            "num_segments": "1",
            "price": None,
            "api_version": "2010-04-01",
            "uri": f"{_API}/{ACCOUNT}/Messages/{message.sid}.json",
        }


_Values = dict[str, list[str]]


def _values(text: str) -> _Values:
    values: _Values = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        values.setdefault(name, []).append(value)
    return values


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


def _error_object(status: int, code: int | None, message: str) -> dict[str, Any]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return {"status": status, "message": message} | ({"code": code, "more_info": more} if code else {})


def _error(status: int, code: int | None, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(_error_object(status, code, message), status=status, headers=dict(headers or {}))
