"""Adapters in use by this process: built from an inbox's settings and secrets, rebuilt when these change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from channels.base import Adapter, ChannelError
from inbox.core.errors import Conflict
from inbox.inboxes.catalogue import Catalogue
from inbox.inboxes.catcher import Catcher
from inbox.inboxes.checks import Checks
from inbox.inboxes.model import Inbox
from inbox.inboxes.oauth import OAuthAccounts

log = structlog.get_logger()
_CLOSE_SECONDS = 30


class HostPorts:
    """What one inbox's adapter may ask of us (`channels.base.Ports`)."""

    def __init__(self, inbox_id: str, accounts: OAuthAccounts, catcher: Catcher, checks: Checks, base_url: str) -> None:
        self._inbox_id = inbox_id
        self._base_url = base_url
        self._accounts = accounts
        self._catcher = catcher
        self._checks = checks

    async def access_token(self, *, renew: bool = False) -> str:
        """A valid access token. Raises `Refused` and `Unreachable`."""
        return await self._accounts.access_token(self._inbox_id, renew=renew)

    async def catch(self, message: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Keep a mail on the catcher page."""
        caught = await self._catcher.catch(self._inbox_id, message, sender, recipients)
        await self._checks.loop_caught(self._inbox_id, caught.subject)

    def hook_url(self) -> str:
        """The public address of the inbox's webhook."""
        return hook_url(self._base_url, self._inbox_id)


def hook_url(base_url: str, inbox_id: str) -> str:
    """Where a provider reaches an inbox."""
    return f"{base_url}/hooks/{inbox_id}"


class _Held(NamedTuple):
    version: int
    adapter: Adapter


class Adapters:
    """One adapter for each inbox in use, at the version of its settings."""

    def __init__(
        self, catalogue: Catalogue, accounts: OAuthAccounts, catcher: Catcher, checks: Checks, base_url: str
    ) -> None:
        self._base_url = base_url
        self._catalogue = catalogue
        self._accounts = accounts
        self._catcher = catcher
        self._checks = checks
        self._held: dict[str, _Held] = {}
        self._lock = asyncio.Lock()

    async def get(self, inbox_id: str) -> Adapter:
        """The adapter of an inbox; the one of older settings is closed.

        Raises `NotFound`, `Conflict` for an archived inbox, `Unavailable` where its secrets do not open.
        """
        inbox = await self._catalogue.get(inbox_id)
        held = self._held.get(inbox_id)
        if held is not None and held.version == inbox.version:
            return held.adapter
        async with self._lock:
            await self._close_stale()
            if inbox.archived_at is not None:
                raise Conflict("This inbox was archived: it neither receives nor sends.")
            held = self._held.get(inbox_id)
            if held is None:
                held = _Held(inbox.version, await self._build(inbox))
                self._held[inbox_id] = held
            return held.adapter

    async def close(self) -> None:
        """Close every adapter."""
        async with self._lock:
            held, self._held = self._held, {}
            await asyncio.gather(*(self._close(inbox_id, one) for inbox_id, one in held.items()))

    async def _build(self, inbox: Inbox) -> Adapter:
        channel = self._catalogue.channel(inbox.channel)
        ports = HostPorts(inbox.id, self._accounts, self._catcher, self._checks, self._base_url)
        return channel.build(inbox.id, await self._catalogue.full_settings(inbox), ports)

    async def _close_stale(self) -> None:
        inboxes = await self._catalogue.all()
        for inbox_id, held in list(self._held.items()):
            inbox = inboxes.get(inbox_id)
            if inbox is None or inbox.archived_at is not None or inbox.version > held.version:
                del self._held[inbox_id]
                await self._close(inbox_id, held)

    async def _close(self, inbox_id: str, held: _Held) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await held.adapter.close()
        except (ChannelError, OSError) as error:  # OSError covers TimeoutError: the connection is lost either way
            log.warning("adapter did not close", inbox_id=inbox_id, error=type(error).__name__)
