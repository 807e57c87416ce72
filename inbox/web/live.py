"""Live updates: one tail of the event log per process, handed on to every open browser by server-sent events.

A browser that was away says what it saw last and gets what it missed from the log; where that cannot be told any more
it is asked to load anew. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec
import structlog
from aiohttp import web

from inbox.accounts.model import Actor, Permission
from inbox.core.events import Event, EventType
from inbox.core.ids import new_id
from inbox.core.store import EventStore
from inbox.web.pages import actor

_CATCH_UP = 1000
_RETRY_MILLISECONDS = 1000
_START = "start-"
_UNOPENED = "start-unopened"
_NEEDS: dict[str, Permission] = {
    "message": Permission.INBOX_READ,
    "note": Permission.INBOX_READ,
    "conversation": Permission.INBOX_READ,
    "inbox": Permission.INBOX_READ,
    "customer": Permission.CUSTOMER_READ,
    "dead_letter": Permission.SETTINGS,
}

log = structlog.get_logger()


class Subscription:
    """What one browser has yet to be told; None in place of an event says that anything may have changed."""

    def __init__(self, who: Actor, size: int) -> None:
        self.who = who
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue(size)
        self.ended = asyncio.Event()
        self.is_slow = False

    def put(self, event: Event | None) -> None:
        """Queue it, or end where the browser reads more slowly than things happen: it will ask for the rest."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.is_slow = True
            self.ended.set()


class LiveHub:
    """Tails the event log and hands it on. `version` is the front end's: a page of another one loads itself anew."""

    def __init__(self, events: EventStore, version: str, *, heartbeat: float = 15, queue: int = 500) -> None:
        self.position = _UNOPENED
        """The last event this process knows of; before there is one, a mark of its own."""
        self._events = events
        self._version = version
        self._heartbeat = heartbeat
        self._queue = queue
        self._mark = f"{_START}{new_id()}"
        self._first = ""
        self._subscriptions: set[Subscription] = set()
        self._opened = asyncio.Event()

    @property
    def streams(self) -> int:
        """How many browsers are listening."""
        return len(self._subscriptions)

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """For `app.cleanup_ctx`: follow the log for as long as the application runs."""
        tasks = [asyncio.create_task(self._tell_of_gaps()), asyncio.create_task(self._follow())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def end_streams(self, _: web.Application) -> None:
        """For `app.on_shutdown`: let go of every browser, so that none holds up the end. Each comes back by itself."""
        for subscription in self._subscriptions:
            subscription.ended.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /live: the stream of one browser.

        It resumes after the header `Last-Event-ID`, or after `?after=`, the position its page was made at.
        """
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        with self._subscribe(actor(request)) as subscription:
            try:
                await response.prepare(request)
            except ConnectionError:
                return response  # gone before it began: nobody to tell, and no error of ours
            feed = asyncio.create_task(self._feed(request, response, subscription))
            ended = asyncio.create_task(subscription.ended.wait())
            try:
                await asyncio.wait({feed, ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                feed.cancel()
                ended.cancel()
                outcome, _ = await asyncio.gather(feed, ended, return_exceptions=True)
        if subscription.is_slow and request.transport is not None:
            request.transport.abort()  # what is written already would never be read
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):  # the browser went away
            raise outcome
        return response

    def publish(self, event: Event) -> None:
        """Hand an event on to everybody who may see it."""
        self.position = event.id
        self._first = self._first or event.id
        for subscription in self._subscriptions:
            if _is_about(event, subscription.who):
                subscription.ended.set()  # the browser comes back, and is let in as what it is now, or not at all
            elif may_see(subscription.who, event):
                subscription.put(event)

    @contextmanager
    def _subscribe(self, who: Actor) -> Iterator[Subscription]:
        subscription = Subscription(who, self._queue)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._events.tail(self._opened):
                    self.publish(event)
            except msgspec.ValidationError as error:  # of a newer version of this program, beside us in the cluster
                log.warning("skipping an event that is not understood", error=str(error))

    async def _tell_of_gaps(self) -> None:
        while True:
            await self._opened.wait()
            self._opened.clear()
            if self.position == _UNOPENED:
                self.position = self._mark
            for subscription in self._subscriptions:
                subscription.put(None)

    async def _feed(self, request: web.Request, response: web.StreamResponse, subscription: Subscription) -> None:
        position = self.position
        missed = await self._missed(request)
        greeting = _frame("hello", msgspec.json.encode({"version": self._version}), "" if missed else position)
        await response.write(b"retry: %d\n\n" % _RETRY_MILLISECONDS + greeting)
        if missed is None:
            subscription.put(None)
        told = set()
        for event in missed or ():
            told.add(event.id)
            if may_see(subscription.who, event):
                await response.write(_change(event))
        while True:
            try:
                async with asyncio.timeout(self._heartbeat):
                    event_or_gap = await subscription.queue.get()
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if event_or_gap is None:
                await response.write(_frame("reload", b"{}", self.position))
            elif event_or_gap.id not in told:
                await response.write(_change(event_or_gap))

    async def _missed(self, request: web.Request) -> list[Event] | None:
        """What happened since the browser looked, and some that it saw; None where that cannot be told."""
        resumed = request.headers.get("Last-Event-ID", "")
        after = resumed or request.query.get("after", "")
        if after.startswith(_START):
            if after == _UNOPENED or (resumed and after != self._mark):
                return None  # nobody knew of anything then; what came before our own beginning we cannot say
            after = self._first
        if not after:
            return []
        events = await self._events.since(after, limit=_CATCH_UP)
        if len(events) == _CATCH_UP or (resumed and not events):
            return None
        return events


def may_see(who: Actor, event: Event) -> bool:
    """Whether an event is this person's to know of."""
    need = _NEEDS.get(event.type.partition(".")[0])
    return need is None or who.may(need)


def _is_about(event: Event, who: Actor) -> bool:
    return event.type is EventType.AGENT_CHANGED and event.data.get("agent_id") == who.id


def _change(event: Event) -> bytes:
    data = {
        "type": event.type,
        "conversation_id": event.conversation_id,
        "inbox_id": event.inbox_id,
        "message_id": event.message_id,
        "customer_id": event.customer_id,
        "actor": event.actor,
        "at": event.at,
        "data": event.data,
    }
    return _frame("change", msgspec.json.encode(data), event.id)


def _frame(kind: str, data: bytes, event_id: str) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: ".encode() + data + b"\n\n"
