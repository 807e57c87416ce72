"""The real server (`ortoo serve`, its own process and database) and agents in front of it in a real browser."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.e2e.pages import EMAIL, PASSWORD, InboxPage, Server

UNDO_SECONDS = 3
_START_SECONDS = 60
_URL = re.compile(r"is at (http://\S+)")
_LINK = re.compile(r"administrator at (http://\S+)")
_DOOR = re.compile(r"Mail comes in at (\S+):(\d+)")

NewAgent = Callable[..., Awaitable[InboxPage]]


@pytest.fixture(scope="session")
async def server(chromium: Browser) -> AsyncIterator[Server]:
    """A running copy with its first administrator; tests of a worker share it and keep apart by their customers."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("ortoo")
        arguments = ["serve", "--port", "0", "--door-port", "0", "--data", folder]
        environment = {**os.environ, "ORTOO_UNDO_SECONDS": str(UNDO_SECONDS), "ORTOO_LOG_LEVEL": "WARNING"}
        process = await asyncio.create_subprocess_exec(
            program, *arguments, env=environment, cwd=folder, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            said = await asyncio.wait_for(_until_ready(process.stderr), _START_SECONDS)
            draining = asyncio.create_task(_drain(process.stderr))
            url, link, host, port = said
            await _set_up(chromium, link)
            yield Server(url, (host, int(port)))
            process.terminate()
            await process.wait()
            await draining
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
async def agent(server: Server, chromium: Browser) -> AsyncIterator[NewAgent]:
    """Makes browsers of their own, signed in. Afterwards none of them may have seen an error nobody expected."""
    contexts: list[BrowserContext] = []
    pages: list[InboxPage] = []

    async def new(**options: object) -> InboxPage:
        context = await chromium.new_context(base_url=server.url, **options)  # type: ignore[arg-type]  # as Playwright's
        contexts.append(context)
        page = await context.new_page()
        inbox = InboxPage(page, server)
        pages.append(inbox)
        _listen(page, inbox.errors)
        await page.goto("/login")
        await page.fill("[name=email]", EMAIL)
        await page.fill("[name=password]", PASSWORD)
        await page.click("button[type=submit]")
        await page.wait_for_url("**/inbox/*")
        return inbox

    yield new
    for context in contexts:
        await context.close()
    assert [error for inbox in pages for error in inbox.errors] == []


def _listen(page: Page, errors: list[str]) -> None:
    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"{message.type}: {message.text}")

    page.on("console", console)
    page.on("pageerror", lambda error: errors.append(f"exception: {error}"))


async def _until_ready(lines: asyncio.StreamReader) -> tuple[str, str, str, str]:
    text = ""
    while not _DOOR.search(text):
        line = await lines.readline()
        assert line, f"the server ended: {text}"
        text += line.decode()
    url, link, door = _URL.search(text), _LINK.search(text), _DOOR.search(text)
    assert url, text
    assert link, text
    assert door, text
    return url[1], link[1], door[1], door[2]


async def _drain(lines: asyncio.StreamReader) -> None:
    while line := await lines.readline():
        sys.stderr.write(line.decode())


async def _set_up(chromium: Browser, link: str) -> None:
    page = await chromium.new_page()
    await page.goto(link)
    await page.fill("[name=name]", "Ada Lovelace")
    await page.fill("[name=email]", EMAIL)
    await page.fill("[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url("**/inbox/*")
    await page.close()
