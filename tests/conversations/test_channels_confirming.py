"""Messages whose sending nobody saw the end of: the provider is asked before anything is sent again, or a person is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from pymongo.errors import AutoReconnect

from channels.base import (
    ChannelError,
    DeliveryUpdate,
    OutboundMessage,
    Rejected,
    Retry,
    SendResult,
    Sent,
    ThreadHints,
    Unknown,
)
from config.settings import Settings
from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.confirming import LEASE_SECONDS
from inbox.conversations.model import Message, State, View
from inbox.conversations.store import ref_id
from inbox.conversations.store_confirms import PAUSES
from inbox.inboxes.model import InboxForm
from inbox.wiring import House, open_house
from tests.conversations.conftest import ADMIN, everything, hire, settle, state_of
from tests.conversations.parrot import PARROT, Clock, Parrot, said, take

LOST = Unknown("The connection was cut.")


class Witness(Parrot):
    """An adapter that can be asked: `tells` is what it answers."""

    asked: ClassVar[int] = 0
    tells: ClassVar[Callable[[OutboundMessage], SendResult]] = lambda out: LOST
    waits: ClassVar[asyncio.Event | None] = None
    """Held until this is set."""
    asking: ClassVar[asyncio.Event | None] = None

    async def find_sent(self, out: OutboundMessage) -> SendResult:
        Witness.asked += 1
        if Witness.asking is not None and Witness.waits is not None:
            Witness.asking.set()
            await Witness.waits.wait()
        return Witness.tells(out)


CHANNELS = {"parrot": PARROT, "witness": msgspec.structs.replace(PARROT, name="witness", build=Witness)}
Open = Callable[[], Any]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_another(settings: Settings, clock: Clock) -> AsyncIterator[Open]:
    Parrot.events, Parrot.sent, Parrot.result = {}, [], lambda out: LOST
    Witness.asked, Witness.tells, Witness.waits, Witness.asking = 0, lambda out: LOST, None, None
    async with AsyncExitStack() as stack:

        async def open_one() -> House:
            return await stack.enter_async_context(open_house(settings, clock=clock, channels=CHANNELS))

        yield open_one


@pytest.fixture
async def house(open_another: Open) -> House:
    opened: House = await open_another()
    return opened


@pytest.fixture
async def inbox_id(house: House) -> str:
    return (await house.inboxes.create(ADMIN, "witness", InboxForm(name="Witness", address="99"))).id


@pytest.fixture
async def ann(house: House) -> Actor:
    return await hire(house, "Ann Bold", "ann@shop.mn")


async def unconfirmed(house: House, inbox_id: str, ann: Actor, number: int = 1) -> Message:
    """A customer's message whose answer left and was not heard of again; of one conversation each."""
    hint = said(str(number), chat=str(number))
    await take(house, inbox_id, [msgspec.structs.replace(hint, thread=ThreadHints(chat_id=str(number)))])
    rows = (await house.conversations.page(ann, View(), limit=100)).items
    conversation = next(row for row in rows if row.chat_id == str(number))
    draft = await house.drafts.start_reply(ann, conversation.id, "reply")
    written = Written(to=draft.to, html="<p>Yes.</p>")
    message = await house.replies.send(ann, conversation.id, written, headline=lambda _: "")
    await settle(house)
    return message


async def is_marked_failed(house: House, ann: Actor, message: Message) -> bool:
    return (await house.conversations.open(ann, message.conversation_id)).conversation.failed


FOR_GOOD = Rejected("21610", "The customer said STOP.")


@pytest.mark.parametrize(
    ("tells", "shown", "marked", "left"),
    [
        # what the provider says             state shown         marked  handed over in the end
        (Sent("SM1", "found", ("SM2",)), State.SENT, False, 1),
        (Retry("Twilio has not got it"), State.QUEUED, False, 2),
        (FOR_GOOD, State.FAILED, True, 1),
        (LOST, State.UNCONFIRMED, True, 1),
    ],
)
async def test_what_the_provider_says_becomes_the_state(
    house: House, inbox_id: str, ann: Actor, clock: Clock, tells: SendResult, shown: State, marked: bool, left: int
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    assert await state_of(house, ann, message) is State.UNCONFIRMED
    assert await is_marked_failed(house, ann, message)
    Witness.tells = lambda out: tells if out.message_ref == message.message_ref else LOST
    assert await house.confirming.ask_due() == 0, "not at once: what left just now is not listed yet"
    clock.now += PAUSES[0]
    assert await house.confirming.ask_due() == 1
    assert await state_of(house, ann, message) is shown
    assert await is_marked_failed(house, ann, message) is marked
    Parrot.result = lambda out: Sent("SM9")
    await settle(house)
    assert [out.message_ref for out in Parrot.sent] == [message.message_ref] * left
    assert len(await everything(house, "outbox")) == 0


async def test_a_found_message_goes_by_the_providers_ids_from_then_on(
    house: House, inbox_id: str, ann: Actor, clock: Clock
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    Witness.tells = lambda out: Sent("SM1", "", ("SM2",))
    clock.now += PAUSES[0]
    await house.confirming.ask_due()
    update = DeliveryUpdate(inbox_id="", external_id="d", state="delivered", message_ref="SM1")
    refs = {document["_id"]: document["message_id"] for document in await everything(house, "message_refs")}
    assert refs[ref_id(inbox_id, "SM1")] == refs[ref_id(inbox_id, "SM2")] == message.id
    await take(house, inbox_id, [msgspec.structs.replace(update, message_ref=message.message_ref)])
    assert await state_of(house, ann, message) is State.DELIVERED


async def test_who_cannot_tell_is_asked_three_times_and_then_a_person_decides(
    house: House, inbox_id: str, ann: Actor, clock: Clock
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    for pause in PAUSES:
        clock.now += pause - timedelta(seconds=1)
        assert await house.confirming.ask_due() == 0
        clock.now += timedelta(seconds=1)
        assert await house.confirming.ask_due() == 1
    clock.now += timedelta(days=30)
    assert await house.confirming.ask_due() == 0
    assert Witness.asked == len(PAUSES)
    assert await state_of(house, ann, message) is State.UNCONFIRMED
    assert await everything(house, "confirms") == []
    Parrot.result = lambda out: Sent("SM1")
    await house.replies.resend(ann, message.id)
    await settle(house)
    assert await state_of(house, ann, message) is State.SENT


async def test_an_adapter_that_breaks_when_asked_is_one_that_cannot_tell(
    house: House, inbox_id: str, ann: Actor, clock: Clock
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    for error in (ChannelError("Busy."), KeyError("sid")):

        def broken(_: OutboundMessage, error: Exception = error) -> SendResult:
            raise error

        Witness.tells = broken
        clock.now += timedelta(hours=1)
        assert await house.confirming.ask_due() == 1
        assert await state_of(house, ann, message) is State.UNCONFIRMED
    Witness.tells = lambda out: Sent("SM1")
    clock.now += timedelta(hours=1)
    await house.confirming.ask_due()
    assert await state_of(house, ann, message) is State.SENT


async def test_where_nobody_can_be_asked_the_message_stays_for_a_person(house: House, ann: Actor, clock: Clock) -> None:
    parrot = (await house.inboxes.create(ADMIN, "parrot", InboxForm(name="Parrot", address="98"))).id
    message = await unconfirmed(house, parrot, ann)
    clock.now += PAUSES[0]
    assert await house.confirming.ask_due() == 1
    assert await state_of(house, ann, message) is State.UNCONFIRMED
    assert await everything(house, "confirms") == []


async def test_one_thing_at_the_provider_confirms_one_message(
    house: House, inbox_id: str, ann: Actor, clock: Clock
) -> None:
    """Two equal texts, of which one left: which of them nobody can tell, and a second is not sent."""
    messages = [await unconfirmed(house, inbox_id, ann, number) for number in (1, 2)]
    Witness.tells = lambda out: Sent("SM1")
    clock.now += PAUSES[0]
    assert await house.confirming.ask_due() == 2
    states = sorted([await state_of(house, ann, message) for message in messages])
    assert states == [State.SENT, State.UNCONFIRMED]
    assert len(Parrot.sent) == 2


async def test_a_further_attempt_is_not_judged_by_a_question_about_an_earlier_one(
    house: House, inbox_id: str, ann: Actor, clock: Clock
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    Witness.asking, Witness.waits = asyncio.Event(), asyncio.Event()
    Witness.tells = lambda out: Retry("not there")
    clock.now += PAUSES[0]
    question = asyncio.create_task(house.confirming.ask_due())
    await Witness.asking.wait()
    await house.replies.resend(ann, message.id)
    await settle(house)
    Witness.waits.set()
    await question
    assert await state_of(house, ann, message) is State.UNCONFIRMED
    assert len(Parrot.sent) == 2
    assert await everything(house, "outbox") == []
    [confirm] = await everything(house, "confirms")
    assert confirm["attempts"] == 2, "the second attempt is asked about by itself"


async def test_two_processes_send_again_once(
    house: House, inbox_id: str, ann: Actor, clock: Clock, open_another: Open
) -> None:
    messages = [await unconfirmed(house, inbox_id, ann, number) for number in range(1, 7)]
    other = await open_another()
    Witness.tells = lambda out: Retry("not there")
    clock.now += PAUSES[0]
    counts = await asyncio.gather(house.confirming.ask_due(), other.confirming.ask_due())
    assert sum(counts) == Witness.asked == 6
    Parrot.result = lambda out: Sent(f"SM {out.message_ref}")
    await asyncio.gather(settle(house), settle(other))
    assert {await state_of(house, ann, message) for message in messages} == {State.SENT}
    assert len(Parrot.sent) == 12


@pytest.mark.parametrize(("tells", "shown"), [(Sent("SM1"), State.SENT), (LOST, State.UNCONFIRMED)])
async def test_what_a_killed_process_was_asking_about_is_asked_by_the_next_and_its_late_answer_counts_nothing(
    house: House, inbox_id: str, ann: Actor, clock: Clock, open_another: Open, tells: SendResult, shown: State
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    other = await open_another()
    Witness.asking, Witness.waits = asyncio.Event(), asyncio.Event()
    Witness.tells = lambda out: Retry("not there")
    clock.now += PAUSES[0]
    late = asyncio.create_task(house.confirming.ask_due())
    await Witness.asking.wait()
    Witness.asking = None
    assert await other.confirming.ask_due() == 0, "its lease has not ended"
    clock.now += timedelta(seconds=LEASE_SECONDS)
    Witness.tells = lambda out: tells
    assert await other.confirming.ask_due() == 1
    Witness.tells = lambda out: Retry("not there")
    Witness.waits.set()
    await late
    await settle(house)
    assert await state_of(house, ann, message) is shown
    assert len(Parrot.sent) == 1


async def test_an_answer_that_could_not_be_written_is_asked_for_again(
    house: House, inbox_id: str, ann: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    Witness.tells = lambda out: Retry("not there")
    clock.now += PAUSES[0]

    async def away(_: object) -> None:
        raise AutoReconnect("away")

    with monkeypatch.context() as patched:
        patched.setattr(house.mongo, "transaction", away)
        with pytest.raises(AutoReconnect):
            await house.confirming.ask_due()
    clock.now += timedelta(seconds=LEASE_SECONDS)
    assert await house.confirming.ask_due() == 1
    assert await state_of(house, ann, message) is State.QUEUED
    assert len(await everything(house, "outbox")) == 1


async def test_a_message_that_never_arrives_is_not_sent_for_ever(
    house: House, inbox_id: str, ann: Actor, clock: Clock
) -> None:
    message = await unconfirmed(house, inbox_id, ann)
    Witness.tells = lambda out: Retry("not there", code="gone")
    clock.now += timedelta(days=4)
    await house.confirming.ask_due()
    delivery = (await house.conversations.message(ann, message.id)).delivery
    assert delivery is not None
    assert (delivery.state, delivery.reason, delivery.code) == (State.FAILED, "not there", "gone")
    assert await everything(house, "outbox") == []
