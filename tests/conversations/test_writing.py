"""Writing loses no word and no file, whatever happens beside it, and goes to whom it is meant for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from channels.base import Address, Raw, Rejected
from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.model import Message, Status, View
from inbox.conversations.threading import sign_bounce
from inbox.core.errors import Conflict
from inbox.wiring import House
from tests.conversations.conftest import Provider, everything, mail, reply, settle


async def content(data: bytes = b"%PDF-1.4") -> AsyncIterator[bytes]:
    yield data


async def attach(house: House, ann: Actor, conversation_id: str, name: str = "a.pdf") -> str:
    return (await house.drafts.attach(ann, conversation_id, name, "application/pdf", content())).id


async def first_row(house: House, inbox_id: str, ann: Actor) -> str:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items
    return row.id


async def test_what_was_begun_after_sending_is_still_there_when_it_is_taken_back(
    house: House, inbox_id: str, ann: Actor
) -> None:
    house.replies.undo_seconds = 10
    message = await reply(house, inbox_id, ann)
    await house.drafts.save_draft(ann, message.conversation_id, Written(html="<p>And one more thing.</p>"))
    file_id = await attach(house, ann, message.conversation_id)
    draft = await house.replies.undo_send(ann, message.id)
    assert "Yes, it is." in draft.html
    assert "And one more thing." in draft.html
    assert draft.mode == "reply"
    assert draft.to == message.to
    assert [file.id for file in draft.attachments] == [file_id]
    assert draft == await house.drafts.draft(ann, message.conversation_id)


async def test_a_note_that_was_begun_does_not_become_part_of_a_reply(house: House, inbox_id: str, ann: Actor) -> None:
    house.replies.undo_seconds = 10
    message = await reply(house, inbox_id, ann)
    await house.drafts.save_draft(ann, message.conversation_id, Written(mode="note", html="<p>He never pays.</p>"))
    draft = await house.replies.undo_send(ann, message.id)
    assert "Yes, it is." in draft.html
    assert "He never pays." in draft.html
    assert draft.mode == "note"


async def test_the_same_words_saved_late_are_not_there_twice(house: House, inbox_id: str, ann: Actor) -> None:
    house.replies.undo_seconds = 10
    message = await reply(house, inbox_id, ann)
    await house.drafts.save_draft(ann, message.conversation_id, Written(html="<p>Yes, it is.</p>"))
    draft = await house.replies.undo_send(ann, message.id)
    assert draft.html.count("Yes, it is.") == 1


async def test_what_was_taken_back_can_be_sent_by_the_same_composer(house: House, inbox_id: str, ann: Actor) -> None:
    house.replies.undo_seconds = 10
    message = await reply(house, inbox_id, ann, key="composer")
    await house.replies.undo_send(ann, message.id)
    written = Written(to=message.to, subject="Re", html="<p>No, it is not.</p>", key="composer")
    sent = await asyncio.gather(
        *(house.replies.send(ann, message.conversation_id, written, headline=lambda _: "") for _ in range(3))
    )
    assert len({one.id for one in sent}) == 1
    assert (await house.conversations.message(ann, sent[0].id)).text == "No, it is not."
    assert len(await everything(house, "outbox")) == 1


async def test_the_same_beginning_sent_twice_begins_once(house: House, inbox_id: str, ann: Actor) -> None:
    written = Written(to=(Address("email", "c@x.mn"),), subject="Hello", html="<p>Hello.</p>", key="composer")
    sent = await asyncio.gather(*(house.replies.compose_new(ann, inbox_id, written) for _ in range(3)))
    assert len({one.id for one in sent}) == 1
    assert len(await everything(house, "conversations")) == 1


async def test_files_and_words_that_come_at_once_are_all_kept(house: House, inbox_id: str, ann: Actor) -> None:
    row = await first_row(house, inbox_id, ann)
    names = [f"{number}.pdf" for number in range(12)]

    async def write() -> None:
        for number in range(12):
            await house.drafts.save_draft(ann, row, Written(html=f"<p>{number}</p>"))

    await asyncio.gather(write(), write(), *(attach(house, ann, row, name) for name in names))
    draft = await house.drafts.draft(ann, row)
    assert draft is not None
    assert sorted(file.name for file in draft.attachments) == sorted(names)
    assert draft.html == "<p>11</p>"


async def test_a_file_added_in_another_tab_at_the_moment_of_sending_is_not_lost(
    house: House, inbox_id: str, ann: Actor
) -> None:
    for number in range(10):
        await house.ingest.ingest(inbox_id, mail(f"Q{number}", sender=f"c{number}@x.mn", message_id=f"<{number}@x>"))
    rows = (await house.conversations.page(ann, View())).items
    assert len(rows) == 10
    for row in rows:
        written = Written(to=(Address("email", "c@x.mn"),), subject="Re", html="<p>Here.</p>")
        await house.drafts.save_draft(ann, row.id, written)
        file_id, sent = await asyncio.gather(
            attach(house, ann, row.id),
            house.replies.send(ann, row.id, written, headline=lambda _: ""),
            return_exceptions=True,
        )
        assert isinstance(sent, Message | Conflict)
        draft = await house.drafts.draft(ann, row.id)
        kept = [*(sent.attachments if isinstance(sent, Message) else ()), *(draft.attachments if draft else ())]
        assert [file.id for file in kept] == [file_id]


async def test_a_file_taken_off_in_another_tab_is_not_sent_without_its_content(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    row = await first_row(house, inbox_id, ann)
    file_id = await attach(house, ann, row)
    written = Written(to=(Address("email", "c@x.mn"),), subject="Re", html="<p>Here.</p>")
    sent, _ = await asyncio.gather(
        house.replies.send(ann, row, written, headline=lambda _: ""),
        house.drafts.detach(ann, row, file_id),
        return_exceptions=True,
    )
    assert isinstance(sent, Message | Conflict)
    await settle(house)
    assert len(provider.taken) == isinstance(sent, Message)


async def test_an_answer_goes_to_the_customer_also_after_a_bounce_and_a_forward(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    row = await first_row(house, inbox_id, ann)
    forward = await house.drafts.start_reply(ann, row, "forward")
    supplier = Written(mode="forward", to=(Address("email", "supplier@x.mn"),), subject="Fwd", html=forward.html)
    sent = await house.replies.send(ann, row, supplier, headline=lambda _: "")
    await settle(house)
    draft = await house.drafts.start_reply(ann, row, "reply")
    assert [address.value for address in draft.to] == ["bat@example.mn"]
    await house.drafts.discard_draft(ann, row)

    own = (await house.inboxes.built_in()).address.replace("@", f"+b.{sign_bounce(house.keyring, sent.id)}@")
    notice = (
        f"From: MAILER-DAEMON@x.mn\r\nTo: {own}\r\nSubject: Undelivered\r\nMessage-ID: <dsn@x.mn>\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.mn\r\n\r\n"
        "Final-Recipient: rfc822; supplier@x.mn\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    )
    await house.ingest.ingest(inbox_id, Raw(body=notice.encode(), url="smtp:"))
    [bounce] = [message for message in await everything(house, "messages") if message["joined_by"] == "bounce"]
    assert bounce["conversation_id"] == row
    for mode in ("reply", "reply_all"):
        draft = await house.drafts.start_reply(ann, row, mode)
        assert next(address.value for address in (*draft.to, *draft.cc)) == "bat@example.mn"


async def test_a_forward_taken_back_is_a_forward_again(house: House, inbox_id: str, ann: Actor) -> None:
    house.replies.undo_seconds = 10
    row = await first_row(house, inbox_id, ann)
    written = Written(mode="forward", to=(Address("email", "supplier@x.mn"),), subject="Fwd", html="<p>See.</p>")
    sent = await house.replies.send(ann, row, written, headline=lambda _: "")
    assert (await house.replies.undo_send(ann, sent.id)).mode == "forward"


async def test_a_mail_that_comes_while_a_reply_is_queued_is_neither_read_nor_settled_by_it(
    house: House, inbox_id: str, ann: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await first_row(house, inbox_id, ann)
    answerable = house.replies._store.answerable

    async def meanwhile(conversation_id: str) -> Message | None:
        found = await answerable(conversation_id)
        await house.ingest.ingest(inbox_id, mail("Wait", message_id="<2@x>", In_Reply_To="<1@example.mn>"))
        return found

    monkeypatch.setattr(house.replies._store, "answerable", meanwhile)
    written = Written(to=(Address("email", "bat@example.mn"),), subject="Re", html="<p>Done.</p>")
    await house.replies.send(ann, row, written, headline=lambda _: "", resolve=True)
    after = await house.conversations.row(ann, row)
    assert (after.unread, after.status) == (True, Status.OPEN)


async def test_what_failed_can_be_corrected_beside_what_was_begun_since(
    house: House, inbox_id: str, ann: Actor, provider: Provider
) -> None:
    row = await first_row(house, inbox_id, ann)
    file_id = await attach(house, ann, row)
    provider.answer = lambda _: Rejected("550", "no such user")
    written = Written(to=(Address("email", "bta@example.mn"),), subject="Re", html="<p>Here it is.</p>")
    failed = await house.replies.send(ann, row, written, headline=lambda _: "")
    await settle(house)
    await house.drafts.save_draft(ann, row, Written(html="<p>By the way.</p>"))
    draft = await house.drafts.correct(ann, failed.id)
    assert "Here it is." in draft.html
    assert "By the way." in draft.html
    assert draft.to == failed.to
    assert [file.name for file in draft.attachments] == ["a.pdf"]
    await house.drafts.discard_draft(ann, row)
    assert [file["_id"] for file in await everything(house, "fs.files")] == [file_id], "the thread still shows it"
