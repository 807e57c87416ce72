"""What an agent does with conversations, besides writing in them (`replies.py`): find, read, sort, settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from inbox.accounts.model import Actor, Permission
from inbox.accounts.service import AccountService
from inbox.conversations.model import (
    Conversation,
    Counts,
    FileRef,
    Message,
    MessageKind,
    Opened,
    Page,
    Priority,
    Status,
    View,
)
from inbox.conversations.paging import decode_cursor, encode_cursor
from inbox.conversations.rendering import frame_document
from inbox.conversations.store import ConversationStore
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Invalid, NotFound
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo, Session
from inbox.core.store import EventStore
from inbox.inboxes.service import InboxService

LONGEST_LABEL = 40
MOST_LABELS = 20
COUNTS_SECONDS = 1.0
_LONGEST_PAGE = 100


class ConversationService:
    """The shared inbox. Every method checks the actor's access itself."""

    def __init__(
        self,
        mongo: Mongo,
        store: ConversationStore,
        events: EventStore,
        files: Files,
        inboxes: InboxService,
        accounts: AccountService,
        clock: Clock = utcnow,
    ) -> None:
        self._mongo = mongo
        self._store = store
        self._events = events
        self._files = files
        self._inboxes = inboxes
        self._accounts = accounts
        self._clock = clock
        self._counts: dict[str, tuple[float, asyncio.Task[Counts]]] = {}

    # --- reading -----------------------------------------------------------------------------------------------

    async def page(self, actor: Actor, view: View, cursor: str = "", limit: int = 50) -> Page:
        """One page of a view, the latest first. Raises `Invalid` for a broken cursor."""
        actor.require(Permission.INBOX_READ)
        limit = max(1, min(limit, _LONGEST_PAGE))
        items = await self._store.page(view, actor.id, decode_cursor(cursor), limit + 1)
        more = len(items) > limit
        items = items[:limit]
        following = encode_cursor(items[-1].updated_at, items[-1].id) if more else ""
        return Page(items=tuple(items), next=following)

    async def counts(self, actor: Actor) -> Counts:
        """Open conversations per view; at most a second old, counted once for all who ask meanwhile."""
        actor.require(Permission.INBOX_READ)
        shared, own = await asyncio.gather(self._counted(""), self._counted(actor.id))
        return Counts(total=shared.total | own.total, unread=shared.unread | own.unread)

    async def row(self, actor: Actor, conversation_id: str) -> Conversation:
        """One conversation. Raises `NotFound`."""
        actor.require(Permission.INBOX_READ)
        return await self._get(conversation_id)

    async def open(self, actor: Actor, conversation_id: str, *, before: str = "", limit: int = 50) -> Opened:
        """A conversation with the newest messages before a cursor; does not mark it read. Raises `NotFound`."""
        actor.require(Permission.INBOX_READ)
        conversation, messages = await asyncio.gather(
            self._get(conversation_id), self._store.thread(conversation_id, decode_cursor(before), limit + 1)
        )
        earlier = ""
        if len(messages) > limit:
            messages = messages[-limit:]
            earlier = encode_cursor(messages[0].at, messages[0].id)
        return Opened(conversation=conversation, messages=tuple(messages), earlier=earlier)

    async def message(self, actor: Actor, message_id: str) -> Message:
        """One message. Raises `NotFound`."""
        actor.require(Permission.INBOX_READ)
        message = await self._store.message(message_id)
        if message is None:
            raise NotFound("This message is no longer there.")
        return message

    async def html_document(self, actor: Actor, message_id: str, *, images: bool) -> str:
        """The document of the sandboxed frame that shows a message; remote pictures only where asked for."""
        return frame_document(await self.message(actor, message_id), images=images)

    async def file(
        self, actor: Actor, owner_id: str, file_id: str, start: int = 0, end: int | None = None
    ) -> tuple[FileRef, AsyncIterator[bytes]]:
        """A file of a message, or of the actor's own draft, and its bytes from `start` to before `end` in chunks.

        Raises `NotFound`.
        """
        actor.require(Permission.INBOX_READ)
        files: Sequence[FileRef] = ()
        message = await self._store.message(owner_id)
        if message is not None:
            files = message.attachments
        elif owner_id.endswith(f":{actor.id}"):
            draft = await self._store.draft(owner_id)
            files = draft.attachments if draft else ()
        found = next((file for file in files if file.id == file_id), None)
        if found is None or found.state:
            raise NotFound("This file is no longer there.")
        return found, self._files.stream(file_id, start, end)

    async def customer_conversations(self, actor: Actor, customer_id: str, limit: int = 20) -> list[Conversation]:
        """A customer's conversations, the latest first."""
        actor.require(Permission.INBOX_READ)
        return await self._store.of_customer(customer_id, limit)

    async def labels(self, actor: Actor) -> list[str]:
        """Every label in use."""
        actor.require(Permission.INBOX_READ)
        return await self._store.labels()

    # --- changes -----------------------------------------------------------------------------------------------

    async def mark_read(self, actor: Actor, conversation_id: str) -> Conversation:
        """Note that somebody has seen it; readers who may not reply leave it unread for those who may."""
        actor.require(Permission.INBOX_READ)
        conversation = await self._get(conversation_id)
        if not conversation.unread or not actor.may(Permission.INBOX_REPLY):
            return conversation
        return await self._change(actor, conversation_id, {"unread": False}, silent=True)

    async def mark_unread(self, actor: Actor, conversation_id: str) -> Conversation:
        """Show it as new again."""
        return await self._change(actor, conversation_id, {"unread": True}, silent=True)

    async def assign(self, actor: Actor, conversation_id: str, agent_id: str) -> Conversation:
        """Give it to an agent, or to nobody with an empty id. Raises `Invalid` for one who cannot answer it."""
        actor.require(Permission.INBOX_REPLY)
        if agent_id:
            agent = await self._accounts.agent(agent_id)
            if not agent.active or not agent.actor.may(Permission.INBOX_REPLY):
                raise Invalid("%(name)s cannot answer conversations.", name=agent.name)
        return await self._change(actor, conversation_id, {"assignee_id": agent_id})

    async def set_status(
        self, actor: Actor, conversation_id: str, status: Status, snoozed_until: datetime | None = None
    ) -> Conversation:
        """Open, wait, snooze until a moment, resolve, or call it spam. Raises `Invalid` for a moment in the past."""
        actor.require(Permission.INBOX_REPLY)
        if status is Status.SNOOZED and (snoozed_until is None or snoozed_until <= self._clock()):
            raise Invalid("Choose a time in the future.")
        until = snoozed_until if status is Status.SNOOZED else None
        return await self._change(actor, conversation_id, {"status": status.value, "snoozed_until": until})

    async def set_priority(self, actor: Actor, conversation_id: str, priority: Priority) -> Conversation:
        """How urgent it is."""
        return await self._change(actor, conversation_id, {"priority": priority.value})

    async def set_team(self, actor: Actor, conversation_id: str, team_id: str) -> Conversation:
        """Give it to a team, or to none with an empty id."""
        actor.require(Permission.INBOX_REPLY)
        if team_id and team_id not in {team.id for team in await self._accounts.teams()}:
            raise Invalid("This team is no longer there.")
        return await self._change(actor, conversation_id, {"team_id": team_id})

    async def label(self, actor: Actor, conversation_id: str, name: str) -> Conversation:
        """Add a label. Raises `Invalid` for an empty or a very long one, or one too many."""
        actor.require(Permission.INBOX_REPLY)
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_LABEL:
            raise Invalid("A label has 1 to %(most)d characters.", most=LONGEST_LABEL)
        if len((await self._get(conversation_id)).labels) >= MOST_LABELS:
            raise Invalid("A conversation has at most %(most)d labels.", most=MOST_LABELS)
        return await self._change(actor, conversation_id, {}, add_label=name)

    async def unlabel(self, actor: Actor, conversation_id: str, name: str) -> Conversation:
        """Remove a label."""
        return await self._change(actor, conversation_id, {}, remove_label=name)

    async def dismiss_failure(self, actor: Actor, conversation_id: str) -> Conversation:
        """Somebody has dealt with what failed in it."""
        return await self._change(actor, conversation_id, {"failed": False}, silent=True)

    async def wake_snoozed(self) -> int:
        """Open what was snoozed until now. Answers how many."""
        now, woken = self._clock(), 0
        still = {"status": Status.SNOOZED.value, "snoozed_until": {"$lte": now}}
        for conversation in await self._store.due_snoozed(now):
            changes = {"status": Status.OPEN.value, "snoozed_until": None, "unread": True}
            try:
                await self._change(Actor.system("housekeep"), conversation.id, changes, only_if=still)
            except NotFound:
                continue  # somebody opened or settled it at this very moment
            woken += 1
        return woken

    # --- private -----------------------------------------------------------------------------------------------

    async def _get(self, conversation_id: str) -> Conversation:
        conversation = await self._store.get(conversation_id)
        if conversation is None:
            raise NotFound("This conversation is no longer there.")
        return conversation

    async def _counted(self, agent_id: str) -> Counts:
        loop = asyncio.get_running_loop()
        known = self._counts.get(agent_id)
        if known is None or loop.time() - known[0] > COUNTS_SECONDS:
            known = (loop.time(), asyncio.create_task(self._count(agent_id)))
            self._counts[agent_id] = known
        return await asyncio.shield(known[1])

    async def _count(self, agent_id: str) -> Counts:
        """An agent's own conversations; for nobody (an empty id) the views that are the same for everybody."""
        views = [View(kind="mine")] if agent_id else await self._shared_views()
        total = await asyncio.gather(*(self._store.count(view, agent_id) for view in views))
        unread = await asyncio.gather(*(self._store.count(view, agent_id, unread=True) for view in views))
        keys = [view.key for view in views]
        return Counts(total=dict(zip(keys, total, strict=True)), unread=dict(zip(keys, unread, strict=True)))

    async def _shared_views(self) -> list[View]:
        inboxes, labels = await asyncio.gather(self._inboxes.inboxes(), self._store.labels())
        views = [View(kind="unassigned"), View(kind="all")]
        views += [View(kind="inbox", value=inbox.id) for inbox in inboxes]
        return [*views, *(View(kind="label", value=label) for label in labels)]

    async def _change(
        self,
        actor: Actor,
        conversation_id: str,
        changes: Mapping[str, Any],
        *,
        add_label: str = "",
        remove_label: str = "",
        silent: bool = False,
        only_if: Mapping[str, Any] | None = None,
    ) -> Conversation:
        """Change fields with the event, and, unless `silent`, a grey line in the thread that says so.

        Raises `NotFound`, also where it is there and not as `only_if` says.
        """
        actor.require(Permission.INBOX_REPLY)
        now = self._clock()
        said: dict[str, Any] = dict(changes)
        if add_label:
            said["label"] = add_label
        if remove_label:
            said["unlabel"] = remove_label

        async def work(session: Session) -> Conversation:
            changed = await self._store.change(
                session, conversation_id, changes, add_label=add_label, remove_label=remove_label, only_if=only_if
            )
            if changed is None:
                raise NotFound("This conversation is no longer there.")
            message_id = ""
            if not silent:
                line = Message(
                    id=new_id(),
                    conversation_id=conversation_id,
                    inbox_id=changed.inbox_id,
                    kind=MessageKind.SYSTEM,
                    at=now,
                    author_id=actor.id,
                    data=said,
                )
                message_id = line.id
                await self._store.add_messages(session, [line])
            event = Event(
                type=EventType.CONVERSATION_CHANGED,
                at=now,
                actor=actor.id,
                inbox_id=changed.inbox_id,
                conversation_id=conversation_id,
                customer_id=changed.customer_id,
                message_id=message_id,
                data=said,
            )
            await self._events.append(session, [event])
            return changed

        return await self._mongo.transaction(work)
