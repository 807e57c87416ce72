"""The catcher keeps mails of any size; checks say what works, and a message to ourselves proves it."""

from __future__ import annotations

from typing import Any

import pytest

from channels.base import CheckStep, Refused
from inbox.core.errors import NotFound
from inbox.inboxes.catcher import subject_of
from inbox.inboxes.model import HealthState, LoopState, loop_token
from tests.inboxes.conftest import ADMIN, AGENT, Room, stone


async def ports(room: Room) -> Any:
    await room.service.ensure_built_in()
    adapter: Any = await room.service.adapter("built-in")
    return adapter.ports


async def source(room: Room, caught_id: str) -> bytes:
    _, chunks = await room.service.caught_raw(AGENT, caught_id)
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("size", [10, 1024 * 1024, 5 * 1024 * 1024])
async def test_a_caught_mail_comes_back_byte_for_byte(room: Room, size: int) -> None:
    head = b"Subject: =?utf-8?b?0KHQsNC50L0=?=\r\nX: 1\r\n\r\n"
    message = head + bytes(range(256)) * (size // 256 + 1)
    await (await ports(room)).catch(message, "hello@ortoo.localhost", ["ann@x.mn", "bob@x.mn"])
    (caught,) = await room.service.caught(AGENT)
    assert (caught.subject, caught.size, caught.recipients) == ("Сайн", len(message), ("ann@x.mn", "bob@x.mn"))
    assert await source(room, caught.id) == message


async def test_the_sweep_is_told_which_files_are_of_caught_mails(room: Room) -> None:
    await (await ports(room)).catch(bytes(2 * 1024 * 1024), "hello@ortoo.localhost", ["ann@x.mn"])
    (file,) = await room.mongo.collection("fs.files").find().to_list(None)
    assert await room.service.owns_file(file["metadata"]["owner"])
    assert not await room.service.owns_file("caught:another")
    assert not await room.service.owns_file("a message")


async def test_a_caught_mail_opens_as_its_own_channel_reads_it(room: Room) -> None:
    await (await ports(room)).catch(
        b"Subject: Hi\r\nTo: ann@x.mn\r\n\r\nSain uu", "hello@ortoo.localhost", ["ann@x.mn"]
    )
    (caught,) = await room.service.caught(AGENT)
    mail = await room.service.caught_mail(AGENT, caught.id)
    assert mail.head == "Subject: Hi\nTo: ann@x.mn"
    assert mail.message is not None
    assert mail.message.text == "Sain uu"


async def test_the_catcher_is_read_page_by_page_newest_first(room: Room) -> None:
    door = await ports(room)
    for number in range(60):
        await door.catch(f"Subject: {number}\r\n\r\n".encode(), "hello@ortoo.localhost", ["ann@x.mn"])
    first = await room.service.caught(AGENT)
    second = await room.service.caught(AGENT, before=first[-1].id)
    assert [caught.subject for caught in first + second] == [str(number) for number in reversed(range(60))]


async def test_a_mail_that_is_not_there_is_not_found(room: Room) -> None:
    with pytest.raises(NotFound):
        await room.service.caught_raw(AGENT, "nothing")


@pytest.mark.parametrize(
    ("head", "subject"),
    [
        (b"Subject: a\r\n b\r\n\r\nSubject: no", "a b"),
        (b"", ""),
        (b"\xff\xfe\x00", ""),
        (b"Subject: =?nonsense?q?x?=\r\n\r\n", "=?nonsense?q?x?="),
    ],
)
def test_a_subject_is_read_whatever_the_head_is(head: bytes, subject: str) -> None:
    assert subject_of(head) in (subject, "x")


async def test_a_check_becomes_the_inboxs_health(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    assert (await room.service.check(ADMIN, inbox.id)).ok
    assert (await room.service.get(inbox.id)).health.state is HealthState.OK
    adapter: Any = await room.service.adapter(inbox.id)
    adapter.steps = [CheckStep("Receiving", True), CheckStep("Sending", False, "Port 25 is closed.")]
    result = await room.service.check(ADMIN, inbox.id)
    health = (await room.service.get(inbox.id)).health
    assert (result.ok, health.state, health.words) == (False, HealthState.DEAD, "Sending: Port 25 is closed.")


async def test_a_check_that_raises_is_a_failed_step(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    adapter: Any = await room.service.adapter(inbox.id)

    async def refused() -> list[CheckStep]:
        raise Refused("The server wants correct horse battery no more.")

    monkeypatch.setattr(adapter, "check", refused)
    (step,) = (await room.service.check(ADMIN, inbox.id)).steps
    assert (step.ok, step.words) == (False, "The server wants ••• no more.")


async def test_a_message_to_ourselves_is_noticed_when_it_is_back(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    test = await room.service.begin_loop_test(ADMIN, inbox.id)
    assert test.state is LoopState.SENT
    adapter: Any = await room.service.adapter(inbox.id)
    (out,) = adapter.outbox
    assert (out.sender.value, out.to[0].value, out.auto_submitted) == ("support@x.mn", "support@x.mn", True)
    assert loop_token(out.subject) == test.id
    assert await room.another().loop_seen(inbox.id, f"[tagged] {out.subject}")
    assert (await room.service.loop_test(ADMIN, test.id)).state is LoopState.SEEN
    assert await room.service.loop_seen(inbox.id, out.subject), "a second copy is no conversation either"


async def test_nobody_elses_mail_is_taken_for_a_loop_test(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    other = await room.service.create(ADMIN, "paper", stone(address="other@x.mn"))
    test = await room.service.begin_loop_test(ADMIN, inbox.id)
    assert not await room.service.loop_seen(inbox.id, "Hello")
    assert not await room.service.loop_seen(inbox.id, f"ortoo-test-{'0' * 32}")
    assert not await room.service.loop_seen(other.id, test.id)
    assert (await room.service.loop_test(ADMIN, test.id)).state is LoopState.SENT


async def test_the_built_in_inboxs_test_says_that_its_mail_was_caught(room: Room) -> None:
    await room.service.ensure_built_in()
    test = await room.service.begin_loop_test(ADMIN, "built-in")
    assert test.state is LoopState.CAUGHT
    assert [caught.sender for caught in await room.service.caught(ADMIN)] == ["hello@ortoo.localhost"]
