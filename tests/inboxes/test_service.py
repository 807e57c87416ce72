"""Setting inboxes up: addresses, secrets, versions, health, cursors."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import structlog

from inbox.core.clock import utcnow
from inbox.core.errors import Conflict, Forbidden, Invalid
from inbox.core.events import EventType
from inbox.inboxes.fields import signature_html, signature_text
from inbox.inboxes.model import HealthState, InboxForm, Mark
from tests.inboxes.conftest import ADMIN, AGENT, PASSWORD, Room, stone


async def test_two_admins_who_give_one_address_at_once_make_one_inbox(room: Room) -> None:
    forms = [stone(name=f"Support {number}", address="Support@X.mn") for number in range(8)]
    results = await asyncio.gather(
        *(room.another().create(ADMIN, "paper", form) for form in forms), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    for error in refused:
        assert isinstance(error, Invalid)
        assert error.fields == {"address": "Another inbox has this address already."}
    assert [inbox.address for inbox in await room.service.inboxes()] == ["support@x.mn"]
    assert [event.type for event in await room.events()] == [EventType.INBOX_CREATED]


async def test_an_address_moves_with_its_inbox_and_the_old_one_is_free(room: Room) -> None:
    first = await room.service.create(ADMIN, "paper", stone())
    await room.service.update(ADMIN, first.id, stone(address="help@x.mn"))
    second = await room.service.create(ADMIN, "paper", stone(name="Second"))
    assert second.address == "support@x.mn"
    with pytest.raises(Invalid) as caught:
        await room.service.update(ADMIN, second.id, stone(name="Second", address="help@x.mn"))
    assert "address" in caught.value.fields
    assert (await room.service.get(second.id)).address == "support@x.mn"


async def test_no_secret_is_in_clear_in_any_document_event_or_log(room: Room) -> None:
    with structlog.testing.capture_logs() as logs:
        inbox = await room.service.create(ADMIN, "paper", stone())
        await room.service.update(ADMIN, inbox.id, stone(password="another long secret"))
        await room.service.set_health(inbox.id, HealthState.DEAD, "LOGIN another long secret refused")
        await room.service.check(ADMIN, inbox.id)
    assert (await room.service.adapter(inbox.id)).settings["password"] == "another long secret"  # type: ignore[attr-defined]  # the paper adapter shows its settings
    for name in await room.mongo.db.list_collection_names():
        async for document in room.mongo.collection(name).find():
            assert PASSWORD not in repr(document), name
            assert "another long secret" not in repr(document), name
    assert "another long secret" not in repr(logs)
    assert "secrets" in (await room.events())[1].data["fields"]


async def test_a_secret_not_given_stays_and_one_given_replaces_it(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    renamed = await room.service.update(ADMIN, inbox.id, stone(name="New name", password=""))
    adapter: Any = await room.service.adapter(renamed.id)
    assert adapter.settings["password"] == PASSWORD
    assert adapter.settings["name"] == "New name"
    await room.service.update(ADMIN, inbox.id, stone(name="New name", password="fresh one"))
    adapter = await room.service.adapter(renamed.id)
    assert adapter.settings["password"] == "fresh one"


async def test_a_sealed_secret_moved_to_another_inbox_does_not_open(room: Room) -> None:
    first = await room.service.create(ADMIN, "paper", stone())
    second = await room.service.create(ADMIN, "paper", stone(address="b@x.mn"))
    secrets = room.mongo.collection("inbox_secrets")
    stolen = await secrets.find_one({"_id": first.id})
    assert stolen is not None
    await secrets.update_one({"_id": second.id}, {"$set": {"sealed": stolen["sealed"]}})
    with pytest.raises(Exception, match="does not open"):
        await room.service.adapter(second.id)


async def test_an_adapter_is_kept_while_nothing_changes_and_rebuilt_when_settings_do(room: Room) -> None:
    worker = room.another()
    inbox = await room.service.create(ADMIN, "paper", stone())
    first, again = await asyncio.gather(worker.adapter(inbox.id), worker.adapter(inbox.id))
    assert first is again
    await room.service.update(ADMIN, inbox.id, stone(host="new.x.mn"))
    second: Any = await worker.adapter(inbox.id)
    assert second is not first
    assert second.settings["host"] == "new.x.mn"
    assert [adapter.closed for adapter in room.built] == [1, 0]
    await worker.close()
    assert [adapter.closed for adapter in room.built] == [1, 1]


async def test_saving_what_was_there_changes_nothing(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    same = await room.service.update(ADMIN, inbox.id, stone(password=""))
    assert same.version == inbox.version
    assert len(await room.events()) == 1


async def test_the_slower_of_two_admins_is_told(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    await room.service.update(ADMIN, inbox.id, stone(name="Quick"), version=inbox.version)
    with pytest.raises(Conflict):
        await room.service.update(ADMIN, inbox.id, stone(name="Slow"), version=inbox.version)
    assert (await room.service.get(inbox.id)).name == "Quick"


async def test_mistakes_are_named_by_field(room: Room) -> None:
    form = InboxForm(name=" ", address="nonsense", reopen_days=-1, settings={"provider": "stone", "port": "many"})
    with pytest.raises(Invalid) as caught:
        await room.service.create(ADMIN, "paper", form)
    assert set(caught.value.fields) == {"name", "address", "host", "port", "password", "reopen_days"}


async def test_fields_that_are_not_asked_for_are_not_missed(room: Room) -> None:
    form = InboxForm(name="Cloud", address="cloud@x.mn", settings={"provider": "cloud"})
    assert (await room.service.create(ADMIN, "paper", form)).settings["provider"] == "cloud"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("support@x.mn", "Support"),
        ("SUPPORT@X.MN", "Support"),
        ("support+r.abc-def@x.mn", "Support"),
        ("support+b.abc-def@x.mn", "Support"),
        ("support+newsletter@x.mn", "Support"),
        ("sales+eu@x.mn", "Sales EU"),
        ("sales+us@x.mn", "Sales"),
        ("+r.abc@x.mn", "First"),
        ("nobody@elsewhere.mn", "First"),
    ],
)
async def test_mail_finds_its_inbox(room: Room, address: str, found: str) -> None:
    await room.service.ensure_built_in()
    for name, own in (("Support", "support@x.mn"), ("Sales", "sales@x.mn"), ("Sales EU", "sales+eu@x.mn")):
        await room.service.create(ADMIN, "paper", stone(name, own))
    inbox_id = await room.service.resolve(address)
    assert inbox_id is not None
    assert (await room.service.get(inbox_id)).name == found


async def test_without_a_catch_all_mail_for_nobody_finds_no_inbox(room: Room) -> None:
    await room.service.create(ADMIN, "paper", stone())
    assert await room.service.resolve("nobody@x.mn") is None


async def test_the_built_in_inbox_is_made_once_and_not_again_after_it_was_archived(room: Room) -> None:
    made = await asyncio.gather(*(room.another().ensure_built_in() for _ in range(4)))
    assert {inbox.id for inbox in made if inbox} == {"built-in"}
    built_in = await room.service.built_in()
    assert (built_in.address, built_in.catch_all, built_in.built_in) == ("hello@ortoo.localhost", True, True)
    await room.service.archive(ADMIN, built_in.id, built_in.name)
    await room.service.ensure_built_in()
    assert await room.service.inboxes() == []
    assert await room.service.resolve("hello@ortoo.localhost") is None


async def test_an_inbox_is_archived_only_by_its_name_and_then_gives_up_secrets_and_address(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    adapter: Any = await room.service.adapter(inbox.id)
    with pytest.raises(Invalid):
        await room.service.archive(ADMIN, inbox.id, "support")
    await room.service.archive(ADMIN, inbox.id, "Support")
    assert (await room.service.get(inbox.id)).archived_at is not None
    with pytest.raises(Conflict):
        await room.service.adapter(inbox.id)
    assert adapter.closed == 1
    assert await room.mongo.collection("inbox_secrets").count_documents({}) == 0
    await room.service.create(ADMIN, "paper", stone())


async def test_only_an_admin_sets_inboxes_up(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    tries = [
        room.service.create(AGENT, "paper", stone()),
        room.service.update(AGENT, inbox.id, stone()),
        room.service.pause(AGENT, inbox.id),
        room.service.archive(AGENT, inbox.id, inbox.name),
        room.service.check(AGENT, inbox.id),
        room.service.begin_loop_test(AGENT, inbox.id),
        room.service.health(AGENT, inbox.id),
        room.service.begin_oauth(AGENT, inbox.id, "https://x.mn/oauth/callback"),
    ]
    for attempt in tries:
        with pytest.raises(Forbidden):
            await attempt


async def test_a_pause_raises_the_version_so_that_workers_see_it(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    paused = await room.service.pause(ADMIN, inbox.id)
    assert (paused.paused, paused.version, paused.mark) == (True, inbox.version + 1, Mark.PAUSED)
    assert (await room.service.resume(ADMIN, inbox.id)).paused is False


async def test_health_tells_the_others_only_when_the_state_changes(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    for state, words in (
        (HealthState.OK, ""),
        (HealthState.OK, ""),
        (HealthState.DEGRADED, "$no answer"),
        (HealthState.DEGRADED, "no answer, again"),
        (HealthState.DEAD, "The password was refused."),
        (HealthState.DEAD, "The password was refused."),
    ):
        await room.service.set_health(inbox.id, state, words)
    told = [event.data["state"] for event in await room.events() if event.type is EventType.INBOX_HEALTH]
    assert told == ["ok", "degraded", "dead"]
    report = await room.service.health(ADMIN, inbox.id)
    assert [problem.words for problem in report.problems] == [
        "The password was refused.",
        "no answer, again",
        "$no answer",
    ]
    assert report.inbox.mark is Mark.DEAD


async def test_health_keeps_when_a_state_began_and_moves_times_only_forward(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    began = room.clock.now
    await room.service.set_health(inbox.id, HealthState.DEGRADED, "first")
    room.clock.forward(minutes=5)
    await room.service.set_health(inbox.id, HealthState.DEGRADED, "second")
    assert (await room.service.get(inbox.id)).health.since == began
    later, earlier = utcnow(), began
    await room.service.saw_in(inbox.id, later)
    await room.another().saw_in(inbox.id, earlier)
    assert (await room.service.get(inbox.id)).health.last_in == later


async def test_missing_messages_show_as_degraded(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    await room.service.set_health(inbox.id, HealthState.OK)
    await room.service.reconciled(inbox.id, 3)
    assert (await room.service.get(inbox.id)).mark is Mark.DEGRADED


async def test_new_settings_make_an_inbox_untried_again(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    await room.service.set_health(inbox.id, HealthState.DEAD, "The password was refused.")
    fixed = await room.service.update(ADMIN, inbox.id, stone(password="the right one"))
    assert fixed.health.state is HealthState.UNKNOWN


async def test_a_cursor_comes_back_as_it_was_saved(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    assert await room.service.cursor(inbox.id) == {}
    cursor = {"INBOX.Sent $1": {"uidvalidity": 4294967295, "uid": 7}, "Хайрцаг": [1, None, "x"]}
    await room.service.save_cursor(inbox.id, cursor)
    assert await room.another().cursor(inbox.id) == cursor


@pytest.mark.parametrize("typed", ["Bold\nTom & Jerry <tom@x.mn> 2 < 3", "", "Нэг\n\nХоёр"])
def test_a_plain_signature_is_edited_as_it_was_typed(typed: str) -> None:
    stored = signature_html(typed)
    assert re.sub(r"<br>|&\w+;", "", stored).count("<") == 0
    assert signature_text(stored) == typed


def test_a_signature_with_markup_is_sanitised_and_bears_saving_again() -> None:
    stored = signature_html('<p onclick="x()">Bold <b>B.</b> <script>alert(1)</script><a href="javascript:x">x</a></p>')
    assert "script" not in stored
    assert "onclick" not in stored
    assert signature_html(signature_text(stored)) == stored
