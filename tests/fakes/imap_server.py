"""A small scripted IMAP server, for what a good one never does: refuse tokens, keep mails back, break in a mail."""

from __future__ import annotations

import asyncio
import base64
import re
from types import TracebackType


class FakeImap:
    """One folder, INBOX. `faults` says by UID how a mail's FETCH goes wrong: `no`, `nil`, `cut`, `hang` or `short`."""

    def __init__(self, *, token: str = "", capabilities: str = "IMAP4rev1 SASL-IR") -> None:
        self.token = token
        self.capabilities = capabilities
        self.login_answer = "OK done"
        self.says_uidnext = True
        self.noise = b""
        """Said before each answer to EXAMINE."""
        self.mails: dict[int, bytes] = {}
        self.faults: dict[int, str] = {}
        self.fetched: list[list[int]] = []
        """The UID sets whose bodies were asked for."""
        self.commands: list[str] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> FakeImap:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        writer.write(b"* OK ready\r\n")
        try:
            while line := (await reader.readline()).decode().strip():
                tag, _, command = line.partition(" ")
                self.commands.append(command)
                answer = await self._answer(command, reader, writer)
                if answer is None:
                    break
                writer.write(f"{tag} {answer}\r\n".encode())
        except asyncio.CancelledError:
            pass  # the end of the test; Python 3.11 logs a stream server's task that ends as cancelled
        finally:
            writer.close()

    async def _answer(self, command: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
        if command == "CAPABILITY":
            writer.write(f"* CAPABILITY {self.capabilities}\r\n".encode())
        elif command.startswith("LOGIN"):
            return self.login_answer
        elif command.startswith("AUTHENTICATE XOAUTH2"):
            if f"auth=Bearer {self.token}\1" not in base64.b64decode(command.split()[2]).decode():
                writer.write(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n")
                assert (await reader.readline()).strip() == b""
                return "NO [AUTHENTICATIONFAILED] Invalid credentials"
        elif command.startswith("EXAMINE"):
            uidnext = max(self.mails, default=0) + 1
            writer.write(self.noise)
            writer.write(f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n".encode())
            writer.write(f"* OK [UIDNEXT {uidnext}] ok\r\n".encode() if self.says_uidnext else b"")
        elif command.startswith("UID SEARCH"):
            found = " ".join(map(str, self._search(command.rsplit(maxsplit=1)[-1])))
            writer.write(f"* SEARCH {found}\r\n".encode())
        elif command.startswith("UID FETCH"):
            return await self._fetch(command, writer)
        elif command.startswith("LOGOUT"):
            return None
        return "OK done"

    def _search(self, uids: str) -> list[int]:
        if match := re.fullmatch(r"(\d+):\*", uids):
            last = max(self.mails, default=0)
            return sorted(uid for uid in self.mails if min(int(match[1]), last) <= uid)
        return sorted(uid for uid in map(int, uids.split(",")) if uid in self.mails)

    async def _fetch(self, command: str, writer: asyncio.StreamWriter) -> str | None:
        uids = [int(uid) for uid in command.split()[2].split(",")]
        if "RFC822.SIZE" in command:
            for number, uid in enumerate(uids, 1):
                writer.write(f"* {number} FETCH (UID {uid} RFC822.SIZE {len(self.mails.get(uid, b''))})\r\n".encode())
            return "OK done"
        self.fetched.append(uids)
        refused = False
        for number, uid in enumerate(uids, 1):
            fault = self.faults.get(uid, "")
            body = self.mails.get(uid)
            if fault == "cut":
                writer.write(f"* {number} FETCH (UID {uid} BODY[] {{9999}}\r\nhalf a ma".encode())
                return None
            if fault == "hang":
                await asyncio.Event().wait()
            if fault == "no" or body is None:
                refused = refused or fault == "no"
            elif fault == "nil":
                writer.write(f"* {number} FETCH (UID {uid} BODY[] NIL)\r\n".encode())
            else:
                size = len(body) + (100 if fault == "short" else 0)
                writer.write(f"* {number} FETCH (UID {uid} BODY[] {{{size}}}\r\n".encode() + body + b")\r\n")
        return "NO [SERVERBUG] some mails are broken" if refused else "OK done"
