"""What only a browser proves: the form asks for what is needed, a test shows its parts, a caught mail runs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from msgspec.structs import replace
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect

from inbox.accounts.model import Role
from inbox.core.clock import utcnow
from inbox.inboxes.model import HealthState
from inbox.inboxes.web import InboxPages
from inbox.web.routes import Access, Route
from tests.e2e.pages import AXE, AXE_RUN, AXE_TAGS
from tests.fixtures.web import PASSWORD, Site
from tests.inboxes.conftest import ADMIN, Room, service_of, stone
from tests.inboxes.test_hooks import PUBLIC, pigeon, pigeon_channel
from tests.inboxes.test_hours import hours as week


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


async def test_the_webhook_is_copied_and_a_message_from_a_phone_turns_the_test_green(
    site: Site, room: Room, page: Page
) -> None:
    service = service_of(room.mongo, {"pigeon": pigeon_channel()}, room.clock, base_url=PUBLIC)
    server = await site.serve(InboxPages(service, PUBLIC).routes())
    inbox = await service.create(ADMIN, "pigeon", pigeon())
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(str(server.make_url(f"/settings/inboxes/{inbox.id}")))
    await page.click("[data-copy]")
    await expect(page.locator("#toasts")).to_contain_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == f"{PUBLIC}/hooks/{inbox.id}"
    await page.click("text=Set it at the provider")
    await expect(page.locator("#hook-result")).to_contain_text("It flies to")
    await page.click("text=Test this inbox")
    await expect(page.locator("#test-result")).to_contain_text("Write to it now from your own phone: +97677001122")
    await expect(page.get_by_role("link", name="Write to it")).to_have_attribute("href", "sms:+97677001122")
    await service.saw_in(inbox.id, utcnow())
    await expect(page.locator("#test-result")).to_contain_text("A message came in")
    await service.close()


async def test_hours_are_asked_for_only_where_there_are_any(page: Page, room: Room) -> None:
    await page.goto("/settings/inboxes/new?channel=paper&preset=cloud")
    await page.fill("[name=name]", "Cloud")
    await page.fill("[name=address]", "cloud@x.mn")
    workdays, monday = page.locator("[name=opens-workdays-0]"), page.locator("[name=opens-0-0]")
    await expect(workdays).to_be_hidden()
    await page.select_option("[name=hours]", "set")
    await expect(workdays).to_have_value("09:00")
    await expect(workdays).to_be_visible()
    await expect(monday).to_be_hidden()
    await page.check("[name=hours-single]")
    await expect(workdays).to_be_hidden()
    await monday.fill("08:30")
    await page.fill("[name=holiday-0]", "2026-12-31")
    await page.click("text=Add the inbox")
    await expect(page.locator("#f-hours-week")).to_contain_text("now")
    (inbox,) = await room.service.inboxes()
    assert inbox.hours is not None
    assert [spans[0].start for spans in inbox.hours.week[:5]] == [510, 540, 540, 540, 540]
    assert [holiday.day for holiday in inbox.hours.holidays] == ["2026-12-31"]


async def test_the_pages_are_accessible(page: Page, room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", replace(stone(), hours=week("Asia/Ulaanbaatar")))
    await room.service.set_health(inbox.id, HealthState.DEAD, "The password was refused.")
    await page.add_init_script(path=AXE)
    for path in ("", "/new", "/new?channel=paper&preset=stone", f"/{inbox.id}", f"/{inbox.id}/health"):
        await page.goto(f"/settings/inboxes{path}")
        found = await page.evaluate(AXE_RUN, AXE_TAGS)
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == [], path
