"""What can be measured of the look: accessible, unclipped in a longer language, whole on a phone, 64 px a row."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import NewAgent
from tests.e2e.pages import InboxPage, Server

PAGES = (
    "/inbox/all",
    "/inbox/mine?status=snoozed",
    "/inbox/new",
    "/catcher",
    "/settings/profile",
    "/settings/inboxes",
    "/settings/inboxes/new",
    "/settings/agents",
    "/settings/teams",
    "/settings/audit",
    "/settings/dead-letters",
)
CLIPPED = """() => [...document.querySelectorAll("body *")].filter(element => {
  const style = getComputedStyle(element);
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.includes("["));
  if (!own || element.textContent.includes("@") || element.closest(".only-heard, [data-copy]")) return false;
  if (!element.checkVisibility({visibilityProperty: true}) || style.clipPath !== "none") return false;
  for (let box = element.parentElement; box; box = box.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth) return false;
  }
  const hides = style.overflowX !== "visible" && style.overflowX !== "auto" && style.overflowX !== "scroll";
  const box = element.getBoundingClientRect();
  return (hides && element.scrollWidth > element.clientWidth + 1) || box.right > innerWidth + 1;
}).map(element => element.outerHTML.slice(0, 160))"""


async def thread(inbox: InboxPage) -> Page:
    """A conversation with what a thread can show: both ways, a note, a file, labels, a composer."""
    mail = await inbox.server.mail(
        text="Сайн байна уу, see https://example.com",
        html="<p>Сайн <b>уу</b></p>",
        files=[("a.pdf", "application/pdf", b"%PDF")],
    )
    await inbox.show("all")
    await inbox.open(mail.subject)
    await inbox.write("A note", "note")
    await inbox.send()
    await inbox.page.keyboard.press("l")
    await inbox.page.keyboard.type("wholesale")
    await inbox.page.keyboard.press("Enter")
    await expect(inbox.page.locator(".thread-facts .chip")).to_be_visible()
    await inbox.write("An answer")
    return inbox.page


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible(server: Server, agent: NewAgent, scheme: str) -> None:
    inbox = await agent(color_scheme=scheme, reduced_motion="reduce")
    problems: list[str] = []
    for path in PAGES:
        await inbox.page.goto(path)
        problems += [f"{path}: {line}" for line in await inbox.axe()]
    page = await thread(inbox)
    problems += [f"thread: {line}" for line in await inbox.axe()]
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    problems += [f"palette: {line}" for line in await inbox.axe()]
    await page.keyboard.press("Escape")
    await page.keyboard.press("a")
    problems += [f"assign: {line}" for line in await inbox.axe()]
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    problems += [f"shortcuts: {line}" for line in await inbox.axe()]
    assert not problems, "\n".join(problems)


async def test_pages_without_a_session_are_accessible(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    await inbox.page.context.clear_cookies()
    await inbox.page.goto("/login")
    assert await inbox.axe() == []
    inbox.errors.clear()  # the stream that ended with the session


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768), (390, 844)], ids=["desk", "tablet", "phone"])
async def test_a_longer_language_clips_nothing(server: Server, agent: NewAgent, size: tuple[int, int]) -> None:
    inbox = await agent(viewport={"width": size[0], "height": size[1]})
    clipped: list[str] = []
    for path in PAGES:
        await inbox.page.goto(f"{path}{'&' if '?' in path else '?'}lang=en-XA")
        clipped += [f"{path}: {line}" for line in await inbox.page.evaluate(CLIPPED)]
        assert await inbox.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page = await thread(inbox)
    clipped += [f"thread: {line}" for line in await page.evaluate(CLIPPED)]
    assert not clipped, "\n".join(clipped)


async def test_on_a_phone_there_is_one_pane_at_a_time_with_a_way_back(server: Server, agent: NewAgent) -> None:
    inbox = await agent(viewport={"width": 390, "height": 844}, has_touch=True)
    page = inbox.page
    mail = await server.mail("A subject that is a good deal longer than any phone is wide, whichever way it is held")
    await inbox.show("all")
    await expect(page.locator("#open")).to_be_hidden()
    await inbox.open(mail.subject)
    await expect(page.locator("#list")).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    await inbox.write("Answered from the shop.")
    await inbox.send()
    await expect(inbox.entry("out", "Answered from the shop.")).to_be_visible()
    await page.click("[data-do=customer] >> visible=true")
    await expect(page.locator("#customer-name")).to_be_visible()
    await page.click("#customer [data-do=customer]")
    await expect(page.locator("#customer-name")).to_be_hidden()
    await page.go_back()
    await expect(inbox.row(mail.subject)).to_be_visible()
    await page.click("[data-do=views]")
    await page.click("#views [data-path='/inbox/mine']")
    await expect(page.locator("#list h2").first).to_have_text("Mine")
    await expect(page.locator("#views")).to_be_hidden()


async def test_a_row_is_64_px_whatever_is_in_it(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    await server.mail(
        "Сэдэв " * 30,
        "Текст " * 200,
        sender="Maximiliane von und zu Hohenlohe-Langenburg-Schillingsfürst <m@example.com>",
    )
    await server.mail(" ", "", sender="x@example.com")
    await inbox.show("all")
    heights = await inbox.page.evaluate("[...document.querySelectorAll('.row')].map(row => row.offsetHeight)")
    assert set(heights) == {64}


async def test_the_chosen_appearance_is_remembered(server: Server, agent: NewAgent) -> None:
    inbox = await agent(color_scheme="light")
    page = inbox.page
    await inbox.show("all")
    before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.click("[data-menu=me-menu]")
    await page.click("[data-theme-choice=dark]")
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != before
