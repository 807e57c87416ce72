"""The live check and the webhook's setting, against a Twilio of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from channels.base import CheckStep
from channels.sms.adapter import SmsAdapter
from channels.twilio.http import TwilioHttp
from tests.fakes.ports import FakePorts
from tests.fakes.twilio_server import SERVICE, Fault, TwilioServer

MakeAdapter = Callable[..., SmsAdapter]
HOOK = "https://inbox.example.mn/hooks/inbox-1"
WITH_SERVICE: dict[str, Any] = {"sender": "service", "service_sid": SERVICE}


def said(steps: list[CheckStep]) -> dict[str, tuple[bool, str]]:
    return {step.name: (step.ok, step.words) for step in steps}


async def test_a_number_is_connected_and_then_right(twilio: TwilioServer, adapter: SmsAdapter) -> None:
    before = said(await adapter.check())
    assert before["Sign in"] == (True, "Signed in to Nomad Travel")
    assert before["Sender"][0]
    assert before["Incoming messages"] == (False, "Twilio does not know yet where to hand them.")
    assert [step.ok for step in await adapter.connect()] == [True]
    assert (twilio.number["sms_url"], twilio.number["sms_method"]) == (HOOK, "POST")
    assert said(await adapter.check())["Incoming messages"] == (True, f"Twilio hands them to {HOOK}")


async def test_a_messaging_service_is_connected_and_then_right(twilio: TwilioServer, make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(**WITH_SERVICE)
    assert not said(await adapter.check())["Incoming messages"][0], "each number has its own webhook"
    assert [step.ok for step in await adapter.connect()] == [True]
    assert twilio.service["inbound_request_url"] == HOOK
    assert twilio.service["use_inbound_webhook_on_number"] is False
    assert all(step.ok for step in await adapter.check())
    hook = twilio.inbound("Болих", service=True)
    assert hook.url == HOOK
    assert adapter.verify(hook.raw)


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        ({"account": {"status": "suspended"}}, "Sign in", "suspended"),
        ({"number": {"capabilities": {"sms": False, "voice": True}}}, "Sender", "cannot send SMS"),
        ({"number": {"phone_number": "+97677001123"}}, "Sender", "no number"),
        ({"number": {"sms_url": "https://other.example/sms"}}, "Incoming messages", "https://other.example/sms"),
        ({"number": {"sms_url": HOOK, "sms_method": "GET"}}, "Incoming messages", "POST"),
        ({"number": {"sms_url": HOOK, "sms_application_sid": "AP" + "0" * 32}}, "Incoming messages", "TwiML"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_after_it_is_asked(
    twilio: TwilioServer, adapter: SmsAdapter, change: dict[str, dict[str, Any]], step: str, words: str
) -> None:
    for name, values in change.items():
        getattr(twilio, name).update(values)
    steps = await adapter.check()
    assert [each.name for each in steps if not each.ok] == [step]
    assert steps[-1].name == step
    assert words in steps[-1].words


async def test_a_trial_account_is_mentioned(twilio: TwilioServer, adapter: SmsAdapter) -> None:
    twilio.account["type"] = "Trial"
    ok, words = said(await adapter.check())["Sign in"]
    assert ok
    assert "trial" in words


async def test_a_wrong_token_is_said(make_adapter: MakeAdapter) -> None:
    (step,) = await make_adapter(auth_token="wrong" * 6).check()
    assert not step.ok
    assert "auth token" in step.words
    assert "wrong" not in step.words, "the secret is not repeated"


@pytest.mark.parametrize("fault", [Fault(operation="FetchAccount", then="cut"), Fault(operation="FetchAccount")])
async def test_a_fault_is_a_step_that_failed(twilio: TwilioServer, adapter: SmsAdapter, fault: Fault) -> None:
    twilio.faults += [fault, fault]  # the first cut is answered by asking again, as GET may be
    (step,) = await adapter.check()
    assert not step.ok
    assert step.words


async def test_nobody_there_is_said(make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(api_url="http://127.0.0.1:9")
    for steps in (await adapter.check(), await adapter.connect()):
        assert [step.ok for step in steps] == [False]
        assert "127.0.0.1:9" in steps[0].words


async def test_a_server_that_cannot_be_reached_is_not_handed_to_twilio(
    twilio: TwilioServer, make_adapter: MakeAdapter
) -> None:
    ports = FakePorts()
    ports.public = "https://"
    adapter = make_adapter(ports=ports)
    (step,) = await adapter.connect()
    assert not step.ok
    assert "cannot reach" in step.words
    assert twilio.number["sms_url"] == ""
    assert not said(await adapter.check())["Incoming messages"][0]


async def test_a_sender_id_cannot_be_answered(make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(sender="alpha", address="NOMAD")
    assert all(step.ok for step in [*await adapter.check(), *await adapter.connect()])


async def test_a_whatsapp_senders_webhook_is_set_by_hand(make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(whatsapp=True)
    for steps in (await adapter.check(), await adapter.connect()):
        assert steps[-1].ok
        assert HOOK in steps[-1].words


@pytest.mark.parametrize(
    ("base", "official", "address"),
    [
        ("https://api.twilio.com", "https://api.twilio.com/a?b=c", "https://api.twilio.com/a?b=c"),
        ("https://api.twilio.com", "https://messaging.twilio.com/v1", "https://messaging.twilio.com/v1"),
        (
            "https://api.dublin.ie1.twilio.com",
            "https://messaging.twilio.com/v1",
            "https://messaging.dublin.ie1.twilio.com/v1",
        ),
        ("http://127.0.0.1:9/", "https://messaging.twilio.com/v1?x=1", "http://127.0.0.1:9/v1?x=1"),
        ("http://127.0.0.1:9", "https://elsewhere.example/v1", "https://elsewhere.example/v1"),
        ("http://127.0.0.1:9", "https://api.nottwilio.com/v1", "https://api.nottwilio.com/v1"),
    ],
)
def test_the_base_url_moves_all_of_twilios_hosts(base: str, official: str, address: str) -> None:
    assert TwilioHttp(base, ("", "")).address(official) == address
