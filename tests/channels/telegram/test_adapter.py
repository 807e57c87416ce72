"""The adapter as its host sees it: webhooks, files, checks, and the protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.base import (
    ChannelError,
    CheckStep,
    FetchingAdapter,
    HookedAdapter,
    HookReply,
    InboundMessage,
    MessageChange,
    PollingAdapter,
    Raw,
    Refused,
    Unreachable,
)
from channels.telegram.adapter import PollingTelegramAdapter, TelegramAdapter, WebhookTelegramAdapter
from channels.telegram.client import Timing
from channels.telegram.poll import ALLOWED_UPDATES
from channels.telegram.settings import TelegramSettings
from tests.channels.telegram.conftest import ANN, SECRET, Press, settings
from tests.fakes.ports import FakePorts
from tests.fakes.telegram_server import BAD_GATEWAY, CUT_BEFORE, Fault, TelegramServer, error, too_many

MEGABYTE = 2**20


class Host:
    """Takes webhooks as the product does: verify, parse, store by external id, and only then answer."""

    def __init__(self) -> None:
        self.adapter: WebhookTelegramAdapter | None = None
        self.ports = FakePorts()
        self.stored: dict[str, Any] = {}
        self.broken = False
        app = web.Application()
        app.router.add_post("/hooks/inbox-1", self._hook)
        self._server = TestServer(app)

    async def start(self) -> None:
        await self._server.start_server()
        self.ports.public = str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        await self._server.close()

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.stored.values() if isinstance(event, InboundMessage)]

    async def _hook(self, request: web.Request) -> web.Response:
        assert self.adapter is not None
        raw = Raw(body=await request.read(), url=str(request.url), headers=dict(request.headers))
        if not self.adapter.verify(raw):
            return web.Response(status=403)
        if self.broken:
            return web.Response(status=500)
        for event in self.adapter.receive(raw):
            self.stored.setdefault(event.external_id, event)
        reply = self.adapter.answer(raw)
        return web.Response(body=reply.body, content_type=reply.media_type)


@pytest.fixture
async def host(server: TelegramServer) -> AsyncIterator[Host]:
    """A host whose webhook Telegram knows."""
    host = Host()
    await host.start()
    host.adapter = WebhookTelegramAdapter("inbox-1", settings(server, webhook=True), host.ports)
    assert [step.ok for step in await host.adapter.connect()] == [True]
    yield host
    await host.adapter.close()
    await host.stop()


async def test_connecting_asks_for_all_updates_with_the_secret(server: TelegramServer, host: Host) -> None:
    assert server.webhook["url"] == host.ports.hook_url()
    assert server.webhook["secret_token"] == SECRET
    assert server.webhook["allowed_updates"] == list(ALLOWED_UPDATES)
    assert {"message_reaction", "edited_message", "business_message", "my_chat_member"} <= set(ALLOWED_UPDATES)


async def test_a_webhook_twice_late_and_out_of_order_is_each_message_once(server: TelegramServer, host: Host) -> None:
    ann = server.chats.person(ANN, "Ann")
    server.held = []
    asked = server.chats.update_message(ann, text="one")
    for update in (asked, server.chats.update_edit(asked, "One"), server.chats.update_message(ann, text="two")):
        await server.deliver(update)
    await server.release([2, 1, 0, 1, 2])
    assert host.texts == ["two", "one"]
    (change,) = [event for event in host.stored.values() if isinstance(event, MessageChange)]
    assert (change.text, change.message_ref) == ("One", f"{ANN}:{asked['message']['message_id']}")
    assert server.answers == [(200, "")] * 5


async def test_what_was_not_stored_comes_again(server: TelegramServer, host: Host) -> None:
    host.broken = True
    await server.deliver(server.chats.update_message(server.chats.person(ANN, "Ann"), text="one"))
    assert host.texts == []
    host.broken = False
    await server.redeliver()
    assert host.texts == ["one"]


async def test_the_same_update_has_the_same_id_both_ways(
    server: TelegramServer, host: Host, polling: PollingTelegramAdapter
) -> None:
    update = server.chats.update_message(server.chats.person(ANN, "Ann"), text="one")
    await server.deliver(update)
    server.webhook = {}
    await server.deliver(update)
    raws, _ = await anext(polling.poll({}))
    assert [event.external_id for event in polling.receive(raws[0])] == list(host.stored)


@pytest.mark.parametrize("given", ["", "webhook-secret_", SECRET + "x", "ү", SECRET.upper()])
async def test_a_wrong_secret_is_refused(server: TelegramServer, host: Host, given: str) -> None:
    server.webhook["secret_token"] = given.encode("ascii", "ignore").decode()
    await server.deliver(server.chats.update_message(server.chats.person(ANN, "Ann"), text="one"))
    assert [status for status, _ in server.answers] == [403]
    assert host.stored == {}


def test_the_header_is_found_however_it_is_written(hooked: WebhookTelegramAdapter) -> None:
    name = "X-Telegram-Bot-Api-Secret-Token"
    for written in (name, name.lower(), name.upper()):
        assert hooked.verify(Raw(body=b"{}", headers={written: SECRET}))
    assert not hooked.verify(Raw(body=b"{}", headers={"X-Secret": SECRET}))
    assert not hooked.verify(Raw(body=b"{}"))
    assert not hooked.verify(Raw(body=b"{}", headers={name: "ү\udc80"}))


def test_who_fetches_believes_nobody_who_calls(polling: PollingTelegramAdapter) -> None:
    assert polling.verify(Raw(body=b"{}", url="telegram:update/1"))
    assert not polling.verify(Raw(body=b"{}", url="https://inbox.example.mn/hooks/inbox-1"))


async def test_a_pressed_button_hears_so_in_the_answer(server: TelegramServer, host: Host, press: Press) -> None:
    assert host.adapter is not None
    await server.deliver(await press(host.adapter))
    assert host.texts == ["Friday"]
    assert not server.chats.queries
    assert server.calls[-1][0] == "answerCallbackQuery"
    assert host.adapter.answer(Raw(body=b'{"update_id":1}')) == HookReply()
    assert host.adapter.answer(Raw(body=b'"callback_query"')) == HookReply()


async def test_a_file_is_fetched_by_its_reference(server: TelegramServer, hooked: WebhookTelegramAdapter) -> None:
    voice = server.chats.keep("voice", "", b"OggS voice")
    update = server.chats.update_message(server.chats.person(ANN, "Ann"), voice=voice)
    (message,) = hooked.receive(Raw(body=json.dumps(update).encode()))
    assert isinstance(message, InboundMessage)
    assert isinstance(hooked, FetchingAdapter)
    got = await hooked.fetch(message.attachments[0].ref, MEGABYTE)
    assert (got.content, got.size, got.media_type) == (b"OggS voice", 10, "audio/ogg")


async def test_a_file_larger_than_telegram_hands_out_says_so(
    server: TelegramServer, hooked: WebhookTelegramAdapter
) -> None:
    large = server.chats.keep("video", "", b"x" * (20 * MEGABYTE + 1))
    with pytest.raises(ChannelError, match="20 MB") as caught:
        await hooked.fetch(large["file_id"], 100 * MEGABYTE)
    assert type(caught.value) is ChannelError, "trying again does not help"


@pytest.mark.parametrize("lies", [False, True])
async def test_no_more_is_taken_than_was_asked_for(
    server: TelegramServer, hooked: WebhookTelegramAdapter, lies: bool
) -> None:
    file = server.chats.keep("document", "a.bin", b"x" * (2 * MEGABYTE))
    if lies:
        server.chats.files[file["file_id"]]["file_size"] = 5
    with pytest.raises(ChannelError, match="larger than 1 MB"):
        await hooked.fetch(file["file_id"], MEGABYTE)
    assert server.downloads == int(lies), "what is said to be too large is not even asked for"


@pytest.mark.parametrize(
    ("method", "faults", "raised"),
    [
        ("getFile", [error(400, "Bad Request: invalid file_id")], ChannelError),
        ("getFile", [error(401, "Unauthorized")], Refused),
        ("getFile", [too_many(3)], Unreachable),
        ("file", [error(404, "Not Found")], ChannelError),
        ("file", [BAD_GATEWAY], Unreachable),
        # The first cut may be of a connection that was idle, so that a GET is tried again at once.
        ("file", [CUT_BEFORE, CUT_BEFORE], Unreachable),
    ],
)
async def test_a_failed_fetch_is_of_its_kind(
    server: TelegramServer, hooked: WebhookTelegramAdapter, method: str, faults: list[Fault], raised: type[Exception]
) -> None:
    file = server.chats.keep("document", "a.bin", b"content")
    server.fail(*faults, method=method)
    with pytest.raises(ChannelError) as caught:
        await hooked.fetch(file["file_id"], MEGABYTE)
    assert type(caught.value) is raised
    assert server.token not in str(caught.value)
    assert (await hooked.fetch(file["file_id"], MEGABYTE)).content == b"content"


async def test_a_check_names_the_bot_and_says_what_it_hears(server: TelegramServer, host: Host) -> None:
    assert host.adapter is not None
    steps = {step.name: step for step in await host.adapter.check()}
    assert all(step.ok for step in steps.values())
    assert "@nomad_bot" in steps["Bot"].words
    assert "privacy mode" in steps["Groups"].words
    server.chats.me["can_read_all_group_messages"] = True
    assert "privacy" not in {step.name: step for step in await host.adapter.check()}["Groups"].words


async def test_a_check_sees_that_the_webhook_is_somewhere_else(server: TelegramServer, host: Host) -> None:
    assert host.adapter is not None

    async def receiving() -> CheckStep:
        assert host.adapter is not None
        return (await host.adapter.check())[-1]

    server.webhook["allowed_updates"] = ["message"]
    assert not (await receiving()).ok
    assert "message_reaction" in (await receiving()).words
    server.webhook["url"] = "https://old.example.mn/hook"
    assert "https://old.example.mn/hook" in (await receiving()).words
    server.webhook = {}
    assert not (await receiving()).ok


async def test_a_check_of_a_bot_that_fetches(server: TelegramServer, polling: PollingTelegramAdapter) -> None:
    assert [step.ok for step in await polling.check()] == [True, True, True]
    server.webhook = {"url": "https://old.example.mn/hook"}
    assert "removed" in (await polling.check())[-1].words


async def test_a_wrong_token_or_another_bots_is_found(server: TelegramServer) -> None:
    def changed(**changes: str) -> TelegramSettings:
        given = {"token": server.token, "webhook_secret": SECRET, "api_url": server.url, **changes}
        return TelegramSettings(inbound="polling", **given)

    for given, words in (
        ({"token": "7:wrong"}, "does not know this bot token"),
        ({"address": "@other_bot"}, "This is the token of @nomad_bot, not of @other_bot"),
    ):
        adapter = PollingTelegramAdapter("inbox-1", changed(**given), FakePorts())
        (step,) = await adapter.check()
        await adapter.close()
        assert not step.ok
        assert words in step.words
    adapter = PollingTelegramAdapter("inbox-1", changed(address="@Nomad_Bot"), FakePorts())
    assert (await adapter.check())[0].ok
    await adapter.close()


async def test_a_webhook_telegram_does_not_take_is_told_in_its_words(
    server: TelegramServer, hooked: WebhookTelegramAdapter
) -> None:
    server.fail(error(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"), method="setWebhook")
    (step,) = await hooked.connect()
    assert not step.ok
    assert "HTTPS" in step.words


async def test_a_server_that_is_not_there(server: TelegramServer) -> None:
    async with TelegramServer() as gone:
        nowhere = settings(gone)
    adapter = PollingTelegramAdapter("inbox-1", nowhere, FakePorts(), timing=Timing(connect=5))
    (step,) = await adapter.check()
    assert not step.ok
    with pytest.raises(Unreachable):
        await anext(adapter.poll({}))
    with pytest.raises(Unreachable):
        await adapter.fetch("photo-1", 5)
    await adapter.close()


def test_each_way_in_has_its_protocol(hooked: WebhookTelegramAdapter, polling: PollingTelegramAdapter) -> None:
    adapters: list[TelegramAdapter] = [hooked, polling]
    for adapter in adapters:
        assert isinstance(adapter, HookedAdapter) == adapter.capabilities.hooks
        assert isinstance(adapter, PollingAdapter) == adapter.capabilities.polls
        assert isinstance(adapter, FetchingAdapter)
    assert hooked.capabilities.hooks
    assert polling.capabilities.polls
