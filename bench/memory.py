"""How much memory the server keeps: after 500 mails came in by the door and fifty agents had a look at them.

Counted is the resident memory of the process of `ortoo serve`; its mongod is told beside it. Limit: a Python process
that has imported aiohttp and Motor and does nothing.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

import aiohttp
import aiosmtplib

from bench import places
from bench.mails import ADDRESS, mails
from bench.result import Result
from config.settings import Settings
from inbox.wiring import open_house

MAILS = 500
AGENTS = 50
PAGES = 20
"""Each agent asks for so many lists, and for as many conversations."""
_CONNECTIONS = 10
_BARE = "import aiohttp, aiohttp.web, motor.motor_asyncio; print('is ready', flush=True); import time; time.sleep(60)"


async def run() -> Result:
    async with places.program([sys.executable, "-c", _BARE]) as bare:
        await bare.says("(is ready)")
        limit = _resident(bare.pid)
    with tempfile.TemporaryDirectory(prefix="ortoo-bench-") as folder:
        settings = Settings(data=Path(folder))
        async with open_house(settings) as house:
            agents = [await places.hire(house, f"Agent {number}") for number in range(AGENTS)]
            tokens = [await house.accounts.open_session(agent, ip="", user_agent="bench") for agent in agents]
        async with places.ortoo(settings) as server:
            print(f"started: {_resident(server.pid):.0f} MB", flush=True)
            await _write(server.door_port)
            print(f"after {MAILS} mails: {_resident(server.pid):.0f} MB", flush=True)
            await asyncio.gather(*(_read(server.url, cookie) for cookie in await places.cookies(server.url, tokens)))
            value = _resident(server.pid)
            database = sum(_resident(child) for child in _children(server.pid))
            print(f"after {2 * PAGES * AGENTS:,} pages: {value:.0f} MB, and its mongod {database:.0f} MB", flush=True)
    return Result(name="memory", value=value, unit="MB", limit=limit)


async def _write(door_port: int) -> None:
    """Mail comes in over several connections at once."""
    waiting = iter(mails(MAILS, seed=1))

    async def write() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=door_port, start_tls=False) as client:
            for mail in waiting:
                await client.sendmail("ann@example.com", [ADDRESS], mail)

    await asyncio.gather(*(write() for _ in range(_CONNECTIONS)))


async def _read(url: str, cookie: tuple[str, str]) -> None:
    """One agent looks at the list and opens what is in it."""
    async with aiohttp.ClientSession(url, cookies=dict([cookie])) as session:
        for number in range(PAGES):
            ids = re.findall(r'<li [^>]*data-id="(\w+)"', await _page(session, "/inbox/all"))
            await _page(session, f"/conversations/{ids[number % len(ids)]}/pane")


async def _page(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path, allow_redirects=False) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}")
        return await answer.text()


def _resident(pid: int) -> float:
    """Megabytes of 1,048,576 bytes in memory (VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
