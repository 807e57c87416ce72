"""What comes in is stored once, in the right conversation, and nothing is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from channels.base import Raw
from inbox.accounts.model import Actor, Role
from inbox.conversations.composing import Written
from inbox.conversations.model import Status, View
from inbox.conversations.threading import sign_bounce, sign_reply
from inbox.wiring import House
from tests.conversations.conftest import Open, everything, mail, settle

ADMIN = Actor(id="admin", name="Admin", role=Role.ADMIN)


async def test_a_first_mail_makes_a_customer_and_a_conversation(house: House, inbox_id: str) -> None:
    await house.ingest.ingest(inbox_id, mail("Blue boots", sender="Болд Бат <BAT@Example.mn>"))
    page = await house.conversations.page(ADMIN, View())
    [conversation] = page.items
    assert conversation.subject == "Blue boots"
    assert conversation.customer_name == "Болд Бат"
    assert (conversation.number, conversation.unread, conversation.status) == (1, True, Status.OPEN)
    assert conversation.excerpt == "Is the blue one in stock?"
    opened = await house.conversations.open(ADMIN, conversation.id)
    assert [message.joined_by for message in opened.messages] == ["new"]
    [identity] = await house.customers.identities(ADMIN, conversation.customer_id)
    assert identity.id == "email:bat@example.mn"
    kinds = {event["type"] for event in await everything(house, "events")}
    assert {"message.received", "conversation.created", "customer.created"} <= kinds


async def test_the_same_mail_twice_changes_nothing(house: House, inbox_id: str) -> None:
    await house.ingest.ingest(inbox_id, mail())
    before = [await everything(house, name) for name in ("messages", "conversations", "customers", "events")]
    await asyncio.gather(*(house.ingest.ingest(inbox_id, mail()) for _ in range(5)))
    again = Raw(body=b"Received: from elsewhere by here; Sat, 21 Nov 2026 10:00:01 +0800\r\n" + mail().body)
    await house.ingest.ingest(inbox_id, again)
    after = [await everything(house, name) for name in ("messages", "conversations", "customers", "events")]
    assert before == after


async def test_two_processes_that_take_the_same_mails_store_each_once(
    house: House, inbox_id: str, open_another: Open
) -> None:
    other: House = await open_another()
    raws = [mail(f"Order {n}", sender=f"c{n % 7}@example.mn", message_id=f"<{n}@example.mn>") for n in range(60)]
    await asyncio.gather(
        house.ingest.ingest_many(inbox_id, raws), other.ingest.ingest_many(inbox_id, list(reversed(raws)))
    )
    messages = await everything(house, "messages")
    assert sorted(message["subject"] for message in messages) == sorted(f"Order {n}" for n in range(60))
    assert len(await everything(house, "customers")) == 7
    conversations = await everything(house, "conversations")
    assert len(conversations) == 7, "one open conversation a customer"
    assert len({conversation["number"] for conversation in conversations}) == 7
    assert await house.ingest.count_dead(ADMIN) == 0


async def test_a_reply_joins_by_its_headers_even_after_the_matter_was_settled(
    house: House, inbox_id: str, ann: Actor
) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [conversation] = (await house.conversations.page(ann, View())).items
    await house.conversations.set_status(ann, conversation.id, Status.RESOLVED)
    answer = mail("Re: Hello", "One more thing", message_id="<2@example.mn>", In_Reply_To="<1@example.mn>")
    await house.ingest.ingest(inbox_id, answer)
    opened = await house.conversations.open(ann, conversation.id)
    assert opened.messages[-1].joined_by == "reply"
    assert opened.conversation.status is Status.OPEN


async def test_a_stranger_who_quotes_a_known_id_begins_a_conversation_of_his_own(house: House, inbox_id: str) -> None:
    await house.ingest.ingest(inbox_id, mail())
    stranger = mail("Re: Hello", sender="eve@evil.example", message_id="<x@evil>", In_Reply_To="<1@example.mn>")
    await house.ingest.ingest(inbox_id, stranger)
    assert len(await everything(house, "conversations")) == 2


async def test_the_signed_token_joins_from_any_address_and_a_forged_one_does_not(house: House, inbox_id: str) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [conversation] = (await house.conversations.page(ADMIN, View())).items
    token = sign_reply(house.keyring, conversation.id)
    good = mail("Re", sender="bat@home.example", to=f"hello+r.{token.upper()}@shop.mn", message_id="<3@x>")
    await house.ingest.ingest(inbox_id, good)
    forged = token[:-1] + ("a" if token[-1] != "a" else "b")
    bad = mail("Re", sender="eve@evil.example", to=f"hello+r.{forged}@shop.mn", message_id="<4@x>")
    await house.ingest.ingest(inbox_id, bad)
    opened = await house.conversations.open(ADMIN, conversation.id)
    assert [message.joined_by for message in opened.messages] == ["new", "token"]
    assert len(await everything(house, "conversations")) == 2


async def test_a_fresh_mail_joins_what_is_open_but_not_what_was_resolved(
    house: House, inbox_id: str, ann: Actor
) -> None:
    await house.ingest.ingest(inbox_id, mail())
    await house.ingest.ingest(inbox_id, mail("Also this", message_id="<2@example.mn>"))
    [conversation] = (await house.conversations.page(ann, View())).items
    opened = await house.conversations.open(ann, conversation.id)
    assert [message.joined_by for message in opened.messages] == ["new", "recent"]
    await house.conversations.set_status(ann, conversation.id, Status.RESOLVED)
    await house.ingest.ingest(inbox_id, mail("A new matter", message_id="<3@example.mn>"))
    assert len(await everything(house, "conversations")) == 2


async def test_a_poisoned_mail_goes_to_the_dead_letters_and_stops_nobody(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = await house.inboxes.adapter(inbox_id)
    receive = type(adapter).receive

    def poisoned(self: object, raw: Raw) -> object:
        if b"poison" in raw.body:
            raise RecursionError("too deep")
        return receive(adapter, raw)

    monkeypatch.setattr(type(adapter), "receive", poisoned)
    raws = [mail(f"Mail {n}", sender=f"c{n}@x.mn", message_id=f"<{n}@x.mn>") for n in range(10)]
    raws.insert(5, mail("poison", message_id="<p@x.mn>"))
    await house.ingest.ingest_many(inbox_id, raws)
    assert len(await everything(house, "messages")) == 10
    [letter] = await house.ingest.dead_letters(ADMIN)
    assert letter.error == "RecursionError: too deep"
    assert b"".join([part async for part in await house.ingest.dead_letter_raw(ADMIN, letter.id)]) == raws[5].body
    assert not await house.ingest.replay(ADMIN, letter.id), "the parser has not learnt it yet"
    monkeypatch.setattr(type(adapter), "receive", receive)
    assert await house.ingest.replay(ADMIN, letter.id)
    assert await house.ingest.dead_letters(ADMIN) == []
    assert len(await everything(house, "messages")) == 11


async def test_what_cannot_be_written_is_singled_out_of_its_group(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = house.ingest._stores.conversations.add_messages

    async def refuse_some(session: object, messages: list[object]) -> None:
        if any(getattr(message, "subject", "") == "unwritable" for message in messages):
            raise ValueError("cannot be encoded")
        await add(session, messages)  # type: ignore[arg-type]  # the session passes through

    monkeypatch.setattr(house.ingest._stores.conversations, "add_messages", refuse_some)
    raws = [mail(f"Mail {n}", sender=f"c{n}@x.mn", message_id=f"<{n}@x.mn>") for n in range(10)]
    raws.insert(3, mail("unwritable", message_id="<u@x.mn>"))
    await house.ingest.ingest_many(inbox_id, raws)
    assert len(await everything(house, "messages")) == 10
    assert [letter.error for letter in await house.ingest.dead_letters(ADMIN)] == ["ValueError: cannot be encoded"]


async def test_what_a_dead_process_had_kept_is_taken_in_later(house: House, inbox_id: str) -> None:
    raws = house.ingest._raws
    now = house.ingest._clock()
    await raws.keep([("left-behind", inbox_id, mail("Left behind"))], now - timedelta(minutes=10))
    assert await house.ingest.sweep() == 1
    assert [message["subject"] for message in await everything(house, "messages")] == ["Left behind"]
    assert await house.ingest.sweep() == 0


async def test_a_database_that_is_away_is_no_dead_letter(
    house: House, inbox_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise AutoReconnect("gone")

    with monkeypatch.context() as patch:
        patch.setattr(house.ingest._raws, "receipts", away)
        patch.setattr(house.ingest._mongo, "transaction", away)
        with pytest.raises(Exception, match="could not be stored"):
            await house.ingest.ingest(inbox_id, mail())
    await house.ingest.ingest(inbox_id, mail())
    assert len(await everything(house, "messages")) == 1
    assert await house.ingest.count_dead(ADMIN) == 0


async def test_a_bounce_finds_the_message_it_is_about_and_opens_the_conversation(
    house: House, inbox_id: str, ann: Actor
) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [conversation] = (await house.conversations.page(ann, View())).items
    draft = await house.drafts.start_reply(ann, conversation.id, "reply")
    sent = await house.replies.send(
        ann,
        conversation.id,
        Written(to=draft.to, subject=draft.subject, html="<p>Yes.</p>"),
        headline=lambda _: "On Saturday Bat wrote:",
        resolve=True,
    )
    await settle(house)
    token = sign_bounce(house.keyring, sent.id)
    own = (await house.inboxes.built_in()).address
    name, _, domain = own.partition("@")
    notice = (
        f"From: MAILER-DAEMON@example.mn\r\nTo: {name}+b.{token}@{domain}\r\nSubject: Undelivered\r\n"
        "Message-ID: <dsn@example.mn>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.mn\r\n\r\n"
        "Final-Recipient: rfc822; bat@example.mn\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\r\n--b--\r\n"
    )
    await house.ingest.ingest(inbox_id, Raw(body=notice.encode(), url="smtp:"))
    message = await house.conversations.message(ann, sent.id)
    assert message.delivery is not None
    assert message.delivery.state == "bounced"
    assert "No such user" in message.delivery.reason
    again = await house.conversations.row(ann, conversation.id)
    assert (again.status, again.failed) == (Status.OPEN, True)
    assert len(await everything(house, "conversations")) == 1
    [identity] = await house.customers.identities(ann, conversation.customer_id)
    assert identity.undeliverable
