"""`ortoo demo`: a workspace of invented people, played through the real ways in and out with a clock of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from html import escape
from typing import Any

import msgspec

from channels.base import (
    Adapter,
    Address,
    Channel,
    InboundEvent,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    Rejected,
    SendResult,
    Unknown,
)
from channels.registry import CHANNELS
from config.settings import Settings
from inbox.accounts.model import Actor, Role
from inbox.conversations.composing import Written, reply_subject
from inbox.conversations.model import Conversation, Message, MessageKind, Priority, Status, View
from inbox.core.clock import utcnow
from inbox.core.errors import Conflict
from inbox.demo_mails import Letter, document, media_type, write
from inbox.demo_script import ZONE, Cue, Said, Step, load, span, timeline
from inbox.inboxes.model import Inbox, InboxForm
from inbox.wiring import House, open_house

PASSWORD = "eight white horses"  # noqa: S105 # of the demo: printed at its start for everybody to read
DOMAIN = "salkhinzam.example"
AGENTS = (
    ("enkhjin", "Enkhjin Batsükh", Role.ADMIN, "administrator"),
    ("sardor", "Sardor Yoqubov", Role.AGENT, "agent"),
    ("nia", "Nia Prydderch", Role.AGENT, "agent"),
    ("tuyaa", "Tuyaa Sanjaasüren", Role.MARKETER, "marketer"),
)
"""(key, name, role, the role in words)."""
_TIMEZONE = "Asia/Ulaanbaatar"
_SEED = 2026
_UNREADABLE = b"X-Demo: unreadable\n"
_OUTCOMES: Mapping[str, SendResult] = {
    "failed": Rejected("550", f"550 5.1.1 <workshop@{DOMAIN}>: Recipient address rejected: User unknown"),
    "unconfirmed": Unknown("The connection was lost while the mail was handed over."),
}
_HELLO = InboxForm(
    name="Salkhin Zam",
    address=f"hello@{DOMAIN}",
    settings={"provider": "builtin"},
    catch_all=True,
    signature="Salkhin Zam\nJourneys in Mongolia, from Ulaanbaatar",
)
_SHOP = InboxForm(
    name="Felt shop",
    address=f"shop@{DOMAIN}",
    settings={"provider": "builtin"},
    signature="Salkhin Zam felt shop\nMade by hand in Ulaanbaatar",
)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def prepare(settings: Settings, say: Callable[[str], None]) -> None:
    """Fill the demo's data folder, once, and say how to sign in.

    Raises `Conflict` where it holds a workspace that is not the demo's.
    """
    ready = settings.data / "demo-ready"
    if not await asyncio.to_thread(ready.exists):
        say("Making the demo's customers and conversations…")
        logging.disable(logging.ERROR)  # the bad days in the story are no errors of this process
        try:
            while not await _fill(settings):
                pass  # what an earlier start left unfinished is gone now
        finally:
            logging.disable(logging.NOTSET)
        await asyncio.to_thread(ready.touch)
    people = "\n".join(f"  {key}@{DOMAIN} ({what})" for key, _, _, what in AGENTS)
    say(f"Demo: sign in with the password “{PASSWORD}” (for the demo only, everybody knows it) as\n{people}")


async def _fill(settings: Settings) -> bool:
    """Play the story; False where an unfinished one had to be removed first."""
    clock, mood = PlayClock(utcnow()), Mood()
    async with open_house(settings, clock=clock, channels=mood.channels()) as house:
        marks = house.mongo.collection("demo")
        if await marks.find_one() is not None:
            await house.mongo.drop()
            return False
        if await house.accounts.store.has_agents():
            raise Conflict("This data folder holds a workspace of its own. Give the demo another one with --data.")
        await marks.insert_one({"_id": "begun"})
        await Player(house, clock, mood).play(clock.now)
    return True


class PlayClock:
    """A clock that shows what it is set to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The moment, at the millisecond that MongoDB keeps."""
        return self.now.replace(microsecond=self.now.microsecond // 1000 * 1000)


class Mood:
    """The bad days of the world outside: which messages come to grief on their way."""

    def __init__(self) -> None:
        self.outcomes: dict[str, SendResult] = {}
        """By message reference."""

    def channels(self) -> Mapping[str, Channel]:
        """The channels there are, with adapters that have bad days."""
        return {name: msgspec.structs.replace(one, build=self._builder(one)) for name, one in CHANNELS.items()}

    def _builder(self, channel: Channel) -> Callable[[str, Mapping[str, Any], Ports], Adapter]:
        def build(inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> Adapter:
            return _Moody(channel.build(inbox_id, settings, ports), self)

        return build


class _Moody:
    """An adapter, but for what comes to grief."""

    def __init__(self, adapter: Adapter, mood: Mood) -> None:
        self._adapter = adapter
        self._mood = mood
        self.capabilities = adapter.capabilities
        self.verify, self.check, self.close = adapter.verify, adapter.check, adapter.close

    def receive(self, raw: Raw) -> list[InboundEvent]:
        """See `Adapter`."""
        if _UNREADABLE in raw.body:
            raise ValueError("the export names a month 13")
        return self._adapter.receive(raw)

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """See `Adapter`."""
        outcome = self._mood.outcomes.get(out.message_ref)
        if outcome is None:
            return await self._adapter.send(out, point_of_no_return)
        if isinstance(outcome, Unknown):
            await point_of_no_return()
        return outcome


class _Course(msgspec.Struct):
    """How far a talk has come."""

    conversation: Conversation
    last: Message
    """What came in or went out last."""


class Player:
    """Plays the script in a house, cue by cue."""

    def __init__(self, house: House, clock: PlayClock, mood: Mood) -> None:
        self._house = house
        self._clock = clock
        self._mood = mood
        self._agents: dict[str, Actor] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._courses: dict[tuple[str, str], _Course] = {}
        """By the customer's address and the subject."""

    async def play(self, start: datetime) -> None:
        """Play everything up to `start`, and leave the clock there."""
        cues = timeline(await asyncio.to_thread(load), start, random.Random(_SEED))  # noqa: S311 # the same story every time
        self._clock.now = cues[0].at - timedelta(days=3)
        await self._hire()
        await self._open_inboxes()
        for cue in cues:
            self._clock.now = cue.at
            if cue.said is not None:
                await self._say(cue, cue.said)
            elif cue.step is Step.SORTED:
                await self._sort(cue)
            else:
                await self._settle(cue, start)
        self._clock.now = start

    async def _hire(self) -> None:
        accounts = self._house.accounts
        for key, name, role, _ in AGENTS:
            agent = await accounts.new_agent(name, f"{key}@{DOMAIN}", PASSWORD, role, _TIMEZONE)
            await self._house.mongo.transaction(partial(accounts.add, agent=agent))
            self._agents[key] = agent.actor

    async def _open_inboxes(self) -> None:
        inboxes, admin = self._house.inboxes, self._actor("")
        built_in = await inboxes.built_in()
        self._inboxes["hello"] = await inboxes.update(admin, built_in.id, _HELLO)
        self._inboxes["shop"] = await inboxes.create(admin, built_in.channel, _SHOP)

    def _actor(self, key: str) -> Actor:
        """An agent by key; the administrator does what nobody is named for."""
        return self._agents[key or AGENTS[0][0]]

    async def _say(self, cue: Cue, said: Said) -> None:
        if not said.by:
            await self._receive(cue, said)
        elif said.note:
            note = Written(mode="note", html=_paragraphs(said.text))
            conversation_id = self._course(cue).conversation.id
            await self._house.replies.send(self._actor(said.by), conversation_id, note, headline=_headline)
        else:
            await self._answer(cue, said)

    async def _receive(self, cue: Cue, said: Said) -> None:
        course = self._courses.get(_key(cue))
        answered = course.last if course and course.last.kind is MessageKind.OUT else None
        inbox, host = self._inboxes[cue.talk.inbox], cue.person.email.rpartition("@")[2]
        letter = Letter(
            cue=cue, said=said, message_id=f"{cue.at:%Y%m%d%H%M%S%f}@{host}", to=inbox.address, answered=answered
        )
        envelope = {"mail-from": "" if said.kind == "bounce" else cue.person.email, "rcpt-to": inbox.address}
        body = (_UNREADABLE if cue.talk.dead else b"") + write(letter)
        await self._house.ingest.ingest(inbox.id, Raw(body=body, url="smtp:", headers=envelope))
        if cue.talk.dead:
            return
        conversations, admin = self._house.conversations, self._actor("")
        if course is None:
            conversation = (await conversations.page(admin, View(), limit=1)).items[0]
        else:
            conversation = course.conversation
        opened = await conversations.open(admin, conversation.id, limit=1)
        self._courses[_key(cue)] = _Course(opened.conversation, opened.messages[-1])

    async def _answer(self, cue: Cue, said: Said) -> None:
        house, course, actor = self._house, self._course(cue), self._actor(said.by)
        conversation_id = course.conversation.id
        for name in said.files:
            await house.drafts.attach(actor, conversation_id, name, media_type(name), _chunk(document(name)))
        written = Written(
            to=(Address("email", cue.person.email, cue.person.name),),
            cc=tuple(Address("email", address) for address in said.cc),
            subject=reply_subject("reply", cue.talk.subject),
            html=_paragraphs(said.text),
        )
        if said.draft:
            await house.drafts.save_draft(actor, conversation_id, written)
            return
        course.last = await house.replies.send(actor, conversation_id, written, headline=_headline)
        if said.outcome in _OUTCOMES:
            self._mood.outcomes[course.last.message_ref] = _OUTCOMES[said.outcome]
        self._clock.now += timedelta(seconds=house.replies.undo_seconds)
        await house.delivery.deliver_due()
        await house.delivery.close()

    async def _sort(self, cue: Cue) -> None:
        conversations, actor, course = self._house.conversations, self._actor(cue.talk.owner), self._course(cue)
        for label in cue.talk.labels:
            await conversations.label(actor, course.conversation.id, label)
        if cue.talk.priority is not Priority.NORMAL:
            await conversations.set_priority(actor, course.conversation.id, cue.talk.priority)
        if cue.talk.owner:
            await conversations.assign(actor, course.conversation.id, actor.id)

    async def _settle(self, cue: Cue, start: datetime) -> None:
        actor, conversation = self._actor(cue.talk.owner), self._course(cue).conversation
        if cue.person.company or cue.person.note:
            await self._house.customers.edit(
                actor, conversation.customer_id, company=cue.person.company, note=cue.person.note
            )
        if not cue.talk.unread:
            await self._house.conversations.mark_read(actor, conversation.id)
        if cue.talk.status is not Status.OPEN:
            until = start + span(cue.talk.snoozed) if cue.talk.snoozed else None
            await self._house.conversations.set_status(actor, conversation.id, cue.talk.status, until)

    def _course(self, cue: Cue) -> _Course:
        return self._courses[_key(cue)]


def _key(cue: Cue) -> tuple[str, str]:
    return cue.person.email, cue.talk.subject


def _paragraphs(text: str) -> str:
    parts = text.strip().split("\n\n")
    return "".join("<p>" + "<br>".join(escape(line) for line in part.split("\n")) + "</p>" for part in parts)


def _headline(answered: Message) -> str:
    who = answered.sender.name if answered.sender else ""
    return f"{answered.at.astimezone(ZONE):%d.%m.%Y %H:%M}, {who}:"


async def _chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content
