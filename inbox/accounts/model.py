"""Agents, teams, roles, sessions: types and rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from inbox.core.errors import Forbidden, Invalid

PASSWORD_LENGTH = 10
_PASSWORD_MOST = 200  # hashing a longer one would only cost time
_NAME_MOST = 80
_EMAIL = re.compile(r"[^@\s<>\",;:]{1,64}@[^@\s<>\",;:]{1,189}")


class Role(StrEnum):
    """What an agent is in the workspace."""

    ADMIN = "admin"
    AGENT = "agent"
    MARKETER = "marketer"


class Permission(StrEnum):
    """What a service may ask an actor for."""

    INBOX_READ = "inbox.read"
    INBOX_REPLY = "inbox.reply"
    CUSTOMER_READ = "customer.read"
    CUSTOMER_EDIT = "customer.edit"
    SETTINGS = "settings"


_GRANTS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.AGENT: frozenset(
        {Permission.INBOX_READ, Permission.INBOX_REPLY, Permission.CUSTOMER_READ, Permission.CUSTOMER_EDIT}
    ),
    Role.MARKETER: frozenset({Permission.INBOX_READ, Permission.CUSTOMER_READ, Permission.CUSTOMER_EDIT}),
}


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something: an agent, or a part of the system."""

    id: str
    name: str = ""
    role: Role | None = None
    """None for the system itself, which may do everything."""

    @classmethod
    def system(cls, part: str) -> Actor:
        """The actor of a worker or of the set-up, for example `system:deliver`."""
        return cls(id=f"system:{part}")

    def may(self, permission: Permission) -> bool:
        """Whether this actor has a permission."""
        return self.role is None or permission in _GRANTS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` where the permission is missing."""
        if not self.may(permission):
            raise Forbidden("Your role does not allow this. Ask an administrator of this workspace.")


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """A person who works here."""

    id: str
    email: str
    name: str
    role: Role
    created_at: datetime
    active: bool = True
    locale: str = ""
    timezone: str = "UTC"
    signature: str = ""
    """Sanitised HTML put below replies."""
    password_hash: str = ""

    @property
    def actor(self) -> Actor:
        """This agent as an actor."""
        return Actor(id=self.id, name=self.name, role=self.role)


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A group conversations can be assigned to."""

    id: str
    name: str
    member_ids: tuple[str, ...] = ()


class AgentSession(msgspec.Struct, frozen=True, kw_only=True):
    """One browser an agent is signed in with. `id` is the hash of the token in its cookie."""

    id: str
    agent_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ip: str = ""
    user_agent: str = ""

    @property
    def device(self) -> str:
        """The browser and system in two words, as far as the browser tells."""
        return describe_device(self.user_agent)


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """A link by which somebody joins, or chooses a new password. `id` is the hash of the token in the link."""

    id: str
    email: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime
    agent_id: str = ""
    """Set where the link is for somebody who works here already and chooses a new password."""


class AuditAction(StrEnum):
    """What the audit log tells of."""

    WORKSPACE_SET_UP = "workspace.set_up"
    SIGNED_IN = "agent.signed_in"
    SIGN_IN_FAILED = "agent.sign_in_failed"
    SIGNED_OUT = "agent.signed_out"
    SESSION_REVOKED = "agent.session_revoked"
    PASSWORD_CHANGED = "agent.password_changed"  # noqa: S105 # the name of an action
    PASSWORD_LINK = "agent.password_link"  # noqa: S105 # the same
    PROFILE_CHANGED = "agent.profile_changed"
    INVITED = "agent.invited"
    INVITE_WITHDRAWN = "agent.invite_withdrawn"
    JOINED = "agent.joined"
    ROLE_CHANGED = "agent.role_changed"
    DEACTIVATED = "agent.deactivated"
    REACTIVATED = "agent.reactivated"
    TEAM_CREATED = "team.created"
    TEAM_RENAMED = "team.renamed"
    TEAM_MEMBERS_CHANGED = "team.members_changed"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to whom, when and from where."""

    id: str
    at: datetime
    actor_id: str
    actor_name: str
    action: AuditAction
    subject: str = ""
    """The name of the person or team it was done to."""
    detail: str = ""
    ip: str = ""


_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def describe_device(user_agent: str) -> str:
    """For example `Firefox, Linux`; empty where the browser says nothing we know."""
    found = [next((name for mark, name in marks if mark in user_agent), "") for marks in (_BROWSERS, _SYSTEMS)]
    return ", ".join(name for name in found if name)


def normal_email(text: str) -> str:
    """An e-mail address as it is kept and compared: trimmed and in lower case, whatever it is."""
    return text.strip().lower()


def check(fields: Mapping[str, str]) -> None:
    """Raise `Invalid` where a field has something wrong with it; an empty text is nothing wrong."""
    wrong = {name: words for name, words in fields.items() if words}
    if wrong:
        raise Invalid("Please look at the marked fields.", fields=wrong)


def email_problem(email: str) -> str:
    """What is wrong with an e-mail address, or an empty text."""
    if not email:
        return "Enter an e-mail address."
    return "" if _EMAIL.fullmatch(email) else "This does not look like an e-mail address."


def name_problem(name: str) -> str:
    """What is wrong with the name of a person or team, or an empty text."""
    if not name.strip():
        return "Enter a name."
    if len(name) > _NAME_MOST or not name.isprintable():
        return "Enter a shorter name, without special characters."
    return ""


def password_problem(password: str, email: str = "") -> str:
    """What is wrong with a new password, or an empty text. Length is what makes one hard to guess."""
    if len(password) < PASSWORD_LENGTH:
        return "Use at least 10 characters. A few words in a row are easy to remember."
    if len(password) > _PASSWORD_MOST:
        return "Use at most 200 characters."
    if len(set(password)) < 5 or (email and password.lower() in (email, email.partition("@")[0])):
        return "This is too easy to guess. Try a few words in a row."
    return ""
