"""The embedded database, on the real mongod."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import pytest

from inbox.core import embedded
from inbox.core.errors import Unavailable
from inbox.core.mongo import Mongo, Session
from tests.fixtures.requirements import require

ROOT = Path(__file__).parent.parent.parent

# A server: starts the database, writes a document, tells mongod's process id and stays until it is killed.
SERVER = """
import asyncio, sys
from pathlib import Path
from inbox.core import embedded
from inbox.core.mongo import Mongo

async def main():
    database = await embedded.start(Path(sys.argv[1]))
    mongo = await Mongo.connect(database.uri, "ortoo")
    await mongo.db["letters"].insert_one({"_id": "kept"})
    print(database.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True, scope="module")
def mongod() -> Path:
    try:
        found: Path | None = embedded.find_mongod()
    except Unavailable:
        found = None
    return require("mongod", found)


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[embedded.EmbeddedMongo]:
    database = await embedded.start(data)
    try:
        yield database
    finally:
        await database.stop()


async def start_server(data: Path) -> tuple[asyncio.subprocess.Process, int]:
    """A server in a process of its own, and the process id of its mongod."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(data), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout
    return server, int(await server.stdout.readline())


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[Mongo]:
    mongo = await Mongo.connect(uri, "ortoo")
    try:
        yield mongo
    finally:
        mongo.close()


async def letters(uri: str) -> list[str]:
    async with connected(uri) as mongo:
        return [document["_id"] async for document in mongo.db["letters"].find()]


async def write_letter(uri: str, name: str = "kept") -> None:
    async with connected(uri) as mongo:
        await mongo.ensure("letters")

        async def write(session: Session) -> None:
            await mongo.db["letters"].insert_one({"_id": name}, session=session)

        await mongo.transaction(write)


def is_running(pid: int) -> bool:
    """Whether the process is there and not merely waiting for its exit status to be fetched."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def open_files(pid: int) -> Iterator[str]:
    """What the file descriptors of a process stand for."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since we looked
            yield os.readlink(path)


async def test_a_fresh_folder_becomes_a_database_with_transactions_and_stop_leaves_no_process(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as database:
        await write_letter(database.uri)
        assert await letters(database.uri) == ["kept"]
    assert not is_running(database.pid)


async def test_it_listens_on_a_private_socket_and_on_no_port(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as database:
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        socket = Path(unquote(database.uri.removeprefix("mongodb://").partition("/?")[0]))
        assert socket.stat().st_mode & 0o777 == 0o600
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        inodes = set(open_files(database.pid))
        listening = {
            f"socket:[{fields[9]}]"
            for table in ("tcp", "tcp6")
            for fields in (line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])
            if fields[3] == "0A"
        }
        assert not inodes & listening


async def test_the_data_of_a_killed_server_is_there_at_the_next_start(tmp_path: Path) -> None:
    server, _ = await start_server(tmp_path)
    server.kill()
    await server.wait()
    async with running(tmp_path) as database:
        assert await letters(database.uri) == ["kept"]


async def test_a_killed_mongod_is_noticed_and_its_data_recovered(tmp_path: Path) -> None:
    async with running(tmp_path) as database:
        await write_letter(database.uri)
        os.kill(database.pid, signal.SIGKILL)
        assert await database.wait() == -signal.SIGKILL
    async with running(tmp_path) as database:
        assert await letters(database.uri) == ["kept"]


async def test_an_orphaned_mongod_that_hangs_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_STOP_SECONDS", 0.5)
    server, mongod = await start_server(tmp_path)
    os.kill(mongod, signal.SIGSTOP)  # it cannot hear that its parent died
    server.kill()
    await server.wait()
    async with running(tmp_path) as database:
        assert not is_running(mongod)
        assert await letters(database.uri) == ["kept"]


async def test_another_program_that_names_the_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mongo").mkdir()
    bystander = await asyncio.create_subprocess_exec("tail", "-f", "--", "/dev/null", str(tmp_path / "mongo"))
    async with running(tmp_path):
        assert is_running(bystander.pid)
    bystander.kill()
    await bystander.wait()


async def test_a_folder_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(Unavailable, match=r"^The data folder .*/data cannot be used: .*$"):
        await embedded.start(tmp_path / "data")


async def test_the_second_server_on_a_data_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    server, _ = await start_server(tmp_path)
    with pytest.raises(Unavailable) as refusal:
        await embedded.start(tmp_path)
    server.terminate()
    await server.wait()
    assert str(server.pid) in str(refusal.value)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_a_folder_with_a_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / ("д" * 60) / "data"
    async with running(data) as database:
        socket = Path(unquote(database.uri.removeprefix("mongodb://").partition("/?")[0]))
        assert not socket.is_relative_to(data)
        assert len(os.fsencode(socket)) <= 107
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        await write_letter(database.uri)
    assert not socket.parent.exists()


async def test_a_data_folder_can_be_moved(tmp_path: Path) -> None:
    async with running(tmp_path / "here") as database:
        await write_letter(database.uri)
    (tmp_path / "here").rename(tmp_path / "there")
    async with running(tmp_path / "there") as database:
        assert await letters(database.uri) == ["kept"]
        await write_letter(database.uri, "written after the move")


async def test_a_mongod_that_cannot_start_says_why(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    (tmp_path / "mongo" / "WiredTiger.turtle").write_text("torn")
    with pytest.raises(Unavailable, match=r"ended at its start \(status -?\d+\): \w.*mongod\.log"):
        await embedded.start(tmp_path)
    with pytest.raises(Unavailable, match="ended at its start"):  # and the folder was let go
        await embedded.start(tmp_path)


async def test_a_program_without_its_libraries_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded, "PACKAGE", "no-such-package")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(Unavailable, match=r"status 127.*libcurl\.so\.4"):
        await embedded.start(tmp_path / "data")


async def test_without_any_mongod_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no-such-package")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="ORTOO_MONGODB_URI"):
        await embedded.start(tmp_path / "data")


async def test_the_log_is_kept_small_while_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_LOG_BYTES", 1)
    monkeypatch.setattr(embedded, "_LOG_CHECK_SECONDS", 0.05)
    async with running(tmp_path):
        async with asyncio.timeout(10):
            while not (tmp_path / "mongod.log.1").exists() or not (tmp_path / "mongod.log").exists():
                await asyncio.sleep(0.02)
    assert sorted(path.name for path in tmp_path.glob("mongod.log*")) == ["mongod.log", "mongod.log.1"]
