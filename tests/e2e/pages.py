"""The inbox as a person uses it, and the customer who writes to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any, NamedTuple

import aiosmtplib
from playwright.async_api import Locator, Page, expect

EMAIL = "ada@example.com"
PASSWORD = "a horse on the steppe"
INBOX = "hello@ortoo.localhost"
# How fast is measured by the benchmarks; here a busy machine only must not be taken for a broken one.
expect.set_options(timeout=20_000)

AXE = Path(__file__).parent.parent.parent / "node_modules" / "axe-core" / "axe.min.js"

AXE_RUN = """tags => axe.run(document, {
  runOnly: tags,
  iframes: false,
  rules: {"label-content-name-mismatch": {enabled: true}},
})"""
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_numbers = itertools.count(1)


class Mail(NamedTuple):
    """A mail that a customer sent."""

    subject: str
    sender: str
    message_id: str


class Server(NamedTuple):
    """A running copy."""

    url: str
    door: tuple[str, int]

    async def mail(
        self,
        subject: str = "",
        text: str = "Do you deliver on Sundays?",
        *,
        html: str = "",
        sender: str = "",
        answers: str = "",
        files: Sequence[tuple[str, str, bytes]] = (),
    ) -> Mail:
        """Send a mail to the door, each from a customer of its own unless `sender` is given."""
        number = next(_numbers)
        message = EmailMessage()
        message["From"] = sender or f"Customer {number:04} <customer{number}@example.com>"
        message["To"] = INBOX
        message["Subject"] = subject or f"Question {number:04}"
        message["Message-ID"] = make_msgid(domain="example.com")
        if answers:
            message["In-Reply-To"] = answers
            message["References"] = answers
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        for name, media_type, content in files:
            main, _, sub = media_type.partition("/")
            message.add_attachment(content, maintype=main, subtype=sub, filename=name)
        await aiosmtplib.send(message, hostname=self.door[0], port=self.door[1], start_tls=False)
        return Mail(str(message["Subject"]), str(message["From"]), str(message["Message-ID"]))


class InboxPage:
    """One browser window with the inbox in it."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        """What the browser complained of; a test that expects some takes it out."""

    async def show(self, view: str = "all", status: str = "") -> None:
        """A list, by the address bar."""
        await self.page.goto(f"/inbox/{view}" + (f"?status={status}" if status else ""))
        await self.page.wait_for_selector("#rows", state="attached")

    def row(self, subject: str) -> Locator:
        """The row of a conversation."""
        return self.page.locator("#rows > .row", has_text=subject)

    async def open(self, subject: str) -> None:
        """Click on a row and wait for the conversation."""
        await self.row(subject).locator(".row-link").click()
        await expect(self.page.locator("#subject")).to_have_text(subject)

    def entry(self, kind: str, text: str) -> Locator:
        """An entry of the thread: in, out, note or system."""
        return self.page.locator(f".entry-{kind}", has_text=text)

    @property
    def text(self) -> Locator:
        """Where one writes."""
        return self.page.locator("#composer-text")

    @property
    def saved(self) -> Locator:
        """What the composer says of the draft."""
        return self.page.locator("#composer-saved")

    @property
    def toast(self) -> Locator:
        """The newest note at the foot of the page."""
        return self.page.locator(".toast").last

    async def write(self, text: str, mode: str = "reply") -> None:
        """Begin an answer or a note and type."""
        await self.page.click(f".composer-tab[data-mode={mode}]")
        if mode in ("reply", "reply_all"):
            await expect(self.page.locator("#composer-to")).not_to_have_value("")
        await self.text.click()
        await self.page.keyboard.type(text)

    async def send(self) -> None:
        """The big button."""
        await self.page.click("#composer-send")
        await expect(self.page.locator("#composer-form")).to_be_hidden()

    async def axe(self) -> list[str]:
        """What axe-core finds, as short lines."""
        if not await self.page.evaluate("typeof window.axe === 'object'"):
            await self.page.evaluate(AXE.read_text("utf-8"))
        found: dict[str, Any] = await self.page.evaluate(AXE_RUN, AXE_TAGS)
        return [
            f"{issue['id']}: {node['target']} {node['failureSummary']}"
            for issue in found["violations"]
            for node in issue["nodes"]
        ]
