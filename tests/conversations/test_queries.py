"""The lists: keyset pages lose and repeat nothing, counts are right, and every hot query has its index."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from inbox.accounts.model import Actor, Role
from inbox.conversations.model import Conversation, Status, View, matches
from inbox.conversations.paging import decode_cursor, encode_cursor
from inbox.conversations.store import ConversationStore, view_query
from inbox.core.clock import utcnow
from inbox.core.errors import Forbidden, Invalid
from inbox.core.ids import new_id
from inbox.core.mongo import Document
from inbox.wiring import House
from tests.conversations.conftest import mail

ADMIN = Actor(id="admin", name="Admin", role=Role.ADMIN)
VIEWS = [
    View(),
    View(kind="mine"),
    View(kind="unassigned"),
    View(kind="inbox", value="b"),
    View(kind="label", value="vip"),
    View(status=Status.RESOLVED),
]


async def fill(house: House, count: int = 230) -> list[Conversation]:
    """Conversations of every sort; many share their moment."""
    chance, now = random.Random(7), utcnow()
    made = [
        Conversation(
            id=new_id(),
            number=number,
            inbox_id=chance.choice("ab"),
            customer_id=new_id(),
            customer_name="Bat",
            subject=f"S{number}",
            status=chance.choice([Status.OPEN, Status.OPEN, Status.RESOLVED]),
            created_at=now,
            updated_at=now - timedelta(seconds=chance.randrange(40)),
            assignee_id=chance.choice(["", "admin", "other"]),
            labels=("vip",) if chance.random() < 0.3 else (),
            unread=chance.random() < 0.5,
        )
        for number in range(count)
    ]
    store = ConversationStore(house.mongo)
    await house.mongo.transaction(lambda session: store.insert(session, made))
    return made


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.key}-{view.status}")
async def test_pages_show_every_conversation_of_a_view_once_in_order(house: House, view: View) -> None:
    made = await fill(house)
    expected = [one for one in made if matches(one, view, "admin")]
    expected.sort(key=lambda one: (one.updated_at, one.id), reverse=True)
    seen: list[Conversation] = []
    cursor = ""
    while True:
        page = await house.conversations.page(ADMIN, view, cursor, limit=17)
        seen += page.items
        cursor = page.next
        if not cursor:
            break
    assert [one.id for one in seen] == [one.id for one in expected]


async def test_counts_agree_with_the_lists(house: House) -> None:
    made = await fill(house)
    counts = await house.conversations.counts(ADMIN)
    for view in (View(kind="mine"), View(kind="unassigned"), View(), View(kind="label", value="vip")):
        wanted = [one for one in made if matches(one, view, "admin")]
        assert counts.total[view.key] == len(wanted)
        assert counts.unread[view.key] == sum(one.unread for one in wanted)


async def test_a_broken_link_is_said_so(house: House) -> None:
    for cursor in ("!", "abc", encode_cursor(utcnow(), "x")[:-9] + "é"):
        with pytest.raises(Invalid):
            await house.conversations.page(ADMIN, View(), cursor)
    at = utcnow()
    assert decode_cursor(encode_cursor(at, "an-id.with.dots")) == (at, "an-id.with.dots")


async def test_hot_queries_walk_an_index_and_sort_nothing_in_memory(house: House, inbox_id: str) -> None:
    await fill(house)
    await house.ingest.ingest(inbox_id, mail())
    after = {"$or": [{"updated_at": {"$lt": utcnow()}}], "updated_at": {"$lte": utcnow()}}
    newest = [("updated_at", -1), ("_id", -1)]
    thread = [("at", -1), ("_id", -1)]
    now = utcnow()
    queries: list[tuple[str, Document, list[tuple[str, int]]]] = [
        *(("conversations", view_query(view, "admin"), newest) for view in VIEWS),
        *(("conversations", view_query(view, "admin") | after, newest) for view in VIEWS),
        ("conversations", {"customer_id": "c", "inbox_id": "a"}, [("updated_at", -1)]),
        ("conversations", {"customer_id": "c"}, [("updated_at", -1)]),
        ("conversations", {"status": "snoozed", "snoozed_until": {"$lte": now}}, []),
        ("conversations", {"inbox_id": "a", "chat_id": {"$in": ["1"], "$gt": ""}}, []),
        ("messages", {"conversation_id": "c"}, thread),
        ("messages", {"conversation_id": "c", "kind": {"$in": ["in", "out"]}}, thread),
        ("receipts", {"_id": {"$in": ["a", "b"]}}, []),
        ("message_refs", {"_id": {"$in": ["a", "b"]}}, []),
        ("identities", {"_id": {"$in": ["email:a@b.c"]}}, []),
        ("identities", {"customer_id": "c"}, []),
        ("raws", {"waiting": True, "at": {"$lt": now}}, [("at", 1)]),
        ("raws", {"places": {"$in": ["imap:INBOX;uidvalidity=1;uid=1"]}, "inbox_id": "a"}, []),
        ("outbox", {"sending": False, "due_at": {"$lte": now}, "leased_until": {"$lte": now}}, [("due_at", 1)]),
        ("outbox", {"sending": True, "leased_until": {"$lte": now}}, []),
        ("dead_letters", {"resolved_at": None}, thread),
        ("events", {"at": {"$gte": now}}, [("at", 1)]),
        ("events", {"conversation_id": "c"}, [("_id", 1)]),
        ("drafts", {"_id": "c:a"}, []),
    ]
    for name, query, order in queries:
        cursor = house.mongo.collection(name).find(query)
        plan = await (cursor.sort(order) if order else cursor).explain()
        stages = set(_stages(plan["queryPlanner"]["winningPlan"]))
        assert not stages & {"COLLSCAN", "SORT"}, f"{name} {query}: {stages}"


async def test_a_reader_may_not_write(house: House, inbox_id: str) -> None:
    marketer = Actor(id="m", name="M", role=Role.MARKETER)
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(marketer, View())).items
    calls = [
        house.conversations.assign(marketer, row.id, ""),
        house.conversations.set_status(marketer, row.id, Status.RESOLVED),
        house.conversations.label(marketer, row.id, "vip"),
        house.drafts.start_reply(marketer, row.id, "reply"),
        house.drafts.discard_draft(marketer, row.id),
        house.replies.undo_send(marketer, "x"),
        house.ingest.dead_letters(marketer),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            await call
    assert (await house.conversations.mark_read(marketer, row.id)).unread, "a reader leaves it unread for the others"


async def test_changes_are_told_in_the_thread_and_to_the_others(house: House, inbox_id: str, ann: Actor) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    await house.conversations.assign(ann, row.id, ann.id)
    await house.conversations.label(ann, row.id, "  very   urgent ")
    await house.conversations.unlabel(ann, row.id, "very urgent")
    tomorrow = utcnow() + timedelta(days=1)
    snoozed = await house.conversations.set_status(ann, row.id, Status.SNOOZED, tomorrow)
    assert snoozed.snoozed_until == tomorrow
    lines = [m.data for m in (await house.conversations.open(ann, row.id)).messages if m.kind == "system"]
    assert lines[0] == {"assignee_id": ann.id}
    assert lines[1:3] == [{"label": "very urgent"}, {"unlabel": "very urgent"}]
    changed = [event for event in await house.events.of_conversation(row.id) if event.type == "conversation.changed"]
    assert len(changed) == 4
    with pytest.raises(Invalid):
        await house.conversations.set_status(ann, row.id, Status.SNOOZED, utcnow() - timedelta(minutes=1))
    house.conversations._clock = lambda: tomorrow + timedelta(seconds=1)
    assert await house.conversations.wake_snoozed() == 1
    assert (await house.conversations.row(ann, row.id)).status is Status.OPEN


async def test_an_answer_wakes_what_is_snoozed_but_not_spam(house: House, inbox_id: str, ann: Actor) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    await house.conversations.set_status(ann, row.id, Status.SNOOZED, utcnow() + timedelta(days=1))
    await house.ingest.ingest(inbox_id, mail("Re: Hello", message_id="<2@x>", In_Reply_To="<1@example.mn>"))
    woken = await house.conversations.row(ann, row.id)
    assert (woken.status, woken.snoozed_until) == (Status.OPEN, None)
    await house.conversations.set_status(ann, row.id, Status.SPAM)
    await house.ingest.ingest(inbox_id, mail("Re: Hello", message_id="<3@x>", In_Reply_To="<1@example.mn>"))
    assert (await house.conversations.row(ann, row.id)).status is Status.SPAM


def _stages(plan: Mapping[str, Any]) -> list[str]:
    found = [str(plan["stage"])] if "stage" in plan else []
    inner = [plan[key] for key in ("inputStage", "queryPlan") if key in plan] + list(plan.get("inputStages", []))
    return found + [stage for part in inner for stage in _stages(part)]


def test_models_survive_the_store() -> None:
    view = View(kind="inbox", value="a")
    assert msgspec.convert(msgspec.to_builtins(view), View) == view
