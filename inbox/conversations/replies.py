"""Sending: replies with an undo window, notes, sending again, new conversations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from inbox.accounts.model import Actor, Permission
from inbox.accounts.service import AccountService
from inbox.conversations.composing import (
    Written,
    checked_recipients,
    draft_id,
    reply_subject,
    sender_of,
    signed,
    taken_back,
)
from inbox.conversations.model import (
    Conversation,
    Delivery,
    Draft,
    FileRef,
    Message,
    MessageKind,
    Ref,
    State,
    Status,
    next_at,
)
from inbox.conversations.outgoing import excerpt, message_ref, outgoing
from inbox.conversations.rendering import is_blank, link_inline_files, quoted, to_text
from inbox.conversations.store import ConversationStore, ref_id
from inbox.conversations.store_outbox import OutboxEntry, OutboxStore
from inbox.conversations.threading import participants
from inbox.core import html as editor
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Conflict, Invalid, NotFound
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.ids import digest, new_id
from inbox.core.mongo import Mongo, Session, to_value
from inbox.core.store import Counters, EventStore
from inbox.customers.service import CustomerService
from inbox.inboxes.service import InboxService

_MAY_RESEND = (State.FAILED, State.BOUNCED, State.UNCONFIRMED)

Headline = Callable[[Message], str]
"""Says "On <date>, <name> wrote:" in the agent's language."""


class _SentAlready(Exception):
    """The composer sent this before."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.id)
        self.message = message


class ReplyService:
    """What an agent writes. Every method checks the actor's access itself."""

    def __init__(
        self,
        mongo: Mongo,
        store: ConversationStore,
        outbox: OutboxStore,
        customers: CustomerService,
        events: EventStore,
        counters: Counters,
        files: Files,
        inboxes: InboxService,
        accounts: AccountService,
        *,
        undo_seconds: int,
        wake: Callable[[str], Awaitable[None]],
        clock: Clock = utcnow,
    ) -> None:
        self._mongo = mongo
        self._store = store
        self._outbox = outbox
        self._customers = customers
        self._events = events
        self._counters = counters
        self._files = files
        self._inboxes = inboxes
        self._accounts = accounts
        self.undo_seconds = undo_seconds
        self._wake = wake
        self._clock = clock

    # --- sending -----------------------------------------------------------------------------------------------

    async def send(
        self, actor: Actor, conversation_id: str, written: Written, *, headline: Headline, resolve: bool = False
    ) -> Message:
        """Queue a reply with the draft's files, or add a note; the draft is gone in the same transaction.

        Raises `Invalid` by field for an empty text or recipients this channel cannot reach.
        """
        actor.require(Permission.INBOX_REPLY)
        conversation = await self._conversation(conversation_id)
        if (earlier := await self._sent_already(actor, written)) is not None:
            return earlier
        own_id = draft_id(conversation_id, actor.id)
        draft = await self._store.draft(own_id)
        files = draft.attachments if draft else ()
        html = link_inline_files(editor.clean(written.html), files)
        if is_blank(html) and not files:
            raise Invalid("There is nothing to send yet.", fields={"html": "Write something first."})
        if written.mode == "note":
            return await self._add_note(actor, conversation, written, html, files)
        agent = await self._accounts.agent(actor.id)
        inbox = await self._inboxes.get(conversation.inbox_id)
        capabilities = (await self._inboxes.adapter(inbox.id)).capabilities
        to, cc, bcc = checked_recipients(written, capabilities)
        answered = await self._store.answerable(conversation_id)
        history = quoted(answered, headline(answered)) if answered and written.mode != "forward" else ("", "")
        now, message_id = self._clock(), new_id()
        shown = signed(html, agent, inbox)
        message, entry, ref = outgoing(
            message_id=message_id,
            conversation=conversation,
            inbox=inbox,
            author_id=actor.id,
            sender=sender_of(agent, inbox, capabilities),
            to=to,
            cc=cc,
            bcc=bcc,
            subject=written.subject.strip()[:500] or reply_subject(written.mode, conversation.subject),
            text=to_text(shown),
            html=shown,
            attachments=files,
            answered=answered,
            forward=written.mode == "forward",
            now=now,
            undo_seconds=self.undo_seconds,
        )
        message = msgspec.structs.replace(message, quoted_text=history[0], quoted_html=history[1])
        changes: dict[str, Any] = {"unread": False}
        if not conversation.assignee_id:
            changes["assignee_id"] = actor.id
        if resolve:
            changes |= {"status": Status.RESOLVED.value, "snoozed_until": None}

        async def work(session: Session) -> Message:
            await self._note_key(session, actor, written, message_id)
            await self._use_draft(session, own_id, files)
            return await self._queue(session, actor, conversation, message, entry, ref, changes)

        try:
            queued = await self._mongo.transaction(work)
        except _SentAlready as earlier_one:
            return earlier_one.message
        if not self.undo_seconds:
            await self._wake(message_id)
        return queued

    async def undo_send(self, actor: Actor, message_id: str) -> Draft:
        """Take back a message that has not left; it is a draft again, with what was begun since.

        Raises `Conflict` where it is too late.
        """
        actor.require(Permission.INBOX_REPLY)
        message = await self._store.message(message_id)
        if message is None or message.author_id != actor.id:
            raise NotFound("This message is no longer there.")
        own_id = draft_id(message.conversation_id, actor.id)

        async def work(session: Session) -> Draft:
            if not await self._outbox.withdraw(session, message_id, self._clock(), message.at):
                raise Conflict("It is too late: the message has left.")
            await self._store.remove_message(session, message)
            begun = await self._store.draft(own_id, session)
            draft = taken_back(message, own_id, begun, self._clock())
            await self._store.replace_draft(session, draft)
            changed = await self._after_removal(session, message.conversation_id)
            await self._events.append(
                session, [self._event(EventType.MESSAGE_STATE, actor, changed, message_id, "undone")]
            )
            return draft

        return await self._mongo.transaction(work)

    async def resend(self, actor: Actor, message_id: str) -> Message:
        """Send a failed, bounced or unconfirmed message again, because a person asks for it.

        What was refused goes under a new reference; what may have arrived keeps its own, so that the recipient's
        mail server can tell a copy. Raises `Conflict` for a message in another state.
        """
        actor.require(Permission.INBOX_REPLY)
        message = await self._store.message(message_id)
        if message is None or message.delivery is None:
            raise NotFound("This message is no longer there.")
        before = message.delivery
        if before.state not in _MAY_RESEND:
            raise Conflict("This message is on its way or has arrived.")
        inbox = await self._inboxes.get(message.inbox_id)
        now = self._clock()
        reference = message.message_ref
        if before.state is not State.UNCONFIRMED:
            reference = message_ref(inbox, message.id, attempt=before.attempts + 1)
        delivery = Delivery(state=State.QUEUED, at=now, attempts=before.attempts, due_at=now)
        again = msgspec.structs.replace(message, message_ref=reference, delivery=delivery)
        entry = OutboxEntry(
            id=message.id, inbox_id=inbox.id, due_at=now, attempts=before.attempts, first_at=now, leased_until=now
        )
        ref = Ref(
            id=ref_id(inbox.id, reference),
            conversation_id=message.conversation_id,
            message_id=message.id,
            at=now,
            participants=participants([address.key for address in (*message.to, *message.cc, *message.bcc)]),
            outbound=True,
        )

        async def work(session: Session) -> None:
            current = await self._store.message(message_id, session)
            if current is None or current.delivery != before:
                raise Conflict("Somebody else is sending this message already.")
            changes = {"message_ref": reference, "delivery": to_value(delivery)}
            await self._store.update_message(session, message_id, changes)
            await self._store.add_refs(session, [ref])
            await self._outbox.add(session, [entry])
            changed = await self._store.change(session, message.conversation_id, {"failed": False})
            await self._events.append(session, [self._event(EventType.MESSAGE_QUEUED, actor, changed, message_id)])

        await self._mongo.transaction(work)
        await self._wake(message_id)
        return again

    async def compose_new(self, actor: Actor, inbox_id: str, written: Written) -> Message:
        """Begin a conversation with the first recipient. Raises `Invalid` by field."""
        actor.require(Permission.INBOX_REPLY)
        inbox = await self._inboxes.get(inbox_id)
        capabilities = (await self._inboxes.adapter(inbox_id)).capabilities
        agent = await self._accounts.agent(actor.id)
        if (earlier := await self._sent_already(actor, written)) is not None:
            return earlier
        to, cc, bcc = checked_recipients(written, capabilities)
        html = editor.clean(written.html)
        if is_blank(html):
            raise Invalid("There is nothing to send yet.", fields={"html": "Write something first."})
        if capabilities.subjects and not written.subject.strip():
            raise Invalid("The message was not sent.", fields={"subject": "Say what it is about."})
        now, message_id = self._clock(), new_id()
        number = (await self._counters.take("conversation"))[0]
        shown = signed(html, agent, inbox)

        async def work(session: Session) -> Message:
            people = self._customers.people(session)
            await people.load([to[0].key])
            customer_id, name = people.customer_of(to[0], now)
            conversation = Conversation(
                id=new_id(),
                number=number,
                inbox_id=inbox_id,
                customer_id=customer_id,
                customer_name=name,
                subject=written.subject.strip()[:500],
                status=Status.OPEN,
                created_at=now,
                updated_at=now,
                assignee_id=actor.id,
                team_id=inbox.team_id,
                unread=False,
                last_kind=MessageKind.OUT,
            )
            message, entry, ref = outgoing(
                message_id=message_id,
                conversation=conversation,
                inbox=inbox,
                author_id=actor.id,
                sender=sender_of(agent, inbox, capabilities),
                to=to,
                cc=cc,
                bcc=bcc,
                subject=conversation.subject,
                text=to_text(shown),
                html=shown,
                now=now,
                undo_seconds=0,
            )
            await self._note_key(session, actor, written, message_id)
            await people.save()
            await self._store.insert(session, [conversation])
            message = await self._queue(session, actor, conversation, message, entry, ref, {})
            created = [
                Event(type=EventType.CUSTOMER_CREATED, at=now, actor=actor.id, customer_id=customer.id)
                for customer in people.created
            ]
            created.append(self._event(EventType.CONVERSATION_CREATED, actor, conversation))
            await self._events.append(session, created)
            return message

        try:
            message = await self._mongo.transaction(work)
        except _SentAlready as earlier_one:
            return earlier_one.message
        await self._wake(message.id)
        return message

    # --- private -----------------------------------------------------------------------------------------------

    async def _conversation(self, conversation_id: str) -> Conversation:
        conversation = await self._store.get(conversation_id)
        if conversation is None:
            raise NotFound("This conversation is no longer there.")
        return conversation

    async def _sent_already(self, actor: Actor, written: Written) -> Message | None:
        """What this composer sent before under the same key."""
        message_id = await self._store.sent_by_key(digest(actor.id, written.key)) if written.key else ""
        return await self._store.message(message_id) if message_id else None

    async def _note_key(self, session: Session, actor: Actor, written: Written, message_id: str) -> None:
        if not written.key:
            return
        key = digest(actor.id, written.key)
        if not await self._store.take_send_key(session, key, message_id, self._clock()):
            earlier = await self._sent_already(actor, written)
            if earlier is None:
                raise Conflict("This was taken back at this very moment. Look at it once more, then send it.")
            raise _SentAlready(earlier)

    async def _use_draft(self, session: Session, own_id: str, files: tuple[FileRef, ...]) -> None:
        """The draft is gone, and has the files that are sent. Raises `Conflict` where another tab changed them."""
        draft = await self._store.draft(own_id, session)
        if (draft.attachments if draft else ()) != files:
            raise Conflict("The files of this draft were changed meanwhile. Look at them once more, then send it.")
        await self._store.delete_draft(own_id, session)

    async def _queue(
        self,
        session: Session,
        actor: Actor,
        seen: Conversation,
        message: Message,
        entry: OutboxEntry,
        ref: Ref,
        changes: dict[str, Any],
    ) -> Message:
        """Write an outbound message with everything that goes with it; what came in after `seen` stays to be seen."""
        current = await self._store.get(seen.id, session)
        if current is None:
            raise NotFound("This conversation is no longer there.")
        if current.updated_at != seen.updated_at and current.last_kind is MessageKind.IN:
            changes = {name: value for name, value in changes.items() if name == "assignee_id"}
        at = next_at(current, message.at)
        message = msgspec.structs.replace(message, at=at)
        await self._store.add_messages(session, [message])
        await self._store.add_refs(session, [ref])
        await self._outbox.add(session, [msgspec.structs.replace(entry, first_at=at)])
        summary = {
            "updated_at": at,
            "excerpt": excerpt(message.text or message.subject),
            "last_kind": MessageKind.OUT.value,
        }
        changed = await self._store.change(session, seen.id, changes | summary)
        await self._events.append(session, [self._event(EventType.MESSAGE_QUEUED, actor, changed, message.id)])
        return message

    async def _add_note(
        self, actor: Actor, conversation: Conversation, written: Written, html: str, files: tuple[FileRef, ...]
    ) -> Message:
        now = self._clock()
        note = Message(
            id=new_id(),
            conversation_id=conversation.id,
            inbox_id=conversation.inbox_id,
            kind=MessageKind.NOTE,
            at=now,
            author_id=actor.id,
            text=to_text(html),
            html=html,
            attachments=files,
        )

        async def work(session: Session) -> None:
            await self._note_key(session, actor, written, note.id)
            await self._use_draft(session, draft_id(conversation.id, actor.id), files)
            await self._store.add_messages(session, [note])
            changed = await self._store.change(session, conversation.id, {})
            await self._events.append(session, [self._event(EventType.NOTE_ADDED, actor, changed, note.id)])

        try:
            await self._mongo.transaction(work)
        except _SentAlready as earlier:
            return earlier.message
        return note

    async def _after_removal(self, session: Session, conversation_id: str) -> Conversation | None:
        """The list shows the newest message that is left."""
        last = await self._store.last_message(conversation_id, session)
        changes: dict[str, Any] = {}
        if last is not None:
            text = excerpt(last.text or last.subject)
            changes = {"updated_at": last.at, "excerpt": text, "last_kind": last.kind.value}
        return await self._store.change(session, conversation_id, changes)

    def _event(
        self, kind: EventType, actor: Actor, conversation: Conversation | None, message_id: str = "", state: str = ""
    ) -> Event:
        return Event(
            type=kind,
            at=self._clock(),
            actor=actor.id,
            inbox_id=conversation.inbox_id if conversation else "",
            conversation_id=conversation.id if conversation else "",
            customer_id=conversation.customer_id if conversation else "",
            message_id=message_id,
            data={"state": state} if state else {},
        )
