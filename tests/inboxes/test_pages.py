"""The room's pages, asked for as a browser does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from inbox.accounts.model import Role, Team
from inbox.inboxes.model import HealthState, Inbox
from inbox.inboxes.web import InboxPages
from tests.fixtures.web import Browser, Site
from tests.inboxes.conftest import ADMIN, PASSWORD, Room, cloud, stone

FORM = {
    "channel": "paper",
    "name": "Support",
    "address": "Support@X.mn",
    "reopen_days": "14",
    "max_per_minute": "30",
    "signature": "Bold\nTom & Jerry",
    "set-provider": "stone",
    "set-host": "mail.x.mn",
    "set-port": "993",
    "set-tls": "1",
    "set-password": PASSWORD,
}
HTMX = {"HX-Request": "true"}


@pytest.fixture
async def admin(site: Site, server: TestServer) -> Browser:
    return await site.signed_in(server, Role.ADMIN)


@pytest.fixture
async def colleague(site: Site, server: TestServer) -> Browser:
    return await site.signed_in(server, Role.AGENT)


@pytest.fixture
async def server(site: Site, room: Room) -> TestServer:
    async def teams() -> list[Team]:
        return [Team(id="team-1", name="Warehouse <b>")]

    return await site.serve(InboxPages(room.service, "", teams).routes())


async def only(room: Room) -> Inbox:
    (inbox,) = await room.service.inboxes()
    return inbox


async def test_an_admin_adds_an_inbox_from_nothing(room: Room, admin: Browser) -> None:
    assert "No inbox yet" in await admin.see("/settings/inboxes")
    assert "channel=paper&amp;preset=cloud" in await admin.see("/settings/inboxes/new")
    page = await admin.see("/settings/inboxes/new?channel=paper&preset=cloud")
    assert re.search(r'<option value="cloud" selected>', page)
    answer = await admin.post("/settings/inboxes/new", FORM)
    inbox = await only(room)
    assert (answer.status, answer.headers["Location"]) == (303, f"/settings/inboxes/{inbox.id}?done=created")
    assert (inbox.name, inbox.address, inbox.reopen_days, inbox.max_per_minute) == ("Support", "support@x.mn", 14, 30)
    assert inbox.settings == {"provider": "stone", "host": "mail.x.mn", "port": 993, "tls": True}
    adapter: Any = await room.service.adapter(inbox.id)
    assert adapter.settings["password"] == PASSWORD
    assert "support@x.mn" in await admin.see("/settings/inboxes")
    page = await admin.see(answer.headers["Location"])
    assert "Bold\nTom &amp; Jerry</textarea>" in page


async def test_no_page_shows_a_secret_saved_or_just_typed(room: Room, admin: Browser) -> None:
    wrong = await admin.post("/settings/inboxes/new", {**FORM, "set-host": ""})
    assert wrong.status == 422
    assert PASSWORD not in await wrong.text()
    await admin.post("/settings/inboxes/new", FORM)
    inbox = await only(room)
    await room.service.set_health(inbox.id, HealthState.DEAD, f"LOGIN {PASSWORD} failed")
    here = f"/settings/inboxes/{inbox.id}"
    pages = [await admin.see(path) for path in (here, f"{here}/health", "/settings/inboxes")]
    wrong = await admin.post(here, {**FORM, "name": "", "version": str(inbox.version)})
    pages.append(await wrong.text())
    assert not [page for page in pages if PASSWORD in page]
    assert "Saved. Type to replace." in pages[0]


async def test_mistakes_stand_beside_their_fields_and_what_was_typed_stays(room: Room, admin: Browser) -> None:
    answer = await admin.post(
        "/settings/inboxes/new", {**FORM, "address": "nonsense", "set-port": "many", "reopen_days": "x"}
    )
    page = await answer.text()
    assert answer.status == 422
    assert re.search(r'id="f-address-error">.*?Please write an e-mail address', page, re.DOTALL)
    assert re.search(r'id="f-set-port-error">.*?Please write a whole number', page, re.DOTALL)
    assert re.search(r'id="f-reopen_days-error">.*?Please write a number of days', page, re.DOTALL)
    assert 'value="nonsense"' in page
    assert 'value="many"' in page
    assert '<a href="#f-set-port">' in page
    assert await room.service.inboxes() == []


async def test_an_address_that_is_taken_is_said_beside_it(room: Room, admin: Browser) -> None:
    await admin.post("/settings/inboxes/new", FORM)
    answer = await admin.post("/settings/inboxes/new", FORM)
    assert re.search(r'id="f-address-error">.*?Another inbox has this address', await answer.text(), re.DOTALL)


async def test_saving_an_old_form_is_refused(room: Room, admin: Browser) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    path = f"/settings/inboxes/{inbox.id}"
    first = await admin.post(path, {**FORM, "name": "First", "version": "0"})
    second = await admin.post(path, {**FORM, "name": "Second", "version": "0"})
    assert (first.status, second.status) == (303, 409)
    assert (await room.service.get(inbox.id)).name == "First"


async def test_pause_resume_and_archive_from_the_page(room: Room, admin: Browser) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    path = f"/settings/inboxes/{inbox.id}"
    await admin.post(f"{path}/pause")
    assert "Paused" in await admin.see("/settings/inboxes")
    await admin.post(f"{path}/resume")
    refused = await admin.post(f"{path}/archive", {"typed_name": "Suport"})
    assert refused.status == 422
    assert "This is not the inbox" in await refused.text()
    assert (await admin.post(f"{path}/archive", {"typed_name": "Support"})).status == 303
    assert "No inbox yet" in await admin.see("/settings/inboxes")


async def test_a_test_goes_step_by_step_with_htmx(room: Room, admin: Browser) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    path = f"/settings/inboxes/{inbox.id}/test"
    begun = await (await admin.post(path, headers=HTMX)).text()
    assert f'hx-post="{path}/steps"' in begun
    steps = await (await admin.post(f"{path}/steps", headers=HTMX)).text()
    assert steps.count("Signed in.") == 2
    assert f'hx-post="{path}/loop"' in steps
    loop = await (await admin.post(f"{path}/loop", headers=HTMX)).text()
    (token,) = re.findall(r'hx-get="([^"]+)"', loop)
    assert "Waiting" in await (await admin.get(token, headers=HTMX)).text()
    adapter: Any = await room.service.adapter(inbox.id)
    await room.service.loop_seen(inbox.id, adapter.outbox[0].subject)
    done = await (await admin.get(token, headers=HTMX)).text()
    assert "got it back" in done
    assert "hx-get" not in done


async def test_a_test_works_without_scripts(room: Room, admin: Browser) -> None:
    await room.service.ensure_built_in()
    path = "/settings/inboxes/built-in/test"
    page = await (await admin.post(path)).text()
    assert "<title>" in page
    assert "Signed in." in page
    answer = await admin.post(f"{path}/loop")
    assert answer.status == 303
    assert "catcher page" in await admin.see(answer.headers["Location"])


async def test_connecting_an_account_leads_there_and_back(room: Room, admin: Browser) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    page = await admin.see(f"/settings/inboxes/{inbox.id}")
    assert "Connect the account" in page
    page = await (await admin.post(f"/settings/inboxes/{inbox.id}/connect")).text()
    back = "http://127[^&]*/oauth/callback"
    state = re.search(rf"provider\.example/authorize\?redirect_uri={back}&amp;state=([\w-]+)", page)
    assert state
    response = await admin.get(f"/oauth/callback?state={state[1]}&code=good")
    assert (response.status, response.headers["Location"]) == (303, f"/settings/inboxes/{inbox.id}?done=connected")
    response = await admin.get(f"/oauth/callback?state={state[1]}&code=good")
    assert response.status == 422
    assert "Connect again" in await admin.see(f"/settings/inboxes/{inbox.id}")


async def test_the_health_page_says_what_is_wrong_and_since_when(room: Room, admin: Browser) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    await room.service.set_health(inbox.id, HealthState.DEAD, "The password was <b>refused</b>.")
    await room.service.reconciled(inbox.id, 2)
    page = await admin.see(f"/settings/inboxes/{inbox.id}/health")
    assert "The password was &lt;b&gt;refused&lt;/b&gt;." in page
    assert "2 messages are on the server and not here." in page
    assert "health-dead" in page


async def test_agents_read_the_catcher_and_no_settings(room: Room, colleague: Browser) -> None:
    assert "Nothing caught yet" in await colleague.see("/catcher")
    await room.service.ensure_built_in()
    adapter: Any = await room.service.adapter("built-in")
    mail = b"Subject: <i>Hi</i>\r\n\r\nSain uu"
    await adapter.ports.catch(mail, "hello@ortoo.localhost", ["ann@x.mn"])
    assert "&lt;i&gt;Hi&lt;/i&gt;" in await colleague.see("/catcher")
    (caught,) = await room.service.caught(ADMIN)
    page = await colleague.see(f"/catcher/{caught.id}")
    assert "Sain uu" in page
    assert re.search(r"<iframe[^>]* sandbox ", page)
    response = await colleague.get(f"/catcher/{caught.id}/html")
    assert "<b>uu</b>" in await response.text()
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Content-Security-Policy"].endswith("sandbox")
    response = await colleague.get(f"/catcher/{caught.id}/raw")
    assert await response.read() == mail
    assert response.headers["Content-Disposition"].startswith("attachment")
    response = await colleague.get("/settings/inboxes")
    assert response.status == 403


async def test_hours_team_and_answers_are_set_on_the_page(room: Room, admin: Browser) -> None:
    more = {
        "team_id": "team-1",
        "hours": "set",
        "hours-zone": "Asia/Ulaanbaatar",
        "opens-workdays-0": "09:00",
        "closes-workdays-0": "18:00",
        "holiday-0": "2026-12-31",
        "auto_reply_closed": "Tomorrow.",
    }
    await admin.post("/settings/inboxes/new", {**FORM, **more})
    inbox = await only(room)
    assert inbox.hours is not None
    assert (inbox.team_id, inbox.auto_reply_closed, inbox.hours.zone) == ("team-1", "Tomorrow.", "Asia/Ulaanbaatar")
    page = await admin.see(f"/settings/inboxes/{inbox.id}")
    assert '<option value="team-1" selected>Warehouse &lt;b&gt;</option>' in page
    assert '<option value="Asia/Ulaanbaatar" selected>' in page
    assert re.search(r'name="opens-workdays-0" value="09:00"', page)
    assert re.search(r'name="holiday-0" value="2026-12-31"', page)
    assert re.search("Open now|Closed now", page)


async def test_hours_that_cannot_be_are_said_beside_them_and_stay_as_typed(room: Room, admin: Browser) -> None:
    more = {"hours": "set", "hours-zone": "Mars", "opens-workdays-0": "18:00", "closes-workdays-0": "09:00"}
    answer = await admin.post("/settings/inboxes/new", {**FORM, **more})
    page = await answer.text()
    assert answer.status == 422
    assert page.count("A span ends before it begins.") == 2
    assert '<a href="#f-hours-week">' in page
    assert 'name="opens-workdays-0" value="18:00"' in page
    assert re.search(r'id="f-hours-zone-error">.*?Choose a time zone', page, re.DOTALL)
    assert await room.service.inboxes() == []
