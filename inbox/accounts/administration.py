"""What administrators do: invite people, change roles, deactivate, form teams, read the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec

from inbox.accounts.model import (
    Actor,
    Agent,
    AuditAction,
    AuditEntry,
    Invite,
    Permission,
    Role,
    Team,
    check,
    email_problem,
    name_problem,
    normal_email,
)
from inbox.accounts.service import AccountService
from inbox.core.errors import Conflict, NotFound
from inbox.core.events import EventType
from inbox.core.ids import digest, new_id, new_secret
from inbox.core.mongo import Session

INVITE_LIFE = timedelta(days=7)
AUDIT_PAGE = 50
_GONE = "This link was used or has expired. Ask for a new one."


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit log; `next` is the cursor of the one after it, empty on the last."""

    entries: Sequence[AuditEntry]
    next: str


class AdministrationService:
    """Use-cases of the settings pages about people. Every call checks that the actor may."""

    def __init__(self, accounts: AccountService) -> None:
        self._accounts = accounts
        self._store = accounts.store

    # Invitations

    async def invite(self, actor: Actor, email: str, role: Role, *, ip: str = "") -> tuple[Invite, str]:
        """Invite somebody; the invitation and the path of its link, which is not kept. Raises `Invalid`."""
        actor.require(Permission.SETTINGS)
        email = normal_email(email)
        check({"email": email_problem(email)})
        if await self._store.agent_by_email(email):
            check({"email": "Somebody here already has this e-mail address."})
        return await self._make_link(actor, email, role, AuditAction.INVITED, ip=ip)

    async def password_link(self, actor: Actor, agent_id: str, *, ip: str = "") -> tuple[Invite, str]:
        """For somebody who forgot their password: a link like an invitation's to choose a new one."""
        actor.require(Permission.SETTINGS)
        agent = await self._accounts.agent(agent_id)
        return await self._make_link(
            actor, agent.email, agent.role, AuditAction.PASSWORD_LINK, agent_id=agent.id, ip=ip
        )

    async def invites(self, actor: Actor) -> list[Invite]:
        """Invitations that are open."""
        actor.require(Permission.SETTINGS)
        return await self._store.invites(self._accounts.clock())

    async def withdraw(self, actor: Actor, invite_id: str, *, ip: str = "") -> None:
        """Take an invitation back. Raises `NotFound`."""
        actor.require(Permission.SETTINGS)

        async def work(session: Session) -> None:
            invite = await self._store.end_invite(session, invite_id, self._accounts.clock())
            if invite is None:
                raise NotFound("This invitation was used or has expired.")
            await self._accounts.record(session, actor, AuditAction.INVITE_WITHDRAWN, subject=invite.email, ip=ip)

        await self._store.mongo.transaction(work)

    async def invitation(self, token: str) -> Invite:
        """What a link invites to. Raises `NotFound`."""
        invite = await self._store.invite(digest("invite", token), self._accounts.clock())
        if invite is None:
            raise NotFound(_GONE)
        return invite

    async def join(self, token: str, name: str, password: str, *, timezone: str = "UTC", ip: str = "") -> Agent:
        """Accept an invitation, or choose a new password. Raises `NotFound`, `Invalid` and `Conflict`."""
        invite = await self.invitation(token)
        if invite.agent_id:
            return await self._renew_password(invite, password, ip)
        agent = await self._accounts.new_agent(name, invite.email, password, invite.role, timezone)

        async def work(session: Session) -> None:
            if await self._store.end_invite(session, invite.id, self._accounts.clock()) is None:
                raise NotFound(_GONE)
            await self._accounts.add(session, agent)
            await self._accounts.record(session, agent.actor, AuditAction.JOINED, ip=ip)

        await self._store.mongo.transaction(work)
        self._accounts.forget()
        return agent

    # People

    async def set_role(self, actor: Actor, agent_id: str, role: Role, *, ip: str = "") -> Agent:
        """Change what somebody may do. Raises `Conflict` for the last administrator."""

        async def work(session: Session, agent: Agent) -> Agent:
            if role is not Role.ADMIN:
                await self._not_last_admin(session, agent)
            changed = await self._store.update_agent(session, agent.id, {"role": role.value})
            assert changed is not None  # read in this very transaction
            await self._accounts.record(
                session, actor, AuditAction.ROLE_CHANGED, subject=agent.name, detail=f"{agent.role} → {role}", ip=ip
            )
            await self._accounts.tell(session, EventType.AGENT_CHANGED, actor, agent.id, "role")
            return changed

        return await self._change(actor, agent_id, work)

    async def deactivate(self, actor: Actor, agent_id: str, *, ip: str = "") -> Agent:
        """Shut somebody out; their sessions end at once. Raises `Conflict` for the last administrator."""

        async def work(session: Session, agent: Agent) -> Agent:
            await self._not_last_admin(session, agent)
            await self._store.end_sessions(session, agent.id)
            return await self._set_active(session, actor, agent, active=False, ip=ip)

        return await self._change(actor, agent_id, work)

    async def reactivate(self, actor: Actor, agent_id: str, *, ip: str = "") -> Agent:
        """Let somebody back in, with the password and role they had."""

        async def work(session: Session, agent: Agent) -> Agent:
            return await self._set_active(session, actor, agent, active=True, ip=ip)

        return await self._change(actor, agent_id, work)

    # Teams

    async def create_team(self, actor: Actor, name: str, *, ip: str = "") -> Team:
        """Make a team. Raises `Invalid`."""
        actor.require(Permission.SETTINGS)
        await self._check_team_name(name)
        team = Team(id=new_id(), name=name.strip())

        async def work(session: Session) -> None:
            await self._store.add_team(session, team)
            await self._accounts.record(session, actor, AuditAction.TEAM_CREATED, subject=team.name, ip=ip)

        await self._store.mongo.transaction(work)
        self._accounts.forget()
        return team

    async def edit_team(
        self, actor: Actor, team_id: str, name: str, member_ids: Sequence[str], *, ip: str = ""
    ) -> None:
        """Give a team another name and say who is in it. Raises `NotFound`, also for members unknown, and `Invalid`."""
        actor.require(Permission.SETTINGS)
        await self._check_team_name(name, but=team_id)
        names, members = await self._accounts.names(), sorted(set(member_ids))
        if not names.keys() >= set(members):
            raise NotFound("This person does not work here.")
        changes = {"name": name.strip(), "member_ids": members}

        async def work(session: Session) -> None:
            before = await self._store.update_team(session, team_id, changes)
            if before is None:
                raise NotFound("This team is no longer there.")
            if before.name != changes["name"]:
                detail = f"{before.name} → {changes['name']}"
                await self._accounts.record(session, actor, AuditAction.TEAM_RENAMED, before.name, detail, ip)
            if list(before.member_ids) != members:
                listed = ", ".join(names[member] for member in members)
                await self._accounts.record(session, actor, AuditAction.TEAM_MEMBERS_CHANGED, name.strip(), listed, ip)

        await self._store.mongo.transaction(work)
        self._accounts.forget()

    # The audit log

    async def audit(self, actor: Actor, before: str = "") -> AuditPage:
        """A page of the audit log, latest first."""
        actor.require(Permission.SETTINGS)
        entries = await self._store.audit(before, AUDIT_PAGE + 1)
        return AuditPage(entries[:AUDIT_PAGE], entries[AUDIT_PAGE - 1].id if len(entries) > AUDIT_PAGE else "")

    async def _make_link(
        self, actor: Actor, email: str, role: Role, action: AuditAction, *, agent_id: str = "", ip: str
    ) -> tuple[Invite, str]:
        token, now = new_secret(), self._accounts.clock()
        invite = Invite(
            id=digest("invite", token),
            email=email,
            role=role,
            invited_by=actor.id,
            created_at=now,
            expires_at=now + INVITE_LIFE,
            agent_id=agent_id,
        )

        async def work(session: Session) -> None:
            await self._store.add_invite(session, invite)
            await self._accounts.record(session, actor, action, subject=email, detail=role, ip=ip)

        await self._store.mongo.transaction(work)
        return invite, f"/join/{token}"

    async def _renew_password(self, invite: Invite, password: str, ip: str) -> Agent:
        changes = {"password_hash": await self._accounts.new_hash(password, invite.email)}

        async def work(session: Session) -> Agent:
            if await self._store.end_invite(session, invite.id, self._accounts.clock()) is None:
                raise NotFound(_GONE)
            agent = await self._store.update_agent(session, invite.agent_id, changes)
            if agent is None or not agent.active:
                raise NotFound(_GONE)
            await self._store.end_sessions(session, agent.id)
            await self._accounts.record(session, agent.actor, AuditAction.PASSWORD_CHANGED, ip=ip)
            await self._accounts.tell(session, EventType.AGENT_CHANGED, agent.actor, agent.id, "sessions")
            return agent

        return await self._store.mongo.transaction(work)

    async def _change(self, actor: Actor, agent_id: str, work: Callable[[Session, Agent], Awaitable[Agent]]) -> Agent:
        actor.require(Permission.SETTINGS)

        async def whole(session: Session) -> Agent:
            agent = await self._store.agent(agent_id, session)
            if agent is None:
                raise NotFound("This person does not work here.")
            return await work(session, agent)

        changed = await self._store.mongo.transaction(whole)
        self._accounts.forget()
        return changed

    async def _not_last_admin(self, session: Session, agent: Agent) -> None:
        if agent.role is Role.ADMIN and agent.active and not await self._store.other_admins(session, agent.id):
            raise Conflict("This is the last administrator. Make somebody else one first.")

    async def _set_active(self, session: Session, actor: Actor, agent: Agent, *, active: bool, ip: str) -> Agent:
        changed = await self._store.update_agent(session, agent.id, {"active": active})
        assert changed is not None  # read in this very transaction
        action = AuditAction.REACTIVATED if active else AuditAction.DEACTIVATED
        await self._accounts.record(session, actor, action, subject=agent.name, ip=ip)
        await self._accounts.tell(session, EventType.AGENT_CHANGED, actor, agent.id, "active")
        return changed

    async def _check_team_name(self, name: str, but: str = "") -> None:
        problem = name_problem(name)
        same = [team for team in await self._accounts.teams() if team.name == name.strip() and team.id != but]
        check({"name": problem or ("There is a team of this name already." if same else "")})
