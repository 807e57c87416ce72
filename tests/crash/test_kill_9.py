"""kill -9 at any moment: every mail is stored once, every reply leaves once or is shown as unconfirmed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from inbox.core.mongo import Mongo
from tests.crash.agent import WebAgent, WentAway
from tests.crash.conftest import EMAIL, PASSWORD, Question, ask, house_in, mail, set_up
from tests.crash.ledger import Ledger, uri_of
from tests.crash.post_office import PostOffice
from tests.crash.process import Ortoo
from tests.fakes.dovecot import Mailbox

MAILS, REPLIES = 500, 200
SEED = 20261121
SOON, LATER = 3, 4
"""Kills within 200 ms of the first activity, and kills in the middle of it."""
WRITERS = 4


class Storm:
    """Mail that comes in and replies that go out, over the deaths of the server."""

    def __init__(self, mailbox: Mailbox, post: PostOffice, questions: Sequence[Question], agent: WebAgent) -> None:
        self.in_flight: set[str] = set()
        """Replies whose mail was being handed over at a kill."""
        self._mailbox = mailbox
        self._post = post
        self._questions = list(questions)
        self._unsure: set[str] = set()
        self._mails = [f"mail{number}" for number in range(MAILS)]
        self._agent = agent

    def deliver(self, count: int) -> None:
        """Customers write."""
        for _ in range(min(count, len(self._mails))):
            self._mailbox.deliver(mail(self._mails.pop()))

    async def rage(self, url: str, moment: Coroutine[Any, Any, None]) -> None:
        """Mails come and agents write, until a moment comes or nothing is left to do."""
        self._agent.url = url
        working = [asyncio.create_task(self._feed()), *(asyncio.create_task(self._write()) for _ in range(WRITERS))]
        done, over = asyncio.create_task(_all(working)), asyncio.create_task(moment)
        await asyncio.wait([done, over], return_when=asyncio.FIRST_COMPLETED)
        for task in (*working, over):
            task.cancel()
        for outcome in await asyncio.gather(*working, over, done, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, WentAway):
                raise outcome

    async def taken(self, count: int) -> None:
        """Wait until so many more replies have arrived."""
        wanted = self._post.accepted.total() + count
        while self._post.accepted.total() < wanted:
            self._post.took.clear()
            await self._post.took.wait()

    async def kill(self, server: Ortoo, data: Path, *, with_database: bool) -> None:
        """End the server, and its database with it or by the kernel's notice."""
        victims = [server.pid]
        if with_database:
            victims.append(int((data / "mongo" / "mongod.lock").read_text()))
        self.in_flight |= self._post.in_flight
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        await server.ended()

    async def _feed(self) -> None:
        """Mail comes in as long as replies leave."""
        while self._mails:
            self.deliver(3)
            await self.taken(1)

    async def _write(self) -> None:
        """Answer questions as an agent does: who is unsure whether a reply was sent, looks before writing again."""
        while self._questions:
            question = self._questions.pop()
            words = f"answer to {question.customer}"
            path = f"/inbox/all/c/{question.conversation_id}"
            done = False
            try:
                done = question.conversation_id in self._unsure and words in await self._agent.see(path)
                if not done:
                    self._unsure.add(question.conversation_id)
                    await self._agent.reply(question.conversation_id, question.customer, words)
                    done = True
            finally:
                if not done:
                    self._questions.append(question)


async def test_nothing_is_lost_and_nothing_happens_twice(mailbox: Mailbox, data: Path) -> None:
    chance = random.Random(SEED)
    settings = {"data": str(data), "undo_seconds": "0", "port": "0", "door_port": "0"}
    async with PostOffice(0.05) as post, WebAgent("", EMAIL, PASSWORD) as agent:
        async with house_in(data) as house:
            questions = await ask(house, await set_up(house, mailbox, post.port), REPLIES)
        storm = Storm(mailbox, post, questions, agent)
        for number in range(SOON + LATER):
            storm.deliver(20)
            async with Ortoo("serve", settings=settings) as server:
                url = agent.url = await server.url()
                if number == 0:
                    await agent.sign_in()
                if number < SOON:
                    await storm.rage(url, asyncio.sleep(chance.uniform(0, 0.2)))
                else:
                    await storm.rage(url, storm.taken(chance.randint(5, 25)))
                await storm.kill(server, data, with_database=bool(number % 2))

        async with Ortoo("serve", settings=settings) as server:
            url = await server.url()
            mongo = await Mongo.connect(uri_of(data), "ortoo")
            ledger = Ledger(mongo)
            await ledger.until(lambda: no_reply_is_abandoned(ledger))
            unconfirmed = {ref for ref, state in (await ledger.replies()).items() if state == "unconfirmed"}
            storm.deliver(MAILS)
            await storm.rage(url, asyncio.sleep(60))
            await ledger.until(lambda: all_is_done(ledger))
            assert await server_says_nothing_is_dead(ledger)
            replies = await ledger.replies()
            received = await ledger.received()
            mongo.close()
            assert await server.stop() == 0

    assert received == dict.fromkeys(
        [f"mail{n}@customers.example" for n in range(MAILS)]
        + [f"question{n}@customers.example" for n in range(REPLIES)],
        1,
    )
    assert len(replies) == REPLIES
    assert {ref for ref, state in replies.items() if state == "unconfirmed"} == unconfirmed, "only a kill leaves doubt"
    assert storm.in_flight <= unconfirmed
    assert {ref for ref, state in replies.items() if state == "sent"} == replies.keys() - unconfirmed
    assert [ref for ref, state in replies.items() if state == "sent" and post.accepted[ref] != 1] == []
    assert [ref for ref, times in post.accepted.items() if times > 1] == []
    assert post.accepted.keys() <= replies.keys()


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


async def no_reply_is_abandoned(ledger: Ledger) -> bool:
    """Whether every reply that a dead server had begun to send is settled."""
    return "sending" not in (await ledger.replies()).values()


async def all_is_done(ledger: Ledger) -> bool:
    states = (await ledger.replies()).values()
    mails = len(await ledger.received())
    return mails == MAILS + REPLIES and len(states) == REPLIES and await ledger.count("outbox") == 0


async def server_says_nothing_is_dead(ledger: Ledger) -> bool:
    return await ledger.count("dead_letters") == 0 and await ledger.stuck() == []
