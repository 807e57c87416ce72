"""How long after its commit a customer's mail stands in the agent's list: a real server, a real Chromium.

Mails come in one by one through the door, each from somebody new. Counted is from the moment that the transaction notes
in its event, so that the commit itself is included, until the row is in the page's DOM. Limit: the same browser and a
bare page, to which a bare aiohttp handler pushes an event of the same size that becomes a list item.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from statistics import median

import aiohttp
import aiosmtplib
import msgspec
from playwright.async_api import Browser, Page, async_playwright

from bench import places
from bench.mails import ADDRESS, mails
from bench.result import Result, percentile
from inbox.core.events import EventType
from inbox.core.ids import new_id
from inbox.wiring import House, open_house

SAMPLES = 120
PAUSE_SECONDS = 0.1
_SEEN_SECONDS = 20
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
_WATCH = """() => {
  window.seen = {};
  new MutationObserver(() => {
    const at = Date.now();
    for (const row of document.querySelectorAll("#rows > [data-id]")) window.seen[row.dataset.id] ??= at;
  }).observe(document.body, {childList: true, subtree: true});
}"""
_COUNT = "(count) => Object.keys(window.seen).length >= count"

Times = dict[str, float]
"""Unix milliseconds by conversation."""


async def run() -> Result:
    async with places.database() as settings, open_house(settings) as house, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        uri = settings.mongodb_uri.get_secret_value()
        async with places.program([sys.executable, "-m", "bench.bare", uri, settings.database]) as bare:
            limits = await _through_bare_page(browser, await bare.says(r"is at (http\S+)"))
        async with places.ortoo(settings) as server:
            waits = await _through_product(browser, house, server)
        await browser.close()
    for name, milliseconds in (("product", waits), ("bare", limits)):
        p95 = percentile(milliseconds, 95)
        print(f"{name:7}: p50 {median(milliseconds):5.1f} ms, p95 {p95:5.1f} ms, most {max(milliseconds):5.1f} ms")
    return Result(name="live", value=percentile(waits, 95), unit="ms (p95)", limit=percentile(limits, 95))


async def _through_product(browser: Browser, house: House, server: places.Server) -> list[float]:
    agent = await places.hire(house, "Ann Bold")
    token = await house.accounts.open_session(agent, ip="127.0.0.1", user_agent="bench")
    [(name, value)] = await places.cookies(server.url, [token])
    context = await browser.new_context()
    await context.add_cookies([{"name": name, "value": value, "url": server.url}])
    page = await context.new_page()
    await page.goto(f"{server.url}/inbox/all")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=server.door_port, start_tls=False) as client:
        sources = iter(mails(SAMPLES + 1, seed=1, people=SAMPLES + 1))

        async def write() -> None:
            await client.sendmail("ann@example.com", [ADDRESS], next(sources))

        seen = await _watch(page, write)
    begun = {}
    async for event in house.mongo.collection("events").find({"type": EventType.CONVERSATION_CREATED.value}):
        begun[event["conversation_id"]] = event["at"].timestamp() * 1000
    return _waits(begun, seen)


async def _through_bare_page(browser: Browser, url: str) -> list[float]:
    page = await browser.new_page()
    await page.goto(url)
    begun = {}
    async with aiohttp.ClientSession(url) as session:

        async def push() -> None:
            fields = ("inbox_id", "message_id", "customer_id", "actor")
            event = {"type": "message.received", "conversation_id": new_id(), **{name: new_id() for name in fields}}
            async with session.post("/push", data=msgspec.json.encode(event)) as answer:
                begun[event["conversation_id"]] = await answer.json()

        return _waits(begun, await _watch(page, push))


async def _watch(page: Page, happen: Callable[[], Awaitable[None]]) -> Times:
    """Let something happen again and again, each time once the last one is seen; when each appeared."""
    await page.evaluate(_WATCH)
    for number in range(SAMPLES + 1):
        await happen()
        await page.wait_for_function(_COUNT, arg=number + 1, timeout=_SEEN_SECONDS * 1000, polling=20)
        await asyncio.sleep(PAUSE_SECONDS)
    seen: Times = await page.evaluate("window.seen")
    return seen


def _waits(begun: Mapping[str, float], seen: Mapping[str, float]) -> list[float]:
    """Milliseconds from the beginning to the sight of each but the first, which found everything cold."""
    return [at - begun[key] for key, at in sorted(seen.items(), key=lambda item: item[1])][1:]
