"""Writing: drafts, their files, sending, taking back and sending again."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from channels.base import AddressKind
from inbox.accounts.model import Permission
from inbox.conversations.composing import Written
from inbox.conversations.model import Message
from inbox.conversations.web_addresses import read_addresses, write_addresses, wrong_address
from inbox.conversations.web_dates import when_written
from inbox.conversations.web_files import draft_json, file_json
from inbox.conversations.web_new import NewPages, price_of
from inbox.conversations.web_parts import Parts
from inbox.core.errors import Invalid
from inbox.web.i18n import gettext as _
from inbox.web.pages import agent, body, json, render
from inbox.web.routes import Route

_UPLOAD_CHUNK = 64 * 1024


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the composer; addresses as they were typed."""

    mode: str = "reply"
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    html: str = ""
    inbox: str = ""
    """The inbox to answer from, where it is another than the conversation's own."""
    resolve: bool = False
    key: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Beginning(msgspec.Struct, frozen=True):
    """How an answer begins: reply, reply_all or forward."""

    mode: str


class ComposePages:
    """The composer's side of a conversation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """The routes of the composer."""
        act = Permission.INBOX_REPLY
        one = "/conversations/{id}"
        return [
            Route("GET", f"{one}/writing", self.writing, act),
            Route("GET", f"{one}/draft", self.draft, act),
            Route("PUT", f"{one}/draft", self.save, act),
            Route("DELETE", f"{one}/draft", self.discard, act),
            Route("POST", f"{one}/draft/start", self.start, act),
            Route("POST", f"{one}/draft/files", self.attach, act),
            Route("DELETE", f"{one}/draft/files/{{file}}", self.detach, act),
            Route("POST", f"{one}/send", self.send, act),
            Route("POST", "/messages/{id}/undo", self.undo, act),
            Route("POST", "/messages/{id}/resend", self.resend, act),
            Route("POST", "/messages/{id}/edit", self.edit, act),
            *NewPages(self._parts).routes(),
        ]

    async def writing(self, request: web.Request) -> web.StreamResponse:
        """What to know before writing: whom it goes to, what the channel takes, other ways to the customer."""
        who, conversation_id = agent(request), request.match_info["id"]
        conversation = await self._parts.conversations.row(who.actor, conversation_id)
        outlook = await self._parts.replies.outlook(who.actor, conversation_id, request.query.get("inbox", ""))
        context = {
            **await self._parts.row_context(who),
            "conversation": conversation,
            "own": await self._parts.inboxes.get(conversation.inbox_id),
            "outlook": outlook,
            "price": price_of(outlook.inbox),
            "address": request.query.get("to", ""),
        }
        return await render(request, "ui/conversations/writing.html", **context)

    async def draft(self, request: web.Request) -> web.StreamResponse:
        """The agent's draft here, null without one."""
        draft = await self._parts.drafts.draft(agent(request).actor, request.match_info["id"])
        return json(draft and draft_json(draft))

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Whom an answer goes to and what stands in it at first."""
        beginning = await body(request, Beginning)
        draft = await self._parts.drafts.start_reply(agent(request).actor, request.match_info["id"], beginning.mode)
        return json(draft_json(draft))

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Keep what is being written, also where an address is not complete yet."""
        writing = await body(request, Writing)
        written = await self._written(request, writing)
        draft = await self._parts.drafts.save_draft(agent(request).actor, request.match_info["id"], written)
        return json(draft_json(draft))

    async def discard(self, request: web.Request) -> web.StreamResponse:
        """Throw a draft away, its files too."""
        await self._parts.drafts.discard_draft(agent(request).actor, request.match_info["id"])
        return web.Response(status=204)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """Add a file to the draft; the body is the file itself, streamed on."""
        conversation_id, query = request.match_info["id"], request.query
        name = query.get("name", "").strip().rpartition("/")[2] or "file"
        ref = await self._parts.drafts.attach(
            agent(request).actor,
            conversation_id,
            name,
            request.content_type,
            request.content.iter_chunked(_UPLOAD_CHUNK),
            inline=query.get("inline") == "1",
        )
        return json(file_json(f"{conversation_id}:{agent(request).id}", ref))

    async def detach(self, request: web.Request) -> web.StreamResponse:
        """Take a file off the draft."""
        info = request.match_info
        await self._parts.drafts.detach(agent(request).actor, info["id"], info["file"])
        return web.Response(status=204)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send what is written, or add it as a note."""
        writing = await body(request, Writing)
        written = await self._written(request, writing)
        if written.mode != "note":
            _check(written)
        who, conversation_id = agent(request).actor, request.match_info["id"]
        if writing.inbox and written.mode != "note":
            message = await self._parts.replies.answer_elsewhere(
                who, conversation_id, writing.inbox, written, resolve=writing.resolve
            )
        else:
            message = await self._parts.replies.send(
                who, conversation_id, written, headline=_headline, resolve=writing.resolve
            )
        due_at = message.delivery.due_at if message.delivery else None
        return json({"message_id": message.id, "conversation_id": message.conversation_id, "due_at": due_at})

    async def undo(self, request: web.Request) -> web.StreamResponse:
        """Take a message back before it leaves; it is a draft again."""
        draft = await self._parts.replies.undo_send(agent(request).actor, request.match_info["id"])
        return json(draft_json(draft))

    async def resend(self, request: web.Request) -> web.StreamResponse:
        """Send a message that failed, or of which nobody knows whether it arrived, once more."""
        message = await self._parts.replies.resend(agent(request).actor, request.match_info["id"])
        return json({"message_id": message.id})

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """A message that failed, as a draft to be corrected."""
        return json(draft_json(await self._parts.drafts.correct(agent(request).actor, request.match_info["id"])))

    async def _written(self, request: web.Request, writing: Writing) -> Written:
        inbox_id = writing.inbox
        if not inbox_id:
            inbox_id = (await self._parts.conversations.row(agent(request).actor, request.match_info["id"])).inbox_id
        kind: AddressKind = (await self._parts.capabilities(inbox_id)).address_kind
        return Written(
            mode=writing.mode,
            to=read_addresses(writing.to, kind),
            cc=read_addresses(writing.cc, kind),
            bcc=read_addresses(writing.bcc, kind),
            subject=writing.subject,
            html=writing.html,
            key=writing.key,
        )


def _check(written: Written) -> None:
    wrong = {name: wrong_address(getattr(written, name)) for name in ("to", "cc", "bcc")}
    fields = {
        name: _("“%(address)s” is not a complete address.", address=value) for name, value in wrong.items() if value
    }
    if fields:
        raise Invalid("Look at the addresses once more.", fields=fields)


def _headline(answered: Message) -> str:
    who = write_addresses([answered.sender]) if answered.sender else ""
    return _("On %(date)s, %(name)s wrote:", date=when_written(answered.sent_at or answered.at), name=who)
