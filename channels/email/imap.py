"""Fetching mail by IMAP: what is new in each folder, in order, from a cursor that the caller commits.

The cursor is all the state there is: `{"folders": {name: Mark}}`. It also remembers what went wrong, so that a mail
which breaks the connection every time holds up nothing but itself, whoever continues from it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing

import msgspec

from channels.base import ChannelError, CheckStep, Cursor, Known, Ports, Raw, Refused, Unreachable
from channels.email import tls
from channels.email.imap_session import Session
from channels.email.settings import EmailSettings

BATCH_MAILS = 20
BATCH_BYTES = 8 * 2**20
SIZES_AT_ONCE = 200
TRIES_ALONE = 3
"""How often one mail may break the connection before it is put aside."""
MISSING_MAX = 1000
"""Mails put aside in a folder; with more than that the server is at fault, and going on would hide it."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds."""

    timeout: float = 60
    idle: float = 300
    """Servers end IDLE after 29 minutes; asking anew sooner is also how a connection that died silently is noticed."""
    poll: float = 30
    """Between looks where there is no IDLE."""
    others: float = 60
    """Between looks at the folders after the first."""
    retry_missing: float = 3600


class Mark(msgspec.Struct, omit_defaults=True):
    """How far a folder has been read."""

    uidvalidity: int
    uid: int
    """All mails up to here were handed over, or are in `missing`, or are older than `first`."""
    first: int = 1
    missing: list[int] = msgspec.field(default_factory=list)
    """UIDs the server has and does not give; tried again every `Timing.retry_missing` seconds."""
    retried: float = 0
    """When `missing` was last tried (seconds since 1970)."""
    alone_until: int = 0
    """Up to this UID mails are fetched one by one: the connection broke while they were fetched together."""
    failures: int = 0
    """How often in a row the connection broke at the next mail fetched alone."""

    def put_aside(self, uids: Sequence[int], now: float) -> None:
        """Note mails that cannot be had. Raises `Unreachable` where they are too many."""
        if len(self.missing) + len(uids) > MISSING_MAX:
            raise Unreachable(f"The server keeps back more than {MISSING_MAX} mails of a folder")
        self.missing = [*self.missing, *uids]
        self.retried = now

    def note_broken(self, batch: Sequence[int], now: float) -> None:
        """The connection broke while `batch` was fetched."""
        if len(batch) > 1:
            self.alone_until = batch[-1]
            return
        self.failures += 1
        if self.failures >= TRIES_ALONE:
            self.put_aside(batch, now)
            self.uid, self.failures = batch[0], 0


class ImapPoller:
    """An inbox's IMAP side. `poll` and `reconcile` each use a connection of their own."""

    def __init__(
        self,
        settings: EmailSettings,
        ports: Ports,
        *,
        timing: Timing,
        context: ssl.SSLContext | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._timing = timing
        self._context = context
        self._now = now
        self._sessions: set[Session] = set()
        self._closed = False

    async def poll(self, cursor: Cursor) -> AsyncGenerator[tuple[list[Raw], Cursor], None]:
        """See `PollingAdapter.poll`; an empty list comes after every look."""
        marks = read_marks(cursor)
        watched, *others = self._settings.folders
        others_due = 0.0
        session: Session | None = None
        try:
            session = await self._open()
            while not self._closed:
                due = time.monotonic() >= others_due
                # The watched folder comes last: it must be the open one while we wait.
                for name in [*others, watched] if due else [watched]:
                    async with aclosing(self._news(session, name, marks)) as news:
                        async for raws in news:
                            yield raws, write_marks(marks)
                if due:
                    others_due = time.monotonic() + self._timing.others
                yield [], write_marks(marks)
                await self._wait(session, others_due - time.monotonic() if others else None)
        except Unreachable:
            if not self._closed:
                raise
        finally:
            if session is not None:
                self._drop(session)

    async def reconcile(self, cursor: Cursor, known: Known) -> AsyncGenerator[tuple[list[str], list[Raw]], None]:
        """See `PollingAdapter.reconcile`."""
        marks = read_marks(cursor)
        session = await self._open()
        try:
            for name in self._settings.folders:
                folder = await session.examine(name)
                mark = marks.get(name)
                if mark is None or mark.uidvalidity != folder.uidvalidity or mark.uid < mark.first:
                    continue
                uids = await session.search(f"{mark.first}:{mark.uid}")
                for start in range(0, len(uids), SIZES_AT_ONCE):
                    places = {_place(name, mark, uid): uid for uid in uids[start : start + SIZES_AT_ONCE]}
                    stored = await known(list(places))
                    missing = [place for place in places if place not in stored]
                    for place in missing:
                        bodies, _ = await _fetch(session, [places[place]])
                        yield [place], [_raw(name, mark, uid, body) for uid, body in bodies.items()]
        finally:
            self._drop(session)

    async def check(self) -> list[CheckStep]:
        """Log in and open each folder."""
        server = self._settings.imap
        try:
            session = await self._open()
        except ChannelError as error:
            return [CheckStep("Read mail", ok=False, words=error.words)]
        steps = [CheckStep("Read mail", ok=True, words=f"Logged in to {server.name}")]
        try:
            existing = await session.folders()
            for name in self._settings.folders:
                ok = name in existing
                words = "" if ok else f"Not on the server. It has: {', '.join(sorted(existing)[:20])}"
                steps.append(CheckStep(f"Folder {name}", ok=ok, words=words))
        except ChannelError as error:
            steps.append(CheckStep("Folders", ok=False, words=error.words))
        finally:
            self._drop(session)
        return steps

    async def close(self) -> None:
        """End what runs."""
        self._closed = True
        for session in list(self._sessions):
            self._drop(session)

    async def _open(self) -> Session:
        context = self._context or await tls.trusted()
        server, oauth = self._settings.imap, self._settings.auth == "oauth"
        for renew in (False, True):
            token = await self._ports.access_token(renew=renew) if oauth else ""
            session = await Session.connect(server, context, self._timing.timeout)
            self._sessions.add(session)
            try:
                if oauth:
                    await session.login_with_token(server.username, token)
                else:
                    await session.login(server.username, server.password)
                if self._closed:
                    raise Unreachable("The inbox was closed")
            except Refused:
                self._drop(session)
                if renew or not oauth:
                    raise
            except BaseException:
                self._drop(session)
                raise
            else:
                return session
        raise AssertionError("the second pass returns or raises")

    def _drop(self, session: Session) -> None:
        self._sessions.discard(session)
        session.close()

    async def _wait(self, session: Session, others_in: float | None) -> None:
        longest = self._timing.idle if session.can_idle else self._timing.poll
        seconds = longest if others_in is None else max(0.0, min(longest, others_in))
        if session.can_idle:
            await session.idle(seconds)
        else:
            await session.rest(seconds)

    async def _news(self, session: Session, name: str, marks: dict[str, Mark]) -> AsyncGenerator[list[Raw], None]:
        folder = await session.examine(name)
        mark = marks.get(name)
        if mark is None or mark.uidvalidity != folder.uidvalidity:
            # A new UIDVALIDITY numbers everything anew: all is taken again, and what is known is dropped on ingest.
            first = folder.uidnext if mark is None and self._settings.start == "new" and folder.uidnext else 1
            mark = marks[name] = Mark(uidvalidity=folder.uidvalidity, uid=first - 1, first=first)
        if mark.missing and self._now() - mark.retried >= self._timing.retry_missing:
            async with aclosing(self._missing(session, name, mark)) as found:
                async for raws in found:
                    yield raws
        if folder.uidnext and folder.uidnext <= mark.uid + 1:
            return
        # "n:*" also names the last mail where it is below n (RFC 3501 section 6.4.8).
        uids = [uid for uid in await session.search(f"{mark.uid + 1}:*") if uid > mark.uid]
        for start in range(0, len(uids), SIZES_AT_ONCE):
            chunk = uids[start : start + SIZES_AT_ONCE]
            for batch in batches(chunk, await session.sizes(chunk), mark.alone_until):
                try:
                    bodies, kept_back = await _fetch(session, batch)
                except Unreachable:
                    mark.note_broken(batch, self._now())
                    yield []  # committed before the error goes up, so that the next start knows
                    raise
                if kept_back:
                    mark.put_aside(kept_back, self._now())
                mark.uid, mark.failures = batch[-1], 0
                yield [_raw(name, mark, uid, bodies[uid]) for uid in batch if uid in bodies]

    async def _missing(self, session: Session, name: str, mark: Mark) -> AsyncGenerator[list[Raw], None]:
        for uid in list(mark.missing):
            # To the end of the queue, and committed, before the try: it may break the connection.
            mark.missing = [*(other for other in mark.missing if other != uid), uid]
            mark.retried = self._now()
            yield []
            bodies, kept_back = await _fetch(session, [uid])
            if not kept_back:
                mark.missing = [other for other in mark.missing if other != uid]
                yield [_raw(name, mark, uid, body) for uid, body in bodies.items()]


def batches(uids: Sequence[int], sizes: Mapping[int, int], alone_until: int = 0) -> Iterator[list[int]]:
    """Group ascending UIDs to fetch together: by count, by bytes, and singly up to `alone_until`."""
    batch: list[int] = []
    total = 0
    for uid in uids:
        size = sizes.get(uid, 0)
        if batch and (len(batch) == BATCH_MAILS or total + size > BATCH_BYTES or batch[-1] <= alone_until):
            yield batch
            batch, total = [], 0
        batch.append(uid)
        total += size
    if batch:
        yield batch


def read_marks(cursor: Cursor) -> dict[str, Mark]:
    """The folders of a cursor."""
    return msgspec.convert(cursor.get("folders", {}), dict[str, Mark])


def write_marks(marks: Mapping[str, Mark]) -> Cursor:
    """The cursor to commit; a copy, in JSON values."""
    return {"folders": msgspec.to_builtins(marks)}


async def _fetch(session: Session, uids: Sequence[int]) -> tuple[dict[int, bytes], list[int]]:
    """The mails that can be had, and the UIDs that are there and were not given, even singly."""
    bodies = await session.fetch(uids)
    absent = [uid for uid in uids if uid not in bodies]
    if not absent:
        return bodies, []
    kept_back: list[int] = []
    # What was expunged meanwhile is nobody's loss.
    for uid in await session.search(",".join(map(str, absent))):
        if len(uids) > 1:
            bodies |= await session.fetch([uid])
        if uid not in bodies:
            kept_back.append(uid)
    return bodies, kept_back


def _raw(name: str, mark: Mark, uid: int, body: bytes) -> Raw:
    return Raw(body=body, url=_place(name, mark, uid))


def _place(name: str, mark: Mark, uid: int) -> str:
    return f"imap:{name};uidvalidity={mark.uidvalidity};uid={uid}"
