"""Accounts connected by OAuth: the sign-in, its tokens, and their renewal by one process at a time.

RFC 6749 with PKCE (RFC 7636). A state parameter is good once, for the agent and the inbox it was made for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from datetime import timedelta

import orjson
import structlog

from channels.base import Refused, Unreachable
from channels.signing_in import OAuthFlow, Tokens
from inbox.accounts.model import Actor, Permission
from inbox.core.clock import Clock
from inbox.core.crypto import Keyring
from inbox.core.errors import Invalid, Unavailable
from inbox.core.events import Event, EventType
from inbox.core.ids import digest, new_id, new_secret
from inbox.core.store import Leases
from inbox.inboxes.catalogue import Catalogue
from inbox.inboxes.health import HealthBook
from inbox.inboxes.model import HealthState, Inbox, OAuthAttempt, Token
from inbox.inboxes.store import InboxStore

log = structlog.get_logger()
_ATTEMPT_MINUTES = 15
_RENEW_BEFORE = timedelta(minutes=5)
_REFRESH_SECONDS = 30
_LEASE_SECONDS = 60
_LOOK_AGAIN = 0.1
_NOT_CONNECTED = "This account is not connected yet. An admin connects it on the inbox's settings page."


class OAuthAccounts:
    """Tokens by inbox. Of all processes that find one stale at once, one refreshes it, the others take its result."""

    def __init__(
        self,
        store: InboxStore,
        catalogue: Catalogue,
        health: HealthBook,
        keyring: Keyring,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._health = health
        self._keyring = keyring
        self._leases = leases
        self._clock = clock
        self._refreshing: dict[str, asyncio.Task[str]] = {}

    def flow(self, inbox: Inbox) -> OAuthFlow | None:
        """How this inbox signs in; None where its settings use no OAuth."""
        flow = self._catalogue.channel(inbox.channel).oauth
        return flow if flow and flow.wanted(inbox.settings) else None

    async def connected(self, inbox: Inbox) -> bool | None:
        """Whether the account's tokens are alive; None where its settings use no OAuth."""
        if self.flow(inbox) is None:
            return None
        token = await self._store.token(inbox.id)
        return token is not None and not token.refused

    async def begin(self, actor: Actor, inbox_id: str, redirect_uri: str) -> str:
        """The provider's page to send this admin to. Raises `Invalid` where the inbox does not sign in this way."""
        actor.require(Permission.SETTINGS)
        inbox = await self._catalogue.get(inbox_id)
        flow = self.flow(inbox)
        if flow is None:
            raise Invalid("This inbox signs in with a password: there is nothing to connect.")
        state, verifier = new_secret(), new_secret(384)
        attempt_id = digest("oauth-state", state)
        await self._store.add_attempt(
            OAuthAttempt(
                id=attempt_id,
                agent_id=actor.id,
                inbox_id=inbox_id,
                sealed_verifier=self._keyring.seal(verifier, f"oauth-state:{attempt_id}"),
                expires_at=self._clock() + timedelta(minutes=_ATTEMPT_MINUTES),
            )
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        return flow.authorize_url(await self._catalogue.full_settings(inbox), redirect_uri, state, challenge)

    async def finish(self, actor: Actor, state: str, code: str, redirect_uri: str, refusal: str = "") -> Inbox:
        """Take what the provider sent the admin back with and keep the tokens.

        Raises `Invalid` for a state that is used, old or another agent's, and where the provider refused;
        `Unavailable` where it cannot be reached.
        """
        actor.require(Permission.SETTINGS)
        attempt = await self._store.take_attempt(digest("oauth-state", state))
        if attempt is None or attempt.agent_id != actor.id or attempt.expires_at <= self._clock():
            raise Invalid("This sign-in was used already or took too long. Please press Connect again.")
        inbox = await self._catalogue.get(attempt.inbox_id)
        flow = self.flow(inbox)
        if refusal or not code or flow is None:
            raise Invalid("The account was not connected: the provider said “%(reason)s”.", reason=refusal or "no code")
        verifier = self._keyring.open(attempt.sealed_verifier, f"oauth-state:{attempt.id}")
        settings = await self._catalogue.full_settings(inbox)
        try:
            tokens = await flow.exchange(settings, code, redirect_uri, verifier)
        except Refused as error:
            words = await self._catalogue.redacted(inbox.id, error.words)
            raise Invalid("The account was not connected: %(reason)s", reason=words) from error
        except Unreachable as error:
            words = await self._catalogue.redacted(inbox.id, error.words)
            raise Unavailable("The provider does not answer: %(reason)s", reason=words) from error
        return await self._keep(actor, inbox, tokens)

    async def access_token(self, inbox_id: str, *, renew: bool = False) -> str:
        """A valid access token, refreshed five minutes before it expires, or now with `renew`.

        Raises `Refused` where a person must connect the account again and `Unreachable` where trying again may help.
        """
        held = await self._live(inbox_id)
        now = self._clock()
        if not renew and held.expires_at - now > _RENEW_BEFORE:
            return self._open(held)["access"]
        task = self._refreshing.get(inbox_id)
        if task is None:
            # A task of its own: a cancelled caller must not lose the new refresh token between arrival and storing.
            task = asyncio.create_task(self._refresh(inbox_id, held.version))
            self._refreshing[inbox_id] = task
            task.add_done_callback(lambda done: self._refreshed(inbox_id, done))
        try:
            return await asyncio.shield(task)
        except Unreachable:
            if renew or held.expires_at <= self._clock():
                raise
            return self._open(held)["access"]  # good for some minutes yet

    async def close(self) -> None:
        """Let refreshes under way finish."""
        await asyncio.gather(*self._refreshing.values(), return_exceptions=True)

    async def _keep(self, actor: Actor, inbox: Inbox, tokens: Tokens) -> Inbox:
        held = await self._store.token(inbox.id)
        refresh = tokens.refresh or (self._open(held)["refresh"] if held and not held.refused else "")
        if not refresh:
            raise Invalid("The provider gave no lasting access. Remove this app from the account, then connect again.")
        await self._store.save_token(self._sealed(inbox.id, tokens, refresh, held))
        now = self._clock()
        event = Event(
            type=EventType.INBOX_CHANGED, at=now, actor=actor.id, inbox_id=inbox.id, data={"fields": ["connection"]}
        )
        self._catalogue.forget()
        fresh = await self._catalogue.get(inbox.id)
        updated = await self._store.update(fresh, {"health.state": HealthState.UNKNOWN, "health.words": ""}, event)
        self._catalogue.forget()
        return updated

    async def _refresh(self, inbox_id: str, seen_version: int) -> str:
        owner, lease = new_id(), f"oauth:{inbox_id}"
        # The holder may be another process, so there is no event to wait for:
        while not await self._leases.take(lease, owner, _LEASE_SECONDS):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN)
        try:
            held = await self._live(inbox_id)
            if held.version != seen_version:
                return self._open(held)["access"]  # another process was faster
            return await self._renew(inbox_id, held)
        finally:
            await self._leases.release(lease, owner)

    async def _renew(self, inbox_id: str, held: Token) -> str:
        inbox = await self._catalogue.get(inbox_id)
        flow = self.flow(inbox)
        if flow is None:
            raise Refused(_NOT_CONNECTED)
        refresh = self._open(held)["refresh"]
        settings = await self._catalogue.full_settings(inbox)
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                tokens = await flow.refresh(settings, refresh)
        except TimeoutError as error:
            raise Unreachable("The provider did not answer in time when access was to be renewed.") from error
        except Refused as error:
            words = await self._catalogue.redacted(inbox_id, error.words)
            await self._store.refuse_token(inbox_id, held.version, words)
            await self._health.set(inbox_id, HealthState.DEAD, words, "system:oauth")
            raise Refused(words, error.code) from error
        await self._store.save_token(self._sealed(inbox_id, tokens, tokens.refresh or refresh, held))
        log.info("access renewed", inbox_id=inbox_id, seconds=tokens.expires_in)
        return tokens.access

    async def _live(self, inbox_id: str) -> Token:
        """The stored tokens. Raises `Refused`, with the inbox marked dead, where there are none that live."""
        held = await self._store.token(inbox_id)
        if held is not None and not held.refused:
            return held
        words = held.refused if held else _NOT_CONNECTED
        await self._health.set(inbox_id, HealthState.DEAD, words, "system:oauth")
        raise Refused(words)

    def _sealed(self, inbox_id: str, tokens: Tokens, refresh: str, held: Token | None) -> Token:
        secret = orjson.dumps({"access": tokens.access, "refresh": refresh}).decode()
        return Token(
            id=inbox_id,
            sealed=self._keyring.seal(secret, f"oauth:{inbox_id}"),
            expires_at=self._clock() + timedelta(seconds=tokens.expires_in),
            version=held.version + 1 if held else 1,
        )

    def _open(self, token: Token) -> dict[str, str]:
        pair: dict[str, str] = orjson.loads(self._keyring.open(token.sealed, f"oauth:{token.id}"))
        return pair

    def _refreshed(self, inbox_id: str, task: asyncio.Task[str]) -> None:
        self._refreshing.pop(inbox_id, None)
        if not task.cancelled():
            task.exception()  # seen here too: whoever asked may have gone
