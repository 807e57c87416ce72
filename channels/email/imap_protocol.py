"""aioimaplib's protocol class, completed for a client that runs for weeks.

aioimaplib 2.0 leaves commands waiting when the connection is lost, recurses once per line, does not answer the
challenge of a refused XOAUTH2, and drops an EXISTS that arrives between commands.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from aioimaplib.aioimaplib import CRLF, AioImapException, Command, IMAP4ClientProtocol, IncompleteRead, literal_data_re

# Its lower levels write commands and message bodies to the log.
logging.getLogger("aioimaplib").setLevel(logging.WARNING)

_EXISTS = re.compile(rb"\* \d+ EXISTS", re.IGNORECASE)


class ImapProtocol(IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib publishes no types
    """A client's end of a connection. It wakes who waits when the connection goes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.pending_sync_command: Command | None = None
        self.greeted = asyncio.Event()
        self.woken = asyncio.Event()
        """Set by new mail in the open folder and by the loss of the connection."""
        self.lost = ""
        """Why the connection is gone; empty while it stands."""

    def lose(self, reason: str) -> None:
        """The connection is no use any more: wake everybody."""
        self.lost = self.lost or reason
        pending = [*self.pending_async_commands.values(), self.pending_sync_command]
        self.pending_async_commands.clear()
        self.pending_sync_command = None
        for command in pending:
            if command is not None:
                command.close(b"connection lost", result="LOST")
        self.greeted.set()
        self.woken.set()

    def drop_pushes(self) -> None:
        """Forget what IDLE queued; `woken` says all we need."""
        while not self.idle_queue.empty():
            self.idle_queue.get_nowait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self.lose(str(exc or "the server closed it"))

    async def welcome(self, command: bytes) -> None:
        """Take the greeting."""
        try:
            await super().welcome(command)
        except AioImapException as error:
            self.lose(str(error))
        self.greeted.set()

    def _untagged_response(self, line: bytes) -> Command:
        pending = self.pending_sync_command
        if line.upper().startswith(b"* BYE"):
            self.lost = self.lost or line[6:].decode("utf-8", "replace")
        elif _EXISTS.match(line) and (pending is None or pending.name != "EXAMINE"):
            self.woken.set()
        return super()._untagged_response(line)

    def _continuation(self, line: bytes) -> None:
        if self.pending_sync_command is not None and self.pending_sync_command.name == "AUTHENTICATE":
            self.send("")  # what the server sends here is why it refuses; it says NO after our empty answer
        else:
            super()._continuation(line)

    def _handle_responses(self, data: bytes, line_handler: Any, current_cmd: Command | None = None) -> None:
        """As the library's, in a loop."""
        while data:
            if current_cmd is not None and current_cmd.wait_literal_data():
                data = current_cmd.append_literal_data(data)
                if current_cmd.wait_literal_data() or not data:
                    raise IncompleteRead(current_cmd)
            line, separator, tail = data.partition(CRLF)
            if not separator:
                raise IncompleteRead(current_cmd, data)
            command = line_handler(line, current_cmd)
            if literal := literal_data_re.match(line):
                command = command or Command("NIL", "unused", loop=self.loop)
                command.begin_literal_data(int(literal["size"]))
                current_cmd = command
            else:
                current_cmd = command if command is not None and command.wait_data() else None
            data = tail
        if self.pending_sync_command is not None:
            self.pending_sync_command.flush()
        if current_cmd is not None and current_cmd.wait_data():
            raise IncompleteRead(current_cmd)
