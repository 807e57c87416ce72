"""The Twilio of our own is as strict as the real one, and its webhooks are as unruly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.base import ConsentChange, DeliveryUpdate, InboundEvent, OutboundMessage, Raw, Rejected
from channels.sms.adapter import SmsAdapter
from channels.twilio.http import TwilioHttp
from tests.fakes.twilio_server import ACCOUNT, CUSTOMER, NUMBER, TOKEN, TwilioServer

MakeMessage = Callable[..., OutboundMessage]
MESSAGES = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


@pytest.fixture
async def strict() -> AsyncIterator[tuple[TwilioServer, TwilioHttp]]:
    """A server that may be asked wrongly, because the test looks at `wrong` itself."""
    server = TwilioServer()
    await server.start()
    http = TwilioHttp(server.url, (ACCOUNT, TOKEN))
    yield server, http
    await http.close()
    await server.stop()


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"Body": "x", "From": NUMBER}, "form To is missing"),
        ({"To": CUSTOMER, "Bdy": "x"}, "form Bdy is unknown"),
        ({"To": CUSTOMER, "MessagingServiceSid": "MG1"}, "form MessagingServiceSid"),
        ({"To": CUSTOMER, "StatusCallback": "inbox.example.mn/x"}, "form StatusCallback is no uri"),
        ({"To": CUSTOMER, "StatusCallback": "https://in_box.example.mn/x"}, "form StatusCallback is no uri"),
        ({"To": CUSTOMER, "SmartEncoded": "maybe"}, "form SmartEncoded is no boolean"),
        ({"To": CUSTOMER, "Attempt": "one"}, "form Attempt is no integer"),
        ({"To": CUSTOMER, "TrafficType": "paid"}, "form TrafficType is none of"),
        ({"To": "call me maybe?", "From": NUMBER}, "form To is no phone-number"),
    ],
)
async def test_a_request_that_the_contract_does_not_allow_is_remembered(
    strict: tuple[TwilioServer, TwilioHttp], form: dict[str, str], wrong: str
) -> None:
    server, http = strict
    answer = await http.post(MESSAGES, form)
    assert answer.status == 400
    assert any(wrong in each for each in server.wrong), server.wrong


async def test_other_paths_methods_and_queries_are_remembered(strict: tuple[TwilioServer, TwilioHttp]) -> None:
    server, http = strict
    assert (await http.get("https://api.twilio.com/2010-04-01/Nothing.json")).status == 404
    assert (await http.request("DELETE", MESSAGES, auth=http.auth)).status_code == 404
    assert (await http.get(MESSAGES.replace(ACCOUNT, "AC1"))).status == 400
    assert (await http.get(MESSAGES, {"PageSize": "1001"})).status == 400
    assert (await http.get(MESSAGES, {"Recipient": CUSTOMER})).status == 400
    assert len(server.wrong) == 6, "the short account is wrong by its length and by its letters"


async def test_a_wrong_request_fails_the_test() -> None:
    async def ask() -> None:
        async with TwilioServer() as server, aiohttp.ClientSession() as http:
            await http.post(server.url + MESSAGES.removeprefix("https://api.twilio.com"), data={"Bdy": ""})

    with pytest.raises(AssertionError, match="Bdy is unknown"):
        await ask()


async def test_credentials_at_the_file_store_fail_the_test() -> None:
    async def ask() -> None:
        async with TwilioServer() as server, aiohttp.ClientSession() as http:
            await http.get(f"{server.url}/stored/eA==", headers={"Authorization": "Basic x"})

    with pytest.raises(AssertionError, match="Credentials"):
        await ask()


class Host:
    """What the product does with a webhook: 403, or events taken in once and then 200."""

    def __init__(self, adapter: SmsAdapter) -> None:
        self.adapter = adapter
        self.events: dict[str, InboundEvent] = {}
        self.order: list[str] = []
        self.delivered = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._serve)
        self.server = TestServer(app, host="127.0.0.1")

    async def _serve(self, request: web.Request) -> web.Response:
        url = f"https://inbox.example.mn{request.raw_path}"  # as behind a proxy that ends TLS
        raw = Raw(body=await request.read(), url=url, headers=dict(request.headers))
        if not self.adapter.verify(raw):
            return web.Response(status=403)
        for event in self.adapter.receive(raw):
            self.events.setdefault(event.external_id, event)
            self.order.append(event.external_id)
            if isinstance(event, DeliveryUpdate) and event.state == "delivered":
                self.delivered.set()
        answer = self.adapter.answer(raw)
        return web.Response(body=answer.body, content_type=answer.media_type)


@pytest.fixture
async def host(twilio: TwilioServer, adapter: SmsAdapter) -> AsyncIterator[Host]:
    there = Host(adapter)
    async with there.server:
        base = str(there.server.make_url("")).rstrip("/")
        twilio.reach = lambda url: url.replace("https://inbox.example.mn", base)
        yield there


async def test_reports_twice_and_in_any_order_are_the_same_events(
    twilio: TwilioServer, host: Host, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    await adapter.send(outbound(), point)
    (message,) = twilio.sent
    reports = [twilio.report(message, status) for status in ("sent", "delivered", "read")]
    answers = await twilio.call(reports, twice=True, shuffled=random.Random(7))
    assert answers == [(200, "")] * 6
    assert len(host.order) == 6
    states = {event.state for event in host.events.values() if isinstance(event, DeliveryUpdate)}
    assert (len(host.events), states) == (3, {"accepted", "delivered", "read"})
    assert {getattr(event, "message_ref", "") for event in host.events.values()} == {"ref-1@example.mn"}


async def test_it_reports_by_itself_where_it_is_told_to(
    twilio: TwilioServer, host: Host, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    twilio.reports = ("sent", "delivered")
    await adapter.send(outbound(), point)
    await host.delivered.wait()
    assert [getattr(event, "state", "") for event in host.events.values()] == ["accepted", "delivered"]


async def test_a_message_is_answered_with_twiml_and_a_forged_one_not_at_all(
    twilio: TwilioServer, host: Host, adapter: SmsAdapter
) -> None:
    await adapter.connect()
    hook = twilio.inbound("Сайн уу + & = %", media=["image/png"])
    forged = twilio.signed(hook.url, {"From": CUSTOMER, "MessageSid": "SM1"}, token="guessed")
    answers = await twilio.call([hook, forged])
    assert [status for status, _ in answers] == [200, 403]
    assert "<Response/>" in answers[0][1]
    assert len(host.events) == 1


async def test_stop_closes_the_door_on_both_sides_until_start(
    twilio: TwilioServer, host: Host, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    await adapter.connect()
    await twilio.call([twilio.inbound("Stop")])
    refused = await adapter.send(outbound(), point)
    assert isinstance(refused, Rejected)
    assert refused.opted_out
    await twilio.call([twilio.inbound("START")])
    await adapter.send(outbound(), point)
    assert len(twilio.sent) == 1
    changes = [event.opted_out for event in host.events.values() if isinstance(event, ConsentChange)]
    assert changes == [True, False]
