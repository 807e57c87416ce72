"""Pages of accounts: set-up, sign-in, joining, one's own profile, and the settings about people."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from inbox.accounts.administration import AdministrationService
from inbox.accounts.model import Invite, Permission, Role
from inbox.accounts.service import AccountService, zones
from inbox.core.errors import Conflict, DomainError, Invalid, TooMany
from inbox.core.html import to_field
from inbox.web.pages import (
    LANGUAGES,
    SIGN_IN,
    absolute,
    actor,
    agent,
    client_ip,
    form,
    redirect,
    render,
    safe_path,
    visitor,
)
from inbox.web.problems import refuse
from inbox.web.routes import Access, Route
from inbox.web.sessions import sign_in, sign_out

HOME = "/inbox"
_REFUSALS = (Invalid, Conflict, TooMany)


class AccountPages:
    """Handlers of the accounts' pages."""

    def __init__(self, accounts: AccountService, administration: AdministrationService) -> None:
        self._accounts = accounts
        self._administration = administration

    def routes(self) -> list[Route]:
        """What there is."""
        everybody, anybody, admin = Access.PUBLIC, Access.SIGNED_IN, Permission.SETTINGS
        return [
            Route("GET", "/setup/{token}", self.setup_page, everybody),
            Route("POST", "/setup/{token}", self.setup, everybody),
            Route("GET", "/login", self.login_page, everybody),
            Route("POST", "/login", self.login, everybody),
            Route("POST", "/logout", self.logout, everybody),
            Route("GET", "/join/{token}", self.join_page, everybody),
            Route("POST", "/join/{token}", self.join, everybody),
            Route("GET", "/me", self.me, anybody),
            Route("GET", "/settings", self.settings, anybody),
            Route("GET", "/settings/profile", self.profile_page, anybody),
            Route("POST", "/settings/profile", self.edit_profile, anybody),
            Route("POST", "/settings/profile/password", self.change_password, anybody),
            Route("POST", "/settings/profile/sessions/{id}/end", self.end_session, anybody),
            Route("GET", "/settings/agents", self.agents_page, admin),
            Route("POST", "/settings/agents/invite", self.invite, admin),
            Route("POST", "/settings/agents/invites/{id}/withdraw", self.withdraw, admin),
            Route("GET", "/settings/agents/{id}", self.agent_page, admin),
            Route("POST", "/settings/agents/{id}/role", self.set_role, admin),
            Route("POST", "/settings/agents/{id}/password-link", self.password_link, admin),
            Route("POST", "/settings/agents/{id}/deactivate", self.deactivate, admin),
            Route("POST", "/settings/agents/{id}/reactivate", self.reactivate, admin),
            Route("GET", "/settings/teams", self.teams_page, admin),
            Route("POST", "/settings/teams", self.create_team, admin),
            Route("POST", "/settings/teams/{id}", self.edit_team, admin),
            Route("GET", "/settings/audit", self.audit_page, admin),
        ]

    # Coming in and going out

    async def setup_page(self, request: web.Request) -> web.Response:
        """The form that makes the first administrator."""
        await self._accounts.check_setup(request.match_info["token"])
        return await render(request, "ui/accounts/setup.html", values={}, errors={})

    async def setup(self, request: web.Request) -> web.Response:
        """Make the first administrator and sign them in."""
        values = await form(request)
        try:
            admin = await self._accounts.create_first_admin(
                request.match_info["token"],
                values.get("name", ""),
                values.get("email", ""),
                values.get("password", ""),
                timezone=values.get("timezone", ""),
                ip=client_ip(request),
            )
        except _REFUSALS as error:
            return await refuse(request, "ui/accounts/setup.html", error, values=values)
        await sign_in(request, self._accounts, admin)
        return redirect(HOME)

    async def login_page(self, request: web.Request) -> web.Response:
        """The form to sign in, for those who are not."""
        if visitor(request) is not None:
            return redirect(_next(request))
        return await render(request, "ui/accounts/login.html", values={}, errors={}, **await self._about_login(request))

    async def login(self, request: web.Request) -> web.Response:
        """Sign in and go where the person wanted to."""
        values = await form(request)
        try:
            found = await self._accounts.authenticate(
                values.get("email", ""), values.get("password", ""), client_ip(request)
            )
        except _REFUSALS as error:
            context = await self._about_login(request)
            return await refuse(request, "ui/accounts/login.html", error, values=values, **context)
        await sign_in(request, self._accounts, found)
        return redirect(_next(request))

    async def logout(self, request: web.Request) -> web.Response:
        """Sign out, and have the browser forget the pages it kept."""
        await sign_out(request, self._accounts)
        response = redirect("/login")
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    async def join_page(self, request: web.Request) -> web.Response:
        """The form that accepts an invitation."""
        invite = await self._administration.invitation(request.match_info["token"])
        return await render(request, "ui/accounts/join.html", values={}, errors={}, invite=invite)

    async def join(self, request: web.Request) -> web.Response:
        """Accept an invitation and sign in."""
        token, values = request.match_info["token"], await form(request)
        invite = await self._administration.invitation(token)
        try:
            joined = await self._administration.join(
                token,
                values.get("name", ""),
                values.get("password", ""),
                timezone=values.get("timezone", ""),
                ip=client_ip(request),
            )
        except _REFUSALS as error:
            return await refuse(request, "ui/accounts/join.html", error, values=values, invite=invite)
        await sign_in(request, self._accounts, joined)
        return redirect(HOME)

    async def _about_login(self, request: web.Request) -> dict[str, Any]:
        return {"next": _next(request), "is_set_up": bool(await self._accounts.agents())}

    # One's own profile

    async def me(self, request: web.Request) -> web.Response:
        """The short address of one's own profile."""
        return redirect("/settings/profile")

    async def settings(self, request: web.Request) -> web.Response:
        """The first page of the settings that a person may see."""
        return redirect("/settings/inboxes" if actor(request).may(Permission.SETTINGS) else "/settings/profile")

    async def profile_page(self, request: web.Request) -> web.Response:
        """Name, language, time zone, signature, password and sessions."""
        return await render(request, "ui/accounts/profile.html", errors={}, **await self._about_profile(request))

    async def edit_profile(self, request: web.Request) -> web.Response:
        """Save name, language, time zone and signature."""
        values = await form(request)
        locale = values.get("locale", "")
        known = request.app[LANGUAGES].get(locale) is not None
        try:
            await self._accounts.edit_profile(
                agent(request),
                name=values.get("name", ""),
                locale=locale if known else "",
                timezone=values.get("timezone", ""),
                signature=values.get("signature", ""),
                ip=client_ip(request),
            )
        except _REFUSALS as error:
            return await self._refuse_profile(request, error, values=values)
        return redirect("/settings/profile?done=saved")

    async def change_password(self, request: web.Request) -> web.Response:
        """Change the password; other browsers are signed out."""
        values = await form(request)
        try:
            await self._accounts.change_password(
                agent(request),
                values.get("current", ""),
                values.get("new", ""),
                keep_session=request[SIGN_IN].id,
                ip=client_ip(request),
            )
        except _REFUSALS as error:
            return await self._refuse_profile(request, error)
        return redirect("/settings/profile?done=password")

    async def end_session(self, request: web.Request) -> web.Response:
        """Sign another browser of one's own out."""
        await self._accounts.revoke_session(agent(request), request.match_info["id"], ip=client_ip(request))
        return redirect("/settings/profile?done=session")

    async def _about_profile(self, request: web.Request) -> dict[str, Any]:
        me = agent(request)
        return {
            "values": {
                "name": me.name,
                "locale": me.locale,
                "timezone": me.timezone,
                "signature": to_field(me.signature),
            },
            "languages": request.app[LANGUAGES].choices,
            "zones": [(zone, zone.replace("_", " ")) for zone in await zones()],
            "sessions": await self._accounts.sessions(me),
            "here": request[SIGN_IN].id,
            "done": request.query.get("done", ""),
        }

    async def _refuse_profile(self, request: web.Request, error: DomainError, **context: Any) -> web.Response:
        about = await self._about_profile(request)
        return await refuse(request, "ui/accounts/profile.html", error, **{**about, **context})

    # Agents

    async def agents_page(self, request: web.Request) -> web.Response:
        """Who works here, who is invited."""
        return await render(request, "ui/accounts/agents.html", errors={}, **await self._about_agents(request))

    async def invite(self, request: web.Request) -> web.Response:
        """Make an invitation and show its link, this once."""
        values = await form(request)
        try:
            role = _role(values.get("role", ""))
            invite, path = await self._administration.invite(
                actor(request), values.get("email", ""), role, ip=client_ip(request)
            )
        except _REFUSALS as error:
            about = await self._about_agents(request)
            return await refuse(request, "ui/accounts/agents.html", error, **{**about, "values": values})
        about = {**await self._about_agents(request), **_link(request, invite, path)}
        return await render(request, "ui/accounts/agents.html", errors={}, **about)

    async def withdraw(self, request: web.Request) -> web.Response:
        """Take an invitation back."""
        await self._administration.withdraw(actor(request), request.match_info["id"], ip=client_ip(request))
        return redirect("/settings/agents?done=withdrawn")

    async def agent_page(self, request: web.Request) -> web.Response:
        """One person: role, forgotten password, deactivation."""
        return await render(request, "ui/accounts/agent.html", errors={}, **await self._about_agent(request))

    async def set_role(self, request: web.Request) -> web.Response:
        """Change what somebody may do."""
        try:
            role = _role((await form(request)).get("role", ""))
            await self._administration.set_role(actor(request), request.match_info["id"], role, ip=client_ip(request))
        except _REFUSALS as error:
            return await self._refuse_agent(request, error)
        return self._back_to_agent(request, "role")

    async def password_link(self, request: web.Request) -> web.Response:
        """Make a link by which somebody chooses a new password, and show it, this once."""
        invite, path = await self._administration.password_link(
            actor(request), request.match_info["id"], ip=client_ip(request)
        )
        about = {**await self._about_agent(request), **_link(request, invite, path)}
        return await render(request, "ui/accounts/agent.html", errors={}, **about)

    async def deactivate(self, request: web.Request) -> web.Response:
        """Shut somebody out."""
        try:
            await self._administration.deactivate(actor(request), request.match_info["id"], ip=client_ip(request))
        except _REFUSALS as error:
            return await self._refuse_agent(request, error)
        return self._back_to_agent(request, "deactivated")

    async def reactivate(self, request: web.Request) -> web.Response:
        """Let somebody back in."""
        await self._administration.reactivate(actor(request), request.match_info["id"], ip=client_ip(request))
        return self._back_to_agent(request, "reactivated")

    async def _about_agents(self, request: web.Request) -> dict[str, Any]:
        return {
            "people": await self._accounts.agents(),
            "invites": await self._administration.invites(actor(request)),
            "values": {},
            "link": None,
            "done": request.query.get("done", ""),
        }

    async def _about_agent(self, request: web.Request) -> dict[str, Any]:
        person = await self._accounts.agent(request.match_info["id"])
        return {"person": person, "link": None, "done": request.query.get("done", "")}

    async def _refuse_agent(self, request: web.Request, error: DomainError) -> web.Response:
        return await refuse(request, "ui/accounts/agent.html", error, **await self._about_agent(request))

    def _back_to_agent(self, request: web.Request, done: str) -> web.Response:
        return redirect(f"/settings/agents/{request.match_info['id']}?done={done}")

    # Teams and the audit log

    async def teams_page(self, request: web.Request) -> web.Response:
        """The teams and who is in them."""
        return await render(request, "ui/accounts/teams.html", errors={}, **await self._about_teams(request))

    async def create_team(self, request: web.Request) -> web.Response:
        """Make a team."""
        values = await form(request)
        try:
            await self._administration.create_team(actor(request), values.get("name", ""), ip=client_ip(request))
        except _REFUSALS as error:
            about = await self._about_teams(request)
            return await refuse(request, "ui/accounts/teams.html", error, **{**about, "values": values})
        return redirect("/settings/teams?done=created")

    async def edit_team(self, request: web.Request) -> web.Response:
        """Rename a team and say who is in it."""
        team_id, sent = request.match_info["id"], await request.post()
        members = [str(member) for member in sent.getall("member", [])]
        try:
            await self._administration.edit_team(
                actor(request), team_id, str(sent.get("name", "")), members, ip=client_ip(request)
            )
        except _REFUSALS as error:
            about = await self._about_teams(request)
            return await refuse(request, "ui/accounts/teams.html", error, **{**about, "editing": team_id})
        return redirect("/settings/teams?done=saved")

    async def audit_page(self, request: web.Request) -> web.Response:
        """Who did what, latest first."""
        page = await self._administration.audit(actor(request), request.query.get("before", ""))
        return await render(request, "ui/accounts/audit.html", page=page)

    async def _about_teams(self, request: web.Request) -> dict[str, Any]:
        return {
            "teams": await self._accounts.teams(),
            "people": await self._accounts.agents(),
            "values": {},
            "editing": "",
            "done": request.query.get("done", ""),
        }


def _next(request: web.Request) -> str:
    return safe_path(request.query.get("next", ""), HOME)


def _link(request: web.Request, invite: Invite, path: str) -> dict[str, Any]:
    return {"link": {"email": invite.email, "url": absolute(request, path), "expires_at": invite.expires_at}}


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise Invalid("Please look at the marked fields.", fields={"role": "Choose a role."}) from error
