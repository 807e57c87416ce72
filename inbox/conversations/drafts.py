"""Drafts: what an agent is writing, kept on the server with its files. One per agent and conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from inbox.accounts.model import Actor, Permission
from inbox.conversations.composing import (
    LONGEST_HTML,
    MODES,
    MOST_FILES,
    MOST_RECIPIENTS,
    Written,
    as_written,
    draft_id,
    named,
    recipients,
    reply_subject,
    taken_back,
)
from inbox.conversations.model import Conversation, Draft, FileRef
from inbox.conversations.rendering import forwarded, show_inline_files, to_text
from inbox.conversations.store import ConversationStore
from inbox.core import html as editor
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Invalid, NotFound
from inbox.core.files import Files
from inbox.inboxes.service import InboxService


class DraftService:
    """Drafts of the acting agent. Every method checks the actor's access itself."""

    def __init__(
        self,
        store: ConversationStore,
        files: Files,
        inboxes: InboxService,
        *,
        max_message_bytes: int,
        clock: Clock = utcnow,
    ) -> None:
        self._store = store
        self._files = files
        self._inboxes = inboxes
        self._max_bytes = max_message_bytes
        self._clock = clock

    async def draft(self, actor: Actor, conversation_id: str) -> Draft | None:
        """The actor's draft in a conversation."""
        actor.require(Permission.INBOX_REPLY)
        return await self._store.draft(draft_id(conversation_id, actor.id))

    async def start_reply(self, actor: Actor, conversation_id: str, mode: str) -> Draft:
        """A draft with the recipients and the subject that `mode` asks for; what was written so far is kept."""
        actor.require(Permission.INBOX_REPLY)
        conversation = await self._conversation(conversation_id)
        inbox = await self._inboxes.get(conversation.inbox_id)
        answered = await self._store.answerable(conversation_id)
        kept = await self._store.draft(draft_id(conversation_id, actor.id))
        capabilities = self._inboxes.channel(inbox.channel).capabilities
        if mode in ("reply_all", "forward") and not capabilities.copies:
            raise Invalid("This channel only has plain answers.")
        to, cc = recipients(mode, answered, inbox)
        subject = reply_subject(mode, conversation.subject) if capabilities.subjects else ""
        written = Written(mode=mode, to=to, cc=cc, subject=subject)
        html = kept.html if kept else ""
        files: tuple[FileRef, ...] = ()
        if mode == "forward" and answered is not None:
            labels = {
                "From:": named(answered.sender),
                "Date:": (answered.sent_at or answered.at).strftime("%Y-%m-%d %H:%M UTC"),
                "Subject:": answered.subject,
                "To:": ", ".join(named(address) for address in answered.to),
            }
            html += show_inline_files(forwarded(answered, labels), answered.id, answered.attachments)
            files = await self._copies(answered.attachments, draft_id(conversation_id, actor.id))
        return await self._save(actor, conversation_id, msgspec.structs.replace(written, html=html), files)

    async def save_draft(self, actor: Actor, conversation_id: str, written: Written) -> Draft:
        """Keep what is being written. Raises `Invalid`."""
        actor.require(Permission.INBOX_REPLY)
        await self._conversation(conversation_id)
        return await self._save(actor, conversation_id, written)

    async def correct(self, actor: Actor, message_id: str) -> Draft:
        """A message that did not leave, with copies of its files, above what was begun since. Raises `NotFound`."""
        actor.require(Permission.INBOX_REPLY)
        message = await self._store.message(message_id)
        if message is None or message.delivery is None:
            raise NotFound("This message is no longer there.")
        own_id = draft_id(message.conversation_id, actor.id)
        begun = await self._store.draft(own_id)
        if begun is not None and to_text(begun.html) == to_text(as_written(message)):
            return begun  # asked for twice
        copies = await self._copies(message.attachments, own_id)
        own = msgspec.structs.replace(message, author_id=actor.id, attachments=copies)
        draft = taken_back(own, own_id, begun, self._clock())
        return await self._store.write_draft(msgspec.structs.replace(draft, attachments=copies))

    async def discard_draft(self, actor: Actor, conversation_id: str) -> None:
        """Throw the draft away with its files."""
        actor.require(Permission.INBOX_REPLY)
        own_id = draft_id(conversation_id, actor.id)
        draft = await self._store.draft(own_id)
        if draft is not None and await self._store.delete_draft(own_id):
            for file in draft.attachments:
                await self._files.delete(file.id)

    async def attach(
        self,
        actor: Actor,
        conversation_id: str,
        name: str,
        media_type: str,
        content: AsyncIterator[bytes],
        *,
        inline: bool = False,
    ) -> FileRef:
        """Add a file to the draft, streamed. Raises `Invalid` for one too large or one too many."""
        actor.require(Permission.INBOX_REPLY)
        await self._conversation(conversation_id)
        own_id = draft_id(conversation_id, actor.id)
        draft = await self._store.draft(own_id) or self._empty(conversation_id, actor)
        if len(draft.attachments) >= MOST_FILES:
            raise Invalid("A message has at most %(most)d files.", most=MOST_FILES)
        room = self._max_bytes - sum(file.size for file in draft.attachments)
        name = name.replace("/", "_").replace("\\", "_").strip()[:200] or "file"
        stored = await self._files.put(content, name=name, media_type=media_type, owner=own_id, max_bytes=max(room, 0))
        content_id = f"{stored.id}@ortoo" if inline else ""
        file = FileRef(
            id=stored.id, name=name, media_type=media_type, size=stored.size, content_id=content_id, inline=inline
        )
        await self._store.add_draft_file(self._empty(conversation_id, actor), file)
        return file

    async def detach(self, actor: Actor, conversation_id: str, file_id: str) -> None:
        """Take a file off the draft."""
        actor.require(Permission.INBOX_REPLY)
        if await self._store.remove_draft_file(draft_id(conversation_id, actor.id), file_id):
            await self._files.delete(file_id)

    # --- private -----------------------------------------------------------------------------------------------

    async def _conversation(self, conversation_id: str) -> Conversation:
        conversation = await self._store.get(conversation_id)
        if conversation is None:
            raise NotFound("This conversation is no longer there.")
        return conversation

    async def _copies(self, files: tuple[FileRef, ...], owner: str) -> tuple[FileRef, ...]:
        """Files of a forwarded message, copied so that each message has its own."""
        copies = []
        for file in files:
            stored = await self._files.put(
                self._files.stream(file.id), name=file.name, media_type=file.media_type, owner=owner
            )
            copies.append(msgspec.structs.replace(file, id=stored.id))
        return tuple(copies)

    async def _save(
        self, actor: Actor, conversation_id: str, written: Written, added: tuple[FileRef, ...] = ()
    ) -> Draft:
        if written.mode not in MODES:
            raise Invalid("This kind of answer is not known.")
        if len(written.html) > LONGEST_HTML:
            raise Invalid("The text is too long. Send it as a file.")
        draft = Draft(
            id=draft_id(conversation_id, actor.id),
            conversation_id=conversation_id,
            agent_id=actor.id,
            mode=written.mode,
            to=written.to[:MOST_RECIPIENTS],
            cc=written.cc[:MOST_RECIPIENTS],
            bcc=written.bcc[:MOST_RECIPIENTS],
            subject=written.subject[:500],
            html=editor.clean(written.html),
            attachments=added,
            saved_at=self._clock(),
        )
        return await self._store.write_draft(draft)

    def _empty(self, conversation_id: str, actor: Actor) -> Draft:
        return Draft(
            id=draft_id(conversation_id, actor.id),
            conversation_id=conversation_id,
            agent_id=actor.id,
            saved_at=self._clock(),
        )
