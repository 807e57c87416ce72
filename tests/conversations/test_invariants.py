"""Whatever happens at once, and whoever dies in between: what must hold, holds."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import pytest

from channels.base import OutboundMessage, Rejected, Retry, SendResult, Sent, Unknown
from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.delivery import LEASE_SECONDS
from inbox.conversations.model import Priority, Status, View
from inbox.core.clock import utcnow
from inbox.core.errors import DomainError
from inbox.wiring import House
from tests.conversations.conftest import Open, Provider, everything, hire, mail, settle

ROUNDS = 12
AT_ONCE = 6


class Story:
    """Random things that happen to one house and to another process beside it."""

    def __init__(self, houses: list[House], inbox_id: str, agents: list[Actor], provider: Provider, seed: int) -> None:
        self.chance = random.Random(seed)
        self.houses = houses
        self.inbox_id = inbox_id
        self.agents = agents
        self.provider = provider
        self.mails: set[str] = set()
        self.resent: Counter[str] = Counter()
        self.later = timedelta()
        provider.answer = self._answer
        for behind, house in enumerate(houses):  # clocks of two machines are never the same
            clock = partial(self._clock, timedelta(seconds=3 * behind))
            house.ingest._clock = house.replies._clock = house.conversations._clock = clock
            house.delivery._clock = lambda: utcnow() + self.later
            house.delivery._chance = lambda: 0.0

    def _clock(self, behind: timedelta) -> datetime:
        return utcnow() - behind

    def _answer(self, out: OutboundMessage) -> SendResult:
        answers: list[SendResult] = [Sent(out.message_ref), Retry("later"), Rejected("550", "no"), Unknown("cut")]
        return self.chance.choices(answers, [6, 2, 1, 1])[0]

    async def play(self) -> None:
        happenings: list[tuple[int, Callable[[House, Actor], Awaitable[object]]]] = [
            (6, self._mail_comes),
            (4, self._reply),
            (2, self._note),
            (2, self._undo),
            (1, self._resend),
            (3, self._sort),
            (2, self._draft),
            (5, self._deliver),
            (1, self._die),
            (1, self._wait_and_recover),
        ]
        weights = [weight for weight, _ in happenings]
        for _ in range(ROUNDS):
            chosen = self.chance.choices([one for _, one in happenings], weights, k=AT_ONCE)
            calls = [one(self.chance.choice(self.houses), self.chance.choice(self.agents)) for one in chosen]
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, DomainError):
                    raise outcome

    async def _mail_comes(self, house: House, _: Actor) -> None:
        number = self.chance.randrange(30)
        self.mails.add(f"{number}@x.mn")
        headers = {"In_Reply_To": f"<{self.chance.randrange(30)}@x.mn>"} if number % 2 else {}
        if number % 7 == 0:
            headers["Auto_Submitted"] = "auto-replied"
        raw = mail(f"Q{number}", sender=f"c{number % 4}@x.mn", message_id=f"<{number}@x.mn>", **headers)
        await house.ingest.ingest_many(self.inbox_id, [raw] * self.chance.choice([1, 1, 2]))

    async def _conversation(self, house: House) -> str:
        status = self.chance.choice([Status.OPEN, Status.OPEN, Status.RESOLVED])
        rows = (await house.conversations.page(self.agents[0], View(status=status))).items
        if not rows:
            raise DomainError("nothing there yet")
        return self.chance.choice(rows).id

    async def _reply(self, house: House, ann: Actor) -> None:
        conversation_id = await self._conversation(house)
        draft = await house.drafts.start_reply(ann, conversation_id, "reply")
        written = Written(to=draft.to, subject="Re", html="<p>Yes.</p>", key=str(self.chance.randrange(50)))
        house.replies.undo_seconds = self.chance.choice([0, 0, 60])
        resolve = self.chance.random() < 0.3
        await house.replies.send(ann, conversation_id, written, headline=lambda _: "", resolve=resolve)

    async def _note(self, house: House, ann: Actor) -> None:
        written = Written(mode="note", html="<p>Hm.</p>")
        await house.replies.send(ann, await self._conversation(house), written, headline=lambda _: "")

    async def _draft(self, house: House, ann: Actor) -> None:
        async def content() -> AsyncIterator[bytes]:
            yield b"x"

        conversation_id = await self._conversation(house)
        await asyncio.gather(
            house.drafts.save_draft(ann, conversation_id, Written(html="<p>...</p>")),
            house.drafts.attach(ann, conversation_id, "a.txt", "text/plain", content()),
        )

    async def _sent(self, house: House) -> str:
        sent = [message for message in await everything(house, "messages") if message["kind"] == "out"]
        if not sent:
            raise DomainError("nothing sent yet")
        return str(self.chance.choice(sent)["_id"])

    async def _undo(self, house: House, ann: Actor) -> None:
        await house.replies.undo_send(ann, await self._sent(house))

    async def _resend(self, house: House, ann: Actor) -> None:
        self.resent[(await house.replies.resend(ann, await self._sent(house))).message_ref] += 1

    async def _sort(self, house: House, ann: Actor) -> None:
        conversation_id = await self._conversation(house)
        await asyncio.gather(
            house.conversations.assign(ann, conversation_id, ann.id),
            house.conversations.label(ann, conversation_id, self.chance.choice("abc")),
            house.conversations.set_priority(ann, conversation_id, Priority.HIGH),
            house.conversations.set_status(ann, conversation_id, self.chance.choice([Status.OPEN, Status.RESOLVED])),
            house.conversations.mark_read(ann, conversation_id),
        )

    async def _deliver(self, house: House, _: Actor) -> None:
        await house.delivery.deliver_due()

    async def _die(self, house: House, _: Actor) -> None:
        for task in list(house.delivery._tasks):
            task.cancel()

    async def _wait_and_recover(self, house: House, _: Actor) -> None:
        self.later += timedelta(seconds=LEASE_SECONDS + 1)
        await house.delivery.recover()


@pytest.mark.parametrize("seed", range(4))
async def test_what_must_hold_holds_whatever_happens_at_once(
    house: House, inbox_id: str, ann: Actor, provider: Provider, open_another: Open, seed: int
) -> None:
    houses = [house, await open_another()]
    story = Story(houses, inbox_id, [ann, await hire(house, "Bold", "bold@shop.mn")], provider, seed)
    await story.play()
    for one in houses:
        await one.delivery.close()
    await holds(house, story)
    story.later += timedelta(days=1)
    provider.answer = lambda out: Sent(out.message_ref)
    for one in houses:
        await one.delivery.recover()
        await settle(one)
    await holds(house, story)
    assert await everything(house, "outbox") == []


async def holds(house: House, story: Story) -> None:
    messages = await everything(house, "messages")
    conversations = {one["_id"]: one for one in await everything(house, "conversations")}
    came = Counter(message["message_ref"] for message in messages if message["kind"] == "in")
    assert came == Counter(story.mails), "every mail is there once"
    waiting = {one["_id"] for one in messages if one["delivery"] and one["delivery"]["state"] in ("queued", "sending")}
    assert waiting == {entry["_id"] for entry in await everything(house, "outbox")}
    for reference, times in Counter(story.provider.taken).items():
        assert times <= 1 + story.resent[reference], f"{reference} was sent {times} times"
    numbers = [one["number"] for one in conversations.values()]
    assert len(set(numbers)) == len(numbers)
    files = {file["_id"] for file in await everything(house, "fs.files")}
    assert {file["id"] for message in messages for file in message["attachments"]} <= files
    identities = await everything(house, "identities")
    assert len({one["customer_id"] for one in identities}) == len(identities)
    for conversation_id, conversation in conversations.items():
        thread = [one for one in messages if one["conversation_id"] == conversation_id]
        shown = max((one for one in thread if one["kind"] in ("in", "out")), key=lambda one: (one["at"], one["_id"]))
        assert (conversation["updated_at"], conversation["last_kind"]) == (shown["at"], shown["kind"])
    assert {message["conversation_id"] for message in messages} <= conversations.keys()
    assert await house.ingest.count_dead(story.agents[0]) == 0
