"""The whole main journey without a mouse."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.e2e.conftest import NewAgent
from tests.e2e.pages import Server


async def test_the_main_journey_needs_no_mouse(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page, press = inbox.page, inbox.page.keyboard.press
    mail = await server.mail()
    await inbox.show("unassigned")
    await expect(inbox.row(mail.subject)).to_be_visible()
    await press("j")
    await expect(inbox.row(mail.subject).locator(".row-link")).to_be_focused()
    await press("Enter")
    await expect(page.locator("#subject")).to_have_text(mail.subject)

    await press("a")
    await page.keyboard.type("Ada")
    await press("Enter")
    await expect(page.locator("#thread-head")).not_to_have_attribute("data-assignee", "")
    await expect(page.get_by_text("Ada Lovelace took this")).to_be_visible()

    await press("l")
    await expect(page.locator("dialog[open] input, [popover]:popover-open input").first).to_be_focused()
    await page.keyboard.type("felt")
    await press("Enter")
    await expect(page.locator(".thread-facts .chip", has_text="felt")).to_be_visible()

    await press("n")
    await expect(inbox.text).to_be_focused()
    await page.keyboard.type("Checked with the warehouse.")
    await press("Control+Enter")
    await expect(inbox.entry("note", "Checked with the warehouse.")).to_be_visible()

    await press("r")
    await expect(inbox.text).to_be_focused()
    await expect(page.locator("#composer-to")).not_to_have_value("")
    await page.keyboard.type("Yes, we do.")
    await press("Control+Enter")
    await expect(inbox.entry("out", "Yes, we do.")).to_be_visible()

    await press("e")
    await expect(page.locator("#thread-head[data-status=resolved]")).to_be_visible()
    await press("z")
    await expect(page.locator("#thread-head[data-status=open]")).to_be_visible()
    await press("Escape")
    await expect(page.locator("#nothing")).to_be_visible()


async def test_keys_stay_with_what_is_open_when_its_row_leaves_the_list(server: Server, agent: NewAgent) -> None:
    inbox, colleague = await agent(), await agent()
    page, press = inbox.page, inbox.page.keyboard.press
    neighbour = await server.mail()
    mail = await server.mail()
    await inbox.show("unassigned")
    await expect(inbox.row(mail.subject)).to_be_visible()
    await inbox.row(mail.subject).locator(".row-link").focus()
    await press("Enter")
    await expect(page.locator("#subject")).to_have_text(mail.subject)

    await press("i")
    await expect(inbox.row(mail.subject)).to_have_count(0)
    await press("l")
    await expect(page.locator(".menu-filter")).to_be_focused()
    await page.keyboard.type("stays")
    await press("Enter")
    await expect(page.locator(".thread-facts .chip", has_text="stays")).to_be_visible()
    await expect(inbox.row(neighbour.subject)).to_be_visible()
    await expect(inbox.row(neighbour.subject)).not_to_contain_text("stays")

    # Where somebody else takes a row away, the keyboard stands on none until it is moved.
    await press("Escape")
    await inbox.row(neighbour.subject).locator(".row-link").focus()
    await colleague.show("unassigned")
    await colleague.row(neighbour.subject).locator(".row-link").focus()
    await colleague.page.keyboard.press("i")
    await expect(inbox.row(neighbour.subject)).to_have_count(0)
    await expect(page.locator("#list-scroll")).to_be_focused()


async def test_keys_are_found_on_a_cyrillic_layout(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    await inbox.page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'к', code: 'KeyR', bubbles: true}))"
    )
    await expect(inbox.text).to_be_focused()


async def test_what_is_marked_unread_stays_so_while_it_is_open(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    await expect(inbox.row(mail.subject)).not_to_have_class(re.compile("is-unread"))
    await inbox.page.keyboard.press("u")
    await expect(inbox.toast).to_contain_text("Marked as unread")
    await server.mail(f"Re: {mail.subject}", "One more thing.", sender="Somebody else <else@example.com>")
    await expect(inbox.row("Somebody else")).to_be_visible()
    await expect(inbox.row(mail.subject).filter(has_not_text="Somebody else")).to_have_class(re.compile("is-unread"))


async def test_the_palette_finds_every_action(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page = inbox.page
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    await page.keyboard.press("Control+k")
    await page.keyboard.type("spam")
    await page.keyboard.press("Enter")
    await expect(page.locator("#thread-head[data-status=spam]")).to_be_visible()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("unassigned")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/inbox/unassigned"))


async def test_escape_leaves_what_is_open_one_by_one(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page = inbox.page
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    await page.keyboard.press("r")
    await expect(inbox.text).to_be_focused()
    await page.keyboard.type("unfinished")
    await page.keyboard.press("Escape")
    await expect(inbox.text).not_to_be_focused()
    await expect(inbox.text).to_have_text("unfinished")
    await page.keyboard.press("?")
    await expect(page.locator("#shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#shortcuts")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(inbox.row(mail.subject).locator(".row-link")).to_be_focused()
