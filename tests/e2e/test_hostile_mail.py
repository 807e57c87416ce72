"""Mail that wants to run, fetch or lead somewhere: in a real browser nothing of it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import NewAgent
from tests.e2e.pages import Server

LOADED = """body => body.ownerDocument.readyState === "complete"
  || new Promise(done => body.ownerDocument.defaultView.addEventListener("load", done))"""
PIXEL = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
PIXEL += b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

EVERYTHING = (Path(__file__).parent / "hostile.html").read_text("utf-8")
"""Every way to run, to fetch or to lead away that we know of; `{url}` is the sender's server."""


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, list[str]]]:
    """A server of the sender's: its address, and what was asked of it."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            asked.append(line.decode().split(" ")[1])
            head = f"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: {len(PIXEL)}\r\n\r\n"
            writer.write(head.encode() + PIXEL)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", asked
    listening.close()
    await listening.wait_closed()


async def test_nothing_runs_and_nothing_is_fetched(
    server: Server, agent: NewAgent, elsewhere: tuple[str, list[str]]
) -> None:
    url, asked = elsewhere
    inbox = await agent()
    page = inbox.page
    mail = await server.mail(text="Short.", html=EVERYTHING.replace("{url}", url))
    await inbox.show("all")
    await inbox.open(mail.subject)
    await page.click("[data-do=whole]")
    frame = page.frame_locator(".whole-frame")
    await expect(frame.get_by_text("What is left is read.")).to_be_visible()
    if await frame.locator("#evil, a", has_text="click me").count():
        await frame.locator("a", has_text="click me").click()
    await frame.locator("body").evaluate(LOADED)
    assert "taken" not in await page.title()
    assert asked == []
    assert (
        await frame.locator("script, iframe, object, embed, form, input, link, meta[http-equiv=refresh], base").count()
        == 0
    )


async def test_pictures_are_fetched_only_when_asked_for(
    server: Server, agent: NewAgent, elsewhere: tuple[str, list[str]]
) -> None:
    url, asked = elsewhere
    inbox = await agent()
    page = inbox.page
    mail = await server.mail(
        text="See the picture.", html=f'<p>See</p><img src="{url}/picture.gif" width="20" height="20">'
    )
    await inbox.show("all")
    await inbox.open(mail.subject)
    await page.click("[data-do=whole]")
    await expect(page.frame_locator(".whole-frame").get_by_text("See")).to_be_visible()
    assert asked == []
    async with page.expect_response(f"{url}/picture.gif"):
        await page.click("[data-do=images]")
    assert asked == ["/picture.gif"]


async def test_a_file_never_opens_as_a_page_of_ours(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page = inbox.page
    evil = b"<script>top.document.title = 'taken'</script>"
    names = [("evil.html", "text/html", evil), ("evil.svg", "image/svg+xml", b"<svg onload='alert(1)'/>")]
    mail = await server.mail(files=names)
    await inbox.show("all")
    await inbox.open(mail.subject)
    for link in await page.locator(".entry-in .file").all():
        address = (await link.get_attribute("href") or "").removesuffix("?download")
        answer = await page.context.request.get(address)
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_hostile_subject_and_name_are_only_text(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    subject = "<img src=x onerror=\"document.title='taken'\"> & “more”"
    await server.mail(subject, sender='"<script>alert(1)</script>" <script@example.com>')
    await inbox.show("all")
    await inbox.open(subject)
    assert "taken" not in (await inbox.page.title()).replace(subject, "")
    await expect(inbox.page.locator("#customer-name")).to_have_value("<script>alert(1)</script>")
