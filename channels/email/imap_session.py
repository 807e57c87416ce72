"""One IMAP connection (RFC 3501, RFC 2177): each call ends in a value or in an error that says what can be done."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import msgspec
from aioimaplib.aioimaplib import (
    AUTH,
    SELECTED,
    AioImapException,
    Command,
    CommandTimeout,
    Response,
    literal_data_re,
    quoted,
)

from channels.base import Refused, Unreachable
from channels.email import folder_names
from channels.email.imap_protocol import ImapProtocol
from channels.email.settings import Server

_CODE = re.compile(r"\[([A-Z-]+)")
_BUSY_CODES = {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"}
"""Response codes of a refusal that passes by itself (RFC 5530)."""
_BUSY_WORDS = re.compile(r"too many|temporar|try again|unavailable", re.IGNORECASE)
_FETCH = re.compile(rb"\d+ FETCH \(", re.IGNORECASE)
_UID = re.compile(rb"\bUID (\d+)", re.IGNORECASE)
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)", re.IGNORECASE)
_QUOTED_BODY = re.compile(rb'BODY\[\] "((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_LISTED = re.compile(rb'\((?P<flags>[^)]*)\) (?:NIL|"(?:[^"\\]|\\.)*") (?P<name>.+)', re.DOTALL)


class Folder(msgspec.Struct, frozen=True):
    """A folder as it was opened. `uidnext` is 0 where the server does not say it."""

    uidvalidity: int
    uidnext: int


class Session:
    """One connection. Every call ends in a value, in `Unreachable` (the connection is then closed) or in `Refused`."""

    def __init__(self, server: Server, protocol: ImapProtocol, timeout: float) -> None:
        self._server = server
        self._protocol = protocol
        self._timeout = timeout
        self._idle_refused = False

    @classmethod
    async def connect(cls, server: Server, tls: ssl.SSLContext, timeout: float) -> Session:
        """Connect, up to and with TLS; `timeout` (seconds) bounds every step and every later command."""
        loop = asyncio.get_running_loop()
        protocol = ImapProtocol(loop)
        session = cls(server, protocol, timeout)
        try:
            async with asyncio.timeout(timeout):
                await loop.create_connection(
                    lambda: protocol, server.host, server.port, ssl=tls if server.security == "tls" else None
                )
                await protocol.greeted.wait()
                session._raise_if_lost()
                _keep_alive(protocol.transport)
                if server.security == "starttls":
                    await session._start_tls(tls)
        except ssl.SSLCertVerificationError as error:
            session.close()
            raise Refused(f"The certificate of {server.name} is not trusted: {error.verify_message}") from error
        except TimeoutError as error:
            session.close()
            raise Unreachable(f"{server.name} did not answer within {timeout:g} s") from error
        except OSError as error:
            session.close()
            raise Unreachable(f"Cannot connect to {server.name}: {error}") from error
        except BaseException:
            session.close()
            raise
        return session

    async def login(self, username: str, password: str) -> None:
        """Log in with a password. Raises `Refused` where the server says it is wrong."""
        if self._protocol.state == AUTH:
            return
        if "LOGINDISABLED" in self._protocol.capabilities:
            raise Refused(f"{self._server.name} takes no password without encryption: choose TLS or STARTTLS")
        response = await self._do(self._protocol.login(quoted(username), password))
        if response.result != "OK":
            raise self._refusal("did not accept the user name and password", response)
        await self._learn_capabilities()

    async def login_with_token(self, username: str, token: str) -> None:
        """Log in by XOAUTH2 (https://developers.google.com/gmail/imap/xoauth2-protocol)."""
        if self._protocol.state == AUTH:
            return
        answer = base64.b64encode(f"user={username}\1auth=Bearer {token}\1\1".encode()).decode()
        response = await self._do(self._protocol.execute(self._command("AUTHENTICATE", "XOAUTH2", answer)))
        if response.result != "OK":
            raise self._refusal("did not accept the access token", response)
        self._protocol.state = AUTH
        await self._learn_capabilities()

    async def folders(self) -> list[str]:
        """The names of all folders that can be opened."""
        response = await self._do(self._protocol.simple_command("LIST", '""', '"*"'))
        return listed_folders(response.lines)

    async def examine(self, name: str) -> Folder:
        """Open a folder read-only, so that nothing of ours changes a flag. Raises `Refused` where there is none."""
        self._protocol.woken.clear()
        response = await self._do(self._protocol.simple_command("EXAMINE", quoted(folder_names.encode(name))))
        if response.result != "OK":
            raise self._refusal(f"has no folder “{name}”", response)
        self._protocol.state = SELECTED
        text = b"\n".join(response.lines)
        uidvalidity = re.search(rb"\[UIDVALIDITY (\d+)", text, re.IGNORECASE)
        uidnext = re.search(rb"\[UIDNEXT (\d+)", text, re.IGNORECASE)
        if uidvalidity is None:
            raise Refused(f"{self._server.name} does not number the mails of “{name}” (no UIDVALIDITY)")
        return Folder(int(uidvalidity[1]), int(uidnext[1]) if uidnext else 0)

    async def search(self, uids: str) -> list[int]:
        """Which of a UID set are in the open folder, ascending."""
        response = await self._do(self._protocol.search("UID", uids, charset=None, by_uid=True))
        if response.result != "OK":
            raise self._trouble("refused a search", response)
        # The last line is the server's closing words.
        return sorted({int(word) for line in response.lines[:-1] for word in line.split() if word.isdigit()})

    async def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """The sizes in bytes of those mails that the server has."""
        response = await self._fetch(uids, "(UID RFC822.SIZE)")
        return fetched_sizes(response.lines)

    async def fetch(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The mails of the given UIDs; those the server does not give are left out. Sets no flag."""
        response = await self._fetch(uids, "(UID BODY.PEEK[])")
        return fetched_bodies(response.lines)

    @property
    def can_idle(self) -> bool:
        """Whether the server tells of new mail by itself."""
        return "IDLE" in self._protocol.capabilities and not self._idle_refused

    async def idle(self, seconds: float) -> None:
        """Wait until the server tells of new mail in the open folder, at most `seconds`; also proves that it lives."""
        self._raise_if_lost()
        if self._protocol.woken.is_set():
            return
        idling = asyncio.create_task(self._do(self._protocol.idle(), bounded=False))
        ready = asyncio.create_task(self._protocol.wait_for_idle_response())
        woken = asyncio.create_task(self._protocol.woken.wait())
        try:
            await asyncio.wait({idling, ready}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                await asyncio.wait({idling, woken}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if not idling.done():
                    self._protocol.idle_done()
                    await asyncio.wait({idling}, timeout=self._timeout)
            if not idling.done():
                raise self._silent()
            if idling.result().result != "OK":
                self._idle_refused = True
        finally:
            for task in (idling, ready, woken):
                task.cancel()
            await asyncio.gather(idling, ready, woken, return_exceptions=True)
            self._protocol.drop_pushes()

    async def rest(self, seconds: float) -> None:
        """Wait without IDLE, at most `seconds`; the loss of the connection ends it early."""
        try:
            async with asyncio.timeout(seconds):
                await self._protocol.woken.wait()
        except TimeoutError:
            pass  # the usual end
        self._raise_if_lost()

    def close(self) -> None:
        """Say goodbye without waiting for the answer; calls that wait end as `Unreachable`."""
        transport = self._protocol.transport
        if transport is not None and not transport.is_closing():
            self._protocol.send(f"{self._protocol.new_tag()} LOGOUT")
            transport.close()
        self._protocol.lose("closed")

    async def _fetch(self, uids: Sequence[int], parts: str) -> Response:
        fetching = self._protocol.fetch(_uid_set(uids), parts, by_uid=True, timeout=self._timeout)
        # No bound on the whole: the library's own timer counts from the last piece received.
        return await self._do(fetching, bounded=False)

    async def _start_tls(self, tls: ssl.SSLContext) -> None:
        if "STARTTLS" not in self._protocol.capabilities:
            raise Refused(f"{self._server.name} does not offer STARTTLS")
        response = await self._do(self._protocol.execute(self._command("STARTTLS")))
        # Bytes that came before the handshake are not the server's word (CVE-2011-0411 and its kin).
        if response.result != "OK" or self._protocol.incomplete_line:
            raise self._trouble("failed to start TLS", response)
        loop = asyncio.get_running_loop()
        self._protocol.transport = await loop.start_tls(
            self._protocol.transport, self._protocol, tls, server_hostname=self._server.host
        )
        await self._learn_capabilities()

    async def _learn_capabilities(self) -> None:
        response = await self._do(self._protocol.execute(self._command("CAPABILITY")))
        if response.result == "OK":
            self._protocol.capabilities = set(b" ".join(response.lines[:-1]).decode("ascii", "replace").upper().split())

    def _command(self, name: str, *arguments: str) -> Command:
        return Command(name, self._protocol.new_tag(), *arguments, loop=self._protocol.loop)

    async def _do(self, command: Coroutine[Any, Any, Response], *, bounded: bool = True) -> Response:
        if self._protocol.lost:
            command.close()
            self._raise_if_lost()
        try:
            async with asyncio.timeout(self._timeout if bounded else None):
                response = await command
        except (TimeoutError, CommandTimeout) as error:
            raise self._silent() from error
        except AioImapException as error:
            self._raise_if_lost()
            self.close()
            raise Unreachable(f"{self._server.name} did not answer as IMAP servers do: {error!r}") from error
        self._raise_if_lost()
        return response

    def _raise_if_lost(self) -> None:
        if self._protocol.lost:
            raise Unreachable(f"The connection to {self._server.name} was lost: {self._protocol.lost}")

    def _silent(self) -> Unreachable:
        self.close()
        return Unreachable(f"{self._server.name} did not answer within {self._timeout:g} s")

    def _trouble(self, words: str, response: Response) -> Unreachable:
        self.close()
        return Unreachable(f"{self._server.name} {words}: {_closing_words(response)}")

    def _refusal(self, words: str, response: Response) -> Refused | Unreachable:
        """A NO is final unless the server says that it is busy."""
        said = _closing_words(response)
        code = match[1] if (match := _CODE.search(said)) else ""
        self.close()
        if code in _BUSY_CODES or (code in {"", "ALERT"} and _BUSY_WORDS.search(said)):
            return Unreachable(f"{self._server.name} is busy: {said}", code)
        return Refused(f"{self._server.name} {words}: {said}", code)


def fetched_bodies(lines: Iterable[bytes | bytearray]) -> dict[int, bytes]:
    """UID -> mail out of the lines of a FETCH response; literals are its bytearrays. An empty one is none."""
    bodies: dict[int, bytes] = {}
    uid, body, in_literal = 0, b"", False
    for line in [*lines, b"0 FETCH ("]:
        if isinstance(line, bytearray):
            body, in_literal = bytes(line), True
            continue
        if in_literal and not line.startswith((b")", b" ")):
            body = b""  # the literal's length was wrong: it swallowed what follows
        in_literal = False
        if _FETCH.match(line):
            if uid and body:
                bodies[uid] = body
            uid, body = 0, b""
        if match := _UID.search(line):
            uid = int(match[1])
        if match := _QUOTED_BODY.search(line):
            body = re.sub(rb"\\(.)", rb"\1", match[1])
    return bodies


def fetched_sizes(lines: Iterable[bytes | bytearray]) -> dict[int, int]:
    """UID -> size in bytes."""
    found = ((_UID.search(line), _SIZE.search(line)) for line in lines)
    return {int(uid[1]): int(size[1]) for uid, size in found if uid and size}


def listed_folders(lines: Sequence[bytes | bytearray]) -> list[str]:
    """Folder names out of the lines of a LIST response."""
    names: list[str] = []
    for position, line in enumerate(lines):
        match = _LISTED.match(line)
        if match is None or rb"\noselect" in match["flags"].lower():
            continue
        name = bytes(match["name"])
        if literal_data_re.match(line) and position + 1 < len(lines):
            name = bytes(lines[position + 1])
        elif name.startswith(b'"'):
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        names.append(folder_names.decode(name.decode("utf-8", "replace")))
    return names


def _uid_set(uids: Sequence[int]) -> str:
    return ",".join(map(str, uids))


def _closing_words(response: Response) -> str:
    return bytes(response.lines[-1]).decode("utf-8", "replace") if response.lines else str(response.result)


def _keep_alive(transport: asyncio.Transport) -> None:
    """Let the kernel notice within some two minutes that the other end is gone, also while IDLE is silent."""
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):  # not every system names these
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
