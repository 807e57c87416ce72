"""Live updates: everybody sees what they may, once, in every process, and after a lost connection too."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestServer

from inbox.accounts.model import Actor, Role
from inbox.core.clock import utcnow
from inbox.core.events import Event, EventType
from inbox.web.live import LiveHub, may_see
from inbox.web.pages import LIVE_AFTER
from inbox.web.pages import json as answer
from inbox.web.routes import Access, Route
from tests.fixtures.web import Browser, Site


class Heard(msgspec.Struct):
    """A server-sent event as a browser gets it."""

    id: str
    kind: str
    data: dict[str, Any]


class Stream:
    """An EventSource: remembers the id it saw last."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.last_id = ""
        self.comments = 0

    async def next(self) -> Heard:
        fields = {"id": "", "event": "", "data": ""}
        while True:
            line = (await self._response.content.readline()).decode()
            assert line, "the stream ended"
            name, _, value = line.rstrip("\n").partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif name in fields:
                fields[name] = value
            elif line == "\n" and fields["event"]:
                self.last_id = fields["id"] or self.last_id
                return Heard(fields["id"], fields["event"], msgspec.json.decode(fields["data"]))

    async def until(self, event: Event) -> list[int]:
        """The numbers of the events up to and with this one."""
        numbers = []
        while True:
            heard = await self.next()
            assert heard.kind == "change"
            numbers.append(heard.data["data"].get("n", 0))
            if heard.id == event.id:
                return numbers

    def lose(self) -> None:
        self._response.close()


async def listen(browser: Browser, *, last_id: str = "", after: str = "") -> Stream:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    response = await browser.client.get("/live", headers=headers, params={"after": after} if after else {})
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    stream = Stream(response)
    hello = await stream.next()
    assert hello.kind == "hello"
    assert hello.data["version"]
    return stream


async def happen(site: Site, n: int, kind: EventType = EventType.MESSAGE_RECEIVED, **data: Any) -> Event:
    event = Event(type=kind, at=utcnow(), actor="system:test", conversation_id="c1", data={"n": n, **data})
    await site.mongo.transaction(lambda session: site.events.append(session, [event]))
    return event


@pytest.fixture
async def server(site: Site) -> TestServer:
    return await site.serve()


@pytest.fixture
async def browser(site: Site, server: TestServer) -> Browser:
    """Signed in, and past the events that signing in made."""
    return await quiet(site, await site.signed_in(server))


async def quiet(site: Site, browser: Browser) -> Browser:
    """Return once the browser's process knows of everything that has happened so far."""
    stream = await listen(browser)
    last = await happen(site, 0)
    while (await stream.next()).id != last.id:
        pass
    stream.lose()
    return browser


async def test_what_happens_is_told_to_an_open_browser(site: Site, browser: Browser) -> None:
    stream = await listen(browser)
    event = await happen(site, 1)
    heard = await stream.next()
    assert (heard.kind, heard.id) == ("change", event.id)
    assert heard.data == {
        "type": "message.received",
        "conversation_id": "c1",
        "inbox_id": "",
        "message_id": "",
        "customer_id": "",
        "actor": "system:test",
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "data": {"n": 1},
    }


async def test_nothing_is_missed_while_the_connection_was_lost(site: Site, browser: Browser) -> None:
    stream = await listen(browser)
    first = await happen(site, 1)
    assert await stream.until(first) == [1]
    stream.lose()
    await happen(site, 2)
    await happen(site, 3)
    again = await listen(browser, last_id=stream.last_id)
    last = await happen(site, 4)
    numbers = await again.until(last)
    assert numbers[numbers.index(1) + 1 :] == [2, 3, 4], "in order, each once; what came before may be told again"


async def test_nothing_is_missed_between_a_page_and_its_stream(site: Site) -> None:
    async def position(request: web.Request) -> web.Response:
        return answer({"after": request[LIVE_AFTER]})

    server = await site.serve([Route("GET", "/position", position, Access.SIGNED_IN)])
    browser = await quiet(site, await site.signed_in(server))
    after = (await (await browser.get("/position")).json())["after"]
    await happen(site, 1)
    stream = await listen(browser, after=after)
    last = await happen(site, 2)
    assert (await stream.until(last))[-2:] == [1, 2]


async def test_a_browser_is_told_to_load_anew_where_the_gap_cannot_be_filled(site: Site, browser: Browser) -> None:
    stream = await listen(browser, last_id="01k00000000000000000000000")
    assert (await stream.next()).kind == "reload"
    event = await happen(site, 1)
    assert (await stream.next()).id == event.id


async def test_a_page_of_a_process_that_knew_of_nothing_is_not_told_to_load_anew_for_ever(
    site: Site, browser: Browser
) -> None:
    stream = await listen(browser, after="start-another")
    event = await happen(site, 1)
    assert 1 in await stream.until(event)


async def test_browsers_of_every_process_are_told(site: Site, browser: Browser) -> None:
    second = await site.signed_in(await site.serve(), Role.ADMIN, "other@example.mn")
    streams = [await listen(browser), await listen(second)]
    for n in (1, 2):
        event = await happen(site, n)
        assert [(await stream.until(event))[-1] for stream in streams] == [n, n]


async def test_a_browser_may_come_back_to_another_process(site: Site, browser: Browser) -> None:
    stream = await listen(browser)
    first = await happen(site, 1)
    await stream.until(first)
    stream.lose()
    await happen(site, 2)
    other = await site.browser(await site.serve())
    other.client.session.cookie_jar.update_cookies({browser.cookie.key: browser.cookie.value})
    resumed = await listen(other, last_id=first.id)
    last = await happen(site, 3)
    numbers = await resumed.until(last)
    assert numbers[numbers.index(1) + 1 :] == [2, 3]


async def test_only_what_a_person_may_see_is_told(site: Site, server: TestServer, browser: Browser) -> None:
    admin = await quiet(site, await site.signed_in(server, Role.ADMIN))
    agents, admins = await listen(browser), await listen(admin)
    hidden = await happen(site, 1, EventType.DEAD_LETTER)
    seen = await happen(site, 2)
    assert await agents.until(seen) == [2]
    assert await admins.until(hidden) == [1]


@pytest.mark.parametrize("kind", list(EventType))
def test_every_kind_of_event_is_an_administrators_to_see(kind: EventType) -> None:
    event = Event(type=kind, at=utcnow(), actor="x")
    assert may_see(Actor(id="a", role=Role.ADMIN), event)
    assert may_see(Actor(id="a", role=Role.AGENT), event) is (kind is not EventType.DEAD_LETTER)


async def test_a_stream_ends_with_the_session_it_belongs_to(site: Site, browser: Browser) -> None:
    assert browser.agent is not None
    stream = await listen(browser)
    await site.administration.deactivate(Actor.system("test"), browser.agent.id)
    with pytest.raises(AssertionError, match="the stream ended"):
        await stream.next()
    assert (await browser.client.get("/live", headers={"Last-Event-ID": stream.last_id})).status == 401


async def test_open_streams_do_not_hold_up_the_end(site: Site, server: TestServer, browser: Browser) -> None:
    stream = await listen(browser)
    async with asyncio.timeout(10):  # aiohttp itself would wait a minute
        await server.close()
    with pytest.raises(AssertionError, match="the stream ended"):
        await stream.next()


@pytest.fixture
async def own_hub(site: Site) -> tuple[LiveHub, TestServer]:
    """A process with a hub that is quick to send heartbeats and keeps little for slow browsers."""
    hub = LiveHub(site.events, "v1", heartbeat=0.05, queue=8)
    app = await site.app([Route("GET", "/own", hub.serve, Access.SIGNED_IN)])
    app.on_shutdown.append(hub.end_streams)
    return hub, await site.serve(app)


async def test_a_quiet_stream_is_kept_open(site: Site, own_hub: tuple[LiveHub, TestServer]) -> None:
    hub, server = own_hub
    browser = await site.signed_in(server)
    stream = Stream(await browser.client.get("/own"))
    assert (await stream.next()).kind == "hello"
    following = asyncio.create_task(stream.next())
    while stream.comments < 3:
        await asyncio.sleep(0)
    hub.publish(Event(type=EventType.NOTE_ADDED, at=utcnow(), actor="x"))
    assert (await following).kind == "change"


async def test_a_slow_reader_is_let_go_and_the_others_go_on(site: Site, own_hub: tuple[LiveHub, TestServer]) -> None:
    hub, server = own_hub
    browser = await site.signed_in(server)
    quick = Stream(await browser.client.get("/own"))
    await quick.next()

    loop = asyncio.get_running_loop()
    with socket.socket() as slow:
        slow.setblocking(False)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(slow, (server.host, server.port))
        cookie = f"{browser.cookie.key}={browser.cookie.value}"
        await loop.sock_sendall(slow, f"GET /own HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        greeting = b""
        while b"event: hello" not in greeting:
            greeting += await loop.sock_recv(slow, 100)
        subscribed = hub.streams
        count = 0
        while hub.streams == subscribed:  # it reads nothing, while this goes on for as long as it is borne
            event = Event(type=EventType.NOTE_ADDED, at=utcnow(), actor="x", data={"n": count, "long": "x" * 50_000})
            hub.publish(event)
            assert (await quick.next()).id == event.id
            count += 1
            assert count < 2000, "the slow reader was never let go"
        with contextlib.suppress(ConnectionResetError):  # which of the two ends it is the kernel's affair
            while await loop.sock_recv(slow, 1 << 20):
                pass
