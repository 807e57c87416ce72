"""The way out: claim, gate, mark right before the point of no return, send, record (architecture, section 3.5)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from channels.base import (
    Attachment,
    ChannelError,
    OutboundMessage,
    PointOfNoReturn,
    Rejected,
    Retry,
    SendResult,
    Sent,
    Unknown,
)
from inbox.conversations import gate
from inbox.conversations.model import Message, Ref, State, Status, may_follow
from inbox.conversations.outgoing import provider_refs
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_confirms import ConfirmStore, to_ask
from inbox.conversations.store_outbox import Buckets, OutboxEntry, OutboxStore
from inbox.conversations.threading import sign_bounce, sign_reply
from inbox.core.batch import Batcher
from inbox.core.clock import Clock, utcnow
from inbox.core.crypto import Keyring
from inbox.core.errors import Conflict, DomainError, NotFound
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.mongo import DriverError, Mongo, Session, storable
from inbox.core.store import EventStore
from inbox.customers.service import CustomerService
from inbox.inboxes.service import InboxService

log = structlog.get_logger()

ACTOR = "system:deliver"
LEASE_SECONDS = 30.0
IN_FLIGHT = 200
"""Messages being sent at once by one process."""
IN_FLIGHT_OF_ONE = 50
"""And by one inbox: a provider that hangs must not take the places of all others. More is taken on once half has left:
to take on one by one costs more than to send."""
HEAVY_BYTES = 1024 * 1024
HEAVY_AT_ONCE = 4
"""Messages with more than so much of files, of one inbox: each is in memory several times while it is being sent."""
_LONGEST_WAIT = 0.1
_CROWDED = timedelta(seconds=1)
_LONGEST_REASON = 2000
_LONGEST_CODE = 100


class LeaseLost(Exception):
    """Somebody else has the message now, or it was taken back: it must not be sent from here."""


class _Outcome(msgspec.Struct, frozen=True):
    entry: OutboxEntry
    result: SendResult


class DeliveryService:
    """Sends what is due. Several processes may run one each."""

    def __init__(
        self,
        mongo: Mongo,
        conversations: ConversationStore,
        outbox: OutboxStore,
        confirms: ConfirmStore,
        buckets: Buckets,
        customers: CustomerService,
        events: EventStore,
        files: Files,
        inboxes: InboxService,
        keyring: Keyring,
        clock: Clock = utcnow,
        chance: Callable[[], float] = random.random,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._mongo = mongo
        self._conversations = conversations
        self._outbox = outbox
        self._confirms = confirms
        self._buckets = buckets
        self._customers = customers
        self._events = events
        self._files = files
        self._inboxes = inboxes
        self._keyring = keyring
        self._clock = clock
        self._chance = chance
        self.lease_seconds = lease_seconds
        self._sending: dict[str, OutboxEntry] = {}
        self._crowded: dict[str, datetime] = {}
        """Inboxes at their rate limit, and until when."""
        self._heavy: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(HEAVY_AT_ONCE))
        self._tasks: set[asyncio.Task[None]] = set()
        self._marking: Batcher[OutboxEntry, None] = Batcher(self._mark)
        self._settling: Batcher[_Outcome, None] = Batcher(self._settle)

    async def deliver_due(self) -> int:
        """Claim what is due, as much as there is room for, and begin to send it.

        Answers how many were begun; where there was no room, how many held it, once there is some or soon after.
        """
        under_way = Counter(entry.inbox_id for entry in self._sending.values())
        full = {inbox_id for inbox_id, count in under_way.items() if count > IN_FLIGHT_OF_ONE // 2}
        room = IN_FLIGHT - len(self._tasks)
        entries = await self._claim(room, under_way, full) if room > 0 else []
        messages = await self._conversations.messages([entry.id for entry in entries]) if entries else {}
        for entry in entries:
            self._sending[entry.id] = entry
            task = asyncio.create_task(self._deliver(entry, messages.get(entry.id)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not entries and (full or room <= 0):
            await self._until_there_is_room(full)
            return len(self._sending) or 1
        return len(entries)

    async def _until_there_is_room(self, full: Collection[str]) -> None:
        """Until half of what an inbox had under way has left, but no longer than other inboxes may be kept waiting."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST_WAIT
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            under_way = Counter(entry.inbox_id for entry in self._sending.values())
            if any(under_way[inbox_id] <= IN_FLIGHT_OF_ONE // 2 for inbox_id in full):
                return

    async def renew(self) -> None:
        """Keep the leases of what is being sent; to be called every third of `lease_seconds`."""
        if self._sending:
            claims = {entry.id: entry.claim for entry in self._sending.values()}
            await self._outbox.renew(claims, self._clock() + timedelta(seconds=self.lease_seconds))

    async def recover(self) -> int:
        """Show as unconfirmed what a vanished process had begun to send; it is never sent again by itself."""
        abandoned = [entry for entry in await self._outbox.abandoned(self._clock()) if not self._is_mine(entry)]
        result = Unknown("The server stopped while this was being sent.")
        outcomes = [_Outcome(_tried(entry), result) for entry in abandoned]
        await asyncio.gather(*(self._settling.submit(outcome) for outcome in outcomes))
        return len(outcomes)

    async def close(self, seconds: float = 20) -> None:
        """Let what is being sent finish."""
        if self._tasks:
            _, hanging = await asyncio.wait(self._tasks, timeout=seconds)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
        await self._marking.close()
        await self._settling.close()

    # --- one message -------------------------------------------------------------------------------------------

    async def _claim(self, room: int, under_way: Mapping[str, int], full: Collection[str]) -> list[OutboxEntry]:
        """Lease what may leave now. What waits for its inbox stays where it is, so that it is in nobody's way."""
        now = self._clock()
        inboxes = {inbox.id: inbox for inbox in await self._inboxes.inboxes()}
        crowded = {inbox_id for inbox_id, until in self._crowded.items() if until > now}
        paused = {inbox.id for inbox in inboxes.values() if inbox.paused}
        held_back = crowded | paused | set(full)
        places = {key: IN_FLIGHT_OF_ONE - under_way.get(key, 0) for key in inboxes.keys() - held_back}
        most = min(room, sum(places.values()) or IN_FLIGHT_OF_ONE)  # an archived inbox is none of these
        claimed = await self._outbox.claim(now, self.lease_seconds, most, held_back)
        allowed: list[OutboxEntry] = []
        for inbox_id in {entry.inbox_id for entry in claimed}:
            entries = [entry for entry in claimed if entry.inbox_id == inbox_id]
            granted = min(len(entries), IN_FLIGHT_OF_ONE - under_way.get(inbox_id, 0))
            limit = inboxes[inbox_id].max_per_minute if inbox_id in inboxes else 0
            if limit:
                granted = await self._buckets.take(f"inbox:{inbox_id}", granted, limit, now)
                self._crowded[inbox_id] = now + _CROWDED if granted < len(entries) else now
            allowed += entries[:granted]
            if entries[granted:]:
                await self._outbox.release(entries[granted:])
        return allowed

    def _is_mine(self, entry: OutboxEntry) -> bool:
        mine = self._sending.get(entry.id)
        return mine is not None and mine.claim == entry.claim

    async def _deliver(self, entry: OutboxEntry, message: Message | None) -> None:
        try:
            result = _storable(await self._attempt(entry, message))
            await self._tell_inbox(entry.inbox_id, result)
            await self._record(_Outcome(_tried(entry), result))
        except LeaseLost:
            log.info("lease lost before sending", message_id=entry.id)
        finally:
            if self._is_mine(entry):
                del self._sending[entry.id]

    async def _attempt(self, entry: OutboxEntry, message: Message | None) -> SendResult:
        begun = False

        async def point_of_no_return() -> None:
            nonlocal begun
            await self._marking.submit(entry)
            begun = True

        try:
            return await self._send(message, point_of_no_return)
        except LeaseLost:
            raise
        except (NotFound, Conflict) as error:  # the inbox was archived, a file is gone: another try changes nothing
            return Unknown(str(error)) if begun else Rejected(error.code, str(error))
        except (ChannelError, DomainError) as error:
            return Unknown(str(error)) if begun else Retry(str(error))
        except DriverError:
            return Unknown("The database went away while this was being sent.") if begun else Retry("database")
        except Exception as error:  # an adapter's mistake must not stop the other messages
            log.exception("sending failed", message_id=entry.id)
            words = f"Internal error ({type(error).__name__})."
            return Unknown(words) if begun else Rejected("internal", words)

    async def _send(self, message: Message | None, point_of_no_return: PointOfNoReturn) -> SendResult:
        if message is None:
            return Rejected("gone", "The message is no longer there.")
        if message.auto_submitted:
            known = await self._customers.known([address.key for address in message.to])
            verdict = gate.decide(gate.Purpose.AUTOMATIC, known.values())
            if not verdict.allowed:
                return Rejected("suppressed", verdict.reason)
        adapter = await self._inboxes.adapter(message.inbox_id)
        if sum(file.size for file in message.attachments) < HEAVY_BYTES:
            return await adapter.send(await self.outbound(message), point_of_no_return)
        async with self._heavy[message.inbox_id]:
            return await adapter.send(await self.outbound(message), point_of_no_return)

    async def _tell_inbox(self, inbox_id: str, result: SendResult) -> None:
        try:
            if isinstance(result, Sent):
                await self._inboxes.saw_out(inbox_id, self._clock())
                await self._inboxes.set_sending(inbox_id, "", by=ACTOR)
            elif isinstance(result, Retry) and result.refused:
                await self._inboxes.set_sending(inbox_id, result.reason, by=ACTOR)
        except DriverError as error:  # the message's own record is what counts; the inbox's is told with the next one
            log.warning("cannot write the health of an inbox", inbox_id=inbox_id, error=str(error))

    async def outbound(self, message: Message) -> OutboundMessage:
        """A message as its adapter is given it, with its files. Raises `NotFound` where one is gone."""
        files = [
            Attachment(
                name=file.name,
                media_type=file.media_type,
                size=file.size,
                content=await self._files.read(file.id),
                content_id=file.content_id,
                inline=file.inline,
            )
            for file in message.attachments
        ]
        if message.sender is None:
            raise ValueError("an outbound message has a sender")
        return OutboundMessage(
            inbox_id=message.inbox_id,
            message_ref=message.message_ref,
            sender=message.sender,
            to=message.to,
            cc=message.cc,
            bcc=message.bcc,
            subject=message.subject,
            text=message.text + message.quoted_text,
            html=message.html + message.quoted_html,
            attachments=tuple(files),
            in_reply_to=message.in_reply_to,
            references=message.references,
            reply_token=sign_reply(self._keyring, message.conversation_id),
            bounce_token=sign_bounce(self._keyring, message.id),
            auto_submitted=message.auto_submitted,
            sent_at=message.sent_at or message.at,
            chat_id=message.chat_id,
        )

    # --- records -----------------------------------------------------------------------------------------------

    async def _mark(self, entries: Sequence[OutboxEntry]) -> list[BaseException | None]:
        """The outbox's word is the one that counts, and is safe before anything leaves; what the thread shows follows
        it. A transaction around both would cost three times as much, and every message waits for this."""
        held = await self._outbox.mark_sending({entry.id: entry.claim for entry in entries})
        await self._conversations.show_sending(held, self._clock())
        return [None if entry.id in held else LeaseLost(entry.id) for entry in entries]

    async def _record(self, outcome: _Outcome) -> None:
        """Record an outcome, for as long as it takes: a sent message that is not recorded would show as unconfirmed."""
        delay = 0.2
        while True:
            try:
                await self._settling.submit(outcome)
                return
            except DriverError as error:
                log.warning("cannot record an outcome, trying again", message_id=outcome.entry.id, error=str(error))
                await asyncio.sleep(delay)
                delay = min(10.0, delay * 2)

    async def _settle(self, outcomes: Sequence[_Outcome]) -> list[BaseException | None]:
        now = self._clock()

        async def work(session: Session) -> None:
            held = await self._outbox.held(session, {item.entry.id: item.entry.claim for item in outcomes})
            known = await self._conversations.states(session, [item.entry.id for item in outcomes])
            finished: dict[str, str] = {}
            again: list[tuple[OutboxEntry, datetime]] = []
            changes: dict[str, Mapping[str, Any]] = {}
            events: list[Event] = []
            refs: list[Ref] = []
            for item in outcomes:
                due_at = self._retry_at(item, now) if item.entry.id in held else None
                if due_at is not None:
                    again.append((item.entry, due_at))
                else:
                    finished[item.entry.id] = item.entry.claim
                document = known.get(item.entry.id)
                if document is None or not (item.entry.id in held or _is_taken_for_dead(item.entry, document)):
                    continue
                if isinstance(item.result, Sent):
                    refs += provider_refs(item.entry.id, item.result, document, now)
                fields = _delivery_fields(item, due_at, now)
                if may_follow(_state_before(item, document), State(fields["state"])) or due_at is not None:
                    changes[item.entry.id] = fields
                    events.append(_state_event(item.entry, document, fields["state"], now))
            await self._outbox.settle(session, finished, again)
            await self._conversations.set_deliveries(session, changes)
            await self._conversations.add_refs(session, refs)
            unconfirmed = [item.entry for item in outcomes if _is_unconfirmed(changes.get(item.entry.id))]
            await self._confirms.add(session, [to_ask(entry, now) for entry in unconfirmed])
            await self._note_opt_outs(session, outcomes, known, now)
            await self._flag_failed(session, known, changes)
            await self._events.append(session, events)

        await self._mongo.transaction(work)
        return [None] * len(outcomes)

    async def _note_opt_outs(
        self, session: Session, outcomes: Sequence[_Outcome], known: Mapping[str, Mapping[str, Any]], now: datetime
    ) -> None:
        """The provider says that the recipient wants no messages from us."""
        for item in outcomes:
            if isinstance(item.result, Rejected) and item.result.opted_out and item.entry.id in known:
                for to in known[item.entry.id]["to"]:
                    key, words = f"{to['kind']}:{to['value']}", item.result.reason
                    await self._customers.set_consent(session, key, opted_out=True, words=words, at=now)

    async def _flag_failed(
        self, session: Session, known: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """A message that did not leave is work: its conversation shows so, and opens again."""
        failed = {State.FAILED, State.UNCONFIRMED}
        ids = {known[key]["conversation_id"] for key, fields in changes.items() if fields["state"] in failed}
        if not ids:
            return
        for conversation in (await self._conversations.get_many(ids, session)).values():
            status = conversation.status if conversation.status is Status.SPAM else Status.OPEN
            await self._conversations.change(session, conversation.id, {"failed": True, "status": status.value})

    def _retry_at(self, item: _Outcome, now: datetime) -> datetime | None:
        if not isinstance(item.result, Retry) or now - item.entry.first_at > gate.RETRY_FOR:
            return None
        seconds = gate.retry_delay(item.entry.attempts, item.result.after, self._chance())
        return now + timedelta(seconds=seconds)


def _tried(entry: OutboxEntry) -> OutboxEntry:
    return msgspec.structs.replace(entry, attempts=entry.attempts + 1)


def _storable(result: SendResult) -> SendResult:
    """Words of a provider, short enough and such as the database can keep."""
    match result:
        case Retry() | Rejected():
            code, reason = storable(result.code)[:_LONGEST_CODE], storable(result.reason)[:_LONGEST_REASON]
            return msgspec.structs.replace(result, code=code, reason=reason)
        case Unknown():
            return Unknown(storable(result.reason)[:_LONGEST_REASON])
        case Sent():
            return result


def _is_taken_for_dead(entry: OutboxEntry, document: Mapping[str, Any]) -> bool:
    """Whether all that is known of this very attempt is that its sender was not heard of any more."""
    delivery = document["delivery"]
    return State(delivery["state"]) is State.UNCONFIRMED and delivery["attempts"] == entry.attempts


def _state_before(item: _Outcome, document: Mapping[str, Any]) -> State:
    """What the thread shows, which may not have heard yet that the outbox has marked it."""
    state = State(document["delivery"]["state"])
    return State.SENDING if state is State.QUEUED and isinstance(item.result, Sent | Unknown) else state


def _delivery_fields(item: _Outcome, due_at: datetime | None, now: datetime) -> dict[str, Any]:
    result = item.result
    fields: dict[str, Any] = {"at": now, "attempts": item.entry.attempts, "due_at": due_at, "reason": "", "code": ""}
    match result:
        case Sent():
            fields["state"] = State.SENT.value
        case Retry():
            fields |= {"state": State.QUEUED.value, "reason": result.reason, "code": result.code}
            if due_at is None:
                fields["state"] = State.FAILED.value
        case Rejected():
            fields |= {"state": State.FAILED.value, "reason": result.reason, "code": result.code}
        case Unknown():
            fields |= {"state": State.UNCONFIRMED.value, "reason": result.reason}
    return fields


def _is_unconfirmed(fields: Mapping[str, Any] | None) -> bool:
    return fields is not None and fields["state"] == State.UNCONFIRMED.value


def _state_event(entry: OutboxEntry, document: Mapping[str, Any], state: str, now: datetime) -> Event:
    return Event(
        type=EventType.MESSAGE_STATE,
        at=now,
        actor=ACTOR,
        inbox_id=entry.inbox_id,
        conversation_id=document["conversation_id"],
        message_id=entry.id,
        data={"state": state},
    )
