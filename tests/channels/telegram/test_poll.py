"""Fetching updates: nothing skipped whatever happens between Telegram and the store, and every refusal in its kind."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from channels.base import Cursor, InboundMessage, PollingAdapter, Raw, Refused, Unreachable
from channels.telegram.adapter import PollingTelegramAdapter, TelegramAdapter
from channels.telegram.client import Timing
from channels.telegram.poll import ALLOWED_UPDATES, BATCH
from tests.channels.telegram.conftest import ANN, Press, settings
from tests.fakes.ports import FakePorts
from tests.fakes.telegram_server import BAD_GATEWAY, CUT_BEFORE, GARBAGE_AFTER, HANG, TelegramServer, error, too_many


async def say(server: TelegramServer, *texts: str) -> None:
    ann = server.chats.person(ANN, "Ann")
    for text in texts:
        await server.deliver(server.chats.update_message(ann, text=text))


async def first(adapter: PollingTelegramAdapter, cursor: Cursor) -> tuple[list[Raw], Cursor]:
    """One batch, after which the host dies."""
    async with aclosing(generator(adapter, cursor)) as polled:
        return await anext(polled)


def generator(adapter: PollingTelegramAdapter, cursor: Cursor) -> Any:
    return adapter.poll(cursor)


def texts(adapter: TelegramAdapter, raws: Sequence[Raw]) -> list[str]:
    events = [event for raw in raws for event in adapter.receive(raw)]
    return [event.text for event in events if isinstance(event, InboundMessage)]


async def test_updates_come_one_by_one_as_they_are(server: TelegramServer, polling: PollingTelegramAdapter) -> None:
    assert isinstance(polling, PollingAdapter)
    await say(server, "one", "хоёр")
    waiting = server.waiting
    raws, cursor = await first(polling, {})
    assert [json.loads(raw.body) for raw in raws] == waiting
    assert [raw.url for raw in raws] == [f"telegram:update/{each['update_id']}" for each in waiting]
    assert cursor == {"offset": waiting[-1]["update_id"] + 1}
    assert all(polling.verify(raw) for raw in raws)
    ((_, asked),) = server.calls
    assert asked["allowed_updates"] == list(ALLOWED_UPDATES)


async def test_telegram_forgets_only_what_was_committed(
    server: TelegramServer, polling: PollingTelegramAdapter
) -> None:
    await say(server, "one", "two")
    raws, cursor = await first(polling, {})
    again, _ = await first(polling, {})
    assert again == raws, "the host died before it committed"
    assert len(server.waiting) == 2
    await say(server, "three")
    after, _ = await first(polling, cursor)
    assert texts(polling, after) == ["three"]
    assert len(server.waiting) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_a_host_that_dies_anywhere_skips_nothing(
    server: TelegramServer, polling: PollingTelegramAdapter, seed: int
) -> None:
    chance = random.Random(seed)
    said = [f"message {number}" for number in range(60)]
    stored: dict[str, str] = {}
    cursor: Cursor = {}
    spoken = 0
    while len(stored) < len(said):
        until = min(len(said), spoken + chance.randint(0, 9))
        await say(server, *said[spoken:until])
        spoken = until
        if not server.waiting or server.waiting[-1]["update_id"] < cursor.get("offset", 0):
            continue  # asking would wait for somebody to speak
        if chance.random() < 0.3:
            server.fail(chance.choice([CUT_BEFORE, GARBAGE_AFTER, BAD_GATEWAY]))
        try:
            async with aclosing(generator(polling, cursor)) as polled:
                for _ in range(chance.randint(1, 3)):
                    raws, after = await anext(polled)
                    if chance.random() < 0.3:
                        break  # died before the commit
                    for raw in raws:
                        for event in polling.receive(raw):
                            assert isinstance(event, InboundMessage)
                            stored.setdefault(event.external_id, event.text)
                    cursor = after
                    if cursor["offset"] > server.waiting[-1]["update_id"]:
                        break
        except Unreachable:
            pass  # the host comes again
    assert list(stored.values()) == said


async def test_a_backlog_comes_in_batches(server: TelegramServer, polling: PollingTelegramAdapter) -> None:
    said = [str(number) for number in range(BATCH + 5)]
    await say(server, *said)
    async with aclosing(generator(polling, {})) as polled:
        one, _ = await anext(polled)
        two, _ = await anext(polled)
    assert (len(one), len(two)) == (BATCH, 5)
    assert texts(polling, [*one, *two]) == said


async def test_silence_is_a_heartbeat(server: TelegramServer) -> None:
    adapter = PollingTelegramAdapter("inbox-1", settings(server), FakePorts(), timing=Timing(poll=0))
    assert await first(adapter, {}) == ([], {})
    assert await first(adapter, {"offset": 7}) == ([], {"offset": 7})
    await adapter.close()


async def test_who_waits_hears_at_once(server: TelegramServer, polling: PollingTelegramAdapter) -> None:
    waiting = asyncio.ensure_future(first(polling, {}))
    await server.polling.wait()
    await say(server, "now")
    raws, _ = await waiting
    assert texts(polling, raws) == ["now"]


async def test_a_forgotten_webhook_is_removed_and_what_it_held_back_comes(
    server: TelegramServer, polling: PollingTelegramAdapter
) -> None:
    await say(server, "held back")
    server.webhook = {"url": "https://old.example.mn/hook"}
    raws, _ = await first(polling, {})
    assert texts(polling, raws) == ["held back"]
    assert [method for method, _ in server.calls] == ["getUpdates", "deleteWebhook", "getUpdates"]
    assert server.calls[1][1] == {"drop_pending_updates": False}


async def test_a_second_fetcher_is_told_to_a_person(server: TelegramServer, polling: PollingTelegramAdapter) -> None:
    conflict = error(409, "Conflict: terminated by other getUpdates request")
    server.fail(conflict, conflict, method="getUpdates")
    with pytest.raises(Unreachable, match="Somebody else"):
        await first(polling, {})


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (error(401, "Unauthorized"), Refused),
        (error(404, "Not Found"), Refused),
        (too_many(5), Unreachable),
        (error(500, "Internal Server Error"), Unreachable),
        (BAD_GATEWAY, Unreachable),
        (CUT_BEFORE, Unreachable),
        (GARBAGE_AFTER, Unreachable),
    ],
    ids=["401", "404", "429", "500", "502", "cut", "garbage"],
)
async def test_each_failure_is_of_its_kind(
    server: TelegramServer, polling: PollingTelegramAdapter, fault: Any, raised: type[Exception]
) -> None:
    await say(server, "safe")
    server.fail(fault)
    with pytest.raises(raised) as caught:
        await first(polling, {})
    assert server.token not in str(caught.value)
    raws, _ = await first(polling, {})
    assert texts(polling, raws) == ["safe"]


async def test_no_answer_at_all_is_unreachable(server: TelegramServer) -> None:
    adapter = PollingTelegramAdapter(
        "inbox-1", settings(server), FakePorts(), timing=Timing(connect=0.1, answer=0.2, poll=0)
    )
    server.fail(HANG)
    with pytest.raises(Unreachable):
        await first(adapter, {})
    await adapter.close()


async def test_closing_ends_a_poll(server: TelegramServer, polling: PollingTelegramAdapter) -> None:
    async def poll() -> list[Any]:
        return [each async for each in polling.poll({})]

    running = asyncio.ensure_future(poll())
    await server.polling.wait()
    await polling.close()
    assert await running == []


async def test_a_pressed_button_is_acknowledged_once_it_is_stored(
    server: TelegramServer, polling: PollingTelegramAdapter, press: Press
) -> None:
    update = await press(polling)
    await server.deliver(update)
    async with aclosing(generator(polling, {})) as polled:
        raws, _ = await anext(polled)
        assert texts(polling, raws) == ["Friday"]
        assert server.chats.queries
        asking = asyncio.ensure_future(anext(polled))
        await server.heard.wait()
        assert not server.chats.queries
        await say(server, "end")
        await asking


async def test_there_is_no_history_to_compare_with(polling: PollingTelegramAdapter) -> None:
    async def known(_: Sequence[str]) -> Collection[str]:
        raise AssertionError("there is nothing to ask for")

    found: AsyncIterator[Any] = polling.reconcile({"offset": 5}, known)
    assert [each async for each in found] == []
