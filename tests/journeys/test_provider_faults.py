"""Each bad day of a provider, against the whole house: nothing lost, nothing twice, and what is shown is so."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from inbox.conversations.model import State
from tests.journeys.conftest import MakeWorld
from tests.journeys.worlds import PATIENCE, FileFault, SmsWorld, TelegramWorld, World

SENT, QUEUED, FAILED, UNCONFIRMED = State.SENT, State.QUEUED, State.FAILED, State.UNCONFIRMED
DELIVERED, READ, BOUNCED = State.DELIVERED, State.READ, State.BOUNCED

# Twilio can be asked what it has, Telegram cannot: there a person has to decide what nobody knows.
OUT = [
    # what befalls the message   channel    shown at once, and held   in the end, and held
    ("nothing", "sms", SENT, 1, SENT, 1),
    ("nothing", "telegram", SENT, 1, SENT, 1),
    ("429", "sms", QUEUED, 0, SENT, 1),
    ("429", "telegram", QUEUED, 0, SENT, 1),
    ("connection refused", "sms", QUEUED, 0, SENT, 1),
    ("connection refused", "telegram", QUEUED, 0, SENT, 1),
    ("5xx, not done", "sms", UNCONFIRMED, 0, SENT, 1),
    ("5xx, not done", "telegram", QUEUED, 0, SENT, 1),
    ("5xx, done", "sms", UNCONFIRMED, 1, SENT, 1),
    ("cut, not done", "sms", UNCONFIRMED, 0, SENT, 1),
    ("cut, not done", "telegram", UNCONFIRMED, 0, UNCONFIRMED, 0),
    ("cut, done", "sms", UNCONFIRMED, 1, SENT, 1),
    ("cut, done", "telegram", UNCONFIRMED, 1, UNCONFIRMED, 1),
    ("cut in the answer, done", "sms", UNCONFIRMED, 1, SENT, 1),
    ("no JSON, done", "telegram", UNCONFIRMED, 1, UNCONFIRMED, 1),
    ("hangs, not done", "sms", UNCONFIRMED, 0, SENT, 1),
    ("hangs, not done", "telegram", UNCONFIRMED, 0, UNCONFIRMED, 0),
    ("hangs, done", "sms", UNCONFIRMED, 1, SENT, 1),
    ("4xx for good", "sms", FAILED, 0, FAILED, 0),
    ("4xx for good", "telegram", FAILED, 0, FAILED, 0),
    ("blocked", "sms", FAILED, 0, FAILED, 0),
    ("blocked", "telegram", FAILED, 0, FAILED, 0),
]


@pytest.mark.parametrize(("fault", "channel", "at_once", "held", "at_last", "held_at_last"), OUT)
async def test_a_message_on_its_way_out(
    make_world: MakeWorld, fault: str, channel: str, at_once: State, held: int, at_last: State, held_at_last: int
) -> None:
    patience = PATIENCE if fault.startswith("hangs") else None
    world: World = await make_world(channel, away=fault == "connection refused", patience=patience)
    await world.call(world.customer_writes("Is it open?"))
    message = await world.answer()
    world.befall(fault)
    await world.send()
    assert (await world.state(message), world.held) == (at_once, held)
    assert (await world.conversation()).failed is (at_once in (FAILED, UNCONFIRMED))
    if fault == "connection refused":
        await world.start_provider()
    await world.hours_pass()
    assert (await world.state(message), world.held) == (at_last, held_at_last)
    assert (await world.conversation()).failed is (at_last in (FAILED, UNCONFIRMED))
    assert await world.is_opted_out() is (fault == "blocked")
    assert await world.everything("outbox") == []


# A call is repeated by its name; `name=503` expects that answer instead of 200.
IN = [
    # what comes and happens, in order                            texts of the thread
    (("one", "one"), ["one"]),
    (("one", "two", "one", "two"), ["one", "two"]),
    (("two", "days pass", "one"), ["two", "one"]),
    (("database fails keeping", "one=503", "one"), ["one"]),
    (("database fails taking", "one=503", "one"), ["one"]),
    (("database fails taking", "one=503", "two", "one", "one"), ["two", "one"]),
    (("database fails taking", "one=503", "days pass", "sweep"), ["one"]),
    (("killed taking one", "one", "sweep"), ["one"]),
    (("killed taking one", "sweep", "one"), ["one"]),
    (("one", "killed taking two", "sweep", "two", "one"), ["one", "two"]),
]


@pytest.mark.parametrize("channel", ["sms", "telegram"])
@pytest.mark.parametrize(("happens", "texts"), IN, ids=[", ".join(happens) for happens, _ in IN])
async def test_a_message_on_its_way_in(
    make_world: MakeWorld, channel: str, happens: tuple[str, ...], texts: list[str]
) -> None:
    world: World = await make_world(channel)
    calls = {text: world.customer_writes(text) for text in ("one", "two")}
    for step in happens:
        match step.split():
            case ["days", "pass"]:
                world.clock.now += timedelta(days=2)
            case ["database", "fails", ("keeping" | "taking") as when]:
                world.database_fails_once(when)
            case ["killed", "taking", name]:
                assert await world.killed_while_taking_in(calls[name]) == 0
            case ["sweep"]:
                await world.house.housekeeping.often()
            case _:
                name, _, status = step.partition("=")
                assert await world.call(calls[name]) == int(status or 200)
    assert [message.text for message in await world.thread()] == texts
    assert len(await world.everything("customers")) == 1
    assert await world.everything("dead_letters") == []


REPORTS = [
    # what befalls the message   what Twilio reports, in order   shown      in the end
    ("nothing", ("sent", "delivered"), DELIVERED, DELIVERED),
    ("nothing", ("delivered", "sent"), DELIVERED, DELIVERED),
    ("nothing", ("delivered", "delivered"), DELIVERED, DELIVERED),
    ("nothing", ("read", "delivered", "sent"), READ, READ),
    ("nothing", ("undelivered 30003", "sent"), FAILED, FAILED),  # switched off: this one will not arrive
    ("nothing", ("undelivered 30005", "sent"), BOUNCED, BOUNCED),  # no such number
    ("cut, done", ("sent",), SENT, SENT),
    ("cut, done", ("delivered",), DELIVERED, DELIVERED),
    ("hangs, done", ("sent", "delivered"), DELIVERED, DELIVERED),
    ("hangs, done", ("undelivered 30003",), FAILED, FAILED),
]


@pytest.mark.parametrize(("fault", "reports", "shown", "at_last"), REPORTS)
async def test_reports_come_in_any_order_and_before_we_know_that_it_left(
    make_world: MakeWorld, fault: str, reports: tuple[str, ...], shown: State, at_last: State
) -> None:
    hangs = fault.startswith("hangs")
    world: SmsWorld = await make_world("sms", patience=PATIENCE if hangs else None)
    await world.call(world.customer_writes("Is it open?"))
    message = await world.answer()
    world.befall(fault)
    sending = asyncio.create_task(world.send())
    await (world.hanging() if hangs else sending)
    for status in reports:
        assert await world.call(world.report(status)) == 200
    assert await world.state(message) is shown
    await sending
    await world.hours_pass()
    assert (await world.state(message), world.held) == (at_last, 1)


FILES: list[tuple[FileFault, str, str]] = [
    # what befalls it   shown at once, in the end
    ("404", "failed", "failed"),
    ("too large", "failed", "failed"),
    ("5xx", "pending", ""),
    ("cut", "pending", ""),
]


@pytest.mark.parametrize("channel", ["sms", "telegram"])
@pytest.mark.parametrize(("fault", "at_once", "at_last"), FILES)
async def test_a_picture_that_is_hard_to_fetch(
    make_world: MakeWorld, channel: str, fault: FileFault, at_once: str, at_last: str
) -> None:
    world: World = await make_world(channel)
    call = world.customer_writes("Look!", picture=True)
    assert await world.call(call) == 200
    world.befall_file(fault)
    await world.fetch()
    assert await world.call(call) == 200, "the same again changes nothing"
    assert [file.state for file in (await world.thread())[0].attachments] == [at_once]
    await world.hours_pass()
    [message] = await world.thread()
    [file] = message.attachments
    assert (message.text, file.state, bool(file.reason)) == ("Look!", at_last, at_last == "failed")
    assert await world.everything("fetches") == []
    assert len(await world.everything("fs.files")) == (0 if at_last else 1)


EARLY = [
    # updates in the order in which they come                text      what it said before
    (("said", "edit", "again"), "Four", ["Two", "Three"]),
    (("edit", "said"), "Three", ["Two"]),
    (("edit", "said", "edit", "said"), "Three", ["Two"]),
    (("again", "edit", "said"), "Four", ["Two", "Three"]),
    (("said", "again", "edit"), "Four", ["Two", "Three"]),
    (("database fails", "said=503", "edit", "said", "again"), "Four", ["Two", "Three"]),
]


@pytest.mark.parametrize(("happens", "text", "before"), EARLY)
async def test_an_edit_that_comes_before_its_message_is_not_lost(
    make_world: MakeWorld, happens: tuple[str, ...], text: str, before: list[str]
) -> None:
    world: TelegramWorld = await make_world("telegram")
    chats = world.telegram.chats
    said = chats.update_message(world.bat, text="Two")
    updates = {"said": said, "edit": chats.update_edit(said, "Three"), "again": chats.update_edit(said, "Four")}
    for step in happens:
        name, _, status = step.partition("=")
        if name == "database fails":
            world.database_fails_once("taking")
        else:
            assert await world.call(world.update(updates[name])) == int(status or 200)
    [message] = await world.thread()
    assert (message.text, [version.text for version in message.versions]) == (text, before)
    assert (await world.conversation()).excerpt == text
    assert await world.everything("early_changes") == []
