"""What only a browser proves: the form asks for what is needed, a test shows its parts, a caught mail runs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect

from inbox.accounts.model import Role
from inbox.inboxes.web import InboxPages
from inbox.web.routes import Access, Route
from tests.fixtures.web import PASSWORD, Site
from tests.inboxes.conftest import ADMIN, Room, stone


@pytest.fixture
def fetched() -> list[str]:
    """What was asked for at `/pixel`."""
    return []


@pytest.fixture
async def page(site: Site, room: Room, chromium: Chromium, fetched: list[str]) -> AsyncIterator[Page]:
    async def pixel(request: web.Request) -> web.StreamResponse:
        fetched.append(request.path_qs)
        return web.Response(content_type="image/gif")

    routes = [*InboxPages(room.service).routes(), Route("GET", "/pixel", pixel, Access.PUBLIC)]
    server = await site.serve(routes)
    agent = await site.agent(Role.ADMIN)
    context = await chromium.new_context(base_url=str(server.make_url("/")))
    page = await context.new_page()
    await page.goto("/login")
    await page.fill("[name=email]", agent.email)
    await page.fill("[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url("**/inbox")
    yield page
    await context.close()


async def test_a_form_asks_only_for_what_the_choice_needs_and_keeps_what_was_typed(page: Page) -> None:
    await page.goto("/settings/inboxes/new?channel=paper&preset=stone")
    await page.fill("[name=set-host]", "mail.x.mn")
    await expect(page.locator("[name=set-client_secret]")).to_be_hidden()
    await page.select_option("[name=set-provider]", "cloud")
    await expect(page.locator("[name=set-client_secret]")).to_be_visible()
    await expect(page.locator("[name=set-host]")).to_be_hidden()
    await page.select_option("[name=set-provider]", "stone")
    await expect(page.locator("[name=set-host]")).to_have_value("mail.x.mn")


async def test_a_test_of_an_inbox_runs_to_its_end_by_itself(page: Page, room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    await page.goto(f"/settings/inboxes/{inbox.id}")
    await page.click("text=Test this inbox")
    await expect(page.locator("#test-result")).to_contain_text("Waiting for it to come back")
    (adapter,) = room.built
    assert await room.service.loop_seen(inbox.id, adapter.outbox[0].subject)
    await expect(page.locator("#test-result")).to_contain_text("got it back")


async def test_a_caught_mail_shows_its_html_and_runs_nothing_of_it(page: Page, room: Room, fetched: list[str]) -> None:
    await room.service.ensure_built_in()
    await room.service.adapter("built-in")
    (adapter,) = room.built
    adapter.html = '<p>Sain <b>uu</b></p><script>top.document.title = "taken"</script><img src="/pixel">'
    await adapter.ports.catch(b"Subject: Hi\r\n\r\n", "hello@ortoo.localhost", ["ann@x.mn"])
    await page.goto("/catcher")
    await page.get_by_role("link", name="Hi", exact=True).click()
    await expect(page.frame_locator("iframe").locator("b")).to_have_text("uu")
    assert await page.title() == "Hi · Örtöö"
    await page.wait_for_load_state("load")
    assert fetched == []
