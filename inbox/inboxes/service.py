"""What can be done with inboxes: set them up, try them, hand out their adapters, keep their health and cursors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from channels.base import Adapter, Capabilities, Channel, Cursor, HookedAdapter
from inbox.accounts.model import Actor, Permission
from inbox.accounts.service import zones
from inbox.core.clock import Clock, utcnow
from inbox.core.crypto import Keyring
from inbox.core.errors import Conflict, Invalid, Unavailable
from inbox.core.events import Event, EventType
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.core.store import Leases
from inbox.inboxes import fields
from inbox.inboxes.adapters import Adapters, hook_url
from inbox.inboxes.catalogue import Catalogue
from inbox.inboxes.catcher import Catcher
from inbox.inboxes.checks import Checks
from inbox.inboxes.health import BacklogOf, HealthBook, QueueLength
from inbox.inboxes.model import (
    Caught,
    CaughtMail,
    CheckResult,
    HealthReport,
    HealthState,
    Hook,
    Inbox,
    InboxForm,
    LoopTest,
    normalise,
    takes_mail,
)
from inbox.inboxes.model_hours import complaint, holiday_complaint
from inbox.inboxes.oauth import OAuthAccounts
from inbox.inboxes.store import InboxStore

BUILT_IN_ID = "built-in"
_MAX_NAME = 100
_MAX_REOPEN_DAYS = 3650
_MAX_PER_MINUTE = 100_000
_MAX_AUTO_REPLY = 5000
_MAX_SIGNATURE = 20_000


class InboxService:
    """The inboxes of a workspace. Pages pass the agent who acts; workers act as `Actor.system(...)`."""

    def __init__(
        self,
        store: InboxStore,
        keyring: Keyring,
        files: Files,
        leases: Leases,
        channels: Mapping[str, Channel],
        *,
        clock: Clock = utcnow,
        queue: QueueLength | None = None,
        backlog: BacklogOf | None = None,
        cache_seconds: float = 1.0,
        base_url: str = "",
    ) -> None:
        self.channels = channels
        self._base_url = base_url
        self._store = store
        self._clock = clock
        self._catalogue = Catalogue(store, keyring, channels, cache_seconds=cache_seconds)
        self._health = HealthBook(store, self._catalogue, clock, queue, backlog)
        self._accounts = OAuthAccounts(store, self._catalogue, self._health, keyring, leases, clock)
        self._catcher = Catcher(store, files, clock)
        self._checks = Checks(store, self._catalogue, self._health, clock)
        self._adapters = Adapters(self._catalogue, self._accounts, self._catcher, self._checks, base_url)

    async def close(self) -> None:
        """Close every adapter of this process."""
        await self._accounts.close()
        await self._adapters.close()

    # Looking

    async def inboxes(self, actor: Actor | None = None) -> list[Inbox]:
        """Inboxes in use, oldest first; at most a second old."""
        if actor is not None:
            actor.require(Permission.INBOX_READ)
        return [inbox for inbox in (await self._catalogue.all()).values() if inbox.archived_at is None]

    async def get(self, inbox_id: str) -> Inbox:
        """One inbox, also an archived one. Raises `NotFound`."""
        return await self._catalogue.get(inbox_id)

    def channel(self, name: str) -> Channel:
        """A kind of inbox. Raises `NotFound`."""
        return self._catalogue.channel(name)

    def forget(self) -> None:
        """Read inboxes again at the next call; for whoever sees an event of an inbox."""
        self._catalogue.forget()

    async def resolve(self, address: str) -> str | None:
        """The inbox that takes mail for an address, whatever its case and plus tag; else the catch-all one or None."""
        return await self._catalogue.resolve(address)

    async def built_in(self) -> Inbox:
        """The inbox the workspace began with. Raises `NotFound` before `ensure_built_in`."""
        return await self._catalogue.get(BUILT_IN_ID)

    async def adapter(self, inbox_id: str) -> Adapter:
        """The adapter of an inbox at its present settings. Ask again before each use; the service closes it.

        Raises `NotFound`, `Conflict` for an archived inbox, `Unavailable` where its secrets do not open.
        """
        return await self._adapters.get(inbox_id)

    async def saved_secrets(self, actor: Actor, inbox_id: str) -> frozenset[str]:
        """The names of the secret fields that have a value, never the values."""
        actor.require(Permission.SETTINGS)
        return frozenset(await self._catalogue.secrets(inbox_id))

    # Setting up

    async def create(self, actor: Actor, channel_name: str, form: InboxForm) -> Inbox:
        """Add an inbox. Raises `Invalid` with the fields that are wrong."""
        actor.require(Permission.SETTINGS)
        inbox = Inbox(id=new_id(), channel=channel_name, name="", created_at=self._clock())
        _, created = await self._insert(actor, inbox, form)
        return created

    async def ensure_built_in(self) -> Inbox | None:
        """Create the inbox a new workspace begins with, once in its life; None where no channel offers one."""
        channel = next((one for one in self.channels.values() if one.built_in is not None), None)
        if channel is None or channel.built_in is None:
            return None
        inbox = Inbox(
            id=BUILT_IN_ID, channel=channel.name, name="", created_at=self._clock(), built_in=True, catch_all=True
        )
        form = InboxForm(
            name=str(channel.built_in.get("name", "Hello")),
            address=str(channel.built_in.get("address", "")),
            settings=channel.built_in,
            catch_all=True,
        )
        inserted, created = await self._insert(Actor.system("setup"), inbox, form)
        return created if inserted else await self._catalogue.get(BUILT_IN_ID)

    async def update(self, actor: Actor, inbox_id: str, form: InboxForm, *, version: int | None = None) -> Inbox:
        """Change an inbox; secrets not given stay. `version` is the one the form was filled in from.

        Raises `Invalid` with the fields that are wrong, `Conflict` where somebody else was faster.
        """
        actor.require(Permission.SETTINGS)
        inbox = await self._fresh(inbox_id)
        if version is not None and version != inbox.version:
            raise Conflict("Somebody else changed this inbox meanwhile. Look at it again, then save once more.")
        channel = self.channel(inbox.channel)
        plain, given = fields.split(channel, {**inbox.settings, **form.settings})
        secrets = await self._catalogue.secrets(inbox_id)
        changed = await self._filled(channel, inbox, form, plain, {**secrets, **given})
        changes = {name: getattr(changed, name) for name in _EDITABLE if getattr(changed, name) != getattr(inbox, name)}
        if given:
            changes["secrets"] = True
        if not changes:
            return inbox
        names = sorted(changes)
        changes.pop("secrets", None)
        if given or "settings" in changes or "address" in changes:
            changes |= {"health.state": HealthState.UNKNOWN.value, "health.words": ""}
        keys = (self._catalogue.key(channel, inbox.address), self._catalogue.key(channel, changed.address))
        sealed = self._catalogue.seal(inbox_id, {**secrets, **given}) if given else None
        return await self._change(actor, inbox, changes, names, keys=keys, sealed=sealed)

    async def pause(self, actor: Actor, inbox_id: str) -> Inbox:
        """Stop fetching and sending; what customers send meanwhile waits at the provider."""
        return await self._set_paused(actor, inbox_id, paused=True)

    async def resume(self, actor: Actor, inbox_id: str) -> Inbox:
        """Go on after a pause."""
        return await self._set_paused(actor, inbox_id, paused=False)

    async def archive(self, actor: Actor, inbox_id: str, typed_name: str) -> Inbox:
        """Take an inbox out of use for good: conversations stay, secrets go, its address is free again.

        Raises `Invalid` unless the inbox's name was typed.
        """
        actor.require(Permission.SETTINGS)
        inbox = await self._fresh(inbox_id)
        if typed_name.strip() != inbox.name:
            raise Invalid("Please type the inbox's name.", fields={"typed_name": "This is not the inbox's name."})
        key = self._catalogue.key(self.channel(inbox.channel), inbox.address)
        changes = {"archived_at": self._clock(), "catch_all": False}
        archived = await self._change(actor, inbox, changes, ["archived"], keys=(key, ""))
        await self._store.forget_access(inbox_id)
        return archived

    # Trying

    async def check(self, actor: Actor, inbox_id: str) -> CheckResult:
        """Try the saved settings against the provider, both ways; 60 seconds at most."""
        actor.require(Permission.SETTINGS)
        return await self._checks.check(actor, inbox_id, await self.adapter(inbox_id))

    async def begin_loop_test(self, actor: Actor, inbox_id: str) -> LoopTest:
        """Send a message from the inbox to itself."""
        actor.require(Permission.SETTINGS)
        return await self._checks.begin_loop_test(actor, inbox_id, await self.adapter(inbox_id))

    async def capabilities(self, inbox: Inbox) -> Capabilities:
        """What an inbox can do at its settings; what its channel can where its secrets do not open."""
        try:
            return (await self.adapter(inbox.id)).capabilities
        except Unavailable:
            return self.channel(inbox.channel).capabilities

    async def hook(self, actor: Actor, inbox_id: str) -> Hook | None:
        """The inbox's webhook; None where it has none, or its secrets do not open and nobody knows."""
        actor.require(Permission.SETTINGS)
        channel = self.channel((await self._catalogue.get(inbox_id)).channel)
        try:
            adapter = await self.adapter(inbox_id)
        except Unavailable:  # the check says so in words
            return None
        if not isinstance(adapter, HookedAdapter) or not adapter.capabilities.hooks:
            return None
        return Hook(url=hook_url(self._base_url, inbox_id), fetches=fields.can_fetch(channel))

    async def connect_hook(self, actor: Actor, inbox_id: str) -> CheckResult:
        """Set the webhook at the provider. Raises `Invalid` where the inbox has none."""
        actor.require(Permission.SETTINGS)
        adapter = await self.adapter(inbox_id)
        if not isinstance(adapter, HookedAdapter) or not adapter.capabilities.hooks:
            raise Invalid("This inbox has no webhook.")
        return await self._checks.connect_hook(actor, inbox_id, adapter)

    async def loop_test(self, actor: Actor, token: str) -> LoopTest:
        """How far a loop test has come. Raises `NotFound` a day later."""
        return await self._checks.loop_test(actor, token)

    async def loop_seen(self, inbox_id: str, subject: str) -> bool:
        """For ingest: whether a message is one of this inbox's loop tests. It is then noted, and is no conversation."""
        return await self._checks.loop_seen(inbox_id, subject)

    # Health and cursors, told by workers

    async def set_health(self, inbox_id: str, state: HealthState, words: str = "", *, by: str = "health") -> None:
        """Note how an inbox does, in words for an admin; an event goes out only when the state has changed.

        `by` is the part of the system that says so.
        """
        await self._health.set(inbox_id, state, words, Actor.system(by).id)

    async def set_sending(self, inbox_id: str, words: str, *, by: str = "system") -> None:
        """Note why nothing can leave (a person must act), or with no words that messages leave again."""
        await self._health.sending(inbox_id, words, by)

    async def saw_in(self, inbox_id: str, at: datetime) -> None:
        """A message came in."""
        await self._health.saw(inbox_id, "last_in", at)

    async def saw_out(self, inbox_id: str, at: datetime) -> None:
        """A message left."""
        await self._health.saw(inbox_id, "last_out", at)

    async def reconciled(self, inbox_id: str, missing: int) -> None:
        """The hourly comparison found `missing` messages on the server that the store has not."""
        await self._health.reconciled(inbox_id, missing)

    async def hook_refused(self, inbox_id: str) -> None:
        """A call of the inbox's webhook had no valid signature; noted for its health page once a minute at most."""
        await self._health.hook_refused(inbox_id)

    async def health(self, actor: Actor, inbox_id: str) -> HealthReport:
        """What the health page shows."""
        actor.require(Permission.SETTINGS)
        inbox = await self._catalogue.get(inbox_id)
        return await self._health.report(inbox_id, await self._accounts.connected(inbox))

    async def cursor(self, inbox_id: str) -> Cursor:
        """Where the poller stands; empty at the beginning."""
        return await self._store.cursor(inbox_id)

    async def save_cursor(self, inbox_id: str, cursor: Cursor) -> None:
        """Keep where the poller stands; call it only after what lies before is committed."""
        await self._store.save_cursor(inbox_id, cursor)

    # Connecting an account

    async def connected(self, inbox: Inbox) -> bool | None:
        """Whether the account is connected by OAuth; None where the inbox does not sign in this way."""
        return await self._accounts.connected(inbox)

    async def begin_oauth(self, actor: Actor, inbox_id: str, redirect_uri: str) -> str:
        """The provider's page to send this admin to. Raises `Invalid` where the inbox does not sign in this way."""
        return await self._accounts.begin(actor, inbox_id, redirect_uri)

    async def finish_oauth(self, actor: Actor, *, state: str, code: str, redirect_uri: str, refusal: str = "") -> Inbox:
        """Keep the tokens the provider gives for `code`. Raises `Invalid` (used, old or another's state; refusal)."""
        return await self._accounts.finish(actor, state, code, redirect_uri, refusal)

    # The catcher

    async def caught(self, actor: Actor, before: str = "") -> list[Caught]:
        """Caught mails, newest first, 50 a page, from before the id given."""
        return await self._catcher.page(actor, before)

    async def caught_raw(self, actor: Actor, caught_id: str) -> tuple[Caught, AsyncIterator[bytes]]:
        """A caught mail and its source in chunks. Raises `NotFound`."""
        return await self._catcher.raw(actor, caught_id)

    async def owns_file(self, owner: str) -> bool:
        """For the sweep of files: whether the owner of a stored file is a caught mail that is still there."""
        return await self._catcher.owns_file(owner)

    async def caught_mail(self, actor: Actor, caught_id: str) -> CaughtMail:
        """A caught mail, opened. Raises `NotFound`."""
        caught, _ = await self._catcher.raw(actor, caught_id)
        return await self._catcher.opened(actor, caught_id, await self.adapter(caught.inbox_id))

    # Private

    async def _insert(self, actor: Actor, inbox: Inbox, form: InboxForm) -> tuple[bool, Inbox]:
        channel = self.channel(inbox.channel)
        plain, secrets = fields.split(channel, {**fields.defaults(channel), **form.settings})
        inbox = await self._filled(channel, inbox, form, plain, secrets)
        event = self._event(EventType.INBOX_CREATED, actor, inbox.id, {"name": inbox.name})
        key = self._catalogue.key(channel, inbox.address)
        inserted = await self._store.insert(inbox, key, self._catalogue.seal(inbox.id, secrets), event)
        self._catalogue.forget()
        return inserted, inbox

    async def _filled(
        self, channel: Channel, inbox: Inbox, form: InboxForm, plain: dict[str, Any], secrets: Mapping[str, str]
    ) -> Inbox:
        """The inbox with a form's values. Raises `Invalid`."""
        kind = channel.capabilities.address_kind
        address = normalise(kind, form.address)
        settings = {**plain, **secrets, "address": address, "name": form.name.strip()}
        if form.max_per_minute:
            settings["max_per_minute"] = form.max_per_minute
        wrong = {**fields.complaints(channel, settings), **_complaints(form)}
        if form.hours is not None and form.hours.zone not in await zones():
            wrong["hours-zone"] = "Choose a time zone from the list."
        if wrong:
            raise Invalid("Please correct what is marked.", fields=wrong)
        return msgspec.structs.replace(
            inbox,
            name=form.name.strip(),
            address=address,
            settings=plain,
            catch_all=form.catch_all and takes_mail(kind),
            signature=fields.signature_html(form.signature),
            reopen_days=form.reopen_days,
            max_per_minute=form.max_per_minute,
            auto_reply=form.auto_reply.strip(),
            auto_reply_closed=form.auto_reply_closed.strip(),
            hours=form.hours,
            team_id=form.team_id,
        )

    async def _set_paused(self, actor: Actor, inbox_id: str, *, paused: bool) -> Inbox:
        actor.require(Permission.SETTINGS)
        inbox = await self._fresh(inbox_id)
        if inbox.paused == paused:
            return inbox
        return await self._change(actor, inbox, {"paused": paused}, ["paused"])

    async def _fresh(self, inbox_id: str) -> Inbox:
        self._catalogue.forget()
        inbox = await self._catalogue.get(inbox_id)
        if inbox.archived_at is not None:
            raise Conflict("This inbox was archived: it neither receives nor sends.")
        return inbox

    async def _change(
        self,
        actor: Actor,
        inbox: Inbox,
        changes: Mapping[str, Any],
        names: list[str],
        *,
        keys: tuple[str, str] = ("", ""),
        sealed: bytes | None = None,
    ) -> Inbox:
        event = self._event(EventType.INBOX_CHANGED, actor, inbox.id, {"fields": names, "version": inbox.version + 1})
        try:
            return await self._store.update(inbox, changes, event, keys=keys, sealed=sealed)
        finally:
            self._catalogue.forget()

    def _event(self, kind: EventType, actor: Actor, inbox_id: str, data: dict[str, Any]) -> Event:
        return Event(type=kind, at=self._clock(), actor=actor.id, inbox_id=inbox_id, data=data)


_EDITABLE = (
    "name",
    "address",
    "settings",
    "catch_all",
    "signature",
    "reopen_days",
    "max_per_minute",
    "auto_reply",
    "auto_reply_closed",
    "hours",
    "team_id",
)


def _complaints(form: InboxForm) -> dict[str, str]:
    wrong = {}
    if not form.name.strip():
        wrong["name"] = "Please give the inbox a name."
    elif len(form.name) > _MAX_NAME:
        wrong["name"] = "Please use at most 100 characters."
    if not 0 <= form.reopen_days <= _MAX_REOPEN_DAYS:
        wrong["reopen_days"] = "Please write a number of days from 0 to 3650."
    if not 0 <= form.max_per_minute <= _MAX_PER_MINUTE:
        wrong["max_per_minute"] = "Please write a number from 0 to 100000; 0 is no limit."
    for name, words in (("auto_reply", form.auto_reply), ("auto_reply_closed", form.auto_reply_closed)):
        if len(words) > _MAX_AUTO_REPLY:
            wrong[name] = "Please keep it under 5000 characters."
    if form.hours is not None:
        said = {"hours-week": complaint(form.hours), "holidays": holiday_complaint(form.hours)}
        wrong |= {name: words for name, words in said.items() if words}
    if len(form.signature) > _MAX_SIGNATURE:
        wrong["signature"] = "Please keep it under 20000 characters."
    return wrong
