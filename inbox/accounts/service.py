"""Who works here and who is signed in: set-up, sign-in, sessions and what people change about themselves.

What administrators do to others is in `administration.py`.
"""

from __future__ import annotations

import asyncio
import zoneinfo
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

import structlog

from inbox.accounts.model import (
    Actor,
    Agent,
    AgentSession,
    AuditAction,
    AuditEntry,
    Role,
    Team,
    check,
    email_problem,
    name_problem,
    normal_email,
    password_problem,
)
from inbox.accounts.passwords import Passwords
from inbox.accounts.store import AccountStore
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Conflict, Invalid, NotFound, TooMany
from inbox.core.events import Event, EventType
from inbox.core.html import from_field
from inbox.core.ids import digest, new_id, new_secret
from inbox.core.mongo import Session
from inbox.core.store import EventStore

TRIES_PER_EMAIL = 10
TRIES_PER_ADDRESS = 50
TRIES_WINDOW = timedelta(minutes=15)
_SEEN_EVERY = timedelta(minutes=5)
_FRESH = timedelta(seconds=1)
_SIGNATURE_MOST = 20_000

log = structlog.get_logger()


class SignedIn(NamedTuple):
    """A live session, whose it is, and whether it was just prolonged."""

    session: AgentSession
    agent: Agent
    is_prolonged: bool


class AccountService:
    """Agents, their sign-in and sessions, and what an agent changes about themselves.

    Lists of agents and teams are kept for a second: a page asks for them many times. A session is never kept, so that
    one that was revoked is dead at once in every process.
    """

    def __init__(
        self,
        store: AccountStore,
        events: EventStore,
        passwords: Passwords | None = None,
        *,
        session_days: int = 30,
        clock: Clock = utcnow,
    ) -> None:
        self.store = store
        self.clock = clock
        self.passwords = passwords or Passwords()
        self.session_life = timedelta(days=session_days)
        self._events = events
        self._people: list[Agent] = []
        self._groups: list[Team] = []
        self._fresh_until = clock()

    # Who there is

    async def agents(self) -> list[Agent]:
        """Everybody, deactivated people too, in the order they came."""
        await self._refresh()
        return self._people

    async def agent(self, agent_id: str) -> Agent:
        """One agent. Raises `NotFound`."""
        found = next((agent for agent in await self.agents() if agent.id == agent_id), None)
        found = found or await self.store.agent(agent_id)
        if found is None:
            raise NotFound("This person does not work here.")
        return found

    async def names(self) -> dict[str, str]:
        """The name of every agent by id."""
        return {agent.id: agent.name for agent in await self.agents()}

    async def teams(self) -> list[Team]:
        """Every team, in the order they were made."""
        await self._refresh()
        return self._groups

    # The first administrator

    async def setup_link(self) -> str | None:
        """The path of a new link that makes the first administrator, once; it ends earlier ones. None when there is
        somebody already."""
        if await self.store.has_agents():
            return None
        token = new_secret()
        await self.store.keep_setup(digest("setup", token))
        return f"/setup/{token}"

    async def check_setup(self, token: str) -> None:
        """Raise `NotFound` where a set-up link does not work (any more)."""
        if not await self.store.is_setup(digest("setup", token)):
            raise NotFound("This link was used or has been replaced. Start Örtöö again to get a new one.")

    async def create_first_admin(
        self, token: str, name: str, email: str, password: str, *, timezone: str = "UTC", ip: str = ""
    ) -> Agent:
        """Make the first administrator and use the link up. Raises `NotFound` and `Invalid`."""
        await self.check_setup(token)
        agent = await self.new_agent(name, email, password, Role.ADMIN, timezone)

        async def work(session: Session) -> None:
            used = await self.store.use_setup(session, digest("setup", token))
            if not used or await self.store.has_agents(session):
                raise NotFound("This link was used or has been replaced. Start Örtöö again to get a new one.")
            await self.add(session, agent)
            await self.record(session, agent.actor, AuditAction.WORKSPACE_SET_UP, ip=ip)

        await self.store.mongo.transaction(work)
        self.forget()
        return agent

    # Sign-in

    async def authenticate(self, email: str, password: str, ip: str) -> Agent:
        """The agent these belong to.

        Raises `Invalid` in the same words and after the same time whether the address, the password or the account is
        wrong, and `TooMany` after too many tries for the address or from one place.
        """
        email = normal_email(email)
        by_email, by_place = digest("email", email), digest("ip", ip)
        await self._throttle(by_place, TRIES_PER_ADDRESS)
        await self._throttle(by_email, TRIES_PER_EMAIL)
        agent = await self.store.agent_by_email(email)
        right = await self.passwords.verify(agent.password_hash if agent else "", password)
        if agent is None or not right or not agent.active:
            log.info("sign-in failed", ip=ip, known=agent is not None)
            if agent is not None:
                await self._note(agent.actor, AuditAction.SIGN_IN_FAILED, ip=ip)
            raise Invalid("The e-mail address or the password is not right.")
        await self.store.forget_tries(by_email)
        await self.store.give_back_try(by_place)
        if self.passwords.is_outdated(agent.password_hash):
            renewed = {"password_hash": await self.passwords.hash(password)}
            await self.store.mongo.transaction(lambda session: self.store.update_agent(session, agent.id, renewed))
        return agent

    async def open_session(self, agent: Agent, *, ip: str, user_agent: str) -> str:
        """Sign in; the token for the browser's cookie."""
        token, now = new_secret(), self.clock()
        opened = AgentSession(
            id=digest("session", token),
            agent_id=agent.id,
            created_at=now,
            seen_at=now,
            expires_at=now + self.session_life,
            ip=ip,
            user_agent=user_agent[:300],
        )

        async def work(session: Session) -> None:
            await self.store.add_session(session, opened)
            await self.record(session, agent.actor, AuditAction.SIGNED_IN, detail=opened.device, ip=ip)

        await self.store.mongo.transaction(work)
        return token

    async def session(self, token: str, *, ip: str, user_agent: str) -> SignedIn | None:
        """Who a cookie's token belongs to; None for a session that ended."""
        now = self.clock()
        found = await self.store.session(digest("session", token), now)
        if found is None:
            return None
        agent = await self.agent(found.agent_id)
        if not agent.active:
            return None
        is_due = now - found.seen_at >= _SEEN_EVERY
        if is_due:
            changes = {"seen_at": now, "expires_at": now + self.session_life, "ip": ip, "user_agent": user_agent[:300]}
            await self.store.touch_session(found.id, changes)
        return SignedIn(found, agent, is_due)

    async def sessions(self, agent: Agent) -> Sequence[AgentSession]:
        """Where an agent is signed in, the last used first."""
        return await self.store.sessions_of(agent.id, self.clock())

    async def close_session(self, agent: Agent, session_id: str, *, ip: str) -> None:
        """Sign out."""
        await self._end_session(agent, session_id, AuditAction.SIGNED_OUT, ip)

    async def revoke_session(self, agent: Agent, session_id: str, *, ip: str) -> None:
        """End one of an agent's own sessions. Raises `NotFound`."""
        if not await self._end_session(agent, session_id, AuditAction.SESSION_REVOKED, ip):
            raise NotFound("This session has ended already.")

    # What people change about themselves

    async def change_password(self, agent: Agent, current: str, new: str, *, keep_session: str, ip: str) -> None:
        """Change the password and end every other session. Raises `Invalid`, and `TooMany` for guesses."""
        by_email = digest("email", agent.email)
        await self._throttle(by_email, TRIES_PER_EMAIL)
        stored = await self.store.agent(agent.id)
        if right := await self.passwords.verify(stored.password_hash if stored else "", current):
            await self.store.forget_tries(by_email)
        wrong = "" if right else "This is not your current password."
        check({"current": wrong, "new": password_problem(new, agent.email)})
        hashed = await self.passwords.hash(new)

        async def work(session: Session) -> None:
            await self.store.update_agent(session, agent.id, {"password_hash": hashed})
            await self.store.end_sessions(session, agent.id, keep=keep_session)
            await self.record(session, agent.actor, AuditAction.PASSWORD_CHANGED, ip=ip)
            await self.tell(session, EventType.AGENT_CHANGED, agent.actor, agent.id, "sessions")

        await self.store.mongo.transaction(work)
        self.forget()

    async def edit_profile(
        self, agent: Agent, *, name: str, locale: str, timezone: str, signature: str, ip: str
    ) -> Agent:
        """Change what colleagues and customers see of an agent. Raises `Invalid`."""
        too_long = len(signature) > _SIGNATURE_MOST
        check(
            {
                "name": name_problem(name),
                "timezone": "" if timezone in await zones() else "Choose a time zone from the list.",
                "signature": "This is too long for a signature." if too_long else "",
            }
        )
        changes = {"name": name.strip(), "locale": locale, "timezone": timezone, "signature": from_field(signature)}

        async def work(session: Session) -> Agent:
            changed = await self.store.update_agent(session, agent.id, changes)
            if changed is None:
                raise NotFound("This person does not work here.")
            await self.record(session, changed.actor, AuditAction.PROFILE_CHANGED, ip=ip)
            await self.tell(session, EventType.AGENT_CHANGED, changed.actor, agent.id, "profile")
            return changed

        changed = await self.store.mongo.transaction(work)
        self.forget()
        return changed

    # For the administration beside this

    async def new_hash(self, password: str, email: str) -> str:
        """The hash of a new password. Raises `Invalid` for field `password`."""
        check({"password": password_problem(password, email)})
        return await self.passwords.hash(password)

    async def new_agent(self, name: str, email: str, password: str, role: Role, timezone: str = "UTC") -> Agent:
        """An agent that is not stored yet; a time zone that is not known is UTC. Raises `Invalid`."""
        email = normal_email(email)
        check(
            {
                "name": name_problem(name),
                "email": email_problem(email),
                "password": password_problem(password, email),
            }
        )
        return Agent(
            id=new_id(),
            email=email,
            name=name.strip(),
            role=role,
            created_at=self.clock(),
            timezone=timezone if timezone in await zones() else "UTC",
            password_hash=await self.passwords.hash(password),
        )

    async def add(self, session: Session, agent: Agent) -> None:
        """Store a new agent and tell of it. Raises `Conflict` where the address is taken."""
        if not await self.store.add_agent(session, agent):
            raise Conflict("Somebody here already has this e-mail address.")
        await self.tell(session, EventType.AGENT_CREATED, agent.actor, agent.id, "new")

    async def tell(self, session: Session, kind: EventType, actor: Actor, agent_id: str, changed: str) -> None:
        """Append the event of a change to an agent (`changed` says of what)."""
        data = {"agent_id": agent_id, "changed": changed}
        await self._events.append(session, [Event(type=kind, at=self.clock(), actor=actor.id, data=data)])

    async def record(
        self, session: Session, actor: Actor, action: AuditAction, subject: str = "", detail: str = "", ip: str = ""
    ) -> None:
        """Append to the audit log within the transaction of what is told."""
        entry = AuditEntry(
            id=new_id(),
            at=self.clock(),
            actor_id=actor.id,
            actor_name=actor.name,
            action=action,
            subject=subject,
            detail=detail,
            ip=ip,
        )
        await self.store.note(session, entry)

    def forget(self) -> None:
        """Read agents and teams anew the next time somebody asks."""
        self._fresh_until = self.clock()

    async def _refresh(self) -> None:
        now = self.clock()
        if now >= self._fresh_until:
            self._people, self._groups = await self.store.agents(), await self.store.teams()
            self._fresh_until = now + _FRESH

    async def _throttle(self, key: str, most: int) -> None:
        now = self.clock()
        count, until = await self.store.count_try(key, now, TRIES_WINDOW)
        if count > most:
            seconds = max(1.0, (until - now).total_seconds())
            minutes = int(-(-seconds // 60))
            raise TooMany("Too many tries. Try again in %(minutes)d min.", after=seconds, minutes=minutes)

    async def _end_session(self, agent: Agent, session_id: str, action: AuditAction, ip: str) -> bool:
        async def work(session: Session) -> bool:
            if not await self.store.end_sessions(session, agent.id, only=session_id):
                return False
            await self.record(session, agent.actor, action, ip=ip)
            await self.tell(session, EventType.AGENT_CHANGED, agent.actor, agent.id, "sessions")
            return True

        return await self.store.mongo.transaction(work)

    async def _note(self, actor: Actor, action: AuditAction, **about: Any) -> None:
        await self.store.mongo.transaction(lambda session: self.record(session, actor, action, **about))


async def zones() -> tuple[str, ...]:
    """The time zones a person can choose, by name."""
    return await asyncio.to_thread(_zones)


@cache
def _zones() -> tuple[str, ...]:
    known = zoneinfo.available_timezones()
    return ("UTC", *sorted(name for name in known if "/" in name and not name.startswith(("Etc/", "posix/", "right/"))))
