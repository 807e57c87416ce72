"""Two pages and two workers on one MongoDB, one of each killed in the middle: nothing twice, nothing stuck."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
from pydantic import SecretStr

from config.settings import Settings
from inbox.core.mongo import Mongo
from inbox.wiring import open_house
from tests.crash.agent import WebAgent
from tests.crash.conftest import EMAIL, PASSWORD, Question, ask, mail, set_up
from tests.crash.ledger import Ledger
from tests.crash.post_office import PostOffice
from tests.crash.process import Ortoo
from tests.fakes.dovecot import Mailbox

MAILS, REPLIES = 150, 60
_GIVE_UP, _GIVE_UP_SECONDS = "transactionLifetimeLimitSeconds", 10
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
async def shared(mongo_uri: str, worker_id: str) -> AsyncIterator[Mongo]:
    """A database of this test's own on the run's MongoDB, which gives up dead clients' transactions sooner than usual.

    Until then their documents are held, and nobody else can write them.
    """
    mongo = await Mongo.connect(mongo_uri, f"crash_{worker_id}")
    usual = await mongo.client.admin.command({"getParameter": 1, _GIVE_UP: 1})
    await mongo.client.admin.command({"setParameter": 1, _GIVE_UP: _GIVE_UP_SECONDS})
    await mongo.drop()
    yield mongo
    await mongo.drop()
    await mongo.client.admin.command({"setParameter": 1, _GIVE_UP: usual[_GIVE_UP]})
    mongo.close()


class Browser:
    """A page that is open, and what it was told."""

    def __init__(self, agent: WebAgent) -> None:
        self.agent = agent
        self.open = asyncio.Event()
        self.arrived: set[str] = set()
        """Messages it was told of."""
        self._news = asyncio.Condition()
        self.listening = asyncio.create_task(self._listen())

    async def knows(self, count: int) -> None:
        """Wait until it was told of so many messages."""
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: len(self.arrived) >= count)

    async def _listen(self) -> None:
        async with aclosing(self.agent.live()) as events:
            async for event in events:
                if event["event"] == "hello":
                    self.open.set()
                elif event.get("type") == "message.received":
                    async with self._news:
                        self.arrived.add(event["message_id"])
                        self._news.notify_all()


async def test_a_death_among_several_processes_is_nobody_elses_trouble(
    shared: Mongo, mongo_uri: str, mailbox: Mailbox, tmp_path: Path
) -> None:
    own = Settings(data=tmp_path, mongodb_uri=SecretStr(mongo_uri), database=shared.db.name, secret_key=SecretStr(KEY))
    settings = {
        "data": str(tmp_path),
        "mongodb_uri": mongo_uri,
        "database": shared.db.name,
        "secret_key": KEY,
        "undo_seconds": "0",
        "lease_seconds": "3",
        "port": "0",
        "door_port": "0",
    }
    ledger = Ledger(shared)
    async with PostOffice(0.05) as post, AsyncExitStack() as stack:
        async with open_house(own) as house:
            questions = await ask(house, await set_up(house, mailbox, post.port), REPLIES)
        pages = [await stack.enter_async_context(Ortoo("web", settings=settings)) for _ in range(2)]
        workers = [
            await stack.enter_async_context(Ortoo("worker", "receive", "deliver", "housekeep", settings=settings))
            for _ in range(2)
        ]
        browsers = []
        for page in pages:
            agent = await stack.enter_async_context(WebAgent(await page.url(), EMAIL, PASSWORD))
            await agent.sign_in()
            browsers.append(Browser(agent))
            stack.callback(browsers[-1].listening.cancel)
            await browsers[-1].open.wait()
        for worker in workers:
            await worker.door()

        names = [f"mail{number}" for number in range(MAILS)]
        third = MAILS // 3
        await send_and_write(mailbox, names[:third], browsers, questions[: REPLIES // 2])
        for browser in browsers:
            await browser.knows(third)

        writing = asyncio.create_task(
            send_and_write(mailbox, names[third : 2 * third], browsers[1:], questions[REPLIES // 2 :])
        )
        await workers[await receiving(shared, workers)].kill()
        await pages[0].kill()
        await writing
        for name in names[2 * third :]:
            mailbox.deliver(mail(name))
        await browsers[1].knows(MAILS)
        await ledger.until(lambda: all_is_done(ledger))
        survivors = [process for process in (*pages, *workers) if not process.has_ended]
        assert len(survivors) == 2
        assert [await process.stop() for process in survivors] == [0, 0]

    received, replies = await ledger.received(), await ledger.replies()
    assert received == dict.fromkeys(
        [f"{name}@customers.example" for name in names] + [question.customer for question in questions], 1
    )
    assert len(replies) == REPLIES
    assert set(replies.values()) <= {"sent", "unconfirmed"}
    assert [ref for ref, state in replies.items() if state == "sent" and post.accepted[ref] != 1] == []
    assert [ref for ref, times in post.accepted.items() if times > 1] == []
    assert await ledger.count("dead_letters") == 0
    assert await ledger.stuck() == []


async def send_and_write(
    mailbox: Mailbox, names: list[str], browsers: list[Browser], questions: list[Question]
) -> None:
    """Customers write, and agents answer, through the pages in turn."""
    for name in names:
        mailbox.deliver(mail(name))
    for number, question in enumerate(questions):
        agent = browsers[number % len(browsers)].agent
        await agent.reply(question.conversation_id, question.customer, f"answer to {question.customer}")


async def receiving(shared: Mongo, workers: list[Ortoo]) -> int:
    """Which of the workers polls the mailbox: its death must not stop the mail."""
    lease = await shared.collection("leases").find_one({"_id": {"$regex": "^receive:"}})
    assert lease is not None
    pid = int(lease["owner"].split(":")[1])
    return [worker.pid for worker in workers].index(pid)


async def all_is_done(ledger: Ledger) -> bool:
    mails = len(await ledger.received())
    return mails == MAILS + REPLIES and len(await ledger.replies()) == REPLIES and await ledger.count("outbox") == 0
