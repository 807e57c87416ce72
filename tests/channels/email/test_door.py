"""The mail door, spoken to as mail servers do: 250 means stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiosmtplib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Raw
from channels.email.door import Door, Limits

INBOXES = {"shop@example.mn": "shop", "sales@example.mn": "sales", "info@example.mn": "shop"}
BODY = b"Subject: hi\r\n\r\nhello\r\n"


class Store:
    """Where the door delivers; `fail` and `wait` hold by inbox."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, Raw]] = []
        self.fail: set[str] = set()
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def resolve(self, address: str) -> str | None:
        if address == "broken@example.mn":
            raise LookupError("the database is away")
        return INBOXES.get(address.lower())

    async def deliver(self, inbox_id: str, raw: Raw) -> None:
        self.begun.set()
        await self.go.wait()
        if inbox_id in self.fail:
            raise LookupError("the database is away")
        self.mails.append((inbox_id, raw))


class Client:
    """A client that sends what it is told, byte by byte if need be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """One reply, its lines as they came."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = await asyncio.wait_for(self.reader.readline(), 10)
            if not line:
                break
            lines.append(line.decode().rstrip())
        return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        self.writer.write((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def begin(self, *recipients: str, hello: str = "EHLO client") -> None:
        await self.say(hello)
        assert (await self.say("MAIL FROM:<ann@example.org>")).startswith("250")
        for recipient in recipients:
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")
        assert (await self.say("DATA")).startswith("354")


Open = Callable[[Door], Awaitable[Client]]
Make = Callable[..., Awaitable[Door]]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def door(store: Store) -> AsyncIterator[Make]:
    made: list[Door] = []

    async def make(**options: Any) -> Door:
        made.append(Door("127.0.0.1", 0, resolve=store.resolve, deliver=store.deliver, **options))
        await made[-1].start()
        return made[-1]

    yield make
    store.go.set()
    for each in made:
        await each.close()


@pytest.fixture
async def client() -> AsyncIterator[Open]:
    writers: list[asyncio.StreamWriter] = []

    async def connect(door: Door) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writers.append(writer)
        each = Client(reader, writer)
        await each.reply()
        return each

    yield connect
    for writer in writers:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_mail_is_delivered_with_its_envelope(store: Store, door: Make) -> None:
    listening = await door()
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=listening.port, local_hostname="client") as smtp:
        await smtp.sendmail("ann@example.org", ["Shop@example.mn"], BODY)
    ((inbox_id, raw),) = store.mails
    assert inbox_id == "shop"
    assert raw == Raw(body=BODY, url="smtp:", headers={"mail-from": "ann@example.org", "rcpt-to": "Shop@example.mn"})


async def test_one_mail_to_several_inboxes_is_delivered_once_to_each(store: Store, door: Make, client: Open) -> None:
    each = await client(await door())
    await each.begin("shop@example.mn", "sales@example.mn", "info@example.mn")
    assert (await each.say(BODY + b".")).startswith("250")
    assert [(inbox_id, raw.headers["rcpt-to"]) for inbox_id, raw in store.mails] == [
        ("shop", "shop@example.mn,info@example.mn"),
        ("sales", "sales@example.mn"),
    ]


async def test_an_unknown_recipient_is_refused_and_the_others_are_not(store: Store, door: Make, client: Open) -> None:
    each = await client(await door())
    await each.say("EHLO client")
    await each.say("MAIL FROM:<>")
    assert (await each.say("RCPT TO:<nobody@example.mn>")).startswith("550 5.1.1")
    assert (await each.say("DATA")).startswith("503")
    assert (await each.say("RCPT TO:<shop@example.mn>")).startswith("250")
    await each.say("DATA")
    assert (await each.say(BODY + b".")).startswith("250")
    assert store.mails[0][1].headers["mail-from"] == ""


async def test_no_250_before_the_mail_is_stored(store: Store, door: Make, client: Open) -> None:
    each = await client(await door())
    await each.begin("shop@example.mn")
    store.go.clear()
    answer = asyncio.create_task(each.say(BODY + b"."))
    await store.begun.wait()
    done, _ = await asyncio.wait({answer}, timeout=0.05)
    assert not done
    store.go.set()
    assert (await answer).startswith("250")


async def test_what_could_not_be_stored_is_asked_for_again(store: Store, door: Make, client: Open) -> None:
    each = await client(await door())
    store.fail = {"sales"}
    await each.begin("shop@example.mn", "sales@example.mn")
    assert (await each.say(BODY + b".")).startswith("451")
    store.fail = set()
    await each.begin("shop@example.mn", "sales@example.mn")
    assert (await each.say(BODY + b".")).startswith("250")
    assert sorted(inbox_id for inbox_id, _ in store.mails) == ["sales", "shop", "shop"]


async def test_a_database_that_is_away_refuses_no_recipient_for_good(door: Make, client: Open) -> None:
    each = await client(await door())
    await each.say("EHLO client")
    await each.say("MAIL FROM:<ann@example.org>")
    answer = await each.say("RCPT TO:<broken@example.mn>")
    assert answer.startswith("451")
    assert "LookupError" not in answer


async def test_lmtp_answers_for_each_recipient(store: Store, door: Make, client: Open) -> None:
    each = await client(await door(speak="lmtp"))
    assert (await each.say("EHLO client")).startswith("500")
    store.fail = {"sales"}
    await each.begin("shop@example.mn", "sales@example.mn", "info@example.mn", hello="LHLO client")
    first = await each.say(BODY + b".")
    answers = [first, await each.reply(), await each.reply()]
    assert [answer[:3] for answer in answers] == ["250", "451", "250"]
    assert (await each.say("NOOP")).startswith("250")


async def test_what_the_door_takes_is_announced(door: Make, client: Open) -> None:
    each = await client(await door(limits=Limits(message_bytes=5000)))
    hello = await each.say("EHLO client")
    for extension in ("SIZE 5000", "8BITMIME", "SMTPUTF8"):
        assert extension in hello
    assert "AUTH" not in hello
    assert (await each.say("AUTH PLAIN AGEAYg==")).startswith("500")


@pytest.mark.parametrize("size", [4000, 6000, 900_000])
async def test_a_mail_beyond_the_limit_is_refused_and_the_connection_goes_on(
    store: Store, door: Make, client: Open, size: int
) -> None:
    each = await client(await door(limits=Limits(message_bytes=5000)))
    assert (await each.say("EHLO client")).startswith("250")
    assert (await each.say("MAIL FROM:<ann@example.org> SIZE=5001")).startswith("552")
    await each.begin("shop@example.mn")
    answer = await each.say(b"x" * size + b"\r\n.")
    assert answer.startswith("250" if size < 5000 else "552")
    await each.begin("shop@example.mn")
    assert (await each.say(BODY + b".")).startswith("250")
    assert len(store.mails) == (2 if size < 5000 else 1)


async def test_a_mail_of_25_mb_with_endless_lines_is_taken(store: Store, door: Make, client: Open) -> None:
    each = await client(await door())
    await each.begin("shop@example.mn")
    body = b"Subject: big\r\n\r\n" + b"x" * 10_000_000 + b"\r\n" + b"y. \r\n" * 3_000_000
    assert (await each.say(body + b".")).startswith("250")
    assert store.mails[0][1].body == body


LINES = st.lists(st.sampled_from([b".", b"..", b"", b"a", b".a", b"a.", b"\n.\n", b"\r.", b". ", b"\r"]), max_size=12)


@settings(max_examples=40)
@given(lines=LINES, data=st.data())
def test_any_mail_arrives_as_it_was_sent_however_it_is_cut_up(lines: list[bytes], data: st.DataObject) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stuffed)), max_size=4)))

    async def run() -> None:
        store = Store()
        door = Door("127.0.0.1", 0, resolve=store.resolve, deliver=store.deliver)
        await door.start()
        each = Client(*await asyncio.open_connection("127.0.0.1", door.port))
        await each.reply()
        await each.begin("shop@example.mn")
        for start, end in zip([0, *cuts], [*cuts, len(stuffed)], strict=True):
            each.writer.write(stuffed[start:end])
            await each.writer.drain()
            await asyncio.sleep(0)
        assert (await each.say(b".")).startswith("250")
        assert (await each.say("NOOP")).startswith("250")
        assert [raw.body for _, raw in store.mails] == [body]
        each.writer.close()
        await door.close()

    asyncio.run(run())


async def test_only_a_dot_between_line_ends_of_the_standard_ends_a_mail(store: Store, door: Make, client: Open) -> None:
    """SMTP smuggling: what other servers take for the end of a mail must not begin another one here."""
    each = await client(await door())
    await each.begin("shop@example.mn")
    body = b"a\n.\nMAIL FROM:<eve@example.org>\r.\r\nb\n.\r\nc\r\n"
    assert (await each.say(body + b".")).startswith("250")
    assert store.mails[0][1].body == body


async def test_commands_sent_ahead_are_all_answered(store: Store, door: Make, client: Open) -> None:
    each = await client(await door())
    await each.say("EHLO client")
    each.writer.write(b"MAIL FROM:<a@b.mn>\r\nRCPT TO:<shop@example.mn>\r\nDATA\r\n")
    assert [(await each.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
    each.writer.write(BODY + b".\r\nMAIL FROM:<a@b.mn>\r\nRCPT TO:<shop@example.mn>\r\nDATA\r\n")
    assert [(await each.reply())[:3] for _ in range(4)] == ["250", "250", "250", "354"]
    assert (await each.say(BODY + b".")).startswith("250")
    assert len(store.mails) == 2


async def test_addresses_of_any_script_are_taken(
    store: Store, door: Make, client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(INBOXES, "дэлгүүр@example.mn", "shop")
    each = await client(await door())
    await each.say("EHLO client")
    assert (await each.say("MAIL FROM:<бат@example.mn> SMTPUTF8 BODY=8BITMIME")).startswith("250")
    assert (await each.say("RCPT TO:<дэлгүүр@example.mn>")).startswith("250")
    await each.say("DATA")
    assert (await each.say("Subject: Захиалга\r\n\r\n.".encode())).startswith("250")
    assert store.mails[0][1].headers == {"mail-from": "бат@example.mn", "rcpt-to": "дэлгүүр@example.mn"}


async def test_too_many_recipients_are_told_to_come_again(door: Make, client: Open) -> None:
    each = await client(await door(limits=Limits(recipients=2)))
    await each.say("EHLO client")
    await each.say("MAIL FROM:<a@b.mn>")
    answers = [(await each.say("RCPT TO:<shop@example.mn>"))[:3] for _ in range(3)]
    assert answers == ["250", "250", "452"]


async def test_a_client_for_whom_there_is_no_place_is_told_so(door: Make, client: Open) -> None:
    listening = await door(limits=Limits(connections=1))
    first = await client(listening)
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    assert (await reader.readline()).startswith(b"421")
    writer.close()
    assert (await first.say("NOOP")).startswith("250")


async def test_a_silent_client_is_hung_up_on_and_holds_up_nobody(store: Store, door: Make, client: Open) -> None:
    listening = await door(limits=Limits(seconds=0.3))
    silent = await client(listening)
    await silent.begin("shop@example.mn")
    silent.writer.write(b"Subject: half a ma")
    other = await client(listening)
    await other.begin("shop@example.mn")
    assert (await other.say(BODY + b".")).startswith("250")
    assert await silent.reply() == ""
    assert len(store.mails) == 1


async def test_closing_waits_for_mails_that_are_being_stored(store: Store, door: Make, client: Open) -> None:
    listening = await door()
    port = listening.port
    idle = await client(listening)
    busy = await client(listening)
    await busy.begin("shop@example.mn")
    store.go.clear()
    answer = asyncio.create_task(busy.say(BODY + b"."))
    await store.begun.wait()
    closing = asyncio.create_task(listening.close())
    assert (await idle.reply()).startswith("421")
    assert not closing.done()
    store.go.set()
    assert (await answer).startswith("250")
    await closing
    assert len(store.mails) == 1
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_closing_gives_up_on_what_takes_too_long(store: Store, door: Make, client: Open) -> None:
    listening = await door(limits=Limits(drain=0.05))
    busy = await client(listening)
    await busy.begin("shop@example.mn")
    store.go.clear()
    answer = asyncio.create_task(busy.say(BODY + b"."))
    await store.begun.wait()
    await asyncio.wait_for(listening.close(), 10)
    assert not (await answer).startswith("250")
