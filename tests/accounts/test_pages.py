"""The pages, visited without a script as a browser would."""

from __future__ import annotations

import re

import pytest
from aiohttp.test_utils import TestServer

from inbox.accounts.model import Actor, AuditAction, Role
from tests.fixtures.web import PASSWORD, Site


@pytest.fixture
async def server(site: Site) -> TestServer:
    return await site.serve()


async def test_the_first_administrator_sets_up_and_is_signed_in(site: Site, server: TestServer) -> None:
    browser = await site.browser(server)
    assert "Nobody has an account here yet" in await browser.see("/login")
    link = await site.accounts.setup_link()
    assert link is not None
    await browser.see(link)
    refused = await browser.post(link, {"name": "<Bat>", "email": "bat", "password": "short"})
    page = await refused.text()
    assert refused.status == 422
    assert 'value="&lt;Bat&gt;"' in page, "what was typed is kept"
    assert "does not look like an e-mail address" in page
    assert "short" not in page, "but for the password"
    response = await browser.post(link, {"name": "Bat", "email": "bat@example.mn", "password": PASSWORD})
    assert (response.status, response.headers["Location"]) == (303, "/inbox")
    assert "bat@example.mn" in await browser.see("/settings/profile")
    assert (await browser.get(link)).status == 404
    assert "Nobody has an account" not in await (await site.browser(server)).see("/login")


async def test_signing_in_leads_back_to_where_the_person_wanted(site: Site, server: TestServer) -> None:
    agent, browser = await site.agent(), await site.browser(server)
    response = await browser.get("/settings/profile?done=saved")
    assert response.headers["Location"] == "/login?next=%2Fsettings%2Fprofile%3Fdone%3Dsaved"
    page = await browser.see(response.headers["Location"])
    action = re.search(r'action="(/login[^"]*)"', page)
    assert action is not None
    wrong = await browser.post(action[1], {"email": agent.email, "password": "wrong"})
    page = await wrong.text()
    assert wrong.status == 422
    assert "The e-mail address or the password is not right." in page
    assert agent.email in page
    right = await browser.post(action[1], {"email": agent.email, "password": PASSWORD})
    assert right.headers["Location"] == "/settings/profile?done=saved"


async def test_signing_in_makes_a_new_token(site: Site, server: TestServer) -> None:
    agent, browser = await site.agent(), await site.browser(server)
    await browser.get("/login")
    nobodys, form_token = browser.cookie.value, browser.csrf
    await browser.post("/login", {"email": agent.email, "password": PASSWORD})
    assert browser.cookie.value != nobodys
    await browser.see("/settings/profile")
    assert browser.csrf != form_token
    fixed = await site.browser(server)
    fixed.client.session.cookie_jar.update_cookies({browser.cookie.key: nobodys})
    assert (await fixed.get("/settings/profile")).status == 303, "a token planted before is nobody's still"


async def test_signing_in_again_ends_the_session_before(site: Site, server: TestServer) -> None:
    browser = await site.signed_in(server)
    assert browser.agent is not None
    before = browser.cookie.value
    await browser.post("/login", {"email": browser.agent.email, "password": PASSWORD})
    assert browser.cookie.value != before
    assert len(await site.accounts.sessions(browser.agent)) == 1


async def test_too_many_tries_say_when_to_come_back(site: Site, server: TestServer) -> None:
    browser = await site.browser(server)
    await browser.get("/login")
    for _ in range(10):
        await browser.post("/login", {"email": "bat@example.mn", "password": "wrong"})
    response = await browser.post("/login", {"email": "bat@example.mn", "password": "wrong"})
    assert response.status == 429
    assert int(response.headers["Retry-After"]) in range(800, 901)
    assert "Try again in 15 min." in await response.text()


async def test_logging_out_ends_the_session_on_the_server_too(site: Site, server: TestServer) -> None:
    browser = await site.signed_in(server)
    assert browser.agent is not None
    token = browser.cookie.value
    response = await browser.post("/logout")
    assert (response.status, response.headers["Location"]) == (303, "/login")
    assert response.headers["Clear-Site-Data"] == '"cache"'
    assert (await browser.get("/settings/profile")).status == 303
    assert await site.accounts.sessions(browser.agent) == []
    thief = await site.browser(server)
    thief.client.session.cookie_jar.update_cookies({browser.cookie.key: token})
    assert (await thief.get("/settings/profile")).status == 303
    await browser.get("/login")
    assert (await browser.post("/logout")).status == 303, "logging out twice does no harm"


async def test_an_invitation_is_shown_once_and_makes_an_agent(site: Site, server: TestServer) -> None:
    admin = await site.signed_in(server, Role.ADMIN)
    await admin.see("/settings/agents")
    response = await admin.post("/settings/agents/invite", {"email": "new@example.mn", "role": "marketer"})
    page = await response.text()
    assert response.status == 200
    link = re.search(r"http://127\.0\.0\.1:\d+(/join/[\w-]{43})", page)
    assert link is not None
    assert link[1] not in await admin.see("/settings/agents")
    assert "new@example.mn" in await admin.see("/settings/agents")

    browser = await site.browser(server)
    assert "new@example.mn" in await browser.see(link[1])
    refused = await browser.post(link[1], {"name": "", "password": PASSWORD})
    assert refused.status == 422
    assert "Enter a name." in await refused.text()
    response = await browser.post(link[1], {"name": "Нэргүй", "password": PASSWORD, "timezone": "Asia/Hovd"})
    assert response.status == 303
    assert "Нэргүй" in await browser.see("/settings/profile")
    gone = await browser.get(link[1])
    assert gone.status == 404
    assert "Ask for a new one." in await gone.text()


async def test_a_link_for_a_new_password_asks_for_nothing_else(site: Site, server: TestServer) -> None:
    admin, agent = await site.signed_in(server, Role.ADMIN), await site.agent()
    response = await admin.post(f"/settings/agents/{agent.id}/password-link")
    link = re.search(r"/join/[\w-]{43}", await response.text())
    assert link is not None
    browser = await site.browser(server)
    page = await browser.see(link[0])
    assert "Choose a new password" in page
    assert 'name="name"' not in page
    assert (await browser.post(link[0], {"password": "nine camels resting"})).status == 303
    await site.accounts.authenticate(agent.email, "nine camels resting", "")


async def test_mistakes_in_the_agents_settings_are_told_on_the_page(site: Site, server: TestServer) -> None:
    admin = await site.signed_in(server, Role.ADMIN)
    assert admin.agent is not None
    for path, form, status, words in (
        ("/settings/agents/invite", {"email": "x", "role": "agent"}, 422, "does not look like an e-mail address"),
        ("/settings/agents/invite", {"email": "new@example.mn", "role": "king"}, 422, "Choose a role."),
        (f"/settings/agents/{admin.agent.id}/role", {"role": "agent"}, 409, "This is the last administrator."),
        (f"/settings/agents/{admin.agent.id}/deactivate", {}, 409, "This is the last administrator."),
    ):
        response = await admin.post(path, form)
        assert response.status == status
        assert words in await response.text()


async def test_roles_and_doors_are_changed_on_the_agents_page(site: Site, server: TestServer) -> None:
    admin, agent = await site.signed_in(server, Role.ADMIN), await site.signed_in(server)
    assert agent.agent is not None
    for step, done in (("role", "role"), ("deactivate", "deactivated"), ("reactivate", "reactivated")):
        response = await admin.post(f"/settings/agents/{agent.agent.id}/{step}", {"role": "marketer"})
        assert response.headers["Location"] == f"/settings/agents/{agent.agent.id}?done={done}"
        page = await admin.see(response.headers["Location"])
        assert (">Deactivated<" in page) is (step == "deactivate")
        assert (">Deactivated<" in await admin.see("/settings/agents")) is (step == "deactivate")
        assert 'class="notice notice-fine"' in page
    assert (await agent.get("/settings/profile")).status == 303


async def test_teams_are_edited_on_one_page(site: Site, server: TestServer) -> None:
    admin, agent = await site.signed_in(server, Role.ADMIN), await site.agent()
    assert "No teams yet" in await admin.see("/settings/teams")
    assert (await admin.post("/settings/teams", {"name": ""})).status == 422
    assert (await admin.post("/settings/teams", {"name": "Sales"})).status == 303
    (team,) = await site.accounts.teams()
    await admin.post(f"/settings/teams/{team.id}", {"name": "Shop", "member": agent.id})
    page = await admin.see("/settings/teams")
    assert "<h2>Shop</h2>" in page
    assert re.search(rf'value="{agent.id}" checked', page)
    refused = await admin.post(f"/settings/teams/{team.id}", {"name": " "})
    assert refused.status == 422
    assert "Enter a name." in await refused.text()


async def test_the_profile_is_edited_without_a_script(site: Site, server: TestServer) -> None:
    browser = await site.signed_in(server)
    form = {"name": "Сараа", "locale": "en", "timezone": "Asia/Ulaanbaatar", "signature": "Сараа\nДархан"}
    response = await browser.post("/settings/profile", form)
    page = await browser.see(response.headers["Location"])
    assert "Saved." in page
    assert re.search(r"<textarea[^>]*>Сараа\nДархан</textarea>", page)
    assert re.search(r'<option value="Asia/Ulaanbaatar" selected>', page)
    refused = await browser.post("/settings/profile", {**form, "name": "", "locale": "xx"})
    page = await refused.text()
    assert refused.status == 422
    assert "Enter a name." in page
    assert 'aria-invalid="true"' in page


async def test_other_browsers_are_listed_and_logged_out(site: Site, server: TestServer) -> None:
    here, there = await site.signed_in(server), await site.signed_in(server)
    page = await here.see("/settings/profile")
    (end,) = re.findall(r'action="(/settings/profile/sessions/\w+/end)"', page)
    assert (await here.post(end)).headers["Location"] == "/settings/profile?done=session"
    assert (await there.get("/settings/profile")).status == 303
    assert (await here.post(end)).status == 404
    assert "That browser was logged out." in await here.see("/settings/profile?done=session")


async def test_changing_the_password_logs_other_browsers_out_but_not_this(site: Site, server: TestServer) -> None:
    here, there = await site.signed_in(server), await site.signed_in(server)
    wrong = await here.post("/settings/profile/password", {"current": "x", "new": "nine camels resting"})
    assert wrong.status == 422
    assert "This is not your current password." in await wrong.text()
    right = await here.post("/settings/profile/password", {"current": PASSWORD, "new": "nine camels resting"})
    assert right.headers["Location"] == "/settings/profile?done=password"
    assert "Your password was changed." in await here.see(right.headers["Location"])
    assert (await there.get("/settings/profile")).status == 303


async def test_the_audit_page_tells_what_was_done_in_words(site: Site, server: TestServer) -> None:
    admin = await site.signed_in(server, Role.ADMIN)
    await admin.post("/settings/teams", {"name": "<i>Sales</i>"})
    page = await admin.see("/settings/audit")
    assert "<strong>Admin Bat</strong> made the team &lt;i&gt;Sales&lt;/i&gt;" in page
    assert "<strong>Admin Bat</strong> logged in" in page
    assert "127.0.0.1" in page


async def test_the_settings_begin_where_a_person_may_go(site: Site, server: TestServer) -> None:
    admin, agent = await site.signed_in(server, Role.ADMIN), await site.signed_in(server)
    assert (await admin.get("/settings")).headers["Location"] == "/settings/inboxes"
    assert (await agent.get("/settings")).headers["Location"] == "/settings/profile"
    assert (await agent.get("/me")).headers["Location"] == "/settings/profile"
    refused = await agent.get("/settings/agents")
    assert refused.status == 403
    assert "You may not do this" in await refused.text()


@pytest.mark.parametrize("action", list(AuditAction))
async def test_everything_the_audit_log_tells_of_has_words(site: Site, server: TestServer, action: AuditAction) -> None:
    admin = await site.signed_in(server, Role.ADMIN)
    actor = Actor(id="somebody", name="Somebody else", role=Role.ADMIN)
    await site.mongo.transaction(lambda session: site.accounts.record(session, actor, action, subject="Something"))
    page = await admin.see("/settings/audit")
    assert re.search(r"<strong>Somebody else</strong> [a-z]+|[A-Z][a-z ]+<strong>Somebody else</strong> [a-z]+", page)
