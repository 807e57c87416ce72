"""One transaction's worth of inbound events: look up what they refer to, decide, write everything or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from channels.base import Address, ConsentChange, DeliveryUpdate, InboundMessage, MessageChange
from inbox.conversations import outgoing as out
from inbox.conversations.ingest_entry import ACTOR, as_stored, changed, entry, with_part
from inbox.conversations.ingest_lookup import (
    Arrival,
    Known,
    Stores,
    album_ref,
    auto_reply_to,
    customer_address,
    names,
    sent_elsewhere,
)
from inbox.conversations.ingest_writes import Writes
from inbox.conversations.model import (
    Conversation,
    EarlyChange,
    FileRef,
    Message,
    MessageKind,
    Ref,
    State,
    Status,
    may_follow,
    next_at,
)
from inbox.conversations.store import ref_id
from inbox.conversations.store_fetches import Fetch
from inbox.conversations.threading import (
    Candidates,
    Join,
    decide,
    participants,
    status_after,
)
from inbox.core.events import Event, EventType
from inbox.core.ids import digest, new_id
from inbox.core.mongo import Session

AUTO_REPLY_EVERY = timedelta(hours=24)
_STATES = {"accepted": State.SENT, "delivered": State.DELIVERED, "read": State.READ}
_STATES |= {"bounced": State.BOUNCED, "failed": State.FAILED}


class Group:
    """Takes in a group of arrivals within one session. Made anew for every try, as a transaction may be run again."""

    def __init__(self, stores: Stores, session: Session, now: datetime) -> None:
        self._stores = stores
        self._session = session
        self._now = now
        self._known = Known(stores, session)
        self._new = Writes(stores, session, self._known, now)
        self._earlier: Mapping[str, Mapping[str, Any]] = {}
        """Receipts of what was taken in before."""

    async def take(self, arrivals: Sequence[Arrival]) -> None:
        """Take in what has no receipt yet."""
        wanted = {key for item in arrivals for key in item.receipt_ids}
        self._earlier = await self._stores.raws.receipts(wanted, self._session)
        fresh = [item for item in arrivals if item.receipt_id not in self._earlier]
        if fresh:
            await self._known.load(fresh)
            for item in fresh:
                if item.receipt_id not in self._new.receipts:
                    self._take_one(item)
            await self._new.write()

    # --- deciding ----------------------------------------------------------------------------------------------

    def _take_one(self, item: Arrival) -> None:
        conversation_id = ""
        match item.event:
            case DeliveryUpdate():
                conversation_id = self._take_update(item, item.event)
            case MessageChange():
                conversation_id = self._take_change(item, item.event)
            case ConsentChange():
                self._new.consents.append(item.event)
            case InboundMessage() if not (item.event.from_self and self._is_ours(item, item.event)):
                conversation_id = self._take_part(item, item.event) or self._take_message(
                    item, item.event, self._join(item, item.event)
                )
        self._new.receipts[item.receipt_id] = {
            "_id": item.receipt_id,
            "raw_id": item.raw_id,
            "message_id": item.message_id,
            "conversation_id": conversation_id,
            "at": self._now,
        }

    def _is_ours(self, item: Arrival, message: InboundMessage) -> bool:
        ref = self._known.refs.get(ref_id(item.inbox.id, message.message_ref)) if message.message_ref else None
        return ref is not None and ref.outbound

    def _join(self, item: Arrival, message: InboundMessage) -> Join:
        inbox_id = item.inbox.id
        customer_id = self._known.customer_id(item, message)
        by_token = self._known.conversations.get(self._known.reply_target(message))
        refs = {name: ref for name in names(message) if (ref := self._known.refs.get(ref_id(inbox_id, name)))}
        latest = self._known.latest.get((inbox_id, customer_id or ""), "")
        chat = self._known.chats.get((inbox_id, message.thread.chat_id), "") if message.thread.chat_id else ""
        candidates = Candidates(
            by_token=by_token if by_token is not None and by_token.inbox_id == inbox_id else None,
            refs=refs,
            by_id=self._known.conversations,
            by_chat=self._known.conversations.get(chat),
            recent=self._known.conversations.get(latest),
        )
        if sent_elsewhere(item.inbox, message):  # our own words, sent from elsewhere, belong where what they answer is
            ref = next((refs[name] for name in message.thread.in_reply_to if name in refs), None)
            joined = self._known.conversations.get(ref.conversation_id) if ref else candidates.recent
            return Join(joined, "reply" if ref else "recent" if joined else "new")
        return decide(
            message,
            customer_id,
            candidates,
            now=self._now,
            reopen_days=item.inbox.reopen_days,
            threads_by_headers=item.capabilities.threads_by_headers,
        )

    def _take_message(self, item: Arrival, message: InboundMessage, join: Join) -> str:
        people = self._known.people
        customer_id, name = people.customer_of(customer_address(item.inbox, message), self._now, message.source)
        for address in message.identities:
            people.link(customer_id, address, self._now)
        is_new = join.conversation is None
        conversation = join.conversation or self._new_conversation(item, message, customer_id, name)
        at = self._now if is_new else next_at(conversation, self._now)
        added = self._with_early(entry(item, message, conversation.id, join.reason, at, self._now))
        own = sent_elsewhere(item.inbox, message)
        automatic = message.auto_reply or own
        status = conversation.status if is_new else status_after(conversation, automatic=automatic)
        stays_read = own or (automatic and not is_new and status is Status.RESOLVED)
        self._update(
            conversation,
            updated_at=at,
            status=status,
            snoozed_until=conversation.snoozed_until if status is Status.SNOOZED else None,
            excerpt=out.excerpt(added.text or _names_of_files(added) or message.subject),
            unread=conversation.unread if stays_read else True,
            last_kind=added.kind,
            has_attachments=conversation.has_attachments or any(map(_is_a_file, added.attachments)),
        )
        self._known.latest[item.inbox.id, conversation.customer_id] = conversation.id
        self._add(added)
        self._fetch_files(item, message, added)
        if message.album:
            self._refer(album_ref(item.inbox.id, message.album), added)
        self._tell(EventType.MESSAGE_RECEIVED, conversation, added.id, {"joined_by": join.reason})
        if is_new:
            self._auto_reply(item, message, conversation, added)
        return conversation.id

    def _take_part(self, item: Arrival, message: InboundMessage) -> str:
        """A further part of an album goes to its first. Answers the conversation, or nothing where it is none."""
        ref = self._known.refs.get(album_ref(item.inbox.id, message.album)) if message.album else None
        first = self._message(ref.message_id) if ref else None
        if first is None or first.sender != message.sender:
            return ""
        self._change(first, with_part(first, message, item.files))
        if message.message_ref:
            self._refer(ref_id(item.inbox.id, message.message_ref), first)
        self._fetch_files(item, message, first)
        conversation = self._update(self._known.conversations[first.conversation_id], has_attachments=True)
        self._tell(EventType.MESSAGE_CHANGED, conversation, first.id, {"change": "part"})
        return conversation.id

    def _take_change(self, item: Arrival, change: MessageChange) -> str:
        """An edit, a deletion or a reaction; one of a message nobody here has seen waits for it."""
        ref = self._known.refs.get(ref_id(item.inbox.id, change.message_ref))
        message = self._message(ref.message_id) if ref else None
        if message is None and item.capabilities.edits and change.message_ref:
            self._keep_early(item, change)
        fields = changed(message, change, self._now) if message else {}
        if message is None or not fields:
            return message.conversation_id if message else ""
        conversation = self._known.conversations[message.conversation_id]
        shown: dict[str, Any] = {}
        if change.change == "edited" and message.kind is MessageKind.IN:
            shown["unread"] = True  # what it says now nobody has read
        if "text" in fields and conversation.excerpt == out.excerpt(message.text):
            shown["excerpt"] = out.excerpt(fields["text"])
        self._change(message, fields)
        conversation = self._update(conversation, **shown)
        self._tell(EventType.MESSAGE_CHANGED, conversation, message.id, {"change": change.change})
        return conversation.id

    def _keep_early(self, item: Arrival, change: MessageChange) -> None:
        """Providers repeat what we could not take in, and by then what followed it may be in already."""
        ref = ref_id(item.inbox.id, change.message_ref)
        early = EarlyChange(id=item.receipt_id, ref=ref, at=self._now, change=change)
        self._new.early[early.id] = early
        self._known.early.setdefault(ref, []).append(early)

    def _with_early(self, added: Message) -> Message:
        """A new message with the changes that came before it."""
        for early in self._known.early.pop(ref_id(added.inbox_id, added.message_ref), []):
            added = msgspec.structs.replace(added, **changed(added, early.change, self._now))
            if self._new.early.pop(early.id, None) is None:
                self._new.early_used.append(early.id)
        return added

    def _message(self, message_id: str) -> Message | None:
        return self._new.messages.get(message_id) or self._known.changing.get(message_id)

    def _change(self, message: Message, fields: dict[str, Any]) -> None:
        after = msgspec.structs.replace(message, **fields)
        if message.id in self._new.messages:
            self._new.messages[message.id] = after
        else:
            self._known.changing[message.id] = after
            self._new.changes[message.id] = self._new.changes.get(message.id, {}) | as_stored(fields)

    def _fetch_files(self, item: Arrival, message: InboundMessage, target: Message) -> None:
        """What the provider still holds is fetched after the commit."""
        for wanted, file in zip(message.attachments, item.files, strict=False):
            if file.state == "pending":
                fetch = Fetch(
                    id=file.id,
                    inbox_id=target.inbox_id,
                    conversation_id=target.conversation_id,
                    message_id=target.id,
                    ref=wanted.ref,
                    due_at=self._now,
                    first_at=self._now,
                    leased_until=self._now,
                )
                self._new.fetches.append(fetch)

    def _new_conversation(self, item: Arrival, message: InboundMessage, customer_id: str, name: str) -> Conversation:
        conversation = Conversation(
            id=new_id(),
            number=0,
            inbox_id=item.inbox.id,
            customer_id=customer_id,
            customer_name=name,
            subject=message.subject[:500],
            status=Status.OPEN,
            created_at=self._now,
            updated_at=self._now,
            team_id=item.inbox.team_id,
            unread=not sent_elsewhere(item.inbox, message),
            chat_id=message.thread.chat_id,
        )
        self._new.created.append(conversation.id)
        self._known.conversations[conversation.id] = conversation
        if message.thread.chat_id:
            self._known.chats[item.inbox.id, message.thread.chat_id] = conversation.id
        self._tell(EventType.CONVERSATION_CREATED, conversation)
        return conversation

    def _auto_reply(self, item: Arrival, message: InboundMessage, conversation: Conversation, added: Message) -> None:
        """Answer the first message of a conversation, but no address more often than `AUTO_REPLY_EVERY` (RFC 3834)."""
        inbox, to = item.inbox, auto_reply_to(item.inbox, message)
        text = inbox.auto_reply_at(self._now)
        is_group = item.capabilities.rooms and bool(message.subject)  # its title: everybody there would read it
        if to is None or not text or is_group:
            return
        guard = f"{inbox.id} {to.key}"
        last = self._known.auto_replied.get(guard)
        if last is not None and self._now - last < AUTO_REPLY_EVERY:
            return
        self._known.auto_replied[guard] = self._now
        self._new.answered.add(guard)
        answer, queued, ref = out.outgoing(
            message_id=new_id(),
            conversation=conversation,
            inbox=inbox,
            author_id="system:auto_reply",
            sender=Address(kind=item.capabilities.address_kind, value=inbox.address, name=inbox.name),
            to=(to,),
            subject=_answer_subject(message.subject),
            text=text,
            html="",
            answered=added,
            auto_submitted=True,
            now=self._now,
        )
        self._new.messages[answer.id] = answer
        self._new.outbox.append(queued)
        self._new.refs.append(ref)
        self._tell(EventType.MESSAGE_QUEUED, conversation, answer.id)

    def _take_update(self, item: Arrival, update: DeliveryUpdate) -> str:
        """A bounce or receipt goes to the very message it is about; a notice of an unknown one is a message itself."""
        target = self._sent_message(item, update)
        notice = update.notice
        if target is None:
            return self._take_notice(item, notice, None) if notice is not None else ""
        message_id, document = target
        conversation = self._known.conversations[document["conversation_id"]]
        new = _STATES.get(update.state)
        if new is not None and self._moves(item, update, target, new):
            fields = {"state": new.value, "at": update.at or self._now, "reason": update.reason, "code": update.code}
            self._new.deliveries[message_id] = fields
            document["delivery"] = document["delivery"] | fields
            if new in (State.BOUNCED, State.FAILED):
                conversation = self._reopen(conversation)
            self._tell(EventType.MESSAGE_STATE, conversation, message_id, {"state": new.value})
        recipient = f"{item.capabilities.address_kind}:{update.recipient}"
        if any(recipient == f"{to['kind']}:{to['value']}" for name in ("to", "cc", "bcc") for to in document[name]):
            if update.state == "bounced" and update.permanent:
                self._new.bounced[recipient] = update.reason or update.code
            elif update.state in ("complained", "unsubscribed"):
                self._new.opted_out.add(recipient)
        if notice is not None:
            self._take_notice(item, notice, conversation)
        return conversation.id

    def _moves(self, item: Arrival, update: DeliveryUpdate, target: tuple[str, Mapping[str, Any]], new: State) -> bool:
        """Whether an update changes the state: not while the message waits to be sent (again), and not where it is
        about an attempt that another has followed (`ReplyService.resend` gives them references of their own)."""
        message_id, document = target
        current = State(document["delivery"]["state"])
        if current is State.QUEUED or not may_follow(current, new) or (new is State.BOUNCED and not update.permanent):
            return False
        ref = self._known.refs.get(ref_id(item.inbox.id, update.message_ref))
        return ref is None or ref.message_id != message_id or update.message_ref == document["message_ref"]

    def _take_notice(self, item: Arrival, notice: InboundMessage, conversation: Conversation | None) -> str:
        receipt_id = digest(item.inbox.id, notice.external_id)
        taken = self._new.receipts.get(receipt_id) or self._earlier.get(receipt_id)
        if taken is not None:
            return str(taken["conversation_id"])
        if conversation is None:
            conversation_id = self._take_message(item, notice, self._join(item, notice))
        else:
            conversation = self._known.conversations[conversation.id]
            at = next_at(conversation, self._now)
            added = entry(item, notice, conversation.id, "bounce", at, self._now)
            excerpt = out.excerpt(added.text)
            self._update(conversation, updated_at=at, excerpt=excerpt, last_kind=added.kind, unread=True)
            self._add(added)
            self._tell(EventType.MESSAGE_RECEIVED, conversation, added.id, {"joined_by": "bounce"})
            conversation_id = conversation.id
        self._new.receipts[receipt_id] = {"_id": receipt_id, "raw_id": item.raw_id, "message_id": item.message_id}
        self._new.receipts[receipt_id] |= {"conversation_id": conversation_id, "at": self._now}
        return conversation_id

    def _sent_message(self, item: Arrival, update: DeliveryUpdate) -> tuple[str, dict[str, Any]] | None:
        """The message an update is about: by its signed token, else by its reference and a recipient of it."""
        message_id = self._known.bounce_target(update)
        if message_id in self._known.sent and self._known.sent[message_id]["inbox_id"] == item.inbox.id:
            return message_id, self._known.sent[message_id]
        ref = self._known.refs.get(ref_id(item.inbox.id, update.message_ref)) if update.message_ref else None
        if ref is None or ref.message_id not in self._known.sent:
            return None
        recipient = f"{item.capabilities.address_kind}:{update.recipient}"
        if update.recipient and recipient not in ref.participants:
            return None
        return ref.message_id, self._known.sent[ref.message_id]

    def _reopen(self, conversation: Conversation) -> Conversation:
        status = conversation.status if conversation.status is Status.SPAM else Status.OPEN
        return self._update(conversation, status=status, snoozed_until=None, failed=True, unread=True)

    def _update(self, conversation: Conversation, **changes: Any) -> Conversation:
        current = self._known.conversations[conversation.id]
        updated = msgspec.structs.replace(current, **changes, version=current.version + 1)
        self._known.conversations[conversation.id] = updated
        self._new.changed.add(conversation.id)
        return updated

    def _add(self, added: Message) -> None:
        self._new.messages[added.id] = added
        if added.message_ref and added.sender is not None:
            self._refer(ref_id(added.inbox_id, added.message_ref), added)

    def _refer(self, key: str, message: Message) -> None:
        """Let later events find a message by a reference."""
        people = (message.sender, *message.to, *message.cc)
        ref = Ref(
            id=key,
            conversation_id=message.conversation_id,
            message_id=message.id,
            at=self._now,
            participants=participants([address.key for address in people if address is not None]),
        )
        self._new.refs.append(ref)
        self._known.refs.setdefault(ref.id, ref)

    def _tell(
        self, kind: EventType, conversation: Conversation, message_id: str = "", data: dict[str, Any] | None = None
    ) -> None:
        self._new.events.append(
            Event(
                type=kind,
                at=self._now,
                actor=ACTOR,
                inbox_id=conversation.inbox_id,
                conversation_id=conversation.id,
                customer_id=conversation.customer_id,
                message_id=message_id,
                data=data or {},
            )
        )


def _answer_subject(subject: str) -> str:
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def _is_a_file(file: FileRef) -> bool:
    """Whether it is more than a picture within the text; Apple Mail calls a PDF inline that no text refers to."""
    return not file.inline or not file.content_id


def _names_of_files(entry: Message) -> str:
    return ", ".join(file.name for file in entry.attachments if _is_a_file(file))
