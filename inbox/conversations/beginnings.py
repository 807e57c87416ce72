"""Beginning to write to somebody: a new conversation, or an answer that leaves by another inbox than the question came
in by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import msgspec

from channels.base import Address, Capabilities
from inbox.accounts.model import Actor, Agent, Permission
from inbox.accounts.service import AccountService
from inbox.conversations.composing import (
    Written,
    check_contents,
    check_window,
    checked_recipients,
    draft_id,
    goes_on,
    is_group,
    sender_of,
    signed,
)
from inbox.conversations.model import Conversation, FileRef, Message, MessageKind, Status, next_at
from inbox.conversations.outbound_writes import OutboundWrites, SentAlready
from inbox.conversations.outgoing import outgoing
from inbox.conversations.rendering import link_inline_files, to_text
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_inbound import InboundTimes
from inbox.core import html as editor
from inbox.core.clock import Clock
from inbox.core.errors import Conflict, Invalid, NotFound
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo, Session
from inbox.core.store import Counters, EventStore
from inbox.customers.service import CustomerService
from inbox.inboxes.model import Inbox
from inbox.inboxes.service import InboxService


class _Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is to leave, checked."""

    inbox: Inbox
    capabilities: Capabilities
    agent: Agent
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    html: str


class Beginnings:
    """Part of `ReplyService`; every method checks the actor's access itself.

    What is begun cannot be taken back by the undo window: a conversation without a message would stay behind.
    """

    def __init__(
        self,
        mongo: Mongo,
        store: ConversationStore,
        customers: CustomerService,
        events: EventStore,
        counters: Counters,
        files: Files,
        inboxes: InboxService,
        accounts: AccountService,
        writes: OutboundWrites,
        *,
        wake: Callable[[str], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._mongo = mongo
        self._store = store
        self._inbound = InboundTimes(mongo)
        self._customers = customers
        self._events = events
        self._counters = counters
        self._files = files
        self._inboxes = inboxes
        self._accounts = accounts
        self._writes = writes
        self._wake = wake
        self._clock = clock

    async def compose_new(self, actor: Actor, inbox_id: str, written: Written) -> Message:
        """See `ReplyService`."""
        actor.require(Permission.INBOX_REPLY)
        if (earlier := await self._writes.sent_already(actor, written)) is not None:
            return earlier
        letter = await self._checked(actor, inbox_id, written, editor.clean(written.html), ())
        message_id, numbers = new_id(), list[int]()

        async def work(session: Session) -> Message:
            await self._writes.note_key(session, actor, written, message_id)
            conversation = await self._place(session, actor, letter, numbers)
            return await self._say(session, actor, letter, conversation, message_id, ())

        return await self._carry_out(work)

    async def answer_elsewhere(
        self, actor: Actor, conversation_id: str, inbox_id: str, written: Written, *, resolve: bool
    ) -> Message:
        """See `ReplyService`."""
        actor.require(Permission.INBOX_REPLY)
        if (earlier := await self._writes.sent_already(actor, written)) is not None:
            return earlier
        asked = await self._store.get(conversation_id)
        if asked is None:
            raise NotFound("This conversation is no longer there.")
        if is_group(asked, [each.value for each in await self._customers.identities(actor, asked.customer_id)]):
            raise Invalid("This is a group: it can only be answered where it is.")
        if asked.inbox_id == inbox_id:
            raise Invalid("This conversation is in that inbox already.")
        own_id = draft_id(conversation_id, actor.id)
        draft = await self._store.draft(own_id)
        files = draft.attachments if draft else ()
        html = link_inline_files(editor.clean(written.html), files)
        written = await self._to_the_customer(actor, asked, inbox_id, written)
        letter = await self._checked(actor, inbox_id, written, html, files)
        message_id, numbers = new_id(), list[int]()
        copies = await self._copies(files, message_id)

        async def work(session: Session) -> Message:
            await self._writes.note_key(session, actor, written, message_id)
            await self._writes.use_draft(session, own_id, files)
            conversation = await self._place(session, actor, letter, numbers)
            if conversation.customer_id != asked.customer_id:
                raise Conflict("This address belongs to another customer by now. Look at it once more.")
            await self._link(session, actor, asked, conversation, resolve=resolve)
            return await self._say(session, actor, letter, conversation, message_id, copies)

        message = await self._carry_out(work)
        for file in files:  # the message has its own
            await self._files.delete(file.id)
        return message

    # --- private -----------------------------------------------------------------------------------------------

    async def _checked(
        self, actor: Actor, inbox_id: str, written: Written, html: str, files: tuple[FileRef, ...]
    ) -> _Letter:
        inbox = await self._inboxes.get(inbox_id)
        capabilities = (await self._inboxes.adapter(inbox_id)).capabilities
        agent = await self._accounts.agent(actor.id)
        to, cc, bcc = checked_recipients(written, capabilities)
        check_contents(html, len(files), capabilities)
        if capabilities.subjects and not written.subject.strip():
            raise Invalid("The message was not sent.", fields={"subject": "Say what it is about."})
        return _Letter(
            inbox=inbox,
            capabilities=capabilities,
            agent=agent,
            to=to,
            cc=cc,
            bcc=bcc,
            subject=written.subject.strip()[:500] if capabilities.subjects else "",
            html=signed(html, agent, inbox, capabilities),
        )

    async def _to_the_customer(self, actor: Actor, asked: Conversation, inbox_id: str, written: Written) -> Written:
        """The same to one of the customer's own addresses and nobody else."""
        inbox = await self._inboxes.get(inbox_id)
        kind = self._inboxes.channel(inbox.channel).capabilities.address_kind
        own = {
            each.id: Address(kind, each.value, each.name)
            for each in await self._customers.identities(actor, asked.customer_id)
            if each.kind == kind
        }
        if not written.to and len(own) == 1:
            return msgspec.structs.replace(written, to=tuple(own.values()), cc=(), bcc=())
        if len(written.to) != 1 or written.to[0].key not in own:
            raise Invalid("The message was not sent.", fields={"to": "Choose one of this customer's addresses."})
        return msgspec.structs.replace(written, to=(own[written.to[0].key],), cc=(), bcc=())

    async def _copies(self, files: tuple[FileRef, ...], owner: str) -> tuple[FileRef, ...]:
        """The draft's files as the message's own: the draft is of another conversation."""
        copies = []
        for file in files:
            stored = await self._files.put(
                self._files.stream(file.id), name=file.name, media_type=file.media_type, owner=owner
            )
            copies.append(msgspec.structs.replace(file, id=stored.id))
        return tuple(copies)

    async def _place(self, session: Session, actor: Actor, letter: _Letter, numbers: list[int]) -> Conversation:
        """The conversation it goes to: theirs that goes on, else a new one. `numbers` keeps its number over retries."""
        now, inbox = self._clock(), letter.inbox
        people = self._customers.people(session)
        await people.load([letter.to[0].key])
        customer_id, name = people.customer_of(letter.to[0], now)
        await people.save()
        chat_id = letter.to[0].value if letter.capabilities.rooms else ""
        if chat_id:  # between the two of us: the customer's answer comes into it by its name
            talk = (await self._store.by_chat(session, inbox.id, [chat_id])).get(chat_id)
            if talk is not None:
                check_window(letter.capabilities, await self._inbound.last(talk.id, session), now)
                return talk
        latest = (await self._store.latest_of(session, inbox.id, [customer_id])).get(customer_id)
        if latest is not None and goes_on(latest, inbox, letter.capabilities, now):
            check_window(letter.capabilities, await self._inbound.last(latest.id, session), now)
            return latest
        check_window(letter.capabilities, None, now)
        if not numbers:
            numbers += await self._counters.take("conversation")
        conversation = Conversation(
            id=new_id(),
            number=numbers[0],
            inbox_id=inbox.id,
            customer_id=customer_id,
            customer_name=name,
            subject=letter.subject,
            status=Status.OPEN,
            created_at=now,
            updated_at=now,
            assignee_id=actor.id,
            team_id=inbox.team_id,
            unread=False,
            last_kind=MessageKind.OUT,
            chat_id=chat_id,
        )
        await self._store.insert(session, [conversation])
        created = [
            Event(type=EventType.CUSTOMER_CREATED, at=now, actor=actor.id, customer_id=customer.id)
            for customer in people.created
        ]
        created.append(self._writes.event(EventType.CONVERSATION_CREATED, actor, conversation))
        await self._events.append(session, created)
        return conversation

    async def _say(
        self,
        session: Session,
        actor: Actor,
        letter: _Letter,
        conversation: Conversation,
        message_id: str,
        files: tuple[FileRef, ...],
    ) -> Message:
        message, entry, ref = outgoing(
            message_id=message_id,
            conversation=conversation,
            inbox=letter.inbox,
            author_id=actor.id,
            sender=sender_of(letter.agent, letter.inbox, letter.capabilities),
            to=letter.to,
            cc=letter.cc,
            bcc=letter.bcc,
            subject=letter.subject,
            text=to_text(letter.html),
            html=letter.html if letter.capabilities.supports_html else "",
            attachments=files,
            now=self._clock(),
        )
        changes: dict[str, Any] = {"status": Status.OPEN.value, "snoozed_until": None, "unread": False}
        if not conversation.assignee_id:
            changes["assignee_id"] = actor.id
        return await self._writes.queue(session, actor, conversation, message, entry, ref, changes)

    async def _link(
        self, session: Session, actor: Actor, asked: Conversation, answer: Conversation, *, resolve: bool
    ) -> None:
        """A line in each that leads to the other."""
        now = self._clock() - timedelta(milliseconds=1)  # before the answer itself
        changes: dict[str, Any] = {"unread": False}
        if not asked.assignee_id:
            changes["assignee_id"] = actor.id
        if resolve:
            changes |= {"status": Status.RESOLVED.value, "snoozed_until": None}
        for here, there, name in ((asked, answer, "answered_in"), (answer, asked, "answers")):
            line = Message(
                id=new_id(),
                conversation_id=here.id,
                inbox_id=here.inbox_id,
                kind=MessageKind.SYSTEM,
                at=next_at(here, now) if here is asked else now,
                author_id=actor.id,
                data={name: there.id, "number": there.number, "inbox_id": there.inbox_id},
            )
            await self._store.add_messages(session, [line])
            changed = await self._store.change(session, here.id, changes if here is asked else {})
            if changed is None:
                raise NotFound("This conversation is no longer there.")
            event = self._writes.event(EventType.CONVERSATION_CHANGED, actor, changed, line.id)
            await self._events.append(session, [event])

    async def _carry_out(self, work: Callable[[Session], Coroutine[Any, Any, Message]]) -> Message:
        try:
            message = await self._mongo.transaction(work)
        except SentAlready as earlier:
            return earlier.message
        await self._wake(message.id)
        return message
