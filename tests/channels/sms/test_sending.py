"""What leaves, and what each fault means: for the message, and for what Twilio then really has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import (
    Address,
    Attachment,
    DeliveryUpdate,
    OutboundMessage,
    Rejected,
    Retry,
    SendResult,
    Sent,
    Unknown,
)
from channels.sms.adapter import SmsAdapter
from channels.twilio.http import HttpTiming
from tests.fakes.ports import FakePorts
from tests.fakes.twilio_server import CUSTOMER, NUMBER, SERVICE, Fault, TwilioServer

MakeAdapter = Callable[..., SmsAdapter]
MakeMessage = Callable[..., OutboundMessage]
IMPATIENT = HttpTiming(answer=0.2)
LONG = "word " * 500
"""Two messages."""


async def test_a_message_leaves_with_our_reference(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    result = await adapter.send(outbound("Сайн байна уу?"), point)
    (message,) = twilio.sent
    assert result == Sent(message.sid, "queued")
    assert (message.to, message.from_, message.body) == (CUSTOMER, NUMBER, "Сайн байна уу?")
    assert message.callback == "https://inbox.example.mn/hooks/inbox-1/status?ref=cmVmLTFAZXhhbXBsZS5tbg"
    assert point.passed == 1


async def test_its_reports_come_back_as_states(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    await adapter.send(outbound(), point)
    report = twilio.report(twilio.sent[0], "undelivered", 30003)
    assert adapter.verify(report.raw)
    (update,) = adapter.receive(report.raw)
    assert isinstance(update, DeliveryUpdate)
    assert update.message_ref == "ref-1@example.mn"
    assert adapter.answer(report.raw).body == b""


async def test_what_comes_in_is_signed_and_answered_with_nothing_to_say(
    twilio: TwilioServer, adapter: SmsAdapter
) -> None:
    twilio.number["sms_url"] = "https://inbox.example.mn/hooks/inbox-1"
    hook = twilio.inbound("Hello", media=["image/jpeg"])
    assert adapter.verify(hook.raw)
    assert len(adapter.receive(hook.raw)) == 1
    answer = adapter.answer(hook.raw)
    assert answer.media_type == "text/xml"
    assert b"<Response/>" in answer.body
    assert not adapter.verify(twilio.signed(hook.url, {"From": CUSTOMER}, token="other").raw)


@pytest.mark.parametrize(
    ("settings", "sender", "service", "to"),
    [
        ({"whatsapp": True}, f"whatsapp:{NUMBER}", None, f"whatsapp:{CUSTOMER}"),
        ({"sender": "service", "service_sid": SERVICE}, None, SERVICE, CUSTOMER),
        ({"sender": "service", "service_sid": SERVICE, "whatsapp": True}, None, SERVICE, f"whatsapp:{CUSTOMER}"),
        ({"sender": "alpha", "address": "NOMAD"}, "NOMAD", None, CUSTOMER),
    ],
)
async def test_every_kind_of_sender(
    twilio: TwilioServer,
    make_adapter: MakeAdapter,
    outbound: MakeMessage,
    point: Any,
    settings: dict[str, Any],
    sender: str | None,
    service: str | None,
    to: str,
) -> None:
    result = await make_adapter(**settings).send(outbound(), point)
    assert isinstance(result, Sent)
    (message,) = twilio.sent
    assert (message.from_, message.service, message.to) == (sender, service, to)


async def test_an_api_key_signs_in_instead_of_the_token(
    twilio: TwilioServer, make_adapter: MakeAdapter, outbound: MakeMessage, point: Any
) -> None:
    key = "SK" + "1" * 32
    twilio.keys = {key: "secret"}
    adapter = make_adapter(api_key_sid=key, api_key_secret="secret")
    assert isinstance(await adapter.send(outbound(), point), Sent)


async def test_no_reports_are_asked_for_where_twilio_cannot_reach_us(
    twilio: TwilioServer, make_adapter: MakeAdapter, outbound: MakeMessage, point: Any
) -> None:
    ports = FakePorts()
    ports.public = ""
    assert isinstance(await make_adapter(ports=ports).send(outbound(), point), Sent)
    assert twilio.sent[0].callback is None


async def test_a_long_text_leaves_in_pieces(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    result = await adapter.send(outbound(LONG), point)
    first, second = twilio.sent
    assert result == Sent(first.sid, "queued", (second.sid,))
    assert f"{first.body} {second.body}" == LONG.strip()
    assert point.passed == 1, "one message, one step of no return"
    assert str(first.callback).endswith("&part=1-2")
    assert str(second.callback).endswith("&part=2-2")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": (Address("phone", "nonsense"),)}, "21211"),
        ({"to": (Address("phone", "12345"),)}, "21211"),
        ({"to": ()}, "recipients"),
        ({"to": (Address("phone", CUSTOMER), Address("phone", NUMBER))}, "recipients"),
        ({"text": " \n"}, "21602"),
        ({"attachments": (Attachment(name="a.pdf", media_type="application/pdf", size=1, content=b"a"),)}, "files"),
    ],
)
async def test_what_cannot_be_sent_never_leaves(
    twilio: TwilioServer,
    adapter: SmsAdapter,
    outbound: MakeMessage,
    point: Any,
    fields: dict[str, Any],
    code: str,
) -> None:
    result = await adapter.send(outbound(**fields), point)
    assert isinstance(result, Rejected)
    assert (result.code, bool(result.reason)) == (code, True)
    assert point.passed == 0
    assert twilio.requests == []


REFUSED = Retry("", refused=True)
MATRIX = [
    # what befalls it, what the result is like, how many Twilio then has
    pytest.param(Fault(status=429, code=20429), Retry("", None, "20429"), 0, id="429"),
    pytest.param(Fault(status=429, headers={"Retry-After": "7"}), Retry("", 7, "429"), 0, id="429 with a time"),
    pytest.param(Fault(status=400, code=21611), Retry("", None, "21611"), 0, id="queue full"),
    pytest.param(Fault(status=500, code=20500), Unknown(""), 0, id="500"),
    pytest.param(Fault(status=500, acts=True), Unknown(""), 1, id="500 and taken"),
    pytest.param(Fault(status=503, headers={"Retry-After": "9"}), Unknown(""), 0, id="503"),
    pytest.param(Fault(status=502, body="<html>Bad gateway</html>"), Unknown(""), 0, id="502 of a proxy"),
    pytest.param(Fault(status=504, body="", acts=True), Unknown(""), 1, id="504 and taken"),
    pytest.param(Fault(then="cut"), Unknown(""), 0, id="cut before it was done"),
    pytest.param(Fault(then="cut", acts=True), Unknown(""), 1, id="cut after it was done"),
    pytest.param(Fault(then="cut in answer", acts=True), Unknown(""), 1, id="cut in the answer"),
    pytest.param(Fault(then="hang"), Unknown(""), 0, id="hang"),
    pytest.param(Fault(then="hang", acts=True), Unknown(""), 1, id="hang after it was done"),
    pytest.param(Fault(status=201, body="{}", acts=True), Unknown(""), 1, id="201 without an id"),
    pytest.param(Fault(status=401, code=20003), Retry("", 300, "20003", refused=True), 0, id="401"),
    pytest.param(Fault(status=403), Retry("", 300, "403", refused=True), 0, id="403"),
    pytest.param(Fault(status=403, code=21408), Rejected("21408", ""), 0, id="country not allowed"),
    pytest.param(Fault(status=400, code=30002), Retry("", 300, "30002", refused=True), 0, id="suspended"),
    pytest.param(Fault(status=400, code=21703), Retry("", 300, "21703", refused=True), 0, id="empty service"),
    pytest.param(Fault(status=301, body=""), Retry("", 300, "301", refused=True), 0, id="redirect"),
    pytest.param(Fault(status=400, code=21610), Rejected("21610", "", opted_out=True), 0, id="stopped"),
    pytest.param(Fault(status=400, code=21211), Rejected("21211", ""), 0, id="no number"),
    pytest.param(Fault(status=400, code=21614), Rejected("21614", ""), 0, id="landline"),
    pytest.param(Fault(status=400, code=63016), Rejected("63016", ""), 0, id="window closed"),
    pytest.param(Fault(status=400, code=99999), Rejected("99999", ""), 0, id="unheard of"),
    pytest.param(Fault(status=400, body="nonsense"), Rejected("400", ""), 0, id="400 without words"),
]


def kind(result: SendResult) -> tuple[Any, ...]:
    """A result without its words."""
    if isinstance(result, Retry):
        return Retry, result.after, result.code, result.refused
    if isinstance(result, Rejected):
        return Rejected, result.code, result.opted_out
    return (type(result),)


@pytest.mark.parametrize(("fault", "expected", "taken"), MATRIX)
async def test_each_fault_has_its_result(
    twilio: TwilioServer,
    make_adapter: MakeAdapter,
    outbound: MakeMessage,
    point: Any,
    fault: Fault,
    expected: SendResult,
    taken: int,
) -> None:
    twilio.faults.append(fault)
    result = await make_adapter(http_timing=IMPATIENT if fault.then == "hang" else None).send(outbound(), point)
    if fault.then == "hang":
        await twilio.hanging.wait()
    assert kind(result) == kind(expected)
    assert not isinstance(result, Sent)
    assert result.reason
    assert "\x1b" not in result.reason, "no terminal colours"
    assert "x" * 32 not in result.reason, "no secret"
    assert len(twilio.sent) == taken
    assert point.passed == 1


@pytest.mark.parametrize(("fault", "expected", "taken"), [case for case in MATRIX if case.values[1] == Unknown("")])
async def test_after_each_unknown_end_the_list_tells(
    twilio: TwilioServer,
    make_adapter: MakeAdapter,
    outbound: MakeMessage,
    point: Any,
    fault: Fault,
    expected: SendResult,
    taken: int,
) -> None:
    twilio.faults.append(fault)
    out = outbound()
    impatient = make_adapter(http_timing=IMPATIENT if fault.then == "hang" else None)
    assert isinstance(await impatient.send(out, point), Unknown)
    if fault.then == "hang":
        await twilio.hanging.wait()
    adapter = make_adapter()
    found = await adapter.find_sent(out)
    if taken:
        assert found == Sent(twilio.sent[0].sid, "Found in Twilio's message list")
    else:
        assert isinstance(found, Retry)
        assert isinstance(await adapter.send(out, point), Sent)
    assert len(twilio.sent) == 1, "nothing lost and nothing twice"


async def test_nobody_listening_is_safe_to_try_again(
    make_adapter: MakeAdapter, outbound: MakeMessage, point: Any
) -> None:
    result = await make_adapter(api_url="http://127.0.0.1:9").send(outbound(), point)
    assert isinstance(result, Retry)
    assert not result.refused
    assert "127.0.0.1:9" in result.reason
    assert point.passed == 0, "nothing was about to leave"


async def test_a_message_stopped_at_the_point_of_no_return_does_not_leave(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    point.stop = OSError("the lease was lost")
    with pytest.raises(OSError, match="the lease was lost"):
        await adapter.send(outbound(), point)
    assert twilio.requests == []
    point.stop = None
    assert isinstance(await adapter.send(outbound(), point), Sent)


async def test_the_point_of_no_return_comes_before_the_request(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage
) -> None:
    seen: list[int] = []

    async def point() -> None:
        seen.append(len(twilio.requests))

    await adapter.send(outbound(), point)
    await adapter.send(outbound(), point)
    assert seen == [0, 1]


@pytest.mark.parametrize("status", [429, 500])
async def test_a_fault_after_the_first_piece_is_not_repeated(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any, status: int
) -> None:
    out = outbound(LONG)
    twilio.answered = lambda _operation: twilio.faults.append(Fault(status=status))
    result = await adapter.send(out, point)
    assert isinstance(result, Unknown)
    assert "1 of 2" in result.reason
    assert len(twilio.sent) == 1
    found = await adapter.find_sent(out)
    assert isinstance(found, Unknown)
    assert "1 of 2" in found.reason


async def test_all_pieces_are_found(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    out = outbound(LONG)
    await adapter.send(out, point)
    found = await adapter.find_sent(out)
    assert isinstance(found, Sent)
    assert [found.external_id, *found.also] == [message.sid for message in twilio.sent]


async def test_cancelling_a_send_leaves_nothing_behind(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    twilio.faults.append(Fault(then="hang"))
    sending = asyncio.create_task(adapter.send(outbound(), point))
    await twilio.arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_closed_inbox_sends_nothing(adapter: SmsAdapter, outbound: MakeMessage, point: Any) -> None:
    await adapter.send(outbound(), point)
    await adapter.close()
    await adapter.close()
    assert isinstance(await adapter.send(outbound(), point), Retry)
    assert point.passed == 1


# Finding what was sent


async def test_an_equal_text_of_last_week_is_another_message(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    twilio.now = lambda: datetime.now(UTC) - timedelta(days=7)
    await adapter.send(outbound(), point)
    assert isinstance(await adapter.find_sent(outbound()), Retry)


async def test_another_text_another_person_and_his_own_words_are_not_it(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    await adapter.send(outbound("Something else"), point)
    await adapter.send(outbound(to=(Address("phone", "+97699001122"),)), point)
    twilio.inbound("It is on its way.")
    assert isinstance(await adapter.find_sent(outbound()), Retry)


async def test_what_another_number_of_ours_was_sent_is_not_from_us(
    twilio: TwilioServer, make_adapter: MakeAdapter, outbound: MakeMessage
) -> None:
    """A customer of one inbox may be the number of another; with a service the list is not narrowed by sender."""
    twilio.store("SM", CUSTOMER, "+97699001122", "It is on its way.", direction="inbound", status="received")
    adapter = make_adapter(sender="service", service_sid=SERVICE)
    assert isinstance(await adapter.find_sent(outbound()), Retry)


async def test_one_entry_of_the_list_stands_for_one_piece(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    out = outbound("a" * 3200)
    await adapter.send(out, point)
    twilio.messages.pop()
    assert isinstance(await adapter.find_sent(out), Unknown)


async def test_texts_that_twilio_changes_are_known_again(
    twilio: TwilioServer, make_adapter: MakeAdapter, outbound: MakeMessage, point: Any
) -> None:
    twilio.trial_prefix = "Sent from your Twilio trial account - "
    adapter = make_adapter(whatsapp=True)
    out = outbound("It’s on its way — now\n")
    await adapter.send(out, point)
    twilio.sent[0].body = twilio.sent[0].body.replace("’", "'").replace("—", "-")
    assert isinstance(await adapter.find_sent(out), Sent)
    assert isinstance(await adapter.find_sent(outbound("It’s on its way — later")), Retry)


async def test_texts_without_letters_are_compared_too(adapter: SmsAdapter, outbound: MakeMessage, point: Any) -> None:
    await adapter.send(outbound("👍"), point)
    assert isinstance(await adapter.find_sent(outbound("👎")), Retry)
    assert isinstance(await adapter.find_sent(outbound("👍")), Sent)


async def test_a_text_that_twilio_does_not_keep_is_not_judged(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    await adapter.send(outbound(), point)
    twilio.sent[0].body = ""
    assert isinstance(await adapter.find_sent(outbound()), Unknown)


async def test_a_list_of_several_pages_is_read_to_its_end(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, point: Any
) -> None:
    await adapter.send(outbound(), point)
    for number in range(250):
        twilio.store("SM", CUSTOMER, NUMBER, f"later {number}", direction="outbound-api", status="sent")
    assert await adapter.find_sent(outbound()) == Sent(twilio.sent[0].sid, "Found in Twilio's message list")
    assert [operation for operation, _ in twilio.requests] == ["CreateMessage", "ListMessage", "ListMessage"]


@pytest.mark.parametrize(
    "fault", [Fault(operation="ListMessage", then="cut"), Fault(operation="ListMessage", status=500)]
)
async def test_nothing_is_claimed_while_twilio_cannot_be_asked(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage, fault: Fault
) -> None:
    twilio.faults += [fault, fault, fault]
    assert isinstance(await adapter.find_sent(outbound()), Unknown)


async def test_it_is_missed_twice_before_it_certainly_is_not_there(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage
) -> None:
    """A message that Twilio lists only on the second look is found, not sent again."""
    out = outbound()

    def listed(_operation: str) -> None:
        if not twilio.sent:
            twilio.store("SM", CUSTOMER, NUMBER, out.text, direction="outbound-api", status="queued")

    twilio.answered = listed
    assert isinstance(await adapter.find_sent(out), Sent)


async def test_what_could_never_leave_is_not_looked_for(
    twilio: TwilioServer, adapter: SmsAdapter, outbound: MakeMessage
) -> None:
    assert isinstance(await adapter.find_sent(outbound("")), Retry)
    assert twilio.requests == []
