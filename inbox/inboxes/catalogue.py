"""The inboxes a process knows of: read often, cached for a moment, with their secrets opened only for adapters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson

from channels.base import Channel
from inbox.core.crypto import Keyring
from inbox.core.errors import NotFound, Unavailable
from inbox.core.mongo import storable
from inbox.inboxes.fields import redact
from inbox.inboxes.model import Inbox, address_key, normalise, takes_mail, without_tag
from inbox.inboxes.model_hours import is_loaded, zone_of
from inbox.inboxes.store import InboxStore


class Catalogue:
    """Inboxes by id and by address. What another process changed is seen after `cache_seconds` at the latest."""

    def __init__(
        self, store: InboxStore, keyring: Keyring, channels: Mapping[str, Channel], *, cache_seconds: float
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._channels = channels
        self._cache_seconds = cache_seconds
        self._inboxes: dict[str, Inbox] = {}
        self._until = 0.0
        self._generation = 0

    def forget(self) -> None:
        """Read again at the next call: something has changed."""
        self._generation += 1
        self._until = 0.0

    async def all(self) -> dict[str, Inbox]:
        """Every inbox by id, archived ones too, oldest first."""
        if time.monotonic() < self._until:
            return self._inboxes
        generation = self._generation
        inboxes = {inbox.id: inbox for inbox in await self._store.all()}
        for zone in {inbox.hours.zone for inbox in inboxes.values() if inbox.hours is not None}:
            if not is_loaded(zone):  # whoever asks for the hours does so on the loop
                await asyncio.to_thread(zone_of, zone)
        if generation == self._generation:  # else it changed while it was read
            self._inboxes, self._until = inboxes, time.monotonic() + self._cache_seconds
        return inboxes

    async def get(self, inbox_id: str) -> Inbox:
        """One inbox, also an archived one. Raises `NotFound`."""
        inbox = (await self.all()).get(inbox_id) or await self._store.get(inbox_id)
        if inbox is None:
            raise NotFound("There is no such inbox.")
        return inbox

    async def resolve(self, address: str) -> str | None:
        """The inbox that takes mail for an address: exactly, then without its plus tag, then the one for all others."""
        address = normalise("email", address)
        inboxes = [inbox for inbox in (await self.all()).values() if self._takes_mail(inbox)]
        by_address = {inbox.address: inbox.id for inbox in inboxes if inbox.address}
        found = by_address.get(address) or by_address.get(without_tag(address))
        return found or next((inbox.id for inbox in inboxes if inbox.catch_all), None)

    def channel(self, name: str) -> Channel:
        """A kind of inbox. Raises `NotFound`."""
        if name not in self._channels:
            raise NotFound("This version does not know this kind of inbox.")
        return self._channels[name]

    def key(self, channel: Channel, address: str) -> str:
        """The address key of an inbox of a channel; empty without an address."""
        return address_key(channel.name, channel.capabilities.address_kind, address) if address else ""

    def _takes_mail(self, inbox: Inbox) -> bool:
        known = self._channels.get(inbox.channel)
        return inbox.archived_at is None and known is not None and takes_mail(known.capabilities.address_kind)

    def seal(self, inbox_id: str, secrets: Mapping[str, str]) -> bytes:
        """Secrets of an inbox as they are stored."""
        return self._keyring.seal(orjson.dumps(dict(secrets)).decode(), f"inbox:{inbox_id}")

    async def secrets(self, inbox_id: str) -> dict[str, str]:
        """The secrets of an inbox in clear: for its adapter, never for a page. Raises `Unavailable`."""
        sealed = await self._store.sealed(inbox_id)
        if sealed is None:
            return {}
        secrets: dict[str, str] = orjson.loads(self._keyring.open(sealed, f"inbox:{inbox_id}"))
        return secrets

    async def full_settings(self, inbox: Inbox) -> dict[str, Any]:
        """What a channel's adapter is built with: every setting, with secrets and the inbox's own name and address."""
        return {**inbox.settings, **await self.secrets(inbox.id), "address": inbox.address, "name": inbox.name}

    async def redacted(self, inbox_id: str, words: str) -> str:
        """Words of a provider without the inbox's secrets, for health, pages and logs, in a charset we can keep."""
        words = storable(words)
        try:
            return redact(words, await self.secrets(inbox_id)) if words else ""
        except Unavailable:  # secrets that do not open were given to no provider
            return words
