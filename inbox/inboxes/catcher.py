"""The catcher: where mail of the built-in inbox goes instead of leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from email.errors import MessageError
from email.parser import BytesHeaderParser
from email.policy import default as default_policy

from channels.base import Adapter, InboundMessage, Raw
from inbox.accounts.model import Actor, Permission
from inbox.core.clock import Clock
from inbox.core.errors import NotFound
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.inboxes.model import Caught, CaughtMail, without_tag
from inbox.inboxes.store import InboxStore

DOCUMENT_BYTES = 1024 * 1024
PAGE = 50
_HEAD_BYTES = 64 * 1024
_OWNER = "caught:"


class Catcher:
    """Caught mails, newest first. Sources past 1 MB are files, owned by `caught:<id>`."""

    def __init__(self, store: InboxStore, files: Files, clock: Clock) -> None:
        self._store = store
        self._files = files
        self._clock = clock

    async def catch(self, inbox_id: str, message: bytes, sender: str, recipients: Sequence[str]) -> Caught:
        """Keep a mail."""
        caught_id, file_id = new_id(), ""
        if len(message) > DOCUMENT_BYTES:
            stored = await self._files.put(
                message, name=f"{caught_id}.eml", media_type="message/rfc822", owner=_OWNER + caught_id
            )
            file_id = stored.id
        caught = Caught(
            id=caught_id,
            inbox_id=inbox_id,
            at=self._clock(),
            sender=without_tag(sender),
            recipients=tuple(recipients),
            subject=subject_of(message),
            size=len(message),
            file_id=file_id,
        )
        await self._store.add_caught(caught, None if file_id else message)
        return caught

    async def owns_file(self, owner: str) -> bool:
        """Whether the owner of a file is a caught mail that is still there."""
        return owner.startswith(_OWNER) and await self._store.has_caught(owner.removeprefix(_OWNER))

    async def page(self, actor: Actor, before: str = "") -> list[Caught]:
        """Up to 50 mails from before the id given."""
        actor.require(Permission.INBOX_READ)
        return await self._store.caught(before, PAGE)

    async def raw(self, actor: Actor, caught_id: str) -> tuple[Caught, AsyncIterator[bytes]]:
        """A mail and its source, in chunks. Raises `NotFound`."""
        actor.require(Permission.INBOX_READ)
        found = await self._store.one_caught(caught_id)
        if found is None:
            raise NotFound("This mail is not on the catcher page.")
        caught, raw = found
        return caught, self._files.stream(caught.file_id) if raw is None else _once(raw)

    async def opened(self, actor: Actor, caught_id: str, adapter: Adapter) -> CaughtMail:
        """A mail as the inbox's own adapter reads it; parsed in a thread, since mails may be large."""
        caught, chunks = await self.raw(actor, caught_id)
        source = b"".join([chunk async for chunk in chunks])
        events = await asyncio.to_thread(adapter.receive, Raw(body=source, url="caught:"))
        message = next((event for event in events if isinstance(event, InboundMessage)), None)
        return CaughtMail(caught=caught, head=_head(source).decode("utf-8", "replace"), message=message)


def subject_of(message: bytes) -> str:
    """The subject of a mail, decoded, on one line; empty where it has none that can be read."""
    try:
        subject = BytesHeaderParser(policy=default_policy).parsebytes(_head(message))["subject"]
        return " ".join(str(subject or "").split())
    except (MessageError, ValueError, LookupError, IndexError, AttributeError):
        return ""  # the standard library's header parser raises all of these on broken encoded words


def _head(message: bytes) -> bytes:
    normal = message[:_HEAD_BYTES].replace(b"\r\n", b"\n")
    return normal.partition(b"\n\n")[0]


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw
