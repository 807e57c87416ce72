"""Sessions for aiohttp-session, kept by the accounts in MongoDB. The cookie holds a random token and nothing else.

Somebody who is not signed in gets a token too, for the forms; it is kept nowhere, and signing in makes another.
"""

from __future__ import annotations

import re

from aiohttp import web
from aiohttp_session import AbstractStorage, Session, new_session

from inbox.accounts.model import Agent
from inbox.accounts.service import AccountService
from inbox.core.ids import new_secret
from inbox.web.pages import AGENT, SIGN_IN, client_ip

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_SIGNED_IN = "signed_in"


class SessionStorage(AbstractStorage):
    """Loads who is signed in and sets the cookie; the accounts keep the rest."""

    def __init__(self, accounts: AccountService, *, cookie_name: str, secure: bool) -> None:
        # A browser keeps a cookie named so to this host, this path and encrypted connections (RFC 6265bis, 4.1.3.2).
        name = f"__Host-{cookie_name}" if secure else cookie_name
        super().__init__(cookie_name=name, secure=secure, httponly=True, samesite="Lax")
        self._accounts = accounts
        self._keep = int(accounts.session_life.total_seconds())

    async def load_session(self, request: web.Request) -> Session:
        """The session of the request's cookie, as far as it is alive."""
        token = self.load_cookie(request) or ""
        if not _TOKEN.fullmatch(token):
            return Session(None, data=None, new=True)
        user_agent = request.headers.get("User-Agent", "")
        found = await self._accounts.session(token, ip=client_ip(request), user_agent=user_agent)
        if found is None:
            return Session(token, data=None, new=True)
        request[SIGN_IN], request[AGENT] = found.session, found.agent
        created = int(found.session.created_at.timestamp())
        session = Session(token, data={"created": created, "session": {_SIGNED_IN: True}}, new=False)
        if found.is_prolonged:
            session.changed()  # so that the cookie is prolonged with it
        return session

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """Set the cookie: for as long as the session lives, or for a mere form until the browser is closed."""
        self.save_cookie(response, str(session.identity), max_age=self._keep if _SIGNED_IN in session else None)


async def sign_in(request: web.Request, accounts: AccountService, agent: Agent) -> None:
    """Sign the browser in, under a new token."""
    await _end(request, accounts)
    user_agent = request.headers.get("User-Agent", "")
    token = await accounts.open_session(agent, ip=client_ip(request), user_agent=user_agent)
    session = await new_session(request)
    session.set_new_identity(token)
    session[_SIGNED_IN] = True


async def sign_out(request: web.Request, accounts: AccountService) -> None:
    """Sign the browser out; it goes on under another token, nobody's."""
    await _end(request, accounts)
    session = await new_session(request)
    session.set_new_identity(new_secret())
    session.changed()


async def _end(request: web.Request, accounts: AccountService) -> None:
    signed_in = request.get(SIGN_IN)
    if signed_in is not None:
        await accounts.close_session(request[AGENT], signed_in.id, ip=client_ip(request))
