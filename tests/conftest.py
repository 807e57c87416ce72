"""Fixtures every test can ask for, and what holds for all tests: no blocked loop, no task left running."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from playwright.async_api import Browser, async_playwright

from inbox.core.errors import Unavailable
from inbox.core.mongo import Mongo
from tests.fixtures import logs
from tests.fixtures.mongod import SharedMongod
from tests.fixtures.requirements import require

ROOT = Path(__file__).parent.parent
OURS = ("channels", "config", "inbox", "workers")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

_mongod: pytest.StashKey[SharedMongod | None] = pytest.StashKey()


def _shared_mongod_uri(config: pytest.Config) -> str:
    """The address of this run's mongod, started at the first call; nothing where there is none for this machine."""
    if _mongod not in config.stash:
        try:
            config.stash[_mongod] = SharedMongod()
        except Unavailable:  # tests that need it are skipped or fail; tests/core/test_embedded.py says why
            config.stash[_mongod] = None
    mongod = config.stash[_mongod]
    return mongod.uri if mongod else ""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker process where the database is (`node` is xdist's WorkerController)."""
    node.workerinput["mongo_uri"] = _shared_mongod_uri(node.config)


def pytest_configure(config: pytest.Config) -> None:
    logs.configure()


def pytest_unconfigure(config: pytest.Config) -> None:
    mongod = config.stash.get(_mongod, None)
    if mongod:
        mongod.stop()


@pytest.fixture(scope="session")
def mongo_uri(request: pytest.FixtureRequest) -> str:
    """The run's MongoDB: a real one-member replica set."""
    given: dict[str, str] | None = getattr(request.config, "workerinput", None)
    uri = given["mongo_uri"] if given else _shared_mongod_uri(request.config)
    return require("mongod", uri)


@pytest.fixture
async def mongo(mongo_uri: str, worker_id: str) -> AsyncIterator[Mongo]:
    """An empty database. Collections and indexes of earlier tests stay: making them anew costs more than most tests."""
    mongo = await Mongo.connect(mongo_uri, f"test_{worker_id}")
    yield mongo
    names = await mongo.db.list_collection_names(filter={"name": {"$not": {"$regex": r"^system\."}}})
    await asyncio.gather(*(mongo.db[name].delete_many({}) for name in names))
    mongo.close()


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A real browser, one per worker; each test opens a context of its own."""
    program = require("chromium", shutil.which("chromium"))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session", autouse=True)
def blocking_calls_fail() -> Iterator[None]:
    """Code of ours that blocks the event loop raises `BlockingError`."""
    # Starting the embedded database touches files before anything else runs.
    blockbuster = BlockBuster(list(OURS), excluded_modules=["inbox.core.embedded"])
    # The driver looks once, when a client is made, whether it runs in a container.
    blockbuster.functions["os.stat"].can_block_in("pymongo/pool_options.py", "get_container_env_info")
    # Closing a client tells the server so, in the caller's thread: Motor leaves that as it is.
    for name in ("sendall", "recv_into"):
        blockbuster.functions[f"socket.socket.{name}"].can_block_in("pymongo/synchronous/mongo_client.py", "close")
    # Locks between the loop and the driver's threads are held for microseconds.
    del blockbuster.functions["threading.Lock.acquire"]
    del blockbuster.functions["threading.Lock.acquire_lock"]
    blockbuster.activate()
    yield
    blockbuster.deactivate()


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    """A task that our code started in a test must have ended with it."""
    before = asyncio.all_tasks()
    yield
    left = [task for task in asyncio.all_tasks() - before if not task.done() and _is_ours(task)]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    assert not left, f"tasks left running: {left}"


def _is_ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and any(Path(code.co_filename).is_relative_to(ROOT / name) for name in OURS)
