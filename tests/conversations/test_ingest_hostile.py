"""Mail that lies about who wrote it, breaks what reads it, or comes at a bad moment."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from channels.base import Adapter, Raw
from channels.email.adapter import EmailAdapter
from inbox.accounts.model import Actor
from inbox.conversations.model import State, Status, View
from inbox.conversations.threading import sign_bounce, sign_reply
from inbox.core.clock import utcnow
from inbox.core.errors import Unavailable
from inbox.core.files import StoredFile
from inbox.wiring import House
from tests.conversations.conftest import (
    ADMIN,
    Open,
    Provider,
    another_inbox,
    change_inbox,
    everything,
    mail,
    reply,
    settle,
    state_of,
)
from workers.door import DoorWorker


def without(raw: Raw, header: bytes) -> Raw:
    lines = raw.body.split(b"\n")
    return Raw(body=b"\n".join(line for line in lines if not line.startswith(header)), url=raw.url)


async def own_address(house: House) -> str:
    return (await house.inboxes.built_in()).address


# --- who wrote it ------------------------------------------------------------------------------------------------


async def test_a_mail_that_claims_to_be_ours_is_no_message_of_ours(house: House, inbox_id: str) -> None:
    own = await own_address(house)
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ADMIN, View())).items
    forged = mail(
        "Re: Hello",
        "Pay to this account instead.",
        sender=f"The shop <{own}>",
        to="bat@example.mn",
        message_id="<forged@evil>",
        In_Reply_To="<1@example.mn>",
        Cc=own,
    )
    await house.ingest.ingest(inbox_id, forged)
    opened = await house.conversations.open(ADMIN, row.id)
    assert len(opened.messages) == 1, "it joins nobody's conversation"
    [message] = [one for one in await everything(house, "messages") if one["message_ref"] == "forged@evil"]
    assert (message["kind"], message["delivery"]) == ("in", None)
    assert any("own address" in warning for warning in message["warnings"])
    assert (await house.conversations.row(ADMIN, message["conversation_id"])).unread


async def test_what_lies_in_our_sent_folder_is_ours(house: House, inbox_id: str) -> None:
    own = await own_address(house)
    await house.ingest.ingest(inbox_id, mail())
    elsewhere = mail("Re: Hello", sender=own, to="bat@example.mn", message_id="<p@x>", In_Reply_To="<1@example.mn>")
    raw = Raw(body=elsewhere.body, url="imap:Sent Items;uidvalidity=1;uid=2")
    await house.ingest.ingest(inbox_id, raw)
    [row] = (await house.conversations.page(ADMIN, View())).items
    opened = await house.conversations.open(ADMIN, row.id)
    assert [message.kind for message in opened.messages] == ["in", "out"]


async def test_mails_without_a_sender_are_not_taken_for_one_persons(house: House, inbox_id: str) -> None:
    for number in range(3):
        raw = mail(f"N{number}", message_id=f"<{number}@x>", In_Reply_To=f"<{number - 1}@x>")
        await house.ingest.ingest(inbox_id, without(raw, b"From:"))
    rows = (await house.conversations.page(ADMIN, View())).items
    assert sorted(row.subject for row in rows) == ["N0", "N1", "N2"]


async def test_who_holds_a_reply_token_is_shown_as_who_he_is(house: House, inbox_id: str) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ADMIN, View())).items
    to = f"hello+r.{sign_reply(house.keyring, row.id)}@shop.mn"
    await house.ingest.ingest(inbox_id, mail(sender="Bat <eve@evil.example>", to=to, message_id="<e@evil>"))
    opened = await house.conversations.open(ADMIN, row.id)
    assert opened.conversation.customer_id == row.customer_id
    sender = opened.messages[-1].sender
    assert sender is not None
    assert sender.value == "eve@evil.example"
    identities = await house.customers.identities(ADMIN, row.customer_id)
    assert [identity.id for identity in identities] == ["email:bat@example.mn"]


# --- machines ----------------------------------------------------------------------------------------------------


async def test_automatic_answers_cannot_be_aimed_at_a_third_person(
    house: House, inbox_id: str, provider: Provider
) -> None:
    await change_inbox(house, inbox_id, auto_reply="We answer within a day.")
    aimed = [
        mail(f"M{n}", sender=f"a{n}@evil.example", message_id=f"<{n}@evil>", Reply_To="victim@x.mn") for n in range(5)
    ]
    await house.ingest.ingest_many(inbox_id, aimed[:3])
    await house.ingest.ingest_many(inbox_id, aimed[3:])
    await settle(house)
    assert len(provider.taken) == 1


@pytest.mark.parametrize("header", ["Reply-To", "From"])
async def test_no_automatic_answer_goes_to_ourselves_or_to_nobody(
    house: House, inbox_id: str, provider: Provider, header: str
) -> None:
    await change_inbox(house, inbox_id, auto_reply="We answer within a day.")
    own = await own_address(house)
    raw = mail(Reply_To=own) if header == "Reply-To" else mail(sender=own)
    await house.ingest.ingest(inbox_id, raw)
    await house.ingest.ingest(inbox_id, without(mail(message_id="<2@x>"), b"From:"))
    await settle(house)
    assert provider.taken == []
    assert not any(row["failed"] for row in await everything(house, "conversations"))


async def test_a_machines_mail_about_a_settled_matter_is_seen_and_an_out_of_office_note_is_not(
    house: House, inbox_id: str, ann: Actor
) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    await house.conversations.mark_read(ann, row.id)
    await house.conversations.set_status(ann, row.id, Status.RESOLVED)
    away = mail(message_id="<2@x>", In_Reply_To="<1@example.mn>", Auto_Submitted="auto-replied")
    await house.ingest.ingest(inbox_id, away)
    after = await house.conversations.row(ann, row.id)
    assert (after.status, after.unread) == (Status.RESOLVED, False)
    by_list = mail(message_id="<3@x>", In_Reply_To="<1@example.mn>", List_Id="<buyers.example.mn>")
    await house.ingest.ingest(inbox_id, by_list)
    after = await house.conversations.row(ann, row.id)
    assert (after.status, after.unread) == (Status.OPEN, True)


# --- reports of delivery -----------------------------------------------------------------------------------------


def report(
    to: str, *recipients: str, status: str = "5.1.1", original: str = "", message_id: str = "<dsn@x.mn>", file: str = ""
) -> Raw:
    """A delivery status notification (RFC 3464)."""
    groups = "".join(
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n\r\n"
        for recipient in recipients
    )
    parts = [f"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.mn\r\n\r\n{groups}"]
    if original:
        parts.append(f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{original}>\r\n")
    if file:
        parts.append(f'Content-Type: text/csv\r\nContent-Disposition: attachment; filename="{file}"\r\n\r\na,b\r\n')
    body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
    head = f"From: MAILER-DAEMON@x.mn\r\nTo: {to}\r\nSubject: Undelivered\r\nMessage-ID: {message_id}\r\n"
    kind = 'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    return Raw(body=(head + kind + body).encode(), url="smtp:")


async def bounce_address(house: House, message_id: str) -> str:
    return (await own_address(house)).replace("@", f"+b.{sign_bounce(house.keyring, message_id)}@")


async def test_a_report_marks_nobody_the_message_was_not_sent_to(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    message = await reply(house, inbox_id, ann)
    await house.ingest.ingest(inbox_id, mail(sender="victim@x.mn", message_id="<v@x.mn>"))
    await settle(house)
    to = await bounce_address(house, message.id)
    await house.ingest.ingest(inbox_id, report(to, "victim@x.mn", "c1@x.mn"))
    assert await state_of(house, ann, message) is State.BOUNCED
    known = {one["_id"]: one["undeliverable"] for one in await everything(house, "identities")}
    assert known["email:c1@x.mn"]
    assert not known["email:victim@x.mn"]


async def test_a_late_report_about_an_earlier_attempt_leaves_the_present_one_alone(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    message = await reply(house, inbox_id, ann)
    await settle(house)
    to = await bounce_address(house, message.id)
    await house.ingest.ingest(inbox_id, report(to, "c1@x.mn", original=message.message_ref))
    assert await state_of(house, ann, message) is State.BOUNCED
    again = await house.replies.resend(ann, message.id)
    late = report(to, "c1@x.mn", original=message.message_ref, message_id="<late@x.mn>", status="4.4.7")
    await house.ingest.ingest(inbox_id, late)
    assert await state_of(house, ann, message) is State.QUEUED
    await settle(house)
    assert again.message_ref in provider.taken
    await house.ingest.ingest(inbox_id, report(to, "c1@x.mn", original=message.message_ref, message_id="<later@x.mn>"))
    assert await state_of(house, ann, message) is State.SENT
    current = report(to, "c1@x.mn", original=again.message_ref, message_id="<now@x.mn>")
    await house.ingest.ingest(inbox_id, current)
    assert await state_of(house, ann, message) is State.BOUNCED


async def test_a_report_of_many_recipients_is_one_message_with_one_copy_of_its_files(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    message = await reply(house, inbox_id, ann)
    await settle(house)
    recipients = [f"c{number}@x.mn" for number in range(1, 30)]
    raw = report(await bounce_address(house, message.id), *recipients, file="list.csv")
    await house.ingest.ingest(inbox_id, raw)
    [notice] = [one for one in await everything(house, "messages") if one["joined_by"] == "bounce"]
    files = await everything(house, "fs.files")
    assert sorted(file["_id"] for file in files) == sorted(file["id"] for file in notice["attachments"])
    assert {file["metadata"]["owner"] for file in files} == {notice["_id"]}


async def test_a_report_that_was_once_read_as_a_message_is_no_dead_letter_when_it_is_read_better(
    house: House, inbox_id: str, ann: Actor, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await reply(house, inbox_id, ann)
    await settle(house)
    raw = report(await bounce_address(house, message.id), "c1@x.mn")
    with monkeypatch.context() as patch:
        patch.setattr("channels.email.bounce.read_report", lambda *_, **__: None)
        await house.ingest.ingest(inbox_id, raw)
    assert await state_of(house, ann, message) is State.SENT
    before = len(await everything(house, "messages"))
    await house.ingest.ingest(inbox_id, raw)
    assert await house.ingest.dead_letters(ADMIN) == []
    assert await state_of(house, ann, message) is State.BOUNCED
    assert len(await everything(house, "messages")) == before


# --- what breaks -------------------------------------------------------------------------------------------------


@pytest.fixture
async def door_port(house: House) -> AsyncIterator[int]:
    door = DoorWorker(house.inboxes, house.ingest, host="127.0.0.1", port=0, speak="smtp", max_bytes=2**20)
    port, stop = await door.open(), asyncio.Event()
    running = asyncio.create_task(door.run(stop))
    yield port
    stop.set()
    await running


async def test_an_envelope_in_no_charset_is_taken(house: House, door_port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door_port, family=socket.AF_INET)
    await reader.readline()
    own = (await own_address(house)).encode()
    body = mail(message_id="<odd@x>").body.replace(b"\n", b"\r\n")
    for line in (b"EHLO x", b"MAIL FROM:<m\xfcller@example.mn>", b"RCPT TO:<" + own + b">", b"DATA", body + b"\r\n."):
        writer.write(line + b"\r\n")
        answer = await reader.readline()
        while answer[3:4] == b"-":
            answer = await reader.readline()
        assert answer[:1] in b"23", answer
    writer.close()
    assert len(await everything(house, "messages")) == 1


async def test_words_of_an_error_that_no_database_keeps_stop_nobody(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = EmailAdapter.receive

    def poisoned(adapter: EmailAdapter, raw: Raw) -> object:
        if b"poison" in raw.body:
            raise ValueError("cannot read \udcff")
        return receive(adapter, raw)

    monkeypatch.setattr(EmailAdapter, "receive", poisoned)
    await house.ingest.ingest_many(inbox_id, [mail("poison", message_id="<p@x>"), mail("good", message_id="<g@x>")])
    assert [message["subject"] for message in await everything(house, "messages")] == ["good"]
    assert len(await house.ingest.dead_letters(ADMIN)) == 1


async def test_what_is_committed_is_no_dead_letter_because_the_inboxs_health_was_not_written(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise OperationFailure("not today", code=8000)

    monkeypatch.setattr(house.inboxes, "saw_in", refuse)
    await house.ingest.ingest(inbox_id, mail())
    assert await house.ingest.dead_letters(ADMIN) == []
    assert len(await everything(house, "messages")) == 1


async def test_an_inbox_whose_secrets_do_not_open_makes_its_mail_wait_and_no_others(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await another_inbox(house)
    adapter_of = house.inboxes.adapter

    async def locked(asked: str) -> Adapter:
        if asked == inbox_id:
            raise Unavailable("A stored secret does not open with this secret key.")
        return await adapter_of(asked)

    monkeypatch.setattr(house.inboxes, "adapter", locked)
    outcomes = await asyncio.gather(
        house.ingest.ingest(inbox_id, mail()),
        house.ingest.ingest(other, mail("To sales", message_id="<2@x>")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], Unavailable)
    assert outcomes[1] is None
    assert await house.ingest.dead_letters(ADMIN) == []
    old = utcnow() - timedelta(minutes=10)
    await house.ingest._raws.keep([("a", inbox_id, mail()), ("b", other, mail("B", message_id="<3@x>"))], old)
    await house.ingest.sweep()
    assert {message["subject"] for message in await everything(house, "messages")} == {"To sales", "B"}


async def test_two_machines_whose_clocks_differ_begin_one_conversation(
    house: House, inbox_id: str, ann: Actor, open_another: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: House = await open_another()
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    await house.conversations.set_status(ann, row.id, Status.RESOLVED)
    for one in (house, other):
        one.ingest._clock = lambda: utcnow() - timedelta(minutes=1)
    both: set[object] = set()
    for one in (house, other):
        monkeypatch.setattr(one.ingest._stores.counters, "take", meeting(one.ingest._stores.counters.take, both))
    await asyncio.gather(
        house.ingest.ingest(inbox_id, mail("Two", message_id="<2@x>")),
        other.ingest.ingest(inbox_id, mail("Three", message_id="<3@x>")),
    )
    assert len(await everything(house, "conversations")) == 2, "the resolved one, and one that is new"


def meeting(take: Callable[[str, int], Awaitable[range]], both: set[object]) -> Callable[[str, int], Awaitable[range]]:
    """Hold whoever comes first until the other is there too."""

    async def met(name: str, count: int = 1) -> range:
        both.add(take)
        while len(both) < 2:
            await asyncio.sleep(0.01)
        return await take(name, count)

    return met


async def test_a_large_mail_keeps_no_small_one_waiting_and_keeps_its_place(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, put = asyncio.Event(), house.files.put

    async def slow(*args: Any, **fields: Any) -> StoredFile:
        await hold.wait()
        return await put(*args, **fields)

    monkeypatch.setattr(house.files, "put", slow)
    large = mail("Large", "long line\n" * 200_000, message_id="<large@x>")
    after = mail("Re: Large", sender="Bold <bold@x.mn>", message_id="<after@x>", References="<large@x>")
    taking = asyncio.create_task(house.ingest.ingest_many(inbox_id, [large, after]))
    async with asyncio.timeout(20):
        await house.ingest.ingest(inbox_id, mail("Small", sender="c@x.mn", message_id="<small@x>"))
    assert [message["subject"] for message in await everything(house, "messages")] == ["Small"]
    hold.set()
    await taking
    subjects = [message["subject"] for message in await everything(house, "messages")]
    assert subjects == ["Small", "Large", "Re: Large"]


async def test_a_dead_letter_that_came_again_and_could_be_read_is_off_the_list(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(EmailAdapter, "receive", unreadable)
        await house.ingest.ingest(inbox_id, mail())
    [letter] = await house.ingest.dead_letters(ADMIN)
    await house.ingest.ingest(inbox_id, mail())
    assert await house.ingest.dead_letters(ADMIN) == []
    assert await house.ingest.replay(ADMIN, letter.id)
    assert len(await everything(house, "messages")) == 1
