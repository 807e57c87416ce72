"""A workspace with one IMAP and SMTP inbox, and the mails and questions that go through it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from channels.base import Raw
from config.settings import Settings
from inbox.accounts.model import Actor, Role
from inbox.conversations.model import View
from inbox.core import embedded
from inbox.inboxes.model import InboxForm
from inbox.wiring import House, open_house
from tests.fakes.certificates import Certificates
from tests.fakes.dovecot import PASSWORD as MAILBOX_PASSWORD
from tests.fakes.dovecot import Dovecot, Mailbox, require_dovecot

EMAIL, PASSWORD = "ann@shop.example", "eight goats crossing"
ADDRESS = "hello@shop.example"


class Question(msgspec.Struct, frozen=True):
    """A conversation that waits for an answer."""

    conversation_id: str
    customer: str


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """One Dovecot for all tests of this worker."""
    require_dovecot()
    with Dovecot(Certificates()) as server:
        yield server


@pytest.fixture
def mailbox(dovecot: Dovecot) -> Mailbox:
    """An empty mailbox."""
    return dovecot.mailbox()


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder whose path is short enough for the database's socket to be inside."""
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    yield folder
    shutil.rmtree(folder)


def mail(name: str, *, sender: str = "") -> bytes:
    """A mail of its own; `name` is in its Message-ID and its text."""
    message = EmailMessage()
    message["From"] = sender or f"{name}@customers.example"
    message["To"] = ADDRESS
    message["Subject"] = f"About {name}"
    message["Message-ID"] = f"<{name}@customers.example>"
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0800"
    message.set_content(f"This is {name}.\n" * 20)
    return message.as_bytes()


@asynccontextmanager
async def house_in(data: Path) -> AsyncIterator[House]:
    """The services on the embedded database of a data folder, in the test's own process."""
    database = await embedded.start(data)
    try:
        async with open_house(Settings(data=data, mongodb_uri=SecretStr(database.uri))) as house:
            yield house
    finally:
        await database.stop()


async def set_up(house: House, mailbox: Mailbox, smtp_port: int, *, folders: str = "INBOX") -> str:
    """An administrator, and an inbox whose mail comes by IMAP and leaves by SMTP; answers the inbox's id."""
    agent = await house.accounts.new_agent("Ann", EMAIL, PASSWORD, Role.ADMIN)
    await house.mongo.transaction(lambda session: house.accounts.add(session, agent))
    settings = {
        "provider": "custom",
        "inbound": "imap",
        "imap_host": "127.0.0.1",
        "imap_port": mailbox.server.port,
        "imap_security": "none",
        "imap_username": mailbox.user,
        "imap_password": MAILBOX_PASSWORD,
        "imap_folders": folders,
        "outbound": "smtp",
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp_port,
        "smtp_security": "none",
        "smtp_login": "none",
    }
    form = InboxForm(name="Shop", address=ADDRESS, settings=settings)
    return (await house.inboxes.create(agent.actor, "email", form)).id


async def ask(house: House, inbox_id: str, count: int) -> list[Question]:
    """That many conversations to be answered."""
    names = [f"question{number}" for number in range(count)]
    await house.ingest.ingest_many(inbox_id, [Raw(body=mail(name), url="smtp:") for name in names])
    asked: list[Question] = []
    cursor = ""
    while True:
        page = await house.conversations.page(Actor.system("test"), View(), cursor, 100)
        asked += [Question(row.id, f"{row.subject.removeprefix('About ')}@customers.example") for row in page.items]
        cursor = page.next
        if not cursor:
            assert len(asked) == count
            return asked
