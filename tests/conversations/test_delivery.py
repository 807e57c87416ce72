"""What goes out leaves once; what may have left is never sent again by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import OutboundMessage, Rejected, Retry, SendResult, Sent, Unknown
from inbox.accounts.model import Actor
from inbox.conversations import gate
from inbox.conversations.composing import Written
from inbox.conversations.delivery import LEASE_SECONDS, DeliveryService
from inbox.conversations.model import Message, State, Status, View, may_follow, sources_of
from inbox.core.errors import Conflict
from inbox.wiring import House
from tests.conversations.conftest import Open, Provider, everything, mail, reply, settle, state_of


async def test_a_reply_is_threaded_signed_and_sent(house: House, inbox_id: str, ann: Actor, provider: Provider) -> None:
    seen: list[OutboundMessage] = []

    def look(out: OutboundMessage) -> SendResult:
        seen.append(out)
        return Sent(out.message_ref)

    provider.answer = look
    message = await reply(house, inbox_id, ann)
    await settle(house)
    assert await state_of(house, ann, message) is State.SENT
    [out] = seen
    assert (out.in_reply_to, out.references) == ("1@x.mn", ("1@x.mn",))
    assert out.subject == "Re: Q1"
    assert [address.value for address in out.to] == ["c1@x.mn"]
    assert "Yes, it is." in out.text
    assert "> Is the blue one in stock?" in out.text
    assert house.keyring.unsign("reply", out.reply_token) == message.conversation_id
    assert await everything(house, "outbox") == []
    row = await house.conversations.row(ann, message.conversation_id)
    assert (row.assignee_id, row.unread) == (ann.id, False)


@pytest.mark.parametrize(
    ("answer", "state", "failed"),
    [
        (Rejected("550", "No such user"), State.FAILED, True),
        (Unknown("cut after DATA"), State.UNCONFIRMED, True),
        (Retry("greylisted", after=120, code="450"), State.QUEUED, False),
    ],
)
async def test_every_outcome_is_shown_in_words(
    house: House,
    inbox_id: str,
    ann: Actor,
    provider: Provider,
    answer: Rejected | Unknown | Retry,
    state: State,
    failed: bool,
) -> None:
    provider.answer = lambda _: answer
    message = await reply(house, inbox_id, ann)
    await settle(house)
    shown = (await house.conversations.message(ann, message.id)).delivery
    assert shown is not None
    assert (shown.state, shown.reason, shown.attempts) == (state, answer.reason, 1)
    row = await house.conversations.row(ann, message.conversation_id)
    assert (row.failed, row.status) == (failed, Status.OPEN)
    if state is State.QUEUED:
        assert shown.due_at is not None
        assert shown.due_at - shown.at >= timedelta(seconds=120)


async def test_two_senders_send_each_message_once(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open
) -> None:
    other: House = await open_another()
    messages = [await reply(house, inbox_id, ann, number) for number in range(12)]

    async def pump(one: House) -> None:
        while await one.delivery.deliver_due():
            await asyncio.sleep(0)
        await one.delivery.close()

    await asyncio.gather(pump(house), pump(other), pump(house), pump(other))
    assert sorted(provider.taken) == sorted(message.message_ref for message in messages)


async def test_what_a_dead_sender_had_begun_is_unconfirmed_and_what_it_had_not_is_sent(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open
) -> None:
    provider.hold.clear()
    begun = await reply(house, inbox_id, ann, 1)
    await house.delivery.deliver_due()
    while not provider.taken:
        await asyncio.sleep(0.01)
    claimed = await reply(house, inbox_id, ann, 2)
    await house.outbox.claim(house.delivery._clock(), LEASE_SECONDS, 10)
    for task in house.delivery._tasks:  # the process dies here
        task.cancel()
    await asyncio.gather(*house.delivery._tasks, return_exceptions=True)
    provider.hold.set()

    other: House = await open_another()
    assert await other.delivery.recover() == 0, "the lease has not ended: it may be alive"
    assert await other.delivery.deliver_due() == 0
    later = other.delivery._clock() + timedelta(seconds=LEASE_SECONDS + 1)
    survivor = _at(other, lambda: later)
    assert await survivor.recover() == 1
    assert await survivor.deliver_due() == 1
    await survivor.close()
    assert await state_of(house, ann, begun) is State.UNCONFIRMED
    assert await state_of(house, ann, claimed) is State.SENT
    assert provider.taken == [begun.message_ref, claimed.message_ref]


async def test_a_sender_that_slept_through_its_lease_does_not_send_beside_its_successor(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open
) -> None:
    message = await reply(house, inbox_id, ann)
    asleep = asyncio.Event()
    outbound = house.delivery.outbound

    async def sleepy(message: Message) -> OutboundMessage:
        await asleep.wait()
        return await outbound(message)

    house.delivery.outbound = sleepy  # type: ignore[method-assign]  # a pause where a slow disk would be
    assert await house.delivery.deliver_due() == 1
    other: House = await open_another()
    later = other.delivery._clock() + timedelta(seconds=LEASE_SECONDS + 1)
    successor = _at(other, lambda: later)
    assert await successor.deliver_due() == 1
    await successor.close()
    asleep.set()
    await house.delivery.close()
    assert provider.taken == [message.message_ref]
    assert await state_of(house, ann, message) is State.SENT


async def test_undo_takes_back_only_what_has_not_left(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    house.replies.undo_seconds = 10
    message = await reply(house, inbox_id, ann)
    assert await house.delivery.deliver_due() == 0, "the undo window holds it"
    draft = await house.replies.undo_send(ann, message.id)
    assert "Yes, it is." in draft.html
    assert await everything(house, "outbox") == []
    assert [m.kind for m in (await house.conversations.open(ann, message.conversation_id)).messages] == ["in"]
    house.replies.undo_seconds = 0
    gone = await reply(house, inbox_id, ann, 2)
    await settle(house)
    with pytest.raises(Conflict):
        await house.replies.undo_send(ann, gone.id)
    assert provider.taken == [gone.message_ref]


async def test_undo_and_sending_at_the_same_moment_have_one_winner(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    messages = [await reply(house, inbox_id, ann, number) for number in range(8)]
    undone = 0

    async def undo(message: Message) -> None:
        nonlocal undone
        try:
            await house.replies.undo_send(ann, message.id)
            undone += 1
        except Conflict:
            pass  # it had left: that is the other winner

    await asyncio.gather(settle(house), *(undo(message) for message in messages))
    await settle(house)
    assert len(provider.taken) == len(messages) - undone


async def test_a_person_may_send_again_what_failed_under_a_new_reference(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    provider.answer = lambda _: Rejected("550", "mailbox full")
    message = await reply(house, inbox_id, ann)
    await settle(house)
    provider.answer = lambda out: Sent(out.message_ref)
    again = await house.replies.resend(ann, message.id)
    assert again.message_ref != message.message_ref
    with pytest.raises(Conflict):
        await house.replies.resend(ann, message.id)
    await settle(house)
    assert provider.taken == [again.message_ref]
    assert not (await house.conversations.row(ann, message.conversation_id)).failed


async def test_an_automatic_answer_goes_out_once_and_never_to_a_machine(
    house: House, inbox_id: str, provider: Provider
) -> None:
    await house.mongo.collection("inboxes").update_one(
        {"_id": inbox_id}, {"$set": {"auto_reply": "We answer within a day."}}
    )
    house.inboxes.forget()
    await house.ingest.ingest(inbox_id, mail())
    robot = mail("Out of office", sender="robot@x.mn", message_id="<r@x.mn>", Auto_Submitted="auto-replied")
    await house.ingest.ingest(inbox_id, robot)
    spoofed = [mail(f"loop {n}", message_id=f"<l{n}@x.mn>", sender="bat@example.mn") for n in range(5)]
    await house.ingest.ingest_many(inbox_id, spoofed)
    await settle(house)
    assert len(provider.taken) == 1
    [answer] = [message for message in await everything(house, "messages") if message["kind"] == "out"]
    assert answer["auto_submitted"]
    assert answer["to"][0]["value"] == "bat@example.mn"


async def test_a_rate_limit_holds_back_what_is_too_much(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    await house.mongo.collection("inboxes").update_one({"_id": inbox_id}, {"$set": {"max_per_minute": 18}})
    house.inboxes.forget()
    for number in range(5):
        await reply(house, inbox_id, ann, number)
    await house.delivery.deliver_due()
    await house.delivery.close()
    assert len(provider.taken) == 3
    assert len(await everything(house, "outbox")) == 2


@given(st.lists(st.sampled_from(list(State)), max_size=12))
def test_late_and_repeated_callbacks_never_move_a_message_backwards(callbacks: list[State]) -> None:
    order = [State.QUEUED, State.SENDING, State.SENT, State.DELIVERED, State.READ]
    final = {State.READ, State.BOUNCED, State.FAILED, State.CANCELLED}
    state = State.SENDING
    for callback in callbacks:
        assert may_follow(state, callback) == (state in sources_of(callback))
        if not may_follow(state, callback):
            continue
        assert state not in final
        if state in order and callback in order and (state, callback) != (State.SENDING, State.QUEUED):
            assert order.index(callback) > order.index(state)
        state = callback


@given(
    st.integers(min_value=1, max_value=1000),
    st.none() | st.floats(min_value=0, max_value=10_000),
    st.floats(min_value=0, max_value=0.999),
)
def test_retries_wait_longer_and_longer_but_not_for_ever(attempts: int, asked: float | None, chance: float) -> None:
    delay = gate.retry_delay(attempts, asked, chance)
    assert delay >= max(30, asked or 0)
    assert delay <= max(3600, asked or 0) * 1.25


async def test_refused_credentials_turn_the_inbox_red_until_a_message_leaves(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    provider.answer = lambda _: Retry("The password is wrong", code="535", refused=True)
    await reply(house, inbox_id, ann, 1)
    await settle(house)
    inbox = await house.inboxes.get(inbox_id)
    assert (inbox.mark, inbox.health.problem) == ("dead", "The password is wrong")
    assert [e["type"] for e in await everything(house, "events")].count("inbox.health") == 1
    provider.answer = lambda out: Sent(out.message_ref)
    await reply(house, inbox_id, ann, 2)
    await settle(house)
    assert (await house.inboxes.get(inbox_id)).health.problem == ""


async def test_the_same_reply_sent_twice_leaves_once(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    draft = await house.drafts.start_reply(ann, row.id, "reply")
    written = Written(to=draft.to, subject=draft.subject, html="<p>Yes.</p>", key="composer-1")
    clicks = [house.replies.send(ann, row.id, written, headline=lambda _: "He wrote:") for _ in range(4)]
    sent = await asyncio.gather(*clicks)
    again = await house.replies.send(ann, row.id, written, headline=lambda _: "He wrote:")
    assert {message.id for message in (*sent, again)} == {sent[0].id}
    await settle(house)
    assert provider.taken == [sent[0].message_ref]
    note = Written(mode="note", html="<p>Ask Bat.</p>", key="composer-2")
    notes = await asyncio.gather(*(house.replies.send(ann, row.id, note, headline=str) for _ in range(3)))
    assert len({one.id for one in notes}) == 1


def _at(house: House, clock: Any) -> DeliveryService:
    """The delivery service of a process whose clock shows another time."""
    house.delivery._clock = clock
    return house.delivery
