"""The whole house with one inbox of a real channel, and that channel's provider: both on ports of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, Literal

import aiohttp
import msgspec
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from pymongo.errors import AutoReconnect

from channels.base import Ports
from channels.registry import CHANNELS
from channels.sms.adapter import SmsAdapter
from channels.sms.sending import SendTiming
from channels.sms.settings import read as read_sms
from channels.telegram.adapter import WebhookTelegramAdapter
from channels.telegram.client import Timing
from channels.telegram.pace import Limit, Limits
from channels.telegram.settings import read as read_telegram
from channels.twilio.http import HttpTiming
from config.settings import Settings
from inbox.accounts.model import Actor, Agent, Role
from inbox.app import build
from inbox.conversations.composing import Written
from inbox.conversations.model import Conversation, Message, State
from inbox.core.clock import utcnow
from inbox.core.ids import new_id
from inbox.inboxes.model import InboxForm
from inbox.wiring import House, open_house
from tests.fakes import telegram_server, twilio_server
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.twilio_server import ACCOUNT, CUSTOMER, NUMBER, TOKEN, TwilioServer

ADMIN = Actor(id="admin", name="Admin", role=Role.ADMIN)
PATIENCE = 2.0
"""Seconds that an adapter waits for an answer, where a test lets a provider hang."""
SECRET = "webhook-secret_1"
BAT = 5512001
PICTURE = b"\xff\xd8\xff\xe0 a picture"
_NO_LIMIT = Limit(1e6, 10**6)
FileFault = Literal["404", "5xx", "too large", "cut"]


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now


class Call(msgspec.Struct, frozen=True):
    """A webhook's call by the provider, to be made as often as one likes."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class World:
    """What both channels' worlds have in common."""

    channel: str
    address: str

    def __init__(self, settings: Settings) -> None:
        self.clock = Clock()
        self.patience: float | None = None
        """None for the adapter's own."""
        self.provider_port = unused_port()
        self._port = unused_port()
        self._settings = settings.model_copy(update={"public_url": f"http://127.0.0.1:{self._port}"})
        self._stack = AsyncExitStack()
        self._inbox_id = ""

    house: House
    ann: Actor

    @property
    def inbox_id(self) -> str:
        return self._inbox_id

    @property
    def hook(self) -> str:
        """Where the provider calls us."""
        return f"{self._settings.base_url}/hooks/{self._inbox_id}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.provider_port}"

    async def open(self, **settings: Any) -> None:
        """Open the house and set its inbox up; `settings` are the inbox's besides the usual ones."""
        await self.reopen()
        agent = Agent(id=new_id(), email="ann@shop.mn", name="Ann Bold", role=Role.AGENT, created_at=utcnow())
        await self.house.mongo.transaction(lambda session: self.house.accounts.add(session, agent))
        self.ann = agent.actor
        form = InboxForm(name="Nomads", address=self.address, settings={**self.settings(), **settings})
        self._inbox_id = (await self.house.inboxes.create(ADMIN, self.channel, form)).id

    async def reopen(self) -> None:
        """A process that begins on what is stored."""
        replaced = msgspec.structs.replace(CHANNELS[self.channel], build=self.build)
        opening = open_house(self._settings, clock=self.clock, channels={**CHANNELS, self.channel: replaced})
        self.house = await self._stack.enter_async_context(opening)
        server = TestServer(await build(self.house), port=self._port)
        await server.start_server(shutdown_timeout=0.1)
        self._stack.push_async_callback(server.close)

    async def close(self) -> None:
        """The end of the process; who is being answered hears nothing more."""
        await self._stack.aclose()

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def build(self, inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> Any:
        raise NotImplementedError

    # --- the provider

    @property
    def held(self) -> int:
        """How many messages to the customer the provider really has."""
        raise NotImplementedError

    def customer_writes(self, text: str, *, picture: bool = False) -> Call:
        raise NotImplementedError

    def befall(self, fault: str) -> None:
        """What becomes of the next message to the customer."""
        raise NotImplementedError

    def befall_file(self, fault: FileFault) -> None:
        """What becomes of the next file that is asked for."""
        raise NotImplementedError

    async def start_provider(self) -> None:
        raise NotImplementedError

    async def call(self, call: Call) -> int:
        """The status of the answer, 0 where there was none."""
        async with aiohttp.ClientSession() as http:
            try:
                async with http.post(call.url, data=call.body, headers=call.headers) as response:
                    await response.read()
                    return response.status
            except aiohttp.ClientError:
                return 0

    # --- the people

    async def conversation(self) -> Conversation:
        [document] = await self.everything("conversations")
        return (await self.house.conversations.open(ADMIN, document["_id"])).conversation

    async def thread(self) -> Sequence[Message]:
        return (await self.house.conversations.open(ADMIN, (await self.conversation()).id)).messages

    async def answer(self, text: str = "Yes.") -> Message:
        """Ann answers; it waits to be sent."""
        conversation = await self.conversation()
        draft = await self.house.drafts.start_reply(self.ann, conversation.id, "reply")
        written = Written(to=draft.to, html=f"<p>{text}</p>")
        return await self.house.replies.send(self.ann, conversation.id, written, headline=lambda _: "")

    async def send(self) -> None:
        """Send what is due."""
        while await self.house.delivery.deliver_due():
            await asyncio.sleep(0)
        await self.house.delivery.close()

    async def hours_pass(self) -> None:
        """All that is tried again by itself is tried, as often as it is."""
        for _ in range(8):
            self.clock.now += timedelta(minutes=20)
            await self.send()
            await self.house.confirming.ask_due()
            await self.send()
            await self.fetch()

    async def fetch(self) -> None:
        while await self.house.fetching.fetch_next():
            pass

    async def state(self, message: Message) -> State:
        delivery = (await self.house.conversations.message(ADMIN, message.id)).delivery
        assert delivery is not None
        return delivery.state

    async def everything(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.house.mongo.collection(name).find().sort("_id", 1).to_list(1000)
        return found

    async def is_opted_out(self) -> bool:
        [identity] = [each for each in await self.everything("identities") if each["_id"].endswith(self.customer)]
        return bool(identity["opted_out"])

    customer: str

    # --- bad days of our own

    def database_fails_once(self, when: Literal["keeping", "taking"]) -> None:
        """While the next call is being taken in."""
        thing, name = (self.house.ingest._raws, "keep") if when == "keeping" else (self.house.mongo, "transaction")
        usual = getattr(thing, name)

        async def fail(*_: Any) -> Any:
            setattr(thing, name, usual)
            raise AutoReconnect("the database went away")

        setattr(thing, name, fail)

    async def killed_while_taking_in(self, call: Call) -> int:
        """The process ends between keeping what came and taking it in; another begins. What the provider heard."""
        kept = asyncio.Event()

        async def stop_here(_: object) -> None:
            kept.set()
            await asyncio.get_running_loop().create_future()

        self.house.ingest._taking.submit = stop_here  # type: ignore[assignment,method-assign]  # where it is killed
        calling = asyncio.create_task(self.call(call))
        await kept.wait()
        await self.close()
        self.clock.now += timedelta(minutes=5)
        await self.reopen()
        return await calling


class _Twilio(TwilioServer):
    """With bad days of the file store."""

    def __init__(self) -> None:
        super().__init__()
        self.file_faults: list[FileFault] = []

    def _stored_file(self, request: web.Request) -> web.StreamResponse:
        fault = self.file_faults.pop(0) if self.file_faults else None
        if fault == "404":
            return web.Response(status=404)
        if fault == "5xx":
            return web.Response(status=503)
        if fault == "too large":
            return web.Response(body=bytes(2**20 + 1), content_type="image/jpeg")
        if fault == "cut":
            assert request.transport is not None
            request.transport.abort()
        return super()._stored_file(request)


class SmsWorld(World):
    """A Twilio number."""

    channel, address, customer = "sms", NUMBER, CUSTOMER

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.twilio = _Twilio()
        self.twilio.now = self.clock

    def settings(self) -> dict[str, Any]:
        return {"account_sid": ACCOUNT, "auth_token": TOKEN, "api_url": self.api_url, "max_media_mb": 1}

    def build(self, inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> SmsAdapter:
        timing = HttpTiming() if self.patience is None else HttpTiming(answer=self.patience)
        return SmsAdapter(inbox_id, read_sms(settings), ports, http_timing=timing, timing=SendTiming(settle=0))

    async def start_provider(self) -> None:
        await self.twilio.start(self.provider_port)

    @property
    def held(self) -> int:
        return len(self.twilio.sent)

    def customer_writes(self, text: str, *, picture: bool = False) -> Call:
        self.twilio.number["sms_url"] = self.hook
        webhook = self.twilio.inbound(text, media=["image/jpeg"] if picture else [])
        return Call(webhook.url, webhook.headers, webhook.body)

    def report(self, status: str) -> Call:
        """What became of the newest message to the customer: a status, with an error's code where there is one."""
        word, _, code = status.partition(" ")
        webhook = self.twilio.report(self.twilio.sent[-1], word, int(code) if code else None)
        return Call(webhook.url, webhook.headers, webhook.body)

    def befall(self, fault: str) -> None:
        faults = {
            "429": {"status": 429, "code": 20429, "message": "Too Many Requests"},
            "5xx, not done": {"status": 503},
            "5xx, done": {"status": 503, "acts": True},
            "cut, not done": {"then": "cut"},
            "cut, done": {"then": "cut", "acts": True},
            "cut in the answer, done": {"then": "cut in answer", "acts": True},
            "hangs, not done": {"then": "hang"},
            "hangs, done": {"then": "hang", "acts": True},
            "4xx for good": {"status": 400, "code": 21211, "message": "Invalid 'To' Phone Number"},
        }
        if fault == "blocked":
            self.twilio.opted_out.add(CUSTOMER)
        elif fault in faults:
            self.twilio.faults.append(msgspec.convert(faults[fault], twilio_server.Fault))

    def befall_file(self, fault: FileFault) -> None:
        # The first cut may be of a connection that was kept, and is then tried again at once.
        self.twilio.file_faults += [fault] * (2 if fault == "cut" else 1)

    async def hanging(self) -> None:
        await self.twilio.hanging.wait()


class TelegramWorld(World):
    """A bot with a webhook."""

    channel, address, customer = "telegram", "@nomad_bot", str(BAT)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.telegram = TelegramServer()
        self.bat = self.telegram.chats.person(BAT, "Bat")

    def settings(self) -> dict[str, Any]:
        return {
            "token": self.telegram.token,
            "inbound": "webhook",
            "webhook_secret": SECRET,
            "api_url": self.api_url,
        }

    def build(self, inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> WebhookTelegramAdapter:
        timing = Timing() if self.patience is None else Timing(answer=self.patience, connect=0)
        limits = Limits(everybody=_NO_LIMIT, chat=_NO_LIMIT, group=_NO_LIMIT)
        return WebhookTelegramAdapter(inbox_id, read_telegram(settings), ports, timing=timing, limits=limits)

    async def start_provider(self) -> None:
        await self.telegram.start(self.provider_port)

    @property
    def held(self) -> int:
        return len(self.telegram.sent)

    def update(self, update: Mapping[str, Any]) -> Call:
        """An update as Telegram brings it."""
        headers = {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": SECRET}
        return Call(self.hook, headers, orjson.dumps(update))

    def customer_writes(self, text: str, *, picture: bool = False) -> Call:
        chats = self.telegram.chats
        if not picture:
            return self.update(chats.update_message(self.bat, text=text))
        return self.update(chats.update_message(self.bat, photo=[chats.keep("photo", "", PICTURE)], caption=text))

    def befall(self, fault: str) -> None:
        faults = {
            "429": telegram_server.too_many(7),
            "5xx, not done": telegram_server.BAD_GATEWAY,
            "cut, not done": telegram_server.CUT_BEFORE,
            "cut, done": telegram_server.CUT_AFTER,
            "no JSON, done": telegram_server.GARBAGE_AFTER,
            "hangs, not done": telegram_server.HANG,
            "4xx for good": telegram_server.error(400, "Bad Request: chat not found"),
        }
        if fault == "blocked":
            self.telegram.chats.blocked.add(BAT)
        elif fault in faults:
            self.telegram.fail(faults[fault], method="sendMessage")

    def befall_file(self, fault: FileFault) -> None:
        if fault == "404":
            self.telegram.chats.contents.clear()
        elif fault == "too large":
            for file in self.telegram.chats.files.values():
                file["file_size"] = 21 * 2**20
        elif fault == "cut":
            # The first cut may be of a connection that was kept, and is then tried again at once.
            self.telegram.fail(telegram_server.CUT_BEFORE, telegram_server.CUT_BEFORE, method="file")
        else:
            self.telegram.fail(telegram_server.error(503, "Service Unavailable"), method="file")

    async def hanging(self) -> None:
        await self.telegram.hanging.wait()
