"""Where a benchmark lives: data folder, database and servers of its own, all gone when it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from config.settings import Settings
from inbox.accounts.model import Actor, Agent, Role
from inbox.core import embedded
from inbox.core.clock import utcnow
from inbox.core.ids import new_id
from inbox.wiring import House, open_house

SYSTEM = Actor.system("bench")
_START_SECONDS = 60
_STOP_SECONDS = 30


@asynccontextmanager
async def database() -> AsyncIterator[Settings]:
    """An embedded database on an empty folder, and settings that name both."""
    with tempfile.TemporaryDirectory(prefix="ortoo-bench-") as folder:
        mongod = await embedded.start(Path(folder))
        try:
            yield Settings(data=Path(folder), mongodb_uri=SecretStr(mongod.uri), undo_seconds=0)
        finally:
            await mongod.stop()


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """Every service of the product in this process, on an empty database."""
    async with database() as settings, open_house(settings) as opened:
        yield opened


class Program:
    """A running process that tells on standard output or error, line by line, what is to be known of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self.pid = process.pid
        self._process = process
        self._lines = process.stdout
        self._reading: asyncio.Task[None] | None = None

    async def says(self, pattern: str) -> str:
        """The first group of the next line that has the pattern. Raises `RuntimeError` where the process ends first."""
        seen = []
        async with asyncio.timeout(_START_SECONDS):
            async for line in self._lines:
                seen.append(line.decode())
                if found := re.search(pattern, seen[-1]):
                    return found[1]
        raise RuntimeError(f"it ended before it said {pattern!r}:\n" + "".join(seen))

    def ignore_the_rest(self) -> None:
        """Read on without looking, so that it is never held up by a full pipe."""
        self._reading = asyncio.create_task(self._read())

    async def output(self) -> str:
        """All that is left to read, once it has ended."""
        return (await self._lines.read()).decode()

    async def stop(self) -> None:
        """Ask it to end and wait until it has."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        while await self._lines.read(65536):
            pass


@asynccontextmanager
async def program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    """A process for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    running = Program(process)
    try:
        yield running
    finally:
        await running.stop()


class Server:
    """A running `ortoo serve`."""

    def __init__(self, program: Program, url: str, door_port: int) -> None:
        self.pid = program.pid
        self.url = url
        self.door_port = door_port


@asynccontextmanager
async def ortoo(settings: Settings) -> AsyncIterator[Server]:
    """The whole product as people start it, on free ports; its log goes unread."""
    environment = {"ORTOO_DATA": str(settings.data), "ORTOO_UNDO_SECONDS": str(settings.undo_seconds)}
    uri = settings.mongodb_uri.get_secret_value()
    if uri:
        environment["ORTOO_MONGODB_URI"] = uri
    command = str(Path(sys.executable).with_name("ortoo"))
    async with program([command, "serve", "--port", "0", "--door-port", "0"], environment) as running:
        url = await running.says(r"is at (http\S+)")
        port = await running.says(r"Mail comes in at \S+:(\d+)")
        running.ignore_the_rest()
        yield Server(running, url, int(port))


async def hire(house: House, name: str, role: Role = Role.AGENT) -> Agent:
    """Somebody who works here, and signs in by a session that is opened for them."""
    agent = Agent(id=new_id(), email=f"{new_id()}@shop.mn", name=name, role=role, created_at=utcnow())
    await house.mongo.transaction(lambda session: house.accounts.add(session, agent))
    return agent


async def cookies(url: str, tokens: Sequence[str]) -> list[tuple[str, str]]:
    """(name, value) of each session's cookie; the name is each copy's own."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/login") as answer:
        name = next(name for name in answer.cookies if name.startswith("ortoo"))
    return [(name, token) for token in tokens]
