"""The demo: the story is sound, it is played through the real ways in, and it is nobody's real workspace."""

from __future__ import annotations

import asyncio
import collections
import random
import re
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from config.settings import Settings
from inbox.accounts.model import Actor, Role
from inbox.conversations.model import Conversation, Message, MessageKind, State, Status, View
from inbox.conversations.rendering import has_remote_images
from inbox.core.clock import utcnow
from inbox.core.errors import Conflict
from inbox.core.mongo import Mongo
from inbox.demo import AGENTS, DOMAIN, PASSWORD, is_loopback, prepare
from inbox.demo_mails import document
from inbox.demo_script import ZONE, load, span, timeline
from inbox.wiring import House, open_house
from tests.crash.agent import WebAgent
from tests.crash.process import Ortoo

START = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)
ADMIN = Actor.system("test")


# --- the script --------------------------------------------------------------------------------------------------


def test_the_same_seed_and_start_give_the_same_story() -> None:
    assert timeline(load(), START, random.Random(1)) == timeline(load(), START, random.Random(1))


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_everything_has_happened_by_now_and_in_the_order_it_was_said(hour: int) -> None:
    start = START.replace(hour=hour)
    cues = timeline(load(), start, random.Random(1))
    assert all(cue.at < start for cue in cues)
    assert min(cue.at for cue in cues) > start - timedelta(days=35)
    said = collections.defaultdict(list)
    for cue in cues:
        if cue.said is not None:
            said[cue.person.email, cue.talk.subject].append(cue.said)
    talks = [(person, talk) for chapter in load() for person in chapter.people for talk in person.talks]
    assert [said[person.email, talk.subject] for person, talk in talks] == [list(talk.said) for _, talk in talks]


def test_agents_answer_in_working_hours_unless_it_has_to_be_sooner() -> None:
    cues = timeline(load(), START, random.Random(1))
    old = [cue for cue in cues if START - cue.at > timedelta(days=2)]
    hours = [cue.at.astimezone(ZONE).hour for cue in old if cue.said and cue.said.by and not cue.said.after]
    assert len(hours) > 30
    assert set(hours) <= set(range(9, 19))


def test_nobody_in_it_is_real() -> None:
    people = [person for chapter in load() for person in chapter.people]
    words = " ".join(said.text + said.html for person in people for talk in person.talks for said in talk.said)
    addresses = [person.email for person in people] + re.findall(r"[\w.+-]+@[\w.-]+", words)
    assert [address for address in addresses if not address.rstrip(".").endswith(".example")] == []
    assert [link for link in re.findall(r"https?://([^/\s\"]+)", words) if not link.endswith(".example")] == []
    assert len({person.email for person in people}) == len(people)


def test_a_length_of_time_is_read_or_refused() -> None:
    assert span("1d2h30m") == timedelta(days=1, hours=2, minutes=30)
    for nonsense in ("", "2", "soon", "1h1d"):
        with pytest.raises(ValueError, match="length of time"):
            span(nonsense)


def test_the_pictures_are_pictures_and_the_pages_are_pdf() -> None:
    picture = document("lake.png")
    width, height = struct.unpack(">II", picture[16:24])
    data = picture[picture.index(b"IDAT") + 4 :]
    assert len(zlib.decompressobj().decompress(data)) == height * (1 + 3 * width)
    assert document("lake.png") != document("dunes.png")
    page = document("gobi-7-days.pdf")
    table = int(page.split(b"startxref\n")[1].split()[0])
    assert page[table : table + 4] == b"xref"
    places = [int(line[:10]) for line in page[table:].splitlines() if line.endswith(b" n ")]
    assert [page[at:].split(b" ", 1)[0] for at in places] == [b"%d" % number for number in range(1, len(places) + 1)]


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.0.2.7", False),
        ("host", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


# --- the workspace -----------------------------------------------------------------------------------------------


class Demo(NamedTuple):
    """A filled workspace."""

    settings: Settings
    house: House
    rows: list[Conversation]
    messages: list[Message]


@pytest.fixture(scope="module")
async def demo(mongo_uri: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """The demo, played once for all tests here, in a database where an earlier start of it was cut short."""
    folder = tmp_path_factory.mktemp("demo")
    settings = Settings(data=folder, mongodb_uri=SecretStr(mongo_uri), database=f"demo_{worker_id}")
    mongo = await Mongo.connect(mongo_uri, settings.database)
    await mongo.drop()
    await mongo.collection("demo").insert_one({"_id": "begun"})
    await mongo.collection("conversations").insert_one({"_id": "left", "status": "open"})
    try:
        await prepare(settings, lambda _: None)
        async with open_house(settings) as house:
            rows = await everything(house)
            messages = [m for row in rows for m in (await house.conversations.open(ADMIN, row.id, limit=500)).messages]
            yield Demo(settings, house, rows, messages)
    finally:
        await mongo.drop()
        mongo.close()


async def everything(house: House) -> list[Conversation]:
    rows: list[Conversation] = []
    for status in Status:
        page = await house.conversations.page(ADMIN, View(status=status), limit=100)
        assert not page.next
        rows += page.items
    return rows


async def test_each_talk_became_one_conversation_in_its_inbox_and_state(demo: Demo) -> None:
    inboxes = {inbox.id: inbox.address.partition("@")[0] for inbox in await demo.house.inboxes.inboxes()}
    played = {(row.customer_name, row.subject, row.status, inboxes[row.inbox_id]) for row in demo.rows}
    script = {
        (person.name, talk.subject, talk.status, talk.inbox)
        for chapter in await asyncio.to_thread(load)
        for person in chapter.people
        for talk in person.talks
        if not talk.dead
    }
    assert played == script
    assert len(demo.rows) == len(script)
    assert sorted(row.number for row in demo.rows) == list(range(1, len(script) + 1))


async def test_it_holds_what_a_newcomer_should_see(demo: Demo) -> None:
    kinds = collections.Counter(message.kind for message in demo.messages)
    assert kinds[MessageKind.IN] + kinds[MessageKind.OUT] + kinds[MessageKind.NOTE] >= 250
    assert kinds[MessageKind.NOTE] >= 8
    assert 55 <= len(demo.rows) <= 80
    assert len({row.customer_id for row in demo.rows}) >= 40
    assert collections.Counter(row.status for row in demo.rows).keys() == set(Status)
    assert len({row.assignee_id for row in demo.rows} - {""}) == 3
    assert any(row.unread for row in demo.rows)
    assert len({label for row in demo.rows for label in row.labels}) >= 10
    assert max(collections.Counter(message.conversation_id for message in demo.messages).values()) >= 120
    states = collections.Counter(message.delivery.state for message in demo.messages if message.delivery)
    assert states.keys() == {State.SENT, State.FAILED, State.UNCONFIRMED, State.BOUNCED}
    assert (states[State.FAILED], states[State.UNCONFIRMED], states[State.BOUNCED]) == (1, 1, 1)
    assert sum(row.failed for row in demo.rows) == 3
    assert len(await demo.house.ingest.dead_letters(ADMIN)) == 1
    assert await demo.house.mongo.collection("drafts").count_documents({}) == 1
    assert max(message.at for message in demo.messages) < utcnow()


async def test_quotes_are_folded_and_pictures_from_outside_wait_to_be_asked_for(demo: Demo) -> None:
    answers = [message for message in demo.messages if message.joined_by == "reply" and not message.auto_submitted]
    assert len(answers) > 60
    unfolded = [message.text for message in answers if re.search(r"^>|@salkhinzam", message.text, re.MULTILINE)]
    assert unfolded == []
    folded = [message for message in answers if message.full_text]
    assert len(folded) > 60
    assert any(file.inline for message in demo.messages for file in message.attachments)
    assert any(file.media_type == "application/pdf" for message in demo.messages for file in message.attachments)
    assert any(message.auto_submitted for message in demo.messages)
    newsletter = next(message for message in demo.messages if has_remote_images(message.html))
    shown = await demo.house.conversations.html_document(ADMIN, newsletter.id, images=False)
    assert "images.orchard-ember.example" not in shown


async def test_the_demo_serves_and_everybody_printed_can_sign_in(demo: Demo) -> None:
    settings = {
        "mongodb_uri": demo.settings.mongodb_uri.get_secret_value(),
        "database": demo.settings.database,
        "port": "0",
        "door_port": "0",
    }
    async with Ortoo("demo", "--data", str(demo.settings.data), settings=settings) as server:
        url = await server.url()
        said = "\n".join(server.lines)
        assert PASSWORD in said
        assert "for the demo only" in said
        for key, name, _, _ in AGENTS:
            assert f"{key}@{DOMAIN}" in said
            async with WebAgent(url, f"{key}@{DOMAIN}", PASSWORD) as agent:
                await agent.sign_in()
                page = await agent.see("/inbox/all")
                assert "Tallulah Greenwood" in page
                assert name in await agent.see("/settings/profile")
        assert await server.stop() == 0
    assert await everything(demo.house) == demo.rows, "a second start plays nothing"


async def test_the_dead_letter_can_be_taken_in_once_its_trouble_is_over(demo: Demo) -> None:
    [letter] = await demo.house.ingest.dead_letters(ADMIN)
    assert await demo.house.ingest.replay(ADMIN, letter.id)
    [row] = [row for row in await everything(demo.house) if row.id not in {known.id for known in demo.rows}]
    assert row.subject == "Export of bookings, part 3"


async def test_a_workspace_of_somebody_is_left_alone(mongo: Mongo, mongo_uri: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, mongodb_uri=SecretStr(mongo_uri), database=mongo.db.name)
    async with open_house(settings) as house:
        agent = await house.accounts.new_agent("Ann", "ann@shop.example", PASSWORD, Role.ADMIN)
        await house.mongo.transaction(lambda session: house.accounts.add(session, agent))
    with pytest.raises(Conflict, match="workspace of its own"):
        await prepare(settings, lambda _: None)
    assert await mongo.collection("conversations").count_documents({}) == 0
    assert await mongo.collection("agents").count_documents({}) == 1


@pytest.mark.parametrize("setting", ["host", "door_host"])
async def test_the_demo_is_not_opened_to_the_world_by_a_setting(setting: str, tmp_path: Path) -> None:
    async with Ortoo("demo", "--data", str(tmp_path), settings={setting: "0.0.0.0"}) as server:
        await server.said("listens on this machine only")
        assert await server.ended() == 1
    assert list(tmp_path.iterdir()) == []
