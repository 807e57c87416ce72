"""The same mail again: from another folder, under other numbers, by another process, after a lost answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import Settings
from inbox.core.mongo import Mongo
from inbox.wiring import House, open_house
from tests.crash.conftest import ADDRESS, mail, set_up
from tests.crash.ledger import Ledger
from tests.fakes.dovecot import Mailbox
from workers.door import DoorWorker

NO_SMTP = 9
"""The port of a server that nothing is sent to here."""


@pytest.fixture
async def open_one(mongo: Mongo, mongo_uri: str, tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    """Opens one process' worth of services on the test's database."""
    settings = Settings(data=tmp_path, mongodb_uri=SecretStr(mongo_uri), database=mongo.db.name)
    async with AsyncExitStack() as stack:

        async def open_house_here() -> House:
            return await stack.enter_async_context(open_house(settings))

        yield open_house_here


@pytest.fixture
async def house(open_one: Callable[[], Any]) -> House:
    found: House = await open_one()
    return found


@pytest.fixture
def ledger(mongo: Mongo) -> Ledger:
    return Ledger(mongo)


@asynccontextmanager
async def polling(*houses: House, inbox_id: str) -> AsyncIterator[None]:
    """Each of the houses fetches the inbox's mail meanwhile."""
    tasks = [asyncio.create_task(house.receiving.poll(inbox_id)) for house in houses]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in outcomes if isinstance(each, Exception)] == []


def once(numbers: Iterable[int]) -> dict[str, int]:
    return {f"mail{number}@customers.example": 1 for number in numbers}


async def stored(ledger: Ledger, numbers: Iterable[int]) -> None:
    """Wait until these mails are there, and see that each is there once and no other is."""
    wanted = once(numbers)

    async def are_there() -> bool:
        return wanted.keys() <= (await ledger.received()).keys()

    async def is_quiet() -> bool:
        return not await ledger.stuck()

    await ledger.until(are_there)
    await ledger.until(is_quiet)  # copies may come after the last of what was wanted
    assert await ledger.received() == wanted
    assert await ledger.count("conversations") == len(wanted)


async def test_mails_in_two_folders_and_another_order_are_stored_once(
    house: House, mailbox: Mailbox, ledger: Ledger
) -> None:
    mailbox.create("Archive")
    inbox_id = await set_up(house, mailbox, NO_SMTP, folders="INBOX, Archive")
    for number in range(40):
        mailbox.deliver(mail(f"mail{number}"))
    for number in reversed(range(10, 50)):
        mailbox.deliver(b"Received: by another.example\r\n" + mail(f"mail{number}"), "Archive")
    async with polling(house, inbox_id=inbox_id):
        await stored(ledger, range(50))


async def test_two_processes_that_fetch_at_once_store_each_mail_once(
    house: House, open_one: Callable[[], Any], mailbox: Mailbox, ledger: Ledger
) -> None:
    inbox_id = await set_up(house, mailbox, NO_SMTP)
    for number in range(60):
        mailbox.deliver(mail(f"mail{number}"))
    async with polling(house, await open_one(), await open_one(), inbox_id=inbox_id):
        await stored(ledger, range(60))
        mailbox.deliver(mail("mail60"))
        await stored(ledger, range(61))


async def test_a_folder_that_is_numbered_anew_meanwhile_repeats_nothing_and_loses_nothing(
    house: House, mailbox: Mailbox, ledger: Ledger
) -> None:
    mailbox.create("Shop")
    inbox_id = await set_up(house, mailbox, NO_SMTP, folders="Shop")
    for number in range(25):
        mailbox.deliver(mail(f"mail{number}"), "Shop")
    async with polling(house, inbox_id=inbox_id):
        await stored(ledger, range(25))
        mailbox.delete("Shop")
        await asyncio.sleep(1.1)  # Dovecot makes UIDVALIDITY from the time in seconds
        mailbox.create("Shop")
        for number in range(20, 30):
            mailbox.deliver(mail(f"mail{number}"), "Shop")
        await stored(ledger, range(30))
        await ledger.until(lambda: cursor_is_at(house, inbox_id, 10))
    assert await ledger.received() == once(range(30))


async def cursor_is_at(house: House, inbox_id: str, uid: int) -> bool:
    folders = (await house.inboxes.cursor(inbox_id)).get("folders", {})
    return bool(folders) and folders["Shop"]["uid"] == uid


async def test_a_client_of_the_door_that_lost_the_answer_and_repeats_itself_is_stored_once(
    house: House, ledger: Ledger
) -> None:
    door = DoorWorker(house.inboxes, house.ingest, host="127.0.0.1", port=0, speak="smtp", max_bytes=10**6)
    port, stop = await door.open(), asyncio.Event()
    running = asyncio.create_task(door.run(stop))
    try:
        async with lost_in_data(port):
            pass  # the line is cut before the mail is whole: nothing is stored
        async with lost_after_data(port):
            await stored(ledger, [1])  # the line is cut when the mail is stored and its answer unread
        assert await hand_over(port) == b"250"
        assert await hand_over(port) == b"250"
        await stored(ledger, [1])
    finally:
        stop.set()
        await running


class Line:
    """An SMTP client that can stop anywhere."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def begin(self) -> None:
        """Up to the point where the mail itself is sent."""
        await self.answer()
        for command in ("HELO test.example", "MAIL FROM:<c@customers.example>", f"RCPT TO:<{ADDRESS}>", "DATA"):
            self.writer.write(command.encode() + b"\r\n")
            assert (await self.answer())[:1] in b"23"

    async def answer(self) -> bytes:
        """The code of the next answer."""
        return (await self._reader.readline())[:3]


@asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    """A connection in the middle of a mail; cut off at the end."""
    opened = Line(*await asyncio.open_connection("127.0.0.1", port))
    await opened.begin()
    try:
        yield opened
    finally:
        opened.writer.transport.abort()


@asynccontextmanager
async def lost_in_data(port: int) -> AsyncIterator[None]:
    async with line(port) as opened:
        opened.writer.write(mail("mail1").replace(b"\n", b"\r\n")[:-100])
        await opened.writer.drain()
        yield


@asynccontextmanager
async def lost_after_data(port: int) -> AsyncIterator[None]:
    async with line(port) as opened:
        opened.writer.write(mail("mail1").replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        await opened.writer.drain()
        yield


async def hand_over(port: int) -> bytes:
    """The whole of it; the answer's code."""
    async with line(port) as opened:
        opened.writer.write(mail("mail1").replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        return await opened.answer()
