"""What runs by itself goes on: one broken inbox or job stops nobody, and what a person decided meanwhile stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from channels.base import Adapter, Cursor, Known, Raw, Refused
from channels.email.adapter import PollingEmailAdapter
from inbox import serve
from inbox.accounts.model import Actor, Role
from inbox.conversations import receiving
from inbox.conversations.model import Status, View
from inbox.core.clock import utcnow
from inbox.core.errors import Forbidden
from inbox.inboxes.model import HealthState
from inbox.wiring import House
from tests.conversations.conftest import another_inbox, change_inbox, everything, mail


class Polling(PollingEmailAdapter):
    """Fails as told, then brings one mail."""

    failures: Sequence[Exception] = ()

    async def poll(self, cursor: Cursor) -> AsyncIterator[tuple[list[Raw], Cursor]]:
        if Polling.failures:
            failure, *Polling.failures = Polling.failures
            raise failure
        yield [mail()], {"at": 1}
        await asyncio.Event().wait()

    async def reconcile(self, cursor: Cursor, known: Known) -> AsyncIterator[tuple[list[str], list[Raw]]]:
        if Polling.failures:
            failure, *Polling.failures = Polling.failures
            raise failure
        yield [], []


@pytest.fixture
async def polling(house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[type[Polling]]:
    built = await house.inboxes.adapter(inbox_id)
    adapter = Polling.__new__(Polling)
    adapter.__dict__.update(built.__dict__)
    adapter_of = house.inboxes.adapter

    async def given(asked: str) -> Adapter:
        return adapter if asked == inbox_id else await adapter_of(asked)

    monkeypatch.setattr(house.inboxes, "adapter", given)
    monkeypatch.setattr(receiving, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(receiving, "REFUSED_WAIT", 0.01)
    with capture_logs():  # the log of a test prints source lines, and reads files for that
        yield Polling


@pytest.mark.parametrize(
    "failure", [ValueError("a mistake of the adapter"), Refused("f\udcfcr Sie gesperrt"), KeyError("uid")]
)
async def test_an_adapters_mistake_shows_and_is_tried_again_with_patience(
    house: House, inbox_id: str, polling: type[Polling], failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    polling.failures = [failure] * 3
    told: list[HealthState] = []
    set_health = house.inboxes.set_health

    async def note(inbox: str, state: HealthState, words: str = "", *, by: str = "") -> None:
        told.append(state)
        await set_health(inbox, state, words, by=by)

    monkeypatch.setattr(house.inboxes, "set_health", note)
    poller = asyncio.create_task(house.receiving.poll(inbox_id))
    while (await house.inboxes.cursor(inbox_id)) != {"at": 1} and not poller.done():
        await asyncio.sleep(0.01)
    assert not poller.done()
    poller.cancel()
    await asyncio.gather(poller, return_exceptions=True)
    assert told[:3] == [HealthState.DEAD if isinstance(failure, Refused) else HealthState.DEGRADED] * 3
    assert len(await everything(house, "messages")) == 1


async def test_an_inbox_that_cannot_be_built_keeps_no_other_from_being_polled(
    house: House, inbox_id: str, polling: type[Polling], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await another_inbox(house)
    adapter_of = house.inboxes.adapter

    async def given(asked: str) -> Adapter:
        if asked == broken:
            raise ValueError("port: not a number")
        return await adapter_of(asked)

    monkeypatch.setattr(house.inboxes, "adapter", given)
    assert [inbox.id for inbox in await house.receiving.polled()] == [inbox_id]
    house.inboxes.forget()
    assert (await house.inboxes.get(broken)).health.state is HealthState.DEAD


@pytest.mark.parametrize("failure", [ValueError("a mistake of the adapter"), TimeoutError()])
async def test_a_comparison_that_fails_keeps_no_other_from_being_made(
    house: House, inbox_id: str, polling: type[Polling], failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    polling.failures = [failure]
    await house.receiving.reconcile()
    await house.receiving.reconcile()
    house.inboxes.forget()
    assert (await house.inboxes.get(inbox_id)).health.reconciled_at is not None


async def test_what_was_settled_at_the_moment_of_waking_stays_settled(
    house: House, inbox_id: str, ann: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    await house.conversations.set_status(ann, row.id, Status.SNOOZED, utcnow() + timedelta(hours=1))
    house.conversations._clock = lambda: utcnow() + timedelta(hours=2)
    due = house.conversations._store.due_snoozed

    async def meanwhile(*args: object) -> object:
        found = await due(*args)  # type: ignore[arg-type]  # passed through
        await house.conversations.set_status(ann, row.id, Status.RESOLVED)
        return found

    monkeypatch.setattr(house.conversations._store, "due_snoozed", meanwhile)
    assert await house.conversations.wake_snoozed() == 0
    assert (await house.conversations.row(ann, row.id)).status is Status.RESOLVED


async def test_who_may_not_change_anything_learns_nothing_by_trying(house: House) -> None:
    marketer = Actor(id="m", name="M", role=Role.MARKETER)
    for call in (
        house.conversations.assign(marketer, "x", "nobody"),
        house.conversations.label(marketer, "x", ""),
        house.conversations.set_team(marketer, "x", "no team"),
        house.conversations.set_status(marketer, "x", Status.SNOOZED),
    ):
        with pytest.raises(Forbidden):
            await call


async def test_the_memory_of_automatic_answers_ends(house: House, inbox_id: str) -> None:
    await change_inbox(house, inbox_id, auto_reply="We answer within a day.")
    await house.ingest.ingest(inbox_id, mail())
    assert len(await everything(house, "auto_replies")) == 1
    indexes = await house.mongo.collection("auto_replies").index_information()
    assert any("expireAfterSeconds" in index for index in indexes.values())


async def test_a_role_that_hangs_holds_up_the_end_for_so_long_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "FINISH_SECONDS", 0.1, raising=False)
    said: list[str] = []

    class Finishing:
        async def run(self, stop: asyncio.Event) -> None:
            await stop.wait()
            said.append("finished")

    class Hanging:
        async def run(self, stop: asyncio.Event) -> None:
            await asyncio.Event().wait()

    stop = asyncio.Event()
    ending = asyncio.create_task(serve._until_stopped(house, [Finishing(), Hanging()], stop, said.append))
    stop.set()
    async with asyncio.timeout(20):
        await ending
    assert "finished" in said
