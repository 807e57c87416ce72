"""One process of Örtöö: the page, background roles, or both; started together, drained and stopped together."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

import structlog
from aiohttp import web

from config.settings import Settings
from inbox.app import build
from inbox.core.errors import Unavailable
from inbox.wiring import House, open_house
from workers.confirm import ConfirmWorker
from workers.deliver import Deliver
from workers.door import DoorWorker
from workers.fetch import FetchWorker
from workers.housekeep import Housekeep
from workers.receive import Receive

log = structlog.get_logger()

ROLES = ("receive", "fetch", "deliver", "housekeep")
DRAIN_SECONDS = 5.0
"""For requests of pages to be answered."""
GARBAGE = 20_000
"""How many objects more than were freed let the collector look at the young ones; Python's own 700 is for scripts."""
FINISH_SECONDS = 40.0
"""For roles to finish what they have begun, more than any of them needs; what hangs is given up."""


class Role(Protocol):
    """What a role is: runs until `stop`, then finishes what it has begun."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until asked to stop."""


async def run(settings: Settings, *, with_page: bool, roles: Sequence[str], say: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises `DomainError` where something it needs cannot be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_house(settings) as house, AsyncExitStack() as stack:
        workers = await _workers(house, roles)
        door_port = settings.door_port
        for worker in workers:
            if isinstance(worker, DoorWorker):
                door_port = await worker.open()
        if with_page:
            url = await _open_page(house, stack, door_port)
            say(f"Örtöö is at {url}")
            link = await house.accounts.setup_link()
            if link is not None:
                say(f"Create the first administrator at {url}{link} (this link works once)")
        if "receive" in roles:
            say(f"Mail comes in at {settings.door_host}:{door_port}")
        _leave_alone_what_stays()
        await _until_stopped(house, workers, stop, say)


def _leave_alone_what_stays() -> None:
    """Keep the garbage collector off modules, templates and services, which live as long as the process: to look
    through them all every few seconds holds up every page for longer than it takes to draw one."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


async def _workers(house: House, roles: Sequence[str]) -> list[Role]:
    settings = house.settings
    workers: list[Role] = []
    if "receive" in roles:
        workers.append(Receive(house.receiving, house.leases, house.owner, settings.lease_seconds))
        workers.append(
            DoorWorker(
                house.inboxes,
                house.ingest,
                host=settings.door_host,
                port=settings.door_port,
                speak="lmtp" if settings.door_lmtp else "smtp",
                max_bytes=settings.max_message_bytes,
            )
        )
    if "fetch" in roles:
        workers.append(FetchWorker(house.fetching))
    if "deliver" in roles:
        workers.append(Deliver(house.delivery, house.dispatcher))
        workers.append(ConfirmWorker(house.confirming))
    if "housekeep" in roles:
        workers.append(Housekeep(house.housekeeping, house.leases, house.owner, settings.lease_seconds))
    return workers


async def _open_page(house: House, stack: AsyncExitStack, door_port: int) -> str:
    settings = house.settings
    app = await build(house, door_port)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, settings.host, settings.port)
    try:
        await site.start()
    except OSError as error:
        raise Unavailable("The page cannot open: %(why)s", why=error.strerror or str(error)) from error
    if settings.public_url:
        return settings.public_url
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


async def _until_stopped(
    house: House, workers: Sequence[Role], stop: asyncio.Event, say: Callable[[str], None]
) -> None:
    """Wait for the signal, or for something to end that must not; then let every worker finish."""
    running = [asyncio.create_task(worker.run(stop)) for worker in workers]
    watching = [asyncio.create_task(stop.wait()), *running]
    if house.database_ended is not None:
        watching.append(asyncio.create_task(_database_end(house)))
    try:
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        say("Stopping: finishing what has begun…")
        for task in done:
            task.result()
        ended, hanging = await asyncio.wait(running, timeout=FINISH_SECONDS) if running else (set(), set())
        for task in ended:
            task.result()
        if hanging:
            log.warning("some roles did not finish in time", count=len(hanging))
    finally:
        stop.set()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _database_end(house: House) -> None:
    assert house.database_ended is not None
    status = await house.database_ended()
    raise Unavailable("The database ended by itself (status %(status)d); see mongod.log.", status=status)
