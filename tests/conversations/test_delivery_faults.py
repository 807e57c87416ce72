"""What goes wrong on the way out: late senders, slow and silent inboxes, words no database keeps."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from channels.base import OutboundMessage, Rejected, Retry, SendResult, Sent, Unknown
from inbox.accounts.model import Actor
from inbox.conversations import delivery
from inbox.conversations.delivery import LEASE_SECONDS
from inbox.conversations.model import Message, State
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_outbox import Buckets
from inbox.core.clock import utcnow
from inbox.core.errors import Conflict
from inbox.wiring import House
from tests.conversations.conftest import (
    ADMIN,
    Open,
    Provider,
    another_inbox,
    change_inbox,
    everything,
    reply,
    settle,
    state_of,
)


async def given_up(house: House, provider: Provider, other: House, message: Message) -> None:
    """`house` hangs in the middle of sending, and `other` takes it for dead."""
    provider.hold.clear()
    await house.delivery.deliver_due()
    while message.message_ref not in provider.taken:
        await asyncio.sleep(0.01)
    other.delivery._clock = lambda: utcnow() + timedelta(seconds=LEASE_SECONDS + 1)
    assert await other.delivery.recover() == 1


@pytest.mark.parametrize(
    ("late", "state"),
    [
        (Sent("x"), State.SENT),
        (Retry("The connection was lost before the mail was handed over"), State.FAILED),
        (Rejected("550", "No such user"), State.FAILED),
        (Unknown("cut"), State.UNCONFIRMED),
    ],
)
async def test_what_a_sender_taken_for_dead_says_at_last_is_recorded_and_queues_nothing(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open, late: SendResult, state: State
) -> None:
    message = await reply(house, inbox_id, ann)
    provider.late = late
    await given_up(house, provider, await open_another(), message)
    assert await state_of(house, ann, message) is State.UNCONFIRMED
    provider.hold.set()
    await house.delivery.close()
    assert await state_of(house, ann, message) is state
    assert await everything(house, "outbox") == []


async def test_a_sender_killed_between_its_mark_and_the_thread_leaves_the_message_unconfirmed_and_unsent(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await reply(house, inbox_id, ann)
    stands, ended = asyncio.Event(), asyncio.Event()

    async def killed(*_: object) -> None:
        stands.set()
        await ended.wait()
        raise AutoReconnect("killed")

    monkeypatch.setattr(ConversationStore, "show_sending", killed)
    await house.delivery.deliver_due()
    await stands.wait()
    other = await open_another()
    assert await other.delivery.deliver_due() == 0
    other.delivery._clock = lambda: utcnow() + timedelta(seconds=LEASE_SECONDS + 1)
    assert await other.delivery.deliver_due() == 0, "what may have left is not sent again"
    assert await other.delivery.recover() == 1
    assert await state_of(house, ann, message) is State.UNCONFIRMED
    assert await everything(house, "outbox") == []
    ended.set()
    await house.delivery.close()
    assert provider.taken == []


@pytest.mark.parametrize("late", [Sent("x"), Retry("later"), Rejected("550", "No such user")])
async def test_what_a_sender_taken_for_dead_says_does_not_touch_the_next_attempt(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open, late: SendResult
) -> None:
    message = await reply(house, inbox_id, ann)
    provider.late = late
    await given_up(house, provider, await open_another(), message)
    await house.replies.resend(ann, message.id)
    provider.hold.set()
    await house.delivery.close()
    assert await state_of(house, ann, message) is State.QUEUED
    [entry] = await everything(house, "outbox")
    assert not entry["sending"]
    provider.late = None
    await settle(house)
    assert await state_of(house, ann, message) is State.SENT


async def test_each_attempt_that_was_refused_goes_under_a_reference_of_its_own(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    provider.answer = lambda _: Rejected("550", "mailbox full")
    message = await reply(house, inbox_id, ann)
    references = [message.message_ref]
    for _ in range(3):
        await settle(house)
        references.append((await house.replies.resend(ann, message.id)).message_ref)
    assert len(set(references)) == 4


async def test_a_provider_that_hangs_holds_up_neither_other_inboxes_nor_the_end(
    house: House, inbox_id: str, ann: Actor, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "IN_FLIGHT", 4)
    monkeypatch.setattr(delivery, "IN_FLIGHT_OF_ONE", 3, raising=False)
    provider.hold.clear()
    provider.slow = {inbox_id}
    for number in range(6):
        await reply(house, inbox_id, ann, number)
    other = await another_inbox(house)
    message = await reply(house, other, ann, 7)
    async with asyncio.timeout(20):
        while message.message_ref not in provider.taken:
            await house.delivery.deliver_due()
    assert await house.delivery.deliver_due(), "there is more, and no room for it"
    provider.hold.set()
    await settle(house)
    assert len(provider.taken) == 7


@pytest.mark.parametrize("held_back", [{"paused": True}, {"max_per_minute": 6}])
async def test_an_inbox_that_may_not_send_keeps_its_queue_in_order_and_out_of_the_way(
    house: House,
    inbox_id: str,
    ann: Actor,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    held_back: dict[str, object],
) -> None:
    monkeypatch.setattr(delivery, "IN_FLIGHT", 2)
    await change_inbox(house, inbox_id, **held_back)
    waiting = [await reply(house, inbox_id, ann, number) for number in range(6)]
    other = await another_inbox(house)
    message = await reply(house, other, ann, 7)
    before = {entry["_id"]: entry["due_at"] for entry in await everything(house, "outbox")}
    for _ in range(3):
        await house.delivery.deliver_due()
    await house.delivery.close()
    assert message.message_ref in provider.taken
    left = await everything(house, "outbox")
    assert {entry["_id"]: entry["due_at"] for entry in left}.items() <= before.items()
    assert len(left) >= 5
    draft = await house.replies.undo_send(ann, waiting[-1].id)
    assert "Yes, it is." in draft.html


async def test_what_waits_for_its_next_try_can_be_taken_back(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    provider.answer = lambda _: Retry("greylisted", code="450")
    message = await reply(house, inbox_id, ann)
    await settle(house)
    assert "Yes, it is." in (await house.replies.undo_send(ann, message.id)).html
    assert await everything(house, "outbox") == []


async def test_what_may_have_left_before_is_not_taken_back_from_the_thread(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    provider.answer = lambda _: Unknown("cut after DATA")
    message = await reply(house, inbox_id, ann)
    await settle(house)
    await house.replies.resend(ann, message.id)
    with pytest.raises(Conflict):
        await house.replies.undo_send(ann, message.id)


@pytest.mark.parametrize("paused", [False, True])
async def test_what_waits_in_an_inbox_that_is_archived_fails_in_words(
    house: House, inbox_id: str, ann: Actor, provider: Provider, paused: bool
) -> None:
    other = await another_inbox(house)
    message = await reply(house, other, ann)
    await change_inbox(house, other, paused=paused)
    await house.inboxes.archive(ADMIN, other, "Sales")
    await settle(house)
    shown = (await house.conversations.message(ann, message.id)).delivery
    assert shown is not None
    assert (shown.state, "archived" in shown.reason) == (State.FAILED, True)
    assert await everything(house, "outbox") == []


async def test_a_file_that_is_gone_fails_at_once(house: House, inbox_id: str, ann: Actor, provider: Provider) -> None:
    message = await reply(house, inbox_id, ann)
    gone = {
        "id": "gone",
        "name": "a.pdf",
        "media_type": "application/pdf",
        "size": 1,
        "content_id": "",
        "inline": False,
    }
    await house.mongo.collection("messages").update_one({"_id": message.id}, {"$set": {"attachments": [gone]}})
    await settle(house)
    assert await state_of(house, ann, message) is State.FAILED


async def test_words_that_no_database_keeps_cost_no_outcome(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    refusals = iter(
        ["535 Zugang verweigert f\udcfcr Sie", "550 Postfach \udcfcberf\udcfcllt", "450 sp\udce4ter" * 9999]
    )

    def answer(out: OutboundMessage) -> SendResult:
        words = next(refusals, "")
        code = words[:3]
        kinds: dict[str, SendResult] = {
            "535": Retry(words, code=code, refused=True),
            "550": Rejected(code, words),
            "450": Retry(words),
        }
        return kinds.get(code, Sent(out.message_ref))

    provider.answer = answer
    messages = [await reply(house, inbox_id, ann, number) for number in range(5)]
    await settle(house)
    states = [await state_of(house, ann, message) for message in messages]
    assert sorted(states) == [State.FAILED, State.QUEUED, State.QUEUED, State.SENT, State.SENT]


async def test_a_rate_limit_holds_between_machines_whose_clocks_differ(house: House) -> None:
    buckets, now = Buckets(house.mongo), utcnow()
    behind = now - timedelta(seconds=20)
    assert await buckets.take("inbox:a", 10, 60, now) == 10
    for _ in range(5):
        assert await buckets.take("inbox:a", 10, 60, behind) == 0
        assert await buckets.take("inbox:a", 10, 60, now) == 0
    assert await buckets.take("inbox:a", 10, 60, behind + timedelta(seconds=23)) == 3


async def test_heavy_messages_are_in_memory_a_few_at_a_time(
    house: House, inbox_id: str, ann: Actor, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "HEAVY_BYTES", 3, raising=False)
    monkeypatch.setattr(delivery, "HEAVY_AT_ONCE", 2, raising=False)
    provider.hold.clear()
    messages = [await reply(house, inbox_id, ann, number) for number in range(6)]
    file = await house.files.put(b"heavy", name="a", media_type="x/y", owner="x")
    ref = {"id": file.id, "name": "a", "media_type": "x/y", "size": 5, "content_id": "", "inline": False}
    heavy = {"_id": {"$in": [message.id for message in messages[:5]]}}
    await house.mongo.collection("messages").update_many(heavy, {"$set": {"attachments": [ref]}})
    read = house.files.read
    loaded: list[str] = []

    async def counted(file_id: str) -> bytes:
        loaded.append(file_id)
        return await read(file_id)

    monkeypatch.setattr(house.files, "read", counted)
    await house.delivery.deliver_due()
    while len(provider.taken) < 3:
        await asyncio.sleep(0.01)
    assert messages[5].message_ref in provider.taken, "a light one passes them"
    assert len(loaded) == 2
    provider.hold.set()
    await settle(house)
    assert len(provider.taken) == 6
