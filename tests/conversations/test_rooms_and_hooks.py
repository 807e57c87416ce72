"""What channels beyond mail bring: webhooks, rooms, edits, reactions, albums, consent, and files fetched afterwards."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from channels.base import (
    Address,
    Attachment,
    ChannelError,
    ConsentChange,
    MessageChange,
    Rejected,
    Unreachable,
)
from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.model import Message, State, View
from inbox.core.clock import utcnow
from inbox.inboxes.model import InboxForm
from inbox.inboxes.model_hours import DAY, BusinessHours, Span
from inbox.wiring import House
from tests.conversations.conftest import ADMIN, everything, settle
from tests.conversations.parrot import (
    BAT,
    SARNAI,
    Clock,
    Parrot,
    ann,
    change,
    client,
    clock,
    house,
    inbox_id,
    only_conversation,
    only_message,
    said,
    take,
)

__all__ = ["ann", "client", "clock", "house", "inbox_id"]
"""Fixtures of the parrot."""

# --- webhooks ----------------------------------------------------------------------------------------------------


async def test_a_signed_call_is_committed_before_it_is_answered(
    house: House, inbox_id: str, client: TestClient[Any, Any]
) -> None:
    Parrot.events[b"call"] = [said()]
    path = f"/hooks/{inbox_id}/status?ref=a-b"
    headers = {"X-Signature": f"signed {client.make_url('/')}"[:-1] + path}
    for _ in range(2):
        response = await client.post(path, data=b"call", headers=headers)
        assert (response.status, await response.text(), response.content_type) == (200, "<Response/>", "text/xml")
        assert len(await everything(house, "messages")) == 1


async def test_a_call_without_a_valid_signature_leaves_nothing(
    house: House, inbox_id: str, client: TestClient[Any, Any]
) -> None:
    Parrot.events[b"call"] = [said()]
    response = await client.post(f"/hooks/{inbox_id}", data=b"call", headers={"X-Signature": "signed by me"})
    assert response.status == 403
    assert await everything(house, "raws") == []
    assert "signature" in (await house.inboxes.health(ADMIN, inbox_id)).problems[0].words


async def test_there_are_hooks_only_where_an_inbox_has_them(house: House, client: TestClient[Any, Any]) -> None:
    built_in = (await house.inboxes.built_in()).id
    for path in (f"/hooks/{built_in}", "/hooks/nobody"):
        assert (await client.post(path, data=b"call")).status == 404
    assert await everything(house, "raws") == []


async def test_a_call_that_is_too_large_is_refused(inbox_id: str, client: TestClient[Any, Any]) -> None:
    response = await client.post(f"/hooks/{inbox_id}", data=io.BytesIO(bytes(5 * 1024 * 1024 + 1)))
    assert response.status == 413


# --- rooms and people ----------------------------------------------------------------------------------------------


async def test_a_room_is_one_conversation_whoever_speaks(house: House, inbox_id: str) -> None:
    await take(
        house,
        inbox_id,
        [said("1", chat="-100:5", subject="Suppliers", source="spring-banner")],
        [said("2", "Me too", sender=SARNAI, chat="-100:5"), said("3", "Alone", sender=SARNAI, chat="8")],
    )
    conversations = await everything(house, "conversations")
    assert {document["chat_id"] for document in conversations} == {"-100:5", "8"}
    messages = await everything(house, "messages")
    assert [message["joined_by"] for message in messages] == ["new", "chat", "new"]
    sources = {document["name"]: document["source"] for document in await everything(house, "customers")}
    assert sources == {"Bat": "spring-banner", "Sarnai": ""}


async def test_an_address_the_provider_vouches_for_becomes_the_senders_and_nobody_elses(
    house: House, inbox_id: str
) -> None:
    phone = Address("phone", "+97688001122")
    await take(house, inbox_id, [said("1", identities=(phone,))], [said("2", sender=SARNAI, identities=(phone,))])
    owners = {each["_id"]: each["customer_id"] for each in await everything(house, "identities")}
    assert owners["phone:+97688001122"] == owners["telegram:7"] != owners["telegram:8"]


async def test_the_answer_goes_to_the_room(house: House, inbox_id: str, ann: Actor) -> None:
    await take(house, inbox_id, [said("1", chat="-100:5")])
    await answer(house, ann)
    [out] = Parrot.sent
    assert (out.chat_id, out.in_reply_to) == ("-100:5", "-100:5:1")


async def answer(house: House, who: Actor) -> Message:
    conversation = await only_conversation(house)
    draft = await house.drafts.start_reply(who, conversation.id, "reply")
    written = Written(to=draft.to, html="<p>Yes.</p>")
    message = await house.replies.send(who, conversation.id, written, headline=lambda _: "")
    await settle(house)
    return message


@pytest.mark.parametrize(("closed", "words"), [(False, "We answer soon."), (True, "We are asleep.")])
async def test_the_automatic_answer_is_the_one_of_the_hour_and_none_in_a_group(
    house: House, closed: bool, words: str
) -> None:
    far = (utcnow().weekday() + 3) % 7
    week = tuple((Span(0, DAY),) if not closed or day == far else () for day in range(7))
    form = InboxForm(
        name="Parrot",
        address="99",
        auto_reply="We answer soon.",
        auto_reply_closed="We are asleep.",
        hours=BusinessHours(zone="Asia/Ulaanbaatar", week=week),
    )
    inbox_id = (await house.inboxes.create(ADMIN, "parrot", form)).id
    await take(house, inbox_id, [said("1")], [said("2", chat="-100", subject="Suppliers", sender=SARNAI)])
    await settle(house)
    assert [(out.text, out.chat_id) for out in Parrot.sent] == [(words, "7")]


# --- edits, deletions, reactions ---------------------------------------------------------------------------------


async def test_an_edit_keeps_what_was_said_and_is_unread(house: House, inbox_id: str, ann: Actor) -> None:
    await take(house, inbox_id, [said("1", "Two, please")])
    await house.conversations.mark_read(ann, (await only_conversation(house)).id)
    await take(house, inbox_id, [change("1", "edited", text="Three, please")])
    message, conversation = await only_message(house), await only_conversation(house)
    assert (message.text, [version.text for version in message.versions]) == ("Three, please", ["Two, please"])
    assert (conversation.unread, conversation.excerpt) == (True, "Three, please")


async def test_an_edit_that_comes_twice_or_says_the_same_is_no_second_version(house: House, inbox_id: str) -> None:
    edit = change("1", "edited", text="Three")
    await take(house, inbox_id, [said("1", "Two"), edit], [edit], [change("1", "edited", "b", text="Three")])
    message = await only_message(house)
    assert (message.text, len(message.versions)) == ("Three", 1)


async def test_a_change_of_a_message_nobody_has_seen_is_no_error(house: House, inbox_id: str) -> None:
    await take(house, inbox_id, [change("77", "edited", text="?"), change("78", "deleted", "b")])
    assert await everything(house, "messages") == []
    assert await house.ingest.count_dead(ADMIN) == 0


async def test_what_was_taken_back_is_shown_so_and_kept(house: House, inbox_id: str) -> None:
    await take(house, inbox_id, [said("1", "Oops")], [change("1", "deleted")])
    message = await only_message(house)
    assert message.deleted_at is not None
    assert message.text == "Oops"


async def test_reactions_are_each_persons_latest(house: House, inbox_id: str, ann: Actor) -> None:
    await take(house, inbox_id, [said("1")])
    await answer(house, ann)
    Parrot.sent.clear()
    react = [
        MessageChange(
            inbox_id="",
            external_id=f"r{number}",
            message_ref="chat:1",
            change="reaction",
            sender=sender,
            reactions=emoji,
        )
        for number, (sender, emoji) in enumerate([(BAT, ("👍",)), (SARNAI, ("🔥",)), (BAT, ("❤",)), (SARNAI, ())])
    ]
    await take(house, inbox_id, [react[0]], [react[1], react[2]], [react[3]])
    message = await only_message(house, "out")
    assert [(each.by.value, each.emoji) for each in message.reactions] == [("7", ("❤",))]


# --- albums and files ----------------------------------------------------------------------------------------------


def picture(ref: str) -> Attachment:
    return Attachment(name=f"{ref}.jpg", media_type="image/jpeg", size=3, ref=ref)


async def fetch_all(house: House) -> None:
    while await house.fetching.fetch_next():
        pass


async def test_the_parts_of_an_album_are_one_message(house: House, inbox_id: str) -> None:
    for name in "abc":
        Parrot.files[name] = Attachment(name=f"{name}.jpg", media_type="image/jpeg", size=1, content=name.encode())
    parts = [
        said(str(number), text, album="7:g", attachments=(picture(name),))
        for number, (name, text) in enumerate([("a", "Our shop"), ("b", ""), ("c", "")])
    ]
    await take(house, inbox_id, parts[:2], parts[1:], [change("2", "reaction", sender=SARNAI, reactions=("👍",))])
    await fetch_all(house)
    message = await only_message(house)
    assert message.text == "Our shop"
    contents = [await house.files.read(file.id) for file in message.attachments]
    assert (contents, len(message.reactions)) == ([b"a", b"b", b"c"], 1)


async def test_a_file_is_fetched_again_until_it_is_there(house: House, inbox_id: str, clock: Clock) -> None:
    Parrot.files["a"] = Unreachable("Busy.")
    await take(house, inbox_id, [said("1", attachments=(picture("a"),))])
    await fetch_all(house)
    assert [file.state for file in (await only_message(house)).attachments] == ["pending"]
    Parrot.files["a"] = Attachment(name="bag.jpg", media_type="image/jpeg", size=3, content=b"bag")
    await fetch_all(house)
    assert [file.state for file in (await only_message(house)).attachments] == ["pending"], "not at once again"
    clock.now += timedelta(minutes=2)
    await fetch_all(house)
    [file] = (await only_message(house)).attachments
    assert (file.state, file.name, file.size, await house.files.read(file.id)) == ("", "bag.jpg", 3, b"bag")
    assert await everything(house, "fetches") == []


@pytest.mark.parametrize("failure", [ChannelError("The file is larger than 20 MB."), Unreachable("Gone for days.")])
async def test_a_file_that_cannot_be_had_says_why(
    house: House, inbox_id: str, clock: Clock, failure: ChannelError
) -> None:
    Parrot.files["a"] = failure
    await take(house, inbox_id, [said("1", attachments=(picture("a"),))])
    await fetch_all(house)
    clock.now += timedelta(days=3)
    await fetch_all(house)
    [file] = (await only_message(house)).attachments
    assert (file.state, file.reason) == ("failed", failure.words)
    assert await everything(house, "fetches") == []


async def test_what_a_killed_process_was_fetching_is_fetched_once_by_the_next(
    house: House, inbox_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Parrot.files["a"] = Attachment(name="a.jpg", media_type="image/jpeg", size=1, content=b"a")
    await take(house, inbox_id, [said("1", attachments=(picture("a"),))])

    class Killed(BaseException):
        pass

    async def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(house.files, "put", killed)
        with pytest.raises(Killed):
            await house.fetching.fetch_next()
    assert not await house.fetching.fetch_next(), "its lease has not ended"
    clock.now += timedelta(minutes=6)
    await fetch_all(house)
    [file] = (await only_message(house)).attachments
    assert await house.files.read(file.id) == b"a"
    assert len(await everything(house, "fs.files")) == 1


# --- consent ---------------------------------------------------------------------------------------------------------


async def test_stop_and_start_are_kept_with_their_proof_and_the_newest_word_counts(
    house: House, inbox_id: str, clock: Clock
) -> None:
    def consent(number: int, words: str, *, opted_out: bool, minutes: int) -> ConsentChange:
        at = clock.now + timedelta(minutes=minutes)
        return ConsentChange(
            inbox_id="", external_id=f"c{number}", address=BAT, opted_out=opted_out, words=words, at=at
        )

    stop, start = consent(1, "STOP", opted_out=True, minutes=5), consent(2, "START", opted_out=False, minutes=1)
    await take(house, inbox_id, [said("1", "STOP"), stop], [start], [stop])
    [identity] = await everything(house, "identities")
    assert identity["opted_out"]
    assert [(each["words"], each["opted_out"]) for each in identity["consents"]] == [("STOP", True)]


async def test_a_recipient_who_blocked_us_is_noted_and_the_message_failed(
    house: House, inbox_id: str, ann: Actor
) -> None:
    await take(house, inbox_id, [said("1")])
    Parrot.result = lambda out: Rejected("403", "The customer has blocked this bot.", opted_out=True)
    await answer(house, ann)
    message = await only_message(house, "out")
    assert message.delivery is not None
    assert message.delivery.state is State.FAILED
    [identity] = await everything(house, "identities")
    assert identity["opted_out"]
    assert identity["consents"][0]["words"] == "The customer has blocked this bot."
    page = await house.conversations.page(ann, View(kind="all"), "")
    assert [conversation.failed for conversation in page.items] == [True]


async def test_the_health_page_tells_what_waits(house: House, inbox_id: str, clock: Clock, ann: Actor) -> None:
    await take(house, inbox_id, [said("1", attachments=(picture("a"),))])
    await house.inboxes.pause(ADMIN, inbox_id)
    conversation = await only_conversation(house)
    draft = await house.drafts.start_reply(ann, conversation.id, "reply")
    written = Written(to=draft.to, html="<p>Yes.</p>")
    await house.replies.send(ann, conversation.id, written, headline=lambda _: "")
    due = clock.now
    clock.now += timedelta(minutes=5)
    backlog = (await house.inboxes.health(ADMIN, inbox_id)).backlog
    assert backlog is not None
    assert (backlog.arrived, backlog.files) == (0, 1)
    assert backlog.oldest is not None
    assert abs(backlog.oldest - due) < timedelta(seconds=1)
