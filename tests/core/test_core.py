"""What the rooms stand on: ids, secrets, group commit, events, leases, the schema's version."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

from config import settings
from inbox.core.batch import Batcher
from inbox.core.clock import utcnow
from inbox.core.crypto import Keyring, load_keyring
from inbox.core.errors import Conflict, Invalid, NotFound, Unavailable
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.ids import digest, new_id
from inbox.core.mongo import Mongo, Session, is_transient
from inbox.core.store import Counters, EventStore, Leases, Schema
from workers.base import loop


def test_ids_rise_and_never_repeat() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {26}


def test_digests_keep_their_parts_apart() -> None:
    assert digest("a", "bc") != digest("ab", "c")


@given(st.text(max_size=500))
def test_a_sealed_secret_opens_for_its_owner_alone(secret: str) -> None:
    keyring = Keyring(bytes(range(32)))
    sealed = keyring.seal(secret, "inbox:1")
    assert keyring.open(sealed, "inbox:1") == secret
    for stranger, owner in ((keyring, "inbox:2"), (Keyring(bytes(32)), "inbox:1")):
        with pytest.raises(Unavailable):
            stranger.open(sealed, owner)


@given(st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=1, max_size=30), st.data())
def test_a_signed_token_bears_folding_and_no_change(value: str, data: st.DataObject) -> None:
    keyring = Keyring(bytes(32))
    token = keyring.sign("reply", value)
    assert keyring.unsign("reply", token) == value
    assert keyring.unsign("reply", token.upper()) == value
    assert keyring.unsign("bounce", token) is None
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
    assert keyring.unsign("reply", changed) is None


@given(st.text(max_size=60))
def test_no_garbage_is_a_token(garbage: str) -> None:
    assert Keyring(bytes(32)).unsign("reply", garbage) is None


def test_the_key_of_a_data_folder_is_made_once_and_private(tmp_path: Path) -> None:
    first = load_keyring("", tmp_path)
    again = load_keyring("", tmp_path)
    assert again.open(first.seal("x", "o"), "o") == "x"
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    given_key = base64.b64encode(bytes(32)).decode()
    assert load_keyring(given_key, tmp_path).sign("a", "b") == Keyring(bytes(32)).sign("a", "b")
    with pytest.raises(Unavailable):
        load_keyring("short", tmp_path)


async def test_what_queues_up_during_a_write_goes_into_the_next_one_together() -> None:
    groups: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int | BaseException]:
        groups.append(list(items))
        await asyncio.sleep(0.01)
        return [ValueError(str(item)) if item == 7 else item * 2 for item in items]

    batcher: Batcher[int, int] = Batcher(flush, most=10)
    results = await asyncio.gather(*(batcher.submit(n) for n in range(25)), return_exceptions=True)
    assert [len(group) for group in groups] == [10, 10, 5]
    assert [one for one in results if not isinstance(one, BaseException)] == [n * 2 for n in range(25) if n != 7]
    assert isinstance(results[7], ValueError)
    await batcher.close()


async def test_a_failed_write_is_told_to_all_who_were_in_it_and_to_nobody_else() -> None:
    async def flush(items: Sequence[int]) -> list[int | BaseException]:
        if 1 in items:
            raise ConnectionError("gone")
        return list(items)

    batcher: Batcher[int, int] = Batcher(flush, most=2)
    results = await asyncio.gather(*(batcher.submit(n) for n in range(4)), return_exceptions=True)
    assert [type(one) for one in results] == [ConnectionError, ConnectionError, int, int]


async def test_a_caller_that_gives_up_takes_nobody_with_him() -> None:
    gate = asyncio.Event()

    async def flush(items: Sequence[int]) -> list[int | BaseException]:
        await gate.wait()
        return list(items)

    batcher: Batcher[int, int] = Batcher(flush)
    impatient = asyncio.create_task(batcher.submit(1))
    patient = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    assert await patient == 2
    await asyncio.gather(impatient, return_exceptions=True)


async def test_a_lease_has_one_holder_until_it_ends(mongo: Mongo) -> None:
    now = utcnow()
    leases = Leases(mongo, clock=lambda: now)
    assert await leases.take("door", "a", 10)
    assert await leases.take("door", "a", 10), "the holder renews"
    assert not await leases.take("door", "b", 10)
    await leases.release("door", "b")
    assert await leases.holder("door") == ("a", now + timedelta(seconds=10))
    now += timedelta(seconds=11)
    assert await leases.take("door", "b", 10)
    await leases.release("door", "b")
    takers = await asyncio.gather(*(leases.take("new", str(n), 10) for n in range(20)))
    assert sum(takers) == 1


async def test_numbers_are_never_given_twice(mongo: Mongo) -> None:
    counters = Counters(mongo)
    taken = await asyncio.gather(*(counters.take("conversation", n % 3 + 1) for n in range(40)))
    numbers = [number for some in taken for number in some]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


async def test_events_are_told_after_the_commit_and_only_then(mongo: Mongo) -> None:
    events = EventStore(mongo)
    await events.prepare(30)
    await events.prepare(60)
    opened, heard = asyncio.Event(), asyncio.Queue[Event]()

    async def listen() -> None:
        async for event in events.tail(opened):
            heard.put_nowait(event)

    listener = asyncio.create_task(listen())
    await opened.wait()
    kept = Event(type=EventType.NOTE_ADDED, at=utcnow(), actor="a", conversation_id="c")

    async def commit(session: Session) -> None:
        await events.append(session, [kept])
        assert heard.empty()

    async def fail(session: Session) -> None:
        await events.append(session, [Event(type=EventType.NOTE_ADDED, at=utcnow(), actor="lost")])
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await mongo.transaction(fail)
    await mongo.transaction(commit)
    assert await heard.get() == kept
    assert kept in await events.since(kept.id)
    assert await events.since("unknown") == []
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


async def test_cancelling_ends_a_task_wherever_its_transaction_is_and_leaves_nothing_locked(mongo: Mongo) -> None:
    await mongo.ensure("things")

    async def work(session: Session) -> None:
        await mongo.collection("things").update_one({"_id": "one"}, {"$inc": {"n": 1}}, upsert=True, session=session)
        await mongo.collection("things").insert_one({}, session=session)

    await mongo.transaction(work)
    finished = 1
    for number in range(60):
        task = asyncio.create_task(mongo.transaction(work))
        await asyncio.sleep(number / 8000)
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
        assert result is None or isinstance(result, asyncio.CancelledError), "an error hides the cancellation"
        async with asyncio.timeout(5):  # far below the minute for which MongoDB keeps what was left open
            await mongo.transaction(work)
        finished += 1 + (result is None)
    document = await mongo.collection("things").find_one({"_id": "one"})
    assert document is not None
    assert document["n"] >= finished
    assert document["n"] + 1 == await mongo.collection("things").count_documents({})


async def test_a_worker_that_is_cancelled_ends() -> None:
    async def step() -> float:
        return 0.0

    for number in range(200):
        worker = asyncio.create_task(loop("test", step, asyncio.Event(), asyncio.Event()))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        worker.cancel()
        async with asyncio.timeout(5):
            [result] = await asyncio.gather(worker, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError)


async def test_the_schema_moves_forward_once_and_never_back(mongo: Mongo) -> None:
    ran: list[str] = []

    async def first(_: Mongo) -> None:
        ran.append("first")

    async def second(_: Mongo) -> None:
        ran.append("second")
        if ran.count("second") == 1:
            raise RuntimeError("killed in the middle")

    with pytest.raises(RuntimeError):
        await Schema(mongo, [first, second]).upgrade("a")
    assert await Schema(mongo, []).version() == 1
    await asyncio.gather(*(Schema(mongo, [first, second]).upgrade(str(n)) for n in range(4)))
    assert ran == ["first", "second", "second"]
    with pytest.raises(Conflict):
        await Schema(mongo, [first]).upgrade("old program")


async def test_files_are_streamed_bounded_and_swept_by_owner(mongo: Mongo) -> None:
    files = Files(mongo)
    await files.prepare()
    content = bytes(range(256)) * 4000
    kept = await files.put(content, name="Болд.bin", media_type="application/x-y", owner="m1")
    assert (kept.size, (await files.stat(kept.id)).name) == (len(content), "Болд.bin")
    assert await files.read(kept.id) == content
    with pytest.raises(Invalid):
        await files.put(content, name="big", media_type="x/y", owner="m2", max_bytes=1000)
    assert await mongo.collection("fs.chunks").count_documents({"files_id": {"$ne": kept.id}}) == 0
    now = utcnow()
    hour = timedelta(hours=1)
    assert [pair async for pair in files.owners(now - hour, now + hour)] == [(kept.id, "m1")]
    await files.delete(kept.id)
    await files.delete(kept.id)
    with pytest.raises(NotFound):
        await files.read(kept.id)


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ortoo.toml"
    file.write_text('port = 1111\ndoor_port = 2222\nhost = "127.0.0.2"\n')
    monkeypatch.setenv("ORTOO_DOOR_PORT", "3333")
    monkeypatch.setenv("ORTOO_PORT", "4444")
    found = settings.load(file, port=5555)
    assert (found.port, found.door_port, found.host) == (5555, 3333, "127.0.0.2")
    with pytest.raises(FileNotFoundError):
        settings.load(tmp_path / "missing.toml")
    assert "hunter2" not in repr(settings.load(file, secret_key="hunter2"))


async def test_a_group_whose_write_is_cancelled_leaves_nobody_waiting() -> None:
    async def flush(items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        if 1 in items:
            raise asyncio.CancelledError
        return list(items)

    batcher: Batcher[int, int] = Batcher(flush, most=1)
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*(batcher.submit(number) for number in (1, 2)), return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert await batcher.submit(3) == 3
        await batcher.close()


async def test_a_migration_that_outlives_its_lease_moves_nothing_back(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, begun = asyncio.Event(), asyncio.Event()

    async def first_slowly(_: Mongo) -> None:
        begun.set()
        await slow.wait()

    async def nothing(_: Mongo) -> None:
        return

    late = asyncio.create_task(Schema(mongo, [first_slowly]).upgrade("late"))
    await begun.wait()
    await Leases(mongo).release_all()
    await Schema(mongo, [nothing, nothing]).upgrade("newer program")
    slow.set()
    await asyncio.gather(late, return_exceptions=True)
    assert await Schema(mongo, []).version() == 2


async def test_a_migration_keeps_its_lease_for_as_long_as_it_takes(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.core.store.MIGRATION_LEASE_SECONDS", 0.3)
    running = most = 0

    async def migrate(_: Mongo) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    await asyncio.gather(*(Schema(mongo, [migrate]).upgrade(name) for name in ("a", "b")))
    assert most == 1


@pytest.mark.parametrize("label", ["TransientTransactionError", "UnknownTransactionCommitResult"])
def test_a_commit_whose_end_nobody_knows_is_worth_another_try(label: str) -> None:
    assert is_transient(OperationFailure("no answer", details={"errorLabels": [label]}))
    assert not is_transient(OperationFailure("document too large"))
