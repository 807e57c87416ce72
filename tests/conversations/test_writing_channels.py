"""Writing asks what a channel can do: rooms, plain text, windows, and another inbox that reaches the same customer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest

from channels.base import (
    Address,
    Capabilities,
    Channel,
    CheckStep,
    ConsentChange,
    InboundEvent,
    InboundMessage,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    SendResult,
    Sent,
    ThreadHints,
)
from channels.registry import CHANNELS
from config.settings import Settings
from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.model import Message, MessageKind, Status, View
from inbox.core.clock import utcnow
from inbox.core.errors import Invalid
from inbox.inboxes.model import InboxForm
from inbox.wiring import House, open_house
from tests.conversations.conftest import ADMIN, change_inbox, everything, mail, settle

PHONE = Capabilities(address_kind="phone", text_units="segments", splits=True)
ROOMS = Capabilities(address_kind="telegram", rooms=True, supports_html=True, attachments=True)
WINDOW = msgspec.structs.replace(PHONE, window_hours=24)
SHORT = msgspec.structs.replace(PHONE, text_units="utf16", max_text=10, splits=False)
BAT = Address("phone", "+97688001122", "Bat")


class Wire:
    """An adapter that takes in what it is told, and keeps what is sent."""

    capabilities: ClassVar[Capabilities] = PHONE
    events: ClassVar[dict[bytes, InboundEvent]] = {}
    sent: ClassVar[list[OutboundMessage]] = []

    def __init__(self, inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> None:
        self.inbox_id = inbox_id

    def verify(self, raw: Raw) -> bool:
        return True

    def receive(self, raw: Raw) -> list[InboundEvent]:
        return [msgspec.structs.replace(Wire.events[raw.body], inbox_id=self.inbox_id)]

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        await point_of_no_return()
        Wire.sent.append(out)
        return Sent(f"w{len(Wire.sent)}")

    async def check(self) -> list[CheckStep]:
        return []

    async def close(self) -> None:
        pass


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def capabilities(request: pytest.FixtureRequest) -> Capabilities:
    found: Capabilities = getattr(request, "param", PHONE)
    return found


@pytest.fixture
async def house(settings: Settings, clock: Clock, capabilities: Capabilities) -> AsyncIterator[House]:
    Wire.events, Wire.sent, Wire.capabilities = {}, [], capabilities
    wire = Channel(
        name="wire",
        label="Wire",
        blurb="Carries words.",
        icon="message",
        capabilities=capabilities,
        fields=(),
        build=Wire,
        validate=lambda settings: {},
    )
    async with open_house(settings, clock=clock, channels={**CHANNELS, "wire": wire}) as opened:
        yield opened


@pytest.fixture
async def wire_id(house: House) -> str:
    return (await house.inboxes.create(ADMIN, "wire", InboxForm(name="Wire", address="+97677001122"))).id


async def take(house: House, inbox_id: str, event: InboundEvent) -> None:
    key = str(len(Wire.events)).encode()
    Wire.events[key] = event
    await house.ingest.ingest(inbox_id, Raw(body=key))


def said(number: str, text: str = "Hello", sender: Address = BAT, **more: Any) -> InboundMessage:
    return InboundMessage(
        inbox_id="", external_id=number, message_ref=number, sender=sender, text=text, reply_text=text, **more
    )


async def rows(house: House, ann: Actor, inbox_id: str = "") -> list[str]:
    view = View(kind="inbox", value=inbox_id) if inbox_id else View()
    return [row.id for row in (await house.conversations.page(ann, view)).items]


async def send(house: House, ann: Actor, row: str, html: str = "<p>Yes</p>", **written: Any) -> Message:
    message = await house.replies.send(ann, row, Written(html=html, **written), headline=lambda _: "He wrote:")
    await settle(house)
    return message


async def both(house: House, ann: Actor, mail_id: str, wire_id: str) -> tuple[str, str]:
    """Bat's conversations by mail and by wire: one customer with two addresses."""
    bat = Address("email", "bat@example.mn", "Bat")
    await take(house, wire_id, said("1", sender=BAT, identities=(bat,)))
    await house.ingest.ingest(mail_id, mail("Which size?"))
    [by_mail], [by_wire] = await rows(house, ann, mail_id), await rows(house, ann, wire_id)
    return by_mail, by_wire


def lines(messages: list[dict[str, Any]], row: str) -> list[dict[str, Any]]:
    return [each["data"] for each in messages if each["kind"] == "system" and each["conversation_id"] == row]


# --- what a channel can do -----------------------------------------------------------------------------------------


async def test_plain_text_leaves_as_it_was_typed_without_subject_signature_or_history(
    house: House, wire_id: str, ann: Actor
) -> None:
    await change_inbox(house, wire_id, signature="<b>The shop</b>")
    await take(house, wire_id, said("1", "Is it open?"))
    [row] = await rows(house, ann)
    draft = await house.drafts.start_reply(ann, row, "reply")
    assert (draft.to, draft.subject) == ((Address("phone", BAT.value, "Bat"),), "")
    message = await send(house, ann, row, "<pre>Yes:  9 &lt; 18\n\n  Come!</pre>", subject="Re: nothing")
    [out] = Wire.sent
    assert (out.text, out.html, out.subject, out.to) == ("Yes:  9 < 18\n\n  Come!", "", "", draft.to)
    corrected = await house.drafts.correct(ann, message.id)
    assert corrected.html == "<pre>Yes:  9 &lt; 18\n\n  Come!</pre>"


@pytest.mark.parametrize("mode", ["reply_all", "forward"])
async def test_a_channel_without_copies_only_has_plain_answers(
    house: House, wire_id: str, ann: Actor, mode: str
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    with pytest.raises(Invalid):
        await house.drafts.start_reply(ann, row, mode)
    with pytest.raises(Invalid):
        await send(house, ann, row, mode=mode, to=(BAT,))
    assert Wire.sent == []


async def test_a_message_goes_to_one_person_where_there_are_no_copies(house: House, wire_id: str, ann: Actor) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    with pytest.raises(Invalid):
        await send(house, ann, row, to=(BAT, Address("phone", "+97699001122")))
    assert Wire.sent == []


async def test_a_channel_without_files_takes_none(house: House, wire_id: str, ann: Actor) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"%PDF"

    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    await house.drafts.attach(ann, row, "a.pdf", "application/pdf", content())
    with pytest.raises(Invalid) as refused:
        await send(house, ann, row)
    assert "files" in refused.value.fields
    assert Wire.sent == []


@pytest.mark.parametrize("capabilities", [SHORT], indirect=True)
async def test_a_text_too_long_for_a_channel_that_does_not_split_is_refused(
    house: House, wire_id: str, ann: Actor
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    with pytest.raises(Invalid):
        await send(house, ann, row, "<pre>123456789\U0001f600</pre>")  # eleven UTF-16 units
    await send(house, ann, row, "<pre>12345678\U0001f600</pre>")
    assert [out.text for out in Wire.sent] == ["12345678\U0001f600"]


# --- rooms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", [ROOMS], indirect=True)
async def test_an_answer_in_a_room_goes_to_the_room_and_to_nobody_that_was_named(
    house: House, wire_id: str, ann: Actor
) -> None:
    sarnai, stranger = Address("telegram", "8", "Sarnai"), Address("telegram", "9")
    await take(house, wire_id, said("1", sender=sarnai, subject="Herders", thread=ThreadHints(chat_id="-100")))
    [row] = await rows(house, ann)
    assert (await house.drafts.start_reply(ann, row, "reply")).to == ()
    assert (await house.replies.outlook(ann, row)).room
    await send(house, ann, row, to=(stranger,))
    await send(house, ann, row)
    own = await house.customers.identities(ann, (await house.conversations.row(ann, row)).customer_id)
    only = tuple(Address("telegram", each.value, each.name) for each in own) if len(own) == 1 else ()
    assert [(out.chat_id, out.to, out.subject) for out in Wire.sent] == [("-100", only, "")] * 2


# --- windows and wishes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", [WINDOW], indirect=True)
async def test_free_text_is_refused_after_the_window(house: House, wire_id: str, ann: Actor, clock: Clock) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    clock.now += timedelta(hours=23, minutes=59)
    await send(house, ann, row)
    clock.now += timedelta(minutes=2)  # our own message does not open it again
    assert (await house.replies.outlook(ann, row)).closed
    with pytest.raises(Invalid) as refused:
        await send(house, ann, row)
    assert "24 hours" in str(refused.value)
    await send(house, ann, row, mode="note")
    await take(house, wire_id, said("2", "Still there?"))
    assert not (await house.replies.outlook(ann, row)).closed
    await send(house, ann, row)
    assert len(Wire.sent) == 2


@pytest.mark.parametrize("capabilities", [WINDOW], indirect=True)
async def test_nobody_is_written_to_first_where_free_text_needs_a_window(
    house: House, wire_id: str, ann: Actor
) -> None:
    with pytest.raises(Invalid):
        await house.replies.compose_new(ann, wire_id, Written(to=(BAT,), html="<p>Hello</p>"))
    assert await everything(house, "conversations") == []


async def test_the_outlook_names_who_opted_out_and_an_agent_may_write_all_the_same(
    house: House, wire_id: str, ann: Actor, clock: Clock
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    assert (await house.replies.outlook(ann, row)).unwanted == ()
    stop = ConsentChange(inbox_id="", external_id="2", address=BAT, opted_out=True, words="STOP", at=clock.now)
    await take(house, wire_id, stop)
    [identity] = (await house.replies.outlook(ann, row)).unwanted
    assert identity.consents[-1].words == "STOP"
    await send(house, ann, row)
    assert len(Wire.sent) == 1


# --- by another inbox ----------------------------------------------------------------------------------------------


async def test_an_answer_by_another_inbox_goes_on_with_their_talk_there(
    house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    by_mail, by_wire = await both(house, ann, inbox_id, wire_id)
    await house.conversations.set_status(ann, by_wire, Status.RESOLVED)
    [way] = (await house.replies.outlook(ann, by_mail)).ways
    assert (way.inbox.id, way.address.value) == (wire_id, BAT.value)
    message = await house.replies.answer_elsewhere(ann, by_mail, wire_id, Written(html="<p>Size 42</p>"))
    await settle(house)
    assert [(out.to[0].value, out.text, out.html) for out in Wire.sent] == [(BAT.value, "Size 42", "")]
    here, there = await house.conversations.row(ann, by_mail), await house.conversations.row(ann, by_wire)
    assert message.conversation_id == by_wire
    assert (there.status, there.last_kind, here.assignee_id) == (Status.OPEN, MessageKind.OUT, ann.id)
    messages = await everything(house, "messages")
    assert lines(messages, by_mail) == [{"answered_in": by_wire, "number": there.number, "inbox_id": wire_id}]
    assert {"answers": by_mail, "number": here.number, "inbox_id": inbox_id} in lines(messages, by_wire)
    await take(house, wire_id, said("2", "Thanks"))
    assert (await house.conversations.open(ann, by_wire)).messages[-1].text == "Thanks"
    assert len(await everything(house, "conversations")) == 2


async def test_an_answer_by_mail_is_a_matter_of_its_own_and_its_answer_comes_back_to_it(
    house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    by_mail, by_wire = await both(house, ann, inbox_id, wire_id)
    with pytest.raises(Invalid) as refused:
        await house.replies.answer_elsewhere(ann, by_wire, inbox_id, Written(html="<p>The list</p>"))
    assert "subject" in refused.value.fields
    written = Written(html="<p>The list</p>", subject="Our prices")
    message = await house.replies.answer_elsewhere(ann, by_wire, inbox_id, written, resolve=True)
    assert message.conversation_id not in (by_mail, by_wire)
    assert (await house.conversations.row(ann, by_wire)).status is Status.RESOLVED
    answer = mail("Re: Our prices", "Too dear", message_id="<9@x>", In_Reply_To=f"<{message.message_ref}>")
    await house.ingest.ingest(inbox_id, answer)
    opened = await house.conversations.open(ann, message.conversation_id)
    assert [each.text for each in opened.messages if each.kind is not MessageKind.SYSTEM] == ["The list", "Too dear"]
    times = [each.at for each in opened.messages]
    assert times == sorted(times)
    assert opened.messages[0].kind is MessageKind.SYSTEM


async def test_an_answer_by_another_inbox_sent_twice_leaves_once_and_uses_up_the_draft(
    house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    by_mail, _ = await both(house, ann, inbox_id, wire_id)
    await house.drafts.save_draft(ann, by_mail, Written(html="<p>Size 42</p>"))
    written = Written(html="<p>Size 42</p>", key="composer")
    first = await house.replies.answer_elsewhere(ann, by_mail, wire_id, written)
    assert (await house.replies.answer_elsewhere(ann, by_mail, wire_id, written)).id == first.id
    await settle(house)
    assert len(Wire.sent) == 1
    assert await house.drafts.draft(ann, by_mail) is None
    assert len(lines(await everything(house, "messages"), by_mail)) == 1


async def test_only_the_customers_own_addresses_are_answered_by_another_inbox(
    house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    by_mail, by_wire = await both(house, ann, inbox_id, wire_id)
    for row, target, to in (
        (by_mail, wire_id, (Address("phone", "+97699999999"),)),
        (by_mail, inbox_id, ()),
        (by_wire, inbox_id, (BAT,)),
    ):
        with pytest.raises(Invalid):
            await house.replies.answer_elsewhere(ann, row, target, Written(to=to, html="<p>Hi</p>", subject="Hi"))
    assert Wire.sent == []


async def test_files_go_along_by_another_inbox_that_takes_them(
    house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"%PDF"

    by_mail, by_wire = await both(house, ann, inbox_id, wire_id)
    for row in (by_mail, by_wire):
        await house.drafts.attach(ann, row, "a.pdf", "application/pdf", content())
    with pytest.raises(Invalid):
        await house.replies.answer_elsewhere(ann, by_mail, wire_id, Written(html="<p>See</p>"))
    written = Written(html="<p>See</p>", subject="The list")
    message = await house.replies.answer_elsewhere(ann, by_wire, inbox_id, written)
    [file] = message.attachments
    assert await house.files.read(file.id) == b"%PDF"
    assert sorted(each["metadata"]["owner"] for each in await everything(house, "fs.files")) == sorted(
        [f"{by_mail}:{ann.id}", message.id]
    )


async def test_a_paused_inbox_is_no_way(house: House, inbox_id: str, wire_id: str, ann: Actor) -> None:
    by_mail, _ = await both(house, ann, inbox_id, wire_id)
    await house.inboxes.pause(ADMIN, wire_id)
    assert (await house.replies.outlook(ann, by_mail)).ways == ()
    assert wire_id not in [inbox.id for inbox in await house.replies.senders(ann)]


# --- beginning -----------------------------------------------------------------------------------------------------


async def test_writing_first_to_somebody_who_has_a_talk_there_goes_on_with_it(
    house: House, wire_id: str, ann: Actor, clock: Clock
) -> None:
    await take(house, wire_id, said("1"))
    [row] = await rows(house, ann)
    written = Written(to=(BAT,), html="<p>It has come.</p>")
    assert (await house.replies.compose_new(ann, wire_id, written)).conversation_id == row
    clock.now += timedelta(days=31)
    later = await house.replies.compose_new(ann, wire_id, written)
    assert later.conversation_id != row
    await take(house, wire_id, said("2", "Good"))
    assert (await house.conversations.open(ann, later.conversation_id)).messages[-1].text == "Good"


@pytest.mark.parametrize("capabilities", [ROOMS], indirect=True)
async def test_writing_first_to_somebody_who_is_known_from_a_group_is_between_us_and_so_is_the_answer(
    house: House, wire_id: str, ann: Actor
) -> None:
    sarnai = Address("telegram", "8", "Sarnai")
    await take(house, wire_id, said("1", sender=sarnai, thread=ThreadHints(chat_id="-100")))
    message = await house.replies.compose_new(ann, wire_id, Written(to=(sarnai,), html="<p>Hello</p>"))
    await settle(house)
    assert (Wire.sent[-1].chat_id, Wire.sent[-1].to) == ("8", (sarnai,))
    await take(house, wire_id, said("2", "Hi", sender=sarnai, thread=ThreadHints(chat_id="8")))
    again = await house.replies.compose_new(ann, wire_id, Written(to=(sarnai,), html="<p>And?</p>"))
    assert again.conversation_id == message.conversation_id
    texts = [each.text for each in (await house.conversations.open(ann, message.conversation_id)).messages]
    assert texts == ["Hello", "Hi", "And?"]


@pytest.mark.parametrize("capabilities", [ROOMS], indirect=True)
async def test_a_chat_between_us_can_be_answered_by_mail_and_a_group_cannot(
    house: House, inbox_id: str, wire_id: str, ann: Actor
) -> None:
    sarnai, by_mail = Address("telegram", "8", "Sarnai"), Address("email", "s@example.mn", "Sarnai")
    for number, chat in (("1", "8"), ("2", "-100")):
        await take(house, wire_id, said(number, sender=sarnai, identities=(by_mail,), thread=ThreadHints(chat_id=chat)))
    group, private = await rows(house, ann)
    assert [len((await house.replies.outlook(ann, row)).ways) for row in (private, group)] == [1, 0]
    written = Written(html="<p>The list</p>", subject="Our prices")
    with pytest.raises(Invalid):
        await house.replies.answer_elsewhere(ann, group, inbox_id, written)
    assert (await house.replies.answer_elsewhere(ann, private, inbox_id, written)).to == (by_mail,)
