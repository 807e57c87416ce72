"""The way out: claim, gate, mark right before the point of no return, send, record (architecture, section 3.5)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from channels.base import Attachment, ChannelError, OutboundMessage, Rejected, Retry, SendResult, Sent, Unknown
from inbox.conversations import gate
from inbox.conversations.model import Message, State, Status, may_follow
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_outbox import Buckets, OutboxEntry, OutboxStore
from inbox.conversations.threading import sign_bounce, sign_reply
from inbox.core.batch import Batcher
from inbox.core.clock import Clock, utcnow
from inbox.core.crypto import Keyring
from inbox.core.errors import DomainError
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.mongo import DriverError, Mongo, Session
from inbox.core.store import EventStore
from inbox.customers.service import CustomerService
from inbox.inboxes.service import InboxService

log = structlog.get_logger()

ACTOR = "system:deliver"
LEASE_SECONDS = 30.0
IN_FLIGHT = 50
"""Messages being sent at once by one process."""
_CROWDED = timedelta(seconds=1)
_PAUSED = timedelta(seconds=15)


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
        self._buckets = buckets
        self._customers = customers
        self._events = events
        self._files = files
        self._inboxes = inboxes
        self._keyring = keyring
        self._clock = clock
        self._chance = chance
        self.lease_seconds = lease_seconds
        self._sending: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._marking: Batcher[OutboxEntry, None] = Batcher(self._mark)
        self._settling: Batcher[_Outcome, None] = Batcher(self._settle)

    async def deliver_due(self) -> int:
        """Claim what is due, as much as there is room for, and begin to send it. Answers how many were begun."""
        room = IN_FLIGHT - len(self._tasks)
        if room <= 0:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            room = IN_FLIGHT - len(self._tasks)
        claimed = await self._outbox.claim(self._clock(), self.lease_seconds, room)
        if not claimed:
            return 0
        entries = await self._within_limits(claimed)
        messages = await self._conversations.messages([entry.id for entry in entries])
        for entry in entries:
            self._sending[entry.id] = entry.claim
            task = asyncio.create_task(self._deliver(entry, messages.get(entry.id)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(entries)

    async def renew(self) -> None:
        """Keep the leases of what is being sent; to be called every third of `lease_seconds`."""
        if self._sending:
            await self._outbox.renew(dict(self._sending), self._clock() + timedelta(seconds=self.lease_seconds))

    async def recover(self) -> int:
        """Show as unconfirmed what a vanished process had begun to send; it is never sent again by itself."""
        abandoned = await self._outbox.abandoned(self._clock())
        entries = [entry for entry in abandoned if self._sending.get(entry.id) != entry.claim]
        reason = "The server stopped while this was being sent."
        await asyncio.gather(*(self._settling.submit(_Outcome(entry, Unknown(reason))) for entry in entries))
        return len(entries)

    async def next_due(self) -> datetime | None:
        """When the next message is due."""
        return await self._outbox.next_due()

    async def close(self, seconds: float = 20) -> None:
        """Let what is being sent finish."""
        if self._tasks:
            _, hanging = await asyncio.wait(self._tasks, timeout=seconds)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
        await self._settling.close()

    # --- one message -------------------------------------------------------------------------------------------

    async def _within_limits(self, claimed: Sequence[OutboxEntry]) -> list[OutboxEntry]:
        """Those that may leave now; paused inboxes and rate limits put the others back."""
        now, allowed = self._clock(), []
        by_inbox: dict[str, list[OutboxEntry]] = {}
        for entry in claimed:
            by_inbox.setdefault(entry.inbox_id, []).append(entry)
        for inbox_id, entries in by_inbox.items():
            inbox = await self._inboxes.get(inbox_id)
            granted, back = len(entries), now + _CROWDED
            if inbox.paused:
                granted, back = 0, now + _PAUSED
            elif inbox.max_per_minute:
                granted = await self._buckets.take(f"inbox:{inbox_id}", len(entries), inbox.max_per_minute, now)
            allowed += entries[:granted]
            if entries[granted:]:
                await self._outbox.put_back(entries[granted:], back)
        return allowed

    async def _deliver(self, entry: OutboxEntry, message: Message | None) -> None:
        entry = msgspec.structs.replace(entry, attempts=entry.attempts + 1)
        try:
            result = await self._attempt(entry, message)
            await self._record(_Outcome(entry, result))
        except LeaseLost:
            log.info("lease lost before sending", message_id=entry.id)
        finally:
            self._sending.pop(entry.id, None)

    async def _attempt(self, entry: OutboxEntry, message: Message | None) -> SendResult:
        if message is None:
            return Rejected("gone", "The message is no longer there.")
        if message.auto_submitted:
            known = await self._customers.known([address.key for address in message.to])
            verdict = gate.decide(gate.Purpose.AUTOMATIC, known.values())
            if not verdict.allowed:
                return Rejected("suppressed", verdict.reason)
        begun = False

        async def point_of_no_return() -> None:
            nonlocal begun
            await self._marking.submit(entry)
            begun = True

        try:
            adapter = await self._inboxes.adapter(entry.inbox_id)
            result = await adapter.send(await self._outbound(message), point_of_no_return)
        except LeaseLost:
            raise
        except (ChannelError, DomainError) as error:
            return Unknown(str(error)) if begun else Retry(str(error))
        except DriverError:
            return Unknown("The database went away while this was being sent.") if begun else Retry("database")
        except Exception as error:  # an adapter's mistake must not stop the other messages
            log.exception("sending failed", message_id=entry.id)
            words = f"Internal error ({type(error).__name__})."
            return Unknown(words) if begun else Rejected("internal", words)
        await self._tell_inbox(entry.inbox_id, result)
        return result

    async def _tell_inbox(self, inbox_id: str, result: SendResult) -> None:
        try:
            if isinstance(result, Sent):
                await self._inboxes.saw_out(inbox_id, self._clock())
                await self._inboxes.set_sending(inbox_id, "", by=ACTOR)
            elif isinstance(result, Retry) and result.refused:
                await self._inboxes.set_sending(inbox_id, result.reason, by=ACTOR)
        except DriverError as error:  # the message's own record is what counts; the inbox's is told with the next one
            log.warning("cannot write the health of an inbox", inbox_id=inbox_id, error=str(error))

    async def _outbound(self, message: Message) -> OutboundMessage:
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
        )

    # --- records -----------------------------------------------------------------------------------------------

    async def _mark(self, entries: Sequence[OutboxEntry]) -> list[BaseException | None]:
        claims = {entry.id: entry.claim for entry in entries}
        now = self._clock()

        async def work(session: Session) -> set[str]:
            held = await self._outbox.mark_sending(session, claims)
            fields = {"state": State.SENDING.value, "at": now}
            await self._conversations.set_deliveries(session, dict.fromkeys(held, fields))
            return held

        held = await self._mongo.transaction(work)
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
            known = await self._conversations.states(session, [item.entry.id for item in outcomes])
            finished: dict[str, str] = {}
            again: list[tuple[OutboxEntry, datetime]] = []
            changes: dict[str, Mapping[str, Any]] = {}
            events: list[Event] = []
            for item in outcomes:
                due_at = self._retry_at(item, now)
                if due_at is not None:
                    again.append((item.entry, due_at))
                else:
                    finished[item.entry.id] = item.entry.claim
                document = known.get(item.entry.id)
                if document is None:
                    continue
                fields = _delivery_fields(item, due_at, now)
                if may_follow(State(document["delivery"]["state"]), State(fields["state"])) or due_at is not None:
                    changes[item.entry.id] = fields
                    events.append(_state_event(item.entry, document, fields["state"], now))
            await self._outbox.settle(session, finished, again)
            await self._conversations.set_deliveries(session, changes)
            await self._flag_failed(session, known, changes)
            await self._events.append(session, events)

        await self._mongo.transaction(work)
        return [None] * len(outcomes)

    async def _flag_failed(
        self, session: Session, known: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """A message that did not leave is work: its conversation shows so, and opens again."""
        failed = {State.FAILED, State.UNCONFIRMED}
        ids = {known[key]["conversation_id"] for key, fields in changes.items() if fields["state"] in failed}
        for conversation in (await self._conversations.get_many(ids, session)).values():
            status = conversation.status if conversation.status is Status.SPAM else Status.OPEN
            await self._conversations.change(session, conversation.id, {"failed": True, "status": status.value})

    def _retry_at(self, item: _Outcome, now: datetime) -> datetime | None:
        if not isinstance(item.result, Retry) or now - item.entry.first_at > gate.RETRY_FOR:
            return None
        seconds = gate.retry_delay(item.entry.attempts, item.result.after, self._chance())
        return now + timedelta(seconds=seconds)


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
