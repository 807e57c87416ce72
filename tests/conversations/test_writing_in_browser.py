"""The composer and the page for a new conversation as an agent sees them, over a channel of plain words."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect

from channels.base import Address, ConsentChange
from config.settings import Settings
from inbox.accounts.model import Actor, Role
from inbox.app import build
from inbox.conversations.model import Status
from inbox.core.mongo import Mongo
from inbox.wiring import House
from tests.conversations.conftest import everything, mail
from tests.conversations.test_writing_channels import (
    BAT,
    SHORT,
    WINDOW,
    Clock,
    Wire,
    capabilities,
    clock,
    house,
    rows,
    said,
    take,
    wire_id,
)
from tests.e2e.pages import AXE, AXE_RUN, AXE_TAGS
from tests.fixtures.web import PASSWORD, Site

__all__ = ["capabilities", "clock", "house", "wire_id"]
PICTURES = os.environ.get("ORTOO_PICTURES", "")
"""A folder for pictures of what is tested, for a person to look at."""


@pytest.fixture
async def page(house: House, mongo: Mongo, settings: Settings, chromium: Chromium) -> AsyncIterator[Page]:
    site = Site(mongo, settings)
    agent = await site.agent(Role.ADMIN)
    server = TestServer(await build(house))
    await server.start_server()
    context = await chromium.new_context(base_url=str(server.make_url("/")), viewport={"width": 1440, "height": 900})
    opened = await context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    await opened.goto("/login")
    await opened.fill("[name=email]", agent.email)
    await opened.fill("[name=password]", PASSWORD)
    await opened.click("button[type=submit]")
    await opened.wait_for_url("**/inbox/*")
    yield opened
    await context.close()
    await server.close()
    await site.close()
    assert wrong == []


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")


async def begin(page: Page, row: str) -> None:
    await page.goto(f"/c/{row}")
    await page.click(".composer-tab[data-mode=reply]")
    await expect(page.locator("#writing")).to_be_attached()


async def test_a_channel_of_plain_words_has_a_plain_box_that_counts(
    page: Page, house: House, wire_id: str, ann: Actor
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    await begin(page, row)
    await expect(page.locator("#composer-plain")).to_be_focused()
    for absent in (".composer-tab[data-mode=forward]", "[data-do=attach]:visible", "#composer-to:visible"):
        await expect(page.locator(absent)).to_have_count(0)
    await expect(page.locator(".writing-to")).to_contain_text(BAT.value)
    length = page.locator("#composer-length")
    await page.keyboard.type("Yes  we do")
    await expect(length).to_have_text("GSM-7 · 10/160 · 1 segment")
    await page.keyboard.type(" — really")
    await expect(length).to_contain_text("UCS-2 · 19/70 · 1 segment · because of “—” (U+2014)")
    await length.get_by_role("button").click()
    assert await page.evaluate("getSelection().toString()") == "—"
    await picture(page, "segments")
    await page.click("#composer-send")
    await expect(page.locator(".entry-out")).to_contain_text("really")
    [message] = [each for each in await everything(house, "messages") if each["kind"] == "out"]
    assert (message["text"], message["html"]) == ("Yes  we do — really", "")


@pytest.mark.parametrize("capabilities", [SHORT], indirect=True)
async def test_a_text_too_long_for_the_channel_keeps_the_button_from_working(
    page: Page, house: House, wire_id: str, ann: Actor
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    await begin(page, row)
    await page.keyboard.type("12345678901")
    await expect(page.locator("#composer-length")).to_have_text("11/10 · 1 characters too many")
    await expect(page.locator("#composer-send")).to_be_disabled()
    await page.keyboard.press("Control+Enter")
    await page.keyboard.press("Backspace")
    await expect(page.locator("#composer-send")).to_be_enabled()
    assert [each["kind"] for each in await everything(house, "messages")] == ["in"]


@pytest.mark.parametrize("capabilities", [WINDOW], indirect=True)
async def test_a_closed_window_and_a_stop_are_said_and_a_new_message_opens_it_again(
    page: Page, house: House, wire_id: str, ann: Actor, clock: Clock
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    clock.now += timedelta(hours=25)
    stop = ConsentChange(inbox_id="", external_id="2", address=BAT, opted_out=True, words="STOP", at=clock.now)
    await take(house, wire_id, stop)
    await begin(page, row)
    await expect(page.locator(".writing-line.is-alarm")).to_contain_text("24 hours")
    await expect(page.locator(".writing-line").last).to_contain_text("“STOP”")
    await expect(page.locator("#composer-send")).to_be_disabled()
    await picture(page, "closed")
    await take(house, wire_id, said("3", "Still there?"))
    await expect(page.locator(".writing-line.is-alarm")).to_have_count(0)
    await expect(page.locator("#composer-send")).to_be_enabled()


async def test_an_answer_by_another_channel_lands_in_the_conversation_it_went_to(
    page: Page, house: House, inbox_id: str, wire_id: str, ann: Actor, clock: Clock
) -> None:
    bat = Address("email", "bat@example.mn", "Bat")
    await take(house, wire_id, said("1", sender=BAT, identities=(bat,)))
    await house.ingest.ingest(inbox_id, mail("Which size?"))
    [by_mail], [by_wire] = await rows(house, ann, inbox_id), await rows(house, ann, wire_id)
    await house.conversations.set_status(ann, by_wire, Status.RESOLVED)
    clock.now += timedelta(minutes=1)
    await begin(page, by_mail)
    await page.locator("#composer-text").click()
    await page.keyboard.type("Size 42")
    await page.click("#writing-ways")
    await expect(page.locator("#ways-menu")).to_be_visible()
    await picture(page, "ways")
    await page.click("[data-way-to]")
    await expect(page.locator("#composer-plain")).to_have_value("Size 42")
    await expect(page.locator("#composer-to")).to_be_hidden()
    await expect(page.locator("#composer-length")).to_contain_text("7/160")
    await picture(page, "elsewhere")
    await page.click("#composer-send")
    await page.wait_for_url(f"**/c/{by_wire}*")
    await expect(page.locator(".entry-out")).to_contain_text("Size 42")
    await expect(page.locator(".entry-system").last).to_contain_text("This answers a question")
    await picture(page, "landed")
    await page.goto(f"/c/{by_mail}")
    await expect(page.locator(".entry-system").last).to_contain_text("Answered by Wire in #")


async def test_a_new_conversation_by_keyboard_keeps_its_text_over_an_error_and_a_reload(
    page: Page, house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    await take(house, wire_id, said("1", sender=Address("phone", "+97699112233", "Sarnai")))
    await page.goto("/inbox/all")
    await page.keyboard.press("c")
    await page.wait_for_url("**/inbox/new")
    await expect(page.locator("#new-to")).to_be_focused()
    await page.keyboard.type("Sarn")
    await expect(page.locator("#new-people [role=option]")).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#new-to")).to_have_value("+97699112233")
    await expect(page.locator("#new-plain")).to_be_focused()
    await page.keyboard.type("It has come.")
    await page.fill("#new-to", "99112233")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#new-to-error")).to_contain_text("Begin with + and the country code")
    await picture(page, "new-error")
    await expect(page.locator("#new-to-error")).to_be_visible()
    await expect(page.locator("#new-problem")).to_contain_text("Your text is kept")
    await expect(page.locator("#new-to")).to_be_focused()
    await page.reload()
    await expect(page.locator("#new-plain")).to_have_value("It has come.")
    await page.fill("#new-to", "+976 9911-2233")
    await page.keyboard.press("Control+Enter")
    await page.wait_for_url("**/c/*")
    await expect(page.locator(".entry-out")).to_contain_text("It has come.")
    await page.goto("/inbox/new")
    await expect(page.locator("#new-plain")).to_have_value("")
    assert len(await everything(house, "conversations")) == 1


async def test_write_to_leads_to_a_page_for_that_address_that_fits_a_phone(
    page: Page, house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    await house.ingest.ingest(inbox_id, mail("Which size?"))
    [row] = await rows(house, ann)
    await page.goto(f"/c/{row}")
    await page.locator(".identity a[href^='/inbox/new']").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#new-to")).to_have_value("bat@example.mn")
    await expect(page.locator("#new-subject")).to_be_visible()
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth <= 390")
    await page.locator("#new-text").click()
    await page.keyboard.type("We have it.")
    await page.click("#new-send")
    await expect(page.locator("#new-subject-error")).to_contain_text("Say what it is about")
    await picture(page, "new-phone")
    await page.fill("#new-subject", "The blue one")
    await page.click("#new-send")
    await page.wait_for_url("**/c/*")
    await expect(page.locator("#subject")).to_have_text("The blue one")
    assert Wire.sent == []


async def test_what_is_new_on_the_page_is_accessible(page: Page, house: House, wire_id: str, ann: Actor) -> None:
    bat = Address("email", "bat@example.mn", "Bat")
    await take(house, wire_id, said("1", sender=BAT, identities=(bat,)))
    stop = ConsentChange(inbox_id="", external_id="2", address=BAT, opted_out=True, words="STOP")
    await take(house, wire_id, stop)
    [row] = await rows(house, ann)
    await begin(page, row)
    await page.keyboard.type("Yes — we do")
    await expect(page.locator("#composer-length")).to_contain_text("UCS-2")
    for path in ("", "/inbox/new"):
        if path:
            await page.goto(path)
            await page.fill("#new-to", "Ba")
            await expect(page.locator("#new-people [role=option]").first).to_be_visible()
        await page.evaluate(AXE.read_text("utf-8"))
        found = await page.evaluate(AXE_RUN, AXE_TAGS)
        assert [f"{each['id']}: {each['nodes'][0]['target']}" for each in found["violations"]] == []
