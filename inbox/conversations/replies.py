"""Sending: replies with an undo window, notes, sending again, new conversations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from channels.base import Address, Capabilities
from inbox.accounts.model import Actor, Permission
from inbox.accounts.service import AccountService
from inbox.conversations.beginnings import Beginnings
from inbox.conversations.composing import (
    Written,
    check_contents,
    check_window,
    checked_recipients,
    draft_id,
    recipients,
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
)
from inbox.conversations.outbound_writes import OutboundWrites, SentAlready
from inbox.conversations.outgoing import excerpt, message_ref, outgoing
from inbox.conversations.outlooks import Outlook, Outlooks
from inbox.conversations.rendering import is_blank, link_inline_files, quoted, to_text
from inbox.conversations.store import ConversationStore, ref_id
from inbox.conversations.store_inbound import InboundTimes
from inbox.conversations.store_outbox import OutboxEntry, OutboxStore
from inbox.conversations.threading import participants
from inbox.core import html as editor
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Conflict, Invalid, NotFound
from inbox.core.events import EventType
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo, Session, to_value
from inbox.core.store import Counters, EventStore
from inbox.customers.service import CustomerService
from inbox.inboxes.model import Inbox
from inbox.inboxes.service import InboxService

_MAY_RESEND = (State.FAILED, State.BOUNCED, State.UNCONFIRMED)

Headline = Callable[[Message], str]
"""Says "On <date>, <name> wrote:" in the agent's language."""


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
        self._writes = OutboundWrites(store, outbox, events, clock)
        self._inbound = InboundTimes(mongo)
        self._outlooks = Outlooks(store, self._inbound, inboxes, customers, clock)
        self._beginnings = Beginnings(
            mongo, store, customers, events, counters, files, inboxes, accounts, self._writes, wake=wake, clock=clock
        )

    # --- sending -----------------------------------------------------------------------------------------------

    async def send(
        self, actor: Actor, conversation_id: str, written: Written, *, headline: Headline, resolve: bool = False
    ) -> Message:
        """Queue a reply with the draft's files, or add a note; the draft is gone in the same transaction.

        Raises `Invalid` by field for an empty text or recipients this channel cannot reach.
        """
        actor.require(Permission.INBOX_REPLY)
        conversation = await self._conversation(conversation_id)
        if (earlier := await self._writes.sent_already(actor, written)) is not None:
            return earlier
        own_id = draft_id(conversation_id, actor.id)
        draft = await self._store.draft(own_id)
        files = draft.attachments if draft else ()
        html = link_inline_files(editor.clean(written.html), files)
        if written.mode == "note":
            if is_blank(html) and not files:
                raise Invalid("There is nothing to send yet.", fields={"html": "Write something first."})
            return await self._add_note(actor, conversation, written, html, files)
        agent = await self._accounts.agent(actor.id)
        inbox = await self._inboxes.get(conversation.inbox_id)
        capabilities = (await self._inboxes.adapter(inbox.id)).capabilities
        check_contents(html, len(files), capabilities)
        answered = await self._store.answerable(conversation_id)
        now, message_id = self._clock(), new_id()
        if capabilities.window_hours is not None:
            check_window(capabilities, await self._inbound.last(conversation_id), now)
        to, cc, bcc = await self._recipients(actor, conversation, written, inbox, capabilities, answered)
        subject = written.subject.strip()[:500] or reply_subject(written.mode, conversation.subject)
        shown = signed(html, agent, inbox, capabilities)
        message, entry, ref = outgoing(
            message_id=message_id,
            conversation=conversation,
            inbox=inbox,
            author_id=actor.id,
            sender=sender_of(agent, inbox, capabilities),
            to=to,
            cc=cc,
            bcc=bcc,
            subject=subject if capabilities.subjects else "",
            text=to_text(shown),
            html=shown if capabilities.supports_html else "",
            attachments=files,
            answered=answered,
            forward=written.mode == "forward",
            now=now,
            undo_seconds=self.undo_seconds,
        )
        if answered and capabilities.threads_by_headers and written.mode != "forward":
            text, quote = quoted(answered, headline(answered))
            message = msgspec.structs.replace(message, quoted_text=text, quoted_html=quote)
        changes: dict[str, Any] = {"unread": False}
        if not conversation.assignee_id:
            changes["assignee_id"] = actor.id
        if resolve:
            changes |= {"status": Status.RESOLVED.value, "snoozed_until": None}

        async def work(session: Session) -> Message:
            await self._writes.note_key(session, actor, written, message_id)
            await self._writes.use_draft(session, own_id, files)
            return await self._writes.queue(session, actor, conversation, message, entry, ref, changes)

        try:
            queued = await self._mongo.transaction(work)
        except SentAlready as earlier_one:
            return earlier_one.message
        if not self.undo_seconds:
            await self._wake(message_id)
        return queued

    async def compose_new(self, actor: Actor, inbox_id: str, written: Written) -> Message:
        """Begin a conversation with the first recipient, or go on with theirs where the channel has one for each
        person. Raises `Invalid` by field."""
        return await self._beginnings.compose_new(actor, inbox_id, written)

    async def answer_elsewhere(
        self, actor: Actor, conversation_id: str, inbox_id: str, written: Written, *, resolve: bool = False
    ) -> Message:
        """Answer a conversation's customer from another inbox, with the draft's files; both say so in a line.

        `Written.to` is one of the customer's addresses, or empty where there is one. Raises `Invalid` by field.
        """
        return await self._beginnings.answer_elsewhere(actor, conversation_id, inbox_id, written, resolve=resolve)

    async def outlook(self, actor: Actor, conversation_id: str, inbox_id: str = "") -> Outlook:
        """What to know before writing in a conversation, from its own inbox or another. Raises `NotFound`."""
        return await self._outlooks.outlook(actor, conversation_id, inbox_id)

    async def senders(self, actor: Actor) -> list[Inbox]:
        """The inboxes that can send now."""
        return await self._outlooks.senders(actor)

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
                session, [self._writes.event(EventType.MESSAGE_STATE, actor, changed, message_id, "undone")]
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
            await self._events.append(
                session, [self._writes.event(EventType.MESSAGE_QUEUED, actor, changed, message_id)]
            )

        await self._mongo.transaction(work)
        await self._wake(message_id)
        return again

    # --- private -----------------------------------------------------------------------------------------------

    async def _conversation(self, conversation_id: str) -> Conversation:
        conversation = await self._store.get(conversation_id)
        if conversation is None:
            raise NotFound("This conversation is no longer there.")
        return conversation

    async def _recipients(
        self,
        actor: Actor,
        conversation: Conversation,
        written: Written,
        inbox: Inbox,
        capabilities: Capabilities,
        answered: Message | None,
    ) -> tuple[tuple[Address, ...], tuple[Address, ...], tuple[Address, ...]]:
        """Who it goes to: the room alone, whoever the agent named, else whom an answer goes to. Raises `Invalid`."""
        if conversation.chat_id or (not written.to and not capabilities.copies):
            named = () if conversation.chat_id else recipients("reply", answered, inbox)[0]
            named = named or await self._outlooks.only_address(actor, conversation, capabilities)
            written = msgspec.structs.replace(written, to=named, cc=(), bcc=())
        if written.mode != "reply" and not capabilities.copies:
            raise Invalid("This channel only has plain answers.")
        return checked_recipients(written, capabilities, room=bool(conversation.chat_id))

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
            await self._writes.note_key(session, actor, written, note.id)
            await self._writes.use_draft(session, draft_id(conversation.id, actor.id), files)
            await self._store.add_messages(session, [note])
            changed = await self._store.change(session, conversation.id, {})
            await self._events.append(session, [self._writes.event(EventType.NOTE_ADDED, actor, changed, note.id)])

        try:
            await self._mongo.transaction(work)
        except SentAlready as earlier:
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
