"""The collections of accounts: agents and their addresses, sessions, invitations, teams, sign-in tries, the audit log.

Uniqueness is by `_id` throughout (an address is the `_id` of an `agent_emails` document), so that it also holds on a
sharded cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument

from inbox.accounts.model import Agent, AgentSession, AuditEntry, Invite, Team
from inbox.core.mongo import Duplicate, Mongo, Session, from_document, to_document

_EPOCH = datetime.fromtimestamp(0, UTC)
_SETUP = "setup"
_ROLES = "roles"


class AccountStore:
    """Everything accounts keep. Methods that take a session belong to a transaction of the service."""

    def __init__(self, mongo: Mongo) -> None:
        self.mongo = mongo
        self._agents = mongo.collection("agents")
        self._emails = mongo.collection("agent_emails")
        self._sessions = mongo.collection("sessions")
        self._invites = mongo.collection("invites")
        self._teams = mongo.collection("teams")
        self._audit = mongo.collection("audit")
        self._tries = mongo.collection("sign_in_tries")
        self._marks = mongo.collection("account_marks")

    async def prepare(self) -> None:
        """Create the collections and their indexes."""
        expiring = IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)
        await self.mongo.ensure("agents")
        await self.mongo.ensure("agent_emails")
        await self.mongo.ensure("sessions", [expiring, IndexModel([("agent_id", ASCENDING)])])
        await self.mongo.ensure("invites", [expiring, IndexModel([("email", ASCENDING)])])
        await self.mongo.ensure("teams")
        await self.mongo.ensure("audit")
        await self.mongo.ensure("sign_in_tries", [IndexModel([("until", ASCENDING)], expireAfterSeconds=0)])
        await self.mongo.ensure("account_marks")

    # Agents

    async def agents(self) -> list[Agent]:
        """Everybody, in the order they came."""
        return [from_document(document, Agent) async for document in self._agents.find().sort("_id", ASCENDING)]

    async def agent(self, agent_id: str, session: Session | None = None) -> Agent | None:
        """One agent."""
        document = await self._agents.find_one({"_id": agent_id}, session=session)
        return from_document(document, Agent) if document else None

    async def agent_by_email(self, email: str) -> Agent | None:
        """The agent a normalised address belongs to."""
        known = await self._emails.find_one({"_id": email})
        return await self.agent(known["agent_id"]) if known else None

    async def has_agents(self, session: Session | None = None) -> bool:
        """Whether anybody has been set up."""
        return await self._emails.find_one({}, session=session) is not None

    async def add_agent(self, session: Session, agent: Agent) -> bool:
        """Add an agent; False where the address is taken (the transaction is over then)."""
        try:
            await self._emails.insert_one({"_id": agent.email, "agent_id": agent.id}, session=session)
        except Duplicate:
            return False
        await self._agents.insert_one(to_document(agent), session=session)
        return True

    async def update_agent(self, session: Session, agent_id: str, changes: dict[str, Any]) -> Agent | None:
        """Change fields of an agent; the agent as it is now, or None."""
        document = await self._agents.find_one_and_update(
            {"_id": agent_id}, {"$set": changes}, session=session, return_document=ReturnDocument.AFTER
        )
        return from_document(document, Agent) if document else None

    async def other_admins(self, session: Session, agent_id: str) -> int:
        """How many active administrators there are besides this one, counted so that two changes at once collide."""
        await self._marks.update_one({"_id": _ROLES}, {"$inc": {"changes": 1}}, upsert=True, session=session)
        query = {"role": "admin", "active": True, "_id": {"$ne": agent_id}}
        return len(await self._agents.find(query, {"_id": 1}, session=session).limit(2).to_list(2))

    # Sessions

    async def add_session(self, session: Session, signed_in: AgentSession) -> None:
        """Keep a new session."""
        await self._sessions.insert_one(to_document(signed_in), session=session)

    async def session(self, session_id: str, now: datetime) -> AgentSession | None:
        """A session that has not run out."""
        document = await self._sessions.find_one({"_id": session_id, "expires_at": {"$gt": now}})
        return from_document(document, AgentSession) if document else None

    async def touch_session(self, session_id: str, changes: dict[str, Any]) -> None:
        """Note that a session was used."""
        await self._sessions.update_one({"_id": session_id}, {"$set": changes})

    async def sessions_of(self, agent_id: str, now: datetime) -> list[AgentSession]:
        """An agent's sessions, the last used first."""
        found = self._sessions.find({"agent_id": agent_id, "expires_at": {"$gt": now}})
        sessions = [from_document(document, AgentSession) async for document in found]
        return sorted(sessions, key=lambda one: one.seen_at, reverse=True)

    async def end_sessions(self, session: Session, agent_id: str, *, only: str = "", keep: str = "") -> int:
        """End all sessions of an agent, or `only` one, or all but the one to `keep`; how many there were."""
        query: dict[str, Any] = {"agent_id": agent_id}
        if only:
            query["_id"] = only
        elif keep:
            query["_id"] = {"$ne": keep}
        result = await self._sessions.delete_many(query, session=session)
        return int(result.deleted_count)

    # The first administrator, and invitations

    async def keep_setup(self, token_hash: str) -> None:
        """Make this the one set-up link that works."""
        await self._marks.update_one({"_id": _SETUP}, {"$set": {"token": token_hash}}, upsert=True)

    async def is_setup(self, token_hash: str) -> bool:
        """Whether a set-up link works."""
        return await self._marks.find_one({"_id": _SETUP, "token": token_hash}) is not None

    async def use_setup(self, session: Session, token_hash: str) -> bool:
        """Use the set-up link up; False where it is not the one that works."""
        result = await self._marks.delete_one({"_id": _SETUP, "token": token_hash}, session=session)
        return bool(result.deleted_count)

    async def add_invite(self, session: Session, invite: Invite) -> None:
        """Keep an invitation in place of earlier ones to the same address."""
        await self._invites.delete_many({"email": invite.email}, session=session)
        await self._invites.insert_one(to_document(invite), session=session)

    async def invites(self, now: datetime) -> list[Invite]:
        """Invitations that are open, the next to expire first."""
        found = self._invites.find({"expires_at": {"$gt": now}}).sort("expires_at", ASCENDING)
        return [from_document(document, Invite) async for document in found]

    async def invite(self, invite_id: str, now: datetime) -> Invite | None:
        """An open invitation."""
        document = await self._invites.find_one({"_id": invite_id, "expires_at": {"$gt": now}})
        return from_document(document, Invite) if document else None

    async def end_invite(self, session: Session, invite_id: str, now: datetime) -> Invite | None:
        """Take an open invitation away; what it was."""
        query = {"_id": invite_id, "expires_at": {"$gt": now}}
        document = await self._invites.find_one_and_delete(query, session=session)
        return from_document(document, Invite) if document else None

    # Teams

    async def teams(self) -> list[Team]:
        """Every team, in the order they were made."""
        return [from_document(document, Team) async for document in self._teams.find().sort("_id", ASCENDING)]

    async def add_team(self, session: Session, team: Team) -> None:
        """Add a team."""
        await self._teams.insert_one(to_document(team), session=session)

    async def update_team(self, session: Session, team_id: str, changes: dict[str, Any]) -> Team | None:
        """Change fields of a team; the team as it was before, or None."""
        document = await self._teams.find_one_and_update({"_id": team_id}, {"$set": changes}, session=session)
        return from_document(document, Team) if document else None

    # The audit log

    async def note(self, session: Session, entry: AuditEntry) -> None:
        """Append to the audit log."""
        await self._audit.insert_one(to_document(entry), session=session)

    async def audit(self, before: str, limit: int) -> Sequence[AuditEntry]:
        """The audit log, latest first, from the entry `before` on."""
        query = {"_id": {"$lt": before}} if before else {}
        found = self._audit.find(query).sort("_id", -1).limit(limit)
        return [from_document(document, AuditEntry) async for document in found]

    # Sign-in tries

    async def count_try(self, key: str, now: datetime, window: timedelta) -> tuple[int, datetime]:
        """Count a try under a key; how many there were since its window began, and when that ends."""
        over = {"$lte": [{"$ifNull": ["$until", _EPOCH]}, now]}
        change = {
            "$set": {
                "count": {"$cond": [over, 1, {"$add": ["$count", 1]}]},
                "until": {"$cond": [over, now + window, "$until"]},
            }
        }
        while True:
            try:
                document = await self._tries.find_one_and_update(
                    {"_id": key}, [change], upsert=True, return_document=ReturnDocument.AFTER
                )
            except Duplicate:  # another try made the document at the same moment: now there is one to count in
                continue
            return int(document["count"]), document["until"]

    async def give_back_try(self, key: str) -> None:
        """Take back a try that turned out right."""
        await self._tries.update_one({"_id": key}, {"$inc": {"count": -1}})

    async def forget_tries(self, key: str) -> None:
        """Begin to count anew."""
        await self._tries.delete_one({"_id": key})
