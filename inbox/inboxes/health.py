"""How inboxes are doing: what workers tell, and the report for the health page."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from inbox.core.clock import Clock
from inbox.core.events import Event, EventType
from inbox.inboxes.catalogue import Catalogue
from inbox.inboxes.model import Backlog, HealthReport, HealthState, Problem
from inbox.inboxes.store import InboxStore

log = structlog.get_logger()
QueueLength = Callable[[str], Awaitable[int]]
"""Inbox id -> messages that wait to leave it."""
BacklogOf = Callable[[str], Awaitable[Backlog]]
"""Inbox id -> what waits inside."""
_REFUSED = (
    "A call of the webhook was turned away: its signature is not valid. Either somebody else tries the address, or the "
    "token or secret saved here is not the provider's present one, or the provider knows us by another address."
)
_REFUSED_EVERY = 60.0  # seconds
_TELL_EVERY = 1.0  # seconds: times of day are shown to the minute, and thousands of mails come in a second


class HealthBook:
    """Keeps the health of every inbox. Tells the others (an event) only when a state has changed."""

    def __init__(
        self,
        store: InboxStore,
        catalogue: Catalogue,
        clock: Clock,
        queue: QueueLength | None,
        backlog: BacklogOf | None = None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._queue = queue
        self._backlog = backlog
        self._told: dict[tuple[str, str], float] = {}

    async def set(self, inbox_id: str, state: HealthState, words: str, by: str) -> None:
        """Note a state, in words for an admin. The event goes out in the transaction that changes the state."""
        inbox = await self._catalogue.get(inbox_id)
        words = await self._catalogue.redacted(inbox_id, words)
        if state is HealthState.OK and inbox.health.state is state and inbox.health.words == words:
            await self.saw(inbox_id, "checked_at", self._clock())
            return
        now = self._clock()
        data = {"state": state.value, "words": words, "name": inbox.name}
        event = Event(type=EventType.INBOX_HEALTH, at=now, actor=by, inbox_id=inbox_id, data=data)
        if await self._store.set_health(inbox_id, state, words, now, event):
            self._catalogue.forget()
            log.info("inbox health", inbox_id=inbox_id, state=state.value, words=words)

    async def sending(self, inbox_id: str, words: str, by: str) -> None:
        """Note why nothing can leave an inbox, or with no words that messages leave again."""
        inbox = await self._catalogue.get(inbox_id)
        words = await self._catalogue.redacted(inbox_id, words)
        if inbox.health.sending == words:
            return
        now = self._clock()
        state = HealthState.DEAD if words else inbox.health.state
        data = {"state": state.value, "words": words, "name": inbox.name}
        event = Event(type=EventType.INBOX_HEALTH, at=now, actor=by, inbox_id=inbox_id, data=data)
        if await self._store.set_sending(inbox_id, words, now, event):
            self._catalogue.forget()
            log.info("sending from an inbox", inbox_id=inbox_id, refused=bool(words), words=words)

    async def saw(self, inbox_id: str, what: str, at: datetime) -> None:
        """Move `last_in`, `last_out` or `checked_at` forward; written once a second at most."""
        now = time.monotonic()
        if now - self._told.get((inbox_id, what), -_TELL_EVERY) < _TELL_EVERY:
            return
        self._told[inbox_id, what] = now
        await self._store.saw(inbox_id, what, at)

    async def hook_refused(self, inbox_id: str) -> None:
        """Note that a call of the inbox's webhook was turned away, once a minute at most; the inbox stays as it is."""
        now = time.monotonic()
        if now - self._told.get((inbox_id, _REFUSED), -_REFUSED_EVERY) < _REFUSED_EVERY:
            return
        self._told[inbox_id, _REFUSED] = now
        await self._catalogue.get(inbox_id)
        problem = Problem(at=self._clock(), state=HealthState.UNKNOWN, words=_REFUSED)
        await self._store.repeat_problem(inbox_id, problem)

    async def reconciled(self, inbox_id: str, missing: int) -> None:
        """Keep how many messages the server has that the store has not."""
        await self._store.reconciled(inbox_id, missing, self._clock())
        self._catalogue.forget()

    async def report(self, inbox_id: str, connected: bool | None) -> HealthReport:
        """What the health page shows, straight from the store."""
        self._catalogue.forget()
        inbox = await self._catalogue.get(inbox_id)
        return HealthReport(
            inbox=inbox,
            problems=tuple(await self._store.problems(inbox_id)),
            waiting=await self._queue(inbox_id) if self._queue else 0,
            backlog=await self._backlog(inbox_id) if self._backlog else None,
            connected=connected,
        )
