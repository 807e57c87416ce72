"""A process of Örtöö as a person starts it, and as the test ends it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parent.parent.parent
_START_SECONDS = 120
_END_SECONDS = 120
_MAIN = "from inbox.cli import main; main()"


class Ortoo:
    """One `ortoo COMMAND`; an async context manager that leaves nothing running."""

    def __init__(self, *command: str, settings: Mapping[str, str]) -> None:
        self._command = command
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._ended = False
        self.lines: list[str] = []
        """What it said so far."""

    async def start(self) -> Ortoo:
        """Start it; it is not ready yet."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ORTOO_")}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", _MAIN, *self._command),
            cwd=ROOT,
            env=ours | {f"ORTOO_{name.upper()}": value for name, value in self._settings.items()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is dead."""
        return self._process is None or self._process.returncode is not None

    async def said(self, pattern: str) -> re.Match[str]:
        """The first line that matches, once it is there."""
        async with asyncio.timeout(_START_SECONDS), self._news:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                assert not self._ended, f"it ended without saying {pattern!r}:\n" + "\n".join(self.lines)
                await self._news.wait()

    async def url(self) -> str:
        """Where its page is, once it is open."""
        return (await self.said(r"Örtöö is at (\S+)"))[1]

    async def door(self) -> int:
        """The port of its mail door, once it is open."""
        return int((await self.said(r"Mail comes in at \S+:(\d+)"))[1])

    async def kill(self) -> None:
        """kill -9, and wait until it is dead."""
        os.kill(self.pid, signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        """Ctrl-C, and wait until it has ended; its exit status."""
        os.kill(self.pid, signal.SIGINT)
        return await self.ended()

    async def ended(self) -> int:
        """Its exit status, once it has ended by itself or by a signal."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(_END_SECONDS):
            status = await self._process.wait()
            await self._reading
        return status

    async def __aenter__(self) -> Ortoo:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if not self.has_ended:
            await self.kill()
        if error is not None:
            error.add_note("\n".join([f"--- ortoo {' '.join(self._command)}", *self.lines]))

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._news:
                self.lines.append(line.decode().rstrip())
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()
