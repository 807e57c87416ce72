"""The page of dead letters, on the real way in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from channels.base import Raw
from inbox.accounts.model import Role
from inbox.conversations.ingest import IngestService
from inbox.conversations.ingest_lookup import Stores
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_fetches import FetchStore
from inbox.conversations.store_outbox import AutoReplies, OutboxStore
from inbox.conversations.store_raw import RawStore
from inbox.conversations.web_dead_letters import DeadLetterPages
from inbox.core.crypto import Keyring
from inbox.core.files import Files
from inbox.core.mongo import Mongo
from inbox.core.store import Counters, EventStore
from inbox.customers.service import CustomerService
from inbox.customers.store import CustomerStore
from tests.fixtures.web import Browser, Site
from tests.inboxes.conftest import ADMIN, Room, stone

MAIL = b"Subject: <b>Wet</b>\r\n\r\nSain uu"


class Desk(NamedTuple):
    browser: Browser
    adapter: Any
    ingest: IngestService
    inbox_id: str


@pytest.fixture
async def desk(mongo: Mongo, room: Room, site: Site) -> AsyncIterator[Desk]:
    events, files = EventStore(mongo), Files(mongo)
    people = CustomerStore(mongo)
    stores = Stores(
        conversations=ConversationStore(mongo),
        raws=RawStore(mongo, files),
        outbox=OutboxStore(mongo),
        fetches=FetchStore(mongo),
        auto_replies=AutoReplies(mongo),
        customers=CustomerService(mongo, people, events),
        events=events,
        counters=Counters(mongo),
        keyring=Keyring(bytes(32)),
    )
    for store in (stores.conversations, stores.raws, stores.outbox, people):
        await store.prepare()
    inbox = await room.service.create(ADMIN, "paper", stone("Support <1>"))
    ingest = IngestService(mongo, stores, files, room.service)
    server = await site.serve(DeadLetterPages(ingest, room.service).routes())
    browser = await site.signed_in(server, Role.ADMIN)
    yield Desk(browser, await room.service.adapter(inbox.id), ingest, inbox.id)
    await ingest.close()


async def test_what_could_not_be_read_is_listed_downloaded_and_taken_in_when_it_can_be(desk: Desk) -> None:
    assert "No dead letters" in await desk.browser.see("/settings/dead-letters")
    desk.adapter.readable = False
    await desk.ingest.ingest(desk.inbox_id, Raw(body=MAIL))
    page = await desk.browser.see("/settings/dead-letters")
    assert "This paper is wet." in page
    assert "Support &lt;1&gt;" in page
    (replay,) = re.findall(r'formaction="([^"]+/replay)"', page)
    source = await desk.browser.get(replay.replace("/replay", "/raw"))
    assert await source.read() == MAIL
    assert source.headers["Content-Type"] == "application/octet-stream"
    answer = await desk.browser.post(replay)
    assert answer.headers["Location"] == "/settings/dead-letters?done=failed"
    desk.adapter.readable = True
    answer = await desk.browser.post(replay)
    assert answer.headers["Location"] == "/settings/dead-letters?done=replayed"
    assert "No dead letters" in await desk.browser.see(answer.headers["Location"])


async def test_a_dead_letter_is_dismissed_once(desk: Desk) -> None:
    desk.adapter.readable = False
    await desk.ingest.ingest(desk.inbox_id, Raw(body=MAIL))
    page = await desk.browser.see("/settings/dead-letters")
    (dismiss,) = re.findall(r'formaction="([^"]+/dismiss)"', page)
    assert (await desk.browser.post(dismiss)).status == 303
    assert "No dead letters" in await desk.browser.see("/settings/dead-letters")
    assert (await desk.browser.post(dismiss)).status == 404
