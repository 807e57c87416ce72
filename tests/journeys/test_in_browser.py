"""Customers on their phones, agents in a browser, and between them the real server and the provider's webhooks."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port
from playwright.async_api import Browser, Locator, expect

from tests.e2e.conftest import NewAgent, _drain, _set_up, _until_ready, agent
from tests.e2e.pages import InboxPage, Server
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.twilio_server import ACCOUNT, CUSTOMER, NUMBER, TOKEN, TwilioServer

__all__ = ["agent"]
"""A fixture of the other journeys, on this server."""

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
_START_SECONDS = 60


@pytest.fixture(scope="module")
async def server(chromium: Browser) -> AsyncIterator[Server]:
    """A running copy that knows its own address, as webhooks are signed over it."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("ortoo")
        arguments = ["serve", "--port", str(unused_port()), "--door-port", "0", "--data", folder]
        environment = {**os.environ, "ORTOO_UNDO_SECONDS": "0", "ORTOO_LOG_LEVEL": "WARNING"}
        process = await asyncio.create_subprocess_exec(
            program, *arguments, env=environment, cwd=folder, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            url, link, host, port = await asyncio.wait_for(_until_ready(process.stderr), _START_SECONDS)
            draining = asyncio.create_task(_drain(process.stderr))
            await _set_up(chromium, link)
            yield Server(url, (host, int(port)))
            process.terminate()
            await process.wait()
            await draining
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def add_inbox(
    inbox: InboxPage, channel: str, name: str, address: str, *, inbound: str = "", **settings: str
) -> str:
    """Fill in the form; where the provider is to call."""
    page = inbox.page
    await page.goto(f"/settings/inboxes/new?channel={channel}")
    await page.fill(".inbox-form [name=name]", name)
    await page.fill(".inbox-form [name=address]", address)
    if inbound:
        await page.select_option("[name=set-inbound]", inbound)
    for setting, value in settings.items():
        await page.fill(f"[name=set-{setting}]", value)
    await page.get_by_role("button", name="Add the inbox").click()
    await page.wait_for_url(lambda url: "/settings/inboxes/" in url and "/new" not in url)
    inbox_id = page.url.partition("/settings/inboxes/")[2].partition("?")[0].partition("/")[0]
    return f"{inbox.server.url}/hooks/{inbox_id}"


async def open_row(inbox: InboxPage, text: str) -> None:
    await inbox.row(text).locator(".row-link").click()


async def say(inbox: InboxPage, text: str) -> None:
    """Write an answer and send it."""
    await inbox.page.click(".composer-tab[data-mode=reply]")
    await inbox.page.locator("#composer-text:visible, #composer-plain:visible").click()
    await inbox.page.keyboard.type(text)
    await inbox.send()


async def shows_pictures(entry: Locator, count: int) -> None:
    """Wait until so many are there, and really are pictures."""
    pictures = entry.locator("img[src^='/']:not(.avatar img)")
    await expect(pictures).to_have_count(count)
    await pictures.last.scroll_into_view_if_needed()
    page = entry.page
    handle = await page.wait_for_function(
        "id => { const all = [...document.querySelectorAll(`#${id} .files img`)];"
        " all.forEach(one => { one.loading = 'eager'; });"
        " return all.length > 0 && all.every(one => one.complete && one.naturalWidth > 0); }",
        arg=await entry.get_attribute("id"),
    )
    await handle.dispose()


async def test_a_text_message_with_a_picture_is_seen_answered_and_delivered(agent: NewAgent) -> None:
    async with TwilioServer() as twilio:
        inbox = await agent()
        account = {"account_sid": ACCOUNT, "auth_token": TOKEN, "api_url": twilio.url}
        twilio.number["sms_url"] = await add_inbox(inbox, "sms", "Nomad texts", NUMBER, **account)
        await inbox.show("all")
        arriving = twilio.inbound("Is this yurt free in July?", media=["image/png"])
        twilio.media = dict.fromkeys(twilio.media, ("image/png", PICTURE))
        assert (
            await twilio.call([arriving], twice=True)
            == [(200, '<?xml version="1.0" encoding="UTF-8"?><Response/>')] * 2
        )
        await expect(inbox.row("Is this yurt free in July?")).to_have_count(1)
        await open_row(inbox, "Is this yurt free in July?")
        await shows_pictures(inbox.entry("in", "Is this yurt free in July?"), 1)

        await say(inbox, "It is, from the 12th.")
        delivery = inbox.entry("out", "It is, from the 12th.").locator(".delivery")
        await expect(delivery).to_contain_text("Sent")
        [sent] = twilio.sent
        assert (sent.to, sent.body) == (CUSTOMER, "It is, from the 12th.")
        await twilio.call([twilio.report(sent, "delivered"), twilio.report(sent, "sent")])
        await expect(delivery).to_contain_text("Delivered")

        await twilio.call([twilio.inbound("Then we come!")])
        await expect(inbox.entry("in", "Then we come!")).to_be_visible()
        await expect(inbox.row("Then we come!")).to_have_count(1)


async def test_an_album_an_edit_and_a_reaction_are_seen_and_the_answer_is_a_reply(agent: NewAgent) -> None:
    async with TelegramServer() as telegram:
        chats = telegram.chats
        bat = chats.person(5512001, "Bat-Erdene")
        inbox = await agent()
        bot = {"inbound": "webhook", "token": telegram.token, "webhook_secret": "secret_1", "api_url": telegram.url}
        hook = await add_inbox(inbox, "telegram", "Nomad bot", "@nomad_bot", **bot)
        telegram.webhook = {"url": hook, "secret_token": "secret_1"}
        await inbox.show("all")
        parts = [
            chats.update_message(
                bat,
                photo=[chats.keep("photo", "", PICTURE)],
                media_group_id="77",
                caption=caption,
            )
            for caption in ("Two of these, please", "With lids", "And this one")
        ]
        for part in parts:
            await telegram.deliver(part, times=2)
        await expect(inbox.row("Bat-Erdene")).to_have_count(1)
        await open_row(inbox, "Bat-Erdene")
        album = inbox.page.locator(".entry-in")
        await expect(album).to_have_count(1)
        for caption in ("Two of these, please", "With lids", "And this one"):
            await expect(album).to_contain_text(caption)
        await shows_pictures(album, 3)

        said = chats.update_message(bat, text="To Darkhan")
        await telegram.deliver(said)
        await telegram.deliver(chats.update_edit(said, "To Erdenet"))
        entry = inbox.entry("in", "To Erdenet")
        await expect(entry.locator(".sheet-text")).to_have_text("To Erdenet")
        await entry.locator(".versions summary").click()
        await expect(entry.locator(".versions li")).to_contain_text("To Darkhan")

        await say(inbox, "On Friday.")
        answer = inbox.entry("out", "On Friday.")
        await expect(answer.locator(".delivery")).to_contain_text("Sent")
        [sent] = telegram.sent
        assert sent["text"] == "On Friday."
        assert sent["reply_to_message"]["message_id"] == said["message"]["message_id"]
        await telegram.deliver(chats.update_reaction(bat, sent, ["👍"]))
        await expect(answer.locator(".reaction")).to_contain_text("👍")
        assert {status for status, _ in telegram.answers} == {200}
