"""kill -9 of the database alone: the server says so and stops, and the next start has everything that was promised."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiosmtplib
import pytest

from inbox.core.mongo import Mongo
from tests.crash.conftest import ADDRESS, mail
from tests.crash.ledger import Ledger, uri_of
from tests.crash.process import Ortoo

MAILS, ACKNOWLEDGED = 60, 15


class Sender:
    """A mail server that hands over its mails one by one, and again whatever it has no answer for."""

    def __init__(self) -> None:
        self.waiting = [f"mail{number}" for number in range(MAILS)]
        self.acknowledged: list[str] = []
        self.enough = asyncio.Event()

    async def hand_over(self, port: int) -> None:
        """Go on until all are taken. Raises where the connection is lost or a mail is not taken."""
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as door:
            while self.waiting:
                name = self.waiting[0]
                await door.sendmail(f"{name}@customers.example", [ADDRESS], mail(name))
                self.acknowledged.append(self.waiting.pop(0))
                if len(self.acknowledged) == ACKNOWLEDGED:
                    self.enough.set()


async def test_the_server_stops_in_clear_words_and_the_next_start_has_what_was_acknowledged(data: Path) -> None:
    settings = {"data": str(data), "port": "0", "door_port": "0"}
    sender = Sender()
    async with Ortoo("serve", settings=settings) as server:
        handing_over = asyncio.create_task(sender.hand_over(await server.door()))
        await sender.enough.wait()
        os.kill(int((data / "mongo" / "mongod.lock").read_text()), signal.SIGKILL)
        assert await server.ended() == 1
        await server.said(r"The database ended by itself .*mongod\.log")
        with pytest.raises((aiosmtplib.SMTPException, OSError)):
            await handing_over
    assert sender.waiting, "the mails had not all been handed over"

    async with Ortoo("serve", settings=settings) as server:
        await server.door()
        mongo = await Mongo.connect(uri_of(data), "ortoo")
        ledger = Ledger(mongo)
        assert {f"{name}@customers.example" for name in sender.acknowledged} <= (await ledger.received()).keys()
        await sender.hand_over(await server.door())
        assert await ledger.received() == {f"mail{number}@customers.example": 1 for number in range(MAILS)}
        assert await ledger.stuck() == []
        mongo.close()
        assert await server.stop() == 0


async def test_a_killed_server_takes_its_database_with_it_and_its_folder_is_free(data: Path) -> None:
    settings = {"data": str(data), "port": "0", "door_port": "0"}
    async with Ortoo("serve", settings=settings) as server:
        await server.door()
        async with Ortoo("serve", settings=settings) as second:
            await second.said(f"Another server .process {server.pid}. is running on the data folder")
            assert await second.ended() == 1
        await server.kill()
    async with Ortoo("serve", settings=settings) as server:
        await server.door()
        assert await server.stop() == 0
