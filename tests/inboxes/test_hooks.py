"""Webhooks on an inbox's page, and waiting for a message somebody writes from a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from channels.base import Capabilities, Channel, ChannelError, CheckStep, HookReply, Raw
from channels.registry import CHANNELS
from inbox.accounts.model import Role
from inbox.core.clock import utcnow
from inbox.core.errors import Forbidden, Invalid, NotFound
from inbox.core.mongo import Mongo
from inbox.inboxes.model import Backlog, HealthState, Inbox, InboxForm, can_be_answered, chat_link
from inbox.inboxes.service import InboxService
from inbox.inboxes.web import InboxPages
from tests.fixtures.web import Browser, Site
from tests.inboxes.conftest import ADMIN, AGENT, PASSWORD, Room, service_of, stone
from tests.inboxes.paper import PaperAdapter, paper_channel
from tests.inboxes.test_addresses import bot, sms

PUBLIC = "https://inbox.x.mn"
PIGEON = Capabilities(address_kind="phone", hooks=True)
HTMX = {"HX-Request": "true"}


class PigeonAdapter(PaperAdapter):
    """Paper that the provider carries to us."""

    capabilities = PIGEON
    refuses = False

    def answer(self, raw: Raw) -> HookReply:
        return HookReply()

    async def connect(self) -> list[CheckStep]:
        if self.refuses:
            raise ChannelError(f"{PASSWORD} is not known.")
        return [CheckStep("Address", True, f"It flies to {self.ports.hook_url()} with {PASSWORD}")]


def pigeon(name: str = "Pigeon", address: str = "+97677001122") -> InboxForm:
    return stone(name, address)


def pigeon_channel() -> Channel:
    """A channel with a webhook and nothing behind it."""
    return msgspec.structs.replace(
        paper_channel(), name="pigeon", capabilities=PIGEON, build=PigeonAdapter, validate=lambda settings: {}
    )


@pytest.fixture
async def real(room: Room, mongo: Mongo) -> AsyncIterator[InboxService]:
    service = service_of(mongo, {**CHANNELS, "pigeon": pigeon_channel()}, room.clock, base_url=PUBLIC)
    yield service
    await service.close()


@pytest.fixture
async def admin(site: Site, real: InboxService) -> Browser:
    server: TestServer = await site.serve(InboxPages(real, PUBLIC).routes())
    return await site.signed_in(server, Role.ADMIN)


@pytest.fixture
async def at_home(site: Site, real: InboxService) -> Browser:
    """An admin of a copy that nobody reaches from outside."""
    server: TestServer = await site.serve(InboxPages(real).routes())
    return await site.signed_in(server, Role.ADMIN)


async def test_the_page_shows_the_webhook_to_paste_where_and_one_click_sets_it(
    real: InboxService, admin: Browser
) -> None:
    inbox = await real.create(ADMIN, "pigeon", pigeon())
    page = await admin.see(f"/settings/inboxes/{inbox.id}")
    assert f'data-copy="{PUBLIC}/hooks/{inbox.id}"' in page
    assert "Paste it at the provider" in page
    for headers in (HTMX, {}):
        answer = await (await admin.post(f"/settings/inboxes/{inbox.id}/hook", headers=headers)).text()
        assert f"It flies to {PUBLIC}/hooks/{inbox.id} with •••" in answer
        assert PASSWORD not in answer
        assert ("<title>" in answer) is not (headers == HTMX)


async def test_what_the_provider_refuses_is_said_in_its_words_without_secrets(
    real: InboxService, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = await real.create(ADMIN, "pigeon", pigeon())
    monkeypatch.setattr(PigeonAdapter, "refuses", True)
    result = await real.connect_hook(ADMIN, inbox.id)
    assert [(step.ok, step.words) for step in result.steps] == [(False, "••• is not known.")]


async def test_twilio_is_told_where_to_paste_it(real: InboxService, admin: Browser) -> None:
    inbox = await real.create(ADMIN, "sms", sms())
    page = await admin.see(f"/settings/inboxes/{inbox.id}?done=created")
    assert "In the Twilio console" in page
    assert f"{PUBLIC}/hooks/{inbox.id}" in page


async def test_without_a_public_address_the_page_says_how_to_get_one(real: InboxService, at_home: Browser) -> None:
    texts = await real.create(ADMIN, "sms", sms())
    page = await at_home.see(f"/settings/inboxes/{texts.id}")
    assert "no public HTTPS address" in page
    assert "ORTOO_PUBLIC_URL=https://" in page
    assert "by fetching" not in page
    assert "data-copy" not in page
    chats = await real.create(ADMIN, "telegram", bot(inbound="webhook"))
    assert "by fetching" in await at_home.see(f"/settings/inboxes/{chats.id}")


async def test_what_is_fetched_or_signed_in_to_has_no_webhook(real: InboxService, admin: Browser) -> None:
    chats = await real.create(ADMIN, "telegram", bot())
    mail = await real.ensure_built_in()
    assert mail is not None
    for inbox in (chats, mail):
        assert await real.hook(ADMIN, inbox.id) is None
        assert 'id="webhook"' not in await admin.see(f"/settings/inboxes/{inbox.id}")
        with pytest.raises(Invalid):
            await real.connect_hook(ADMIN, inbox.id)
    with pytest.raises(Forbidden):
        await real.hook(AGENT, chats.id)
    with pytest.raises(Forbidden):
        await real.connect_hook(AGENT, chats.id)


async def test_where_secrets_do_not_open_no_webhook_is_known(real: InboxService, mongo: Mongo) -> None:
    inbox = await real.create(ADMIN, "pigeon", pigeon())
    await mongo.collection("inbox_secrets").update_one({"_id": inbox.id}, {"$set": {"sealed": bytes(64)}})
    assert await real.hook(ADMIN, inbox.id) is None


async def test_calls_turned_away_are_noted_once_a_minute_and_push_nothing_out(
    room: Room, real: InboxService, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("inbox.inboxes.health.time.monotonic", lambda: now)
    inbox = await real.create(ADMIN, "pigeon", pigeon())
    await real.set_health(inbox.id, HealthState.DEAD, "The token was refused.")
    noted = []
    for _ in range(3):
        for _ in range(3):
            await real.hook_refused(inbox.id)
        noted.append((await real.health(ADMIN, inbox.id)).problems[0].at)
        now += 61
        room.clock.forward(seconds=61)
    problems = (await real.health(ADMIN, inbox.id)).problems
    assert [problem.words[:30] for problem in problems] == ["A call of the webhook was turn", "The token was refused."]
    assert problems[0].at == noted[2] > noted[1] > noted[0]
    assert (await real.get(inbox.id)).health.words == "The token was refused."
    assert "Turned away" in await admin.see(f"/settings/inboxes/{inbox.id}/health")


async def test_a_call_for_an_inbox_that_is_not_there_is_noted_nowhere(real: InboxService, mongo: Mongo) -> None:
    with pytest.raises(NotFound):
        await real.hook_refused("nobody")
    assert await mongo.collection("inbox_problems").count_documents({}) == 0


@pytest.mark.parametrize(
    ("can", "address", "link", "answered"),
    [
        (CHANNELS["sms"].capabilities, "+97677001122", "sms:+97677001122", True),
        (CHANNELS["sms"].capabilities, "Nomad", "", False),
        (Capabilities(address_kind="phone", window_hours=24), "+97677001122", "https://wa.me/97677001122", True),
        (CHANNELS["telegram"].capabilities, "@nomad_bot", "https://t.me/nomad_bot", True),
        (CHANNELS["telegram"].capabilities, "", "", True),
        (CHANNELS["telegram"].capabilities, "123456", "", True),
    ],
)
def test_a_link_begins_a_message_on_a_persons_own_phone(
    can: Capabilities, address: str, link: str, answered: bool
) -> None:
    assert chat_link(can, address) == link
    assert can_be_answered(can, address) is answered


async def test_what_cannot_write_to_itself_waits_for_a_message_from_a_phone(
    room: Room, real: InboxService, admin: Browser
) -> None:
    inbox = await real.create(ADMIN, "pigeon", pigeon())
    path = f"/settings/inboxes/{inbox.id}"
    steps = await (await admin.post(f"{path}/test/steps", headers=HTMX)).text()
    assert f'hx-get="{path}/wait"' in steps
    assert (await admin.post(f"{path}/test/loop")).status == 422
    waiting = await (await admin.get(f"{path}/wait", headers=HTMX)).text()
    assert 'href="sms:+97677001122"' in waiting
    again = re.findall(r'hx-get="([^"]+)"', waiting)[0].replace("&amp;", "&")
    assert (await admin.get(again, headers=HTMX)).status == 204
    assert "Waiting for your message" in await admin.see(again)
    await real.saw_in(inbox.id, utcnow())
    for headers in (HTMX, {}):
        page = await (await admin.get(again, headers=headers)).text()
        assert "A message came in" in page
        assert "hx-get" not in page
    assert "Waiting for your message" in await admin.see(f"{path}/wait")


async def test_waiting_ends_after_five_minutes_in_words(real: InboxService, admin: Browser) -> None:
    inbox: Inbox = await real.create(ADMIN, "pigeon", pigeon())
    began = int(utcnow().timestamp() * 1000) - 301_000
    for more in ("", "&before=nonsense"):
        page = await (await admin.get(f"/settings/inboxes/{inbox.id}/wait?since={began}{more}", headers=HTMX)).text()
        assert "within five minutes" in page
        assert "hx-get" not in page


async def test_a_sender_id_waits_for_nobody(real: InboxService, admin: Browser) -> None:
    inbox = await real.create(ADMIN, "pigeon", pigeon(address="Nomad"))
    steps = await (await admin.post(f"/settings/inboxes/{inbox.id}/test/steps", headers=HTMX)).text()
    assert "/wait" not in steps
    assert "/loop" not in steps


async def test_the_health_page_says_what_waits_and_since_when(site: Site, room: Room, mongo: Mongo) -> None:
    waits = Backlog()

    async def backlog(inbox_id: str) -> Backlog:
        return waits

    service = service_of(mongo, {"paper": paper_channel()}, room.clock, backlog=backlog)
    inbox = await service.create(ADMIN, "paper", stone())
    admin = await site.signed_in(await site.serve(InboxPages(service).routes()), Role.ADMIN)
    path = f"/settings/inboxes/{inbox.id}/health"
    assert "none: nothing waits" in await admin.see(path)
    old = utcnow() - timedelta(minutes=7, seconds=5)
    waits = Backlog(arrived=3, arrived_since=utcnow(), queued_since=old, files=1)
    page = await admin.see(path)
    assert "3 messages" in page
    assert "1 file<" in page
    assert "the oldest waits for 7 min" in page
    await service.close()


async def test_only_what_is_fetched_is_compared_with_a_server(real: InboxService, admin: Browser) -> None:
    for inbox, compared in (
        (await real.create(ADMIN, "sms", sms()), False),
        (await real.create(ADMIN, "telegram", bot()), True),
    ):
        page = await admin.see(f"/settings/inboxes/{inbox.id}/health")
        assert ("Compared with the server" in page) is compared
