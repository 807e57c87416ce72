"""Who may ask for what: every route of the whole application, by every role, from the table of routes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from config.settings import Settings
from inbox.accounts.model import Actor, Permission, Role
from inbox.app import build
from inbox.core.mongo import Mongo
from inbox.web.routes import ROUTES, Access, Route
from inbox.web.security import SAFE_METHODS
from inbox.wiring import open_house
from tests.fixtures.web import Browser, Site

HOOKS = {f"{method} /hooks/{{inbox_id}}{more}" for method in ("GET", "POST") for more in ("", "/{what}")}
"""For providers, who sign what they send; tests/conversations/test_hooks.py sees that nobody else is let in."""
PUBLIC = {
    "GET /healthz",
    "GET /login",
    "POST /login",
    "POST /logout",
    "GET /setup/{token}",
    "POST /setup/{token}",
    "GET /join/{token}",
    "POST /join/{token}",
    "GET /static/dist/{name}",
}
"""What anybody may ask for. A route added here is a decision: say in its handler what guards it instead."""

STREAMS = {"/live"}
"""Answers that do not end by themselves: their status is enough."""

_PLACE = re.compile(r"\{\w+(?::([^{}]*))?\}")


@pytest.fixture
async def whole(mongo: Mongo, mongo_uri: str, tmp_path: Path) -> AsyncIterator[tuple[Site, web.Application]]:
    settings = Settings(data=tmp_path, mongodb_uri=SecretStr(mongo_uri), database=mongo.db.name)
    async with open_house(settings) as house:
        site = Site(mongo, settings)
        yield site, await build(house)
        await site.close()


def sample(route: Route) -> str:
    """A path of the route: the first word of a choice, else an id that nothing has."""
    return _PLACE.sub(lambda place: (place[1] or "01k00000000000000000000000").split("|")[0], route.path)


async def answer_of(browser: Browser, route: Route, *, with_token: bool = True) -> tuple[int, str]:
    """The status and, where it is an error, the code of the answer to a script that asks for a route."""
    path = sample(route)
    headers = {} if with_token else {"X-CSRF-Token": ""}
    response = await browser.ask(route.method, path, headers=headers)
    try:
        if route.path in STREAMS or response.content_type != "application/json":
            return response.status, ""
        told = await response.json()
        return response.status, told.get("code", "") if isinstance(told, dict) else ""
    finally:
        response.close()


def expected(route: Route, role: Role | None) -> int:
    """401, 403 or 0 for being let in."""
    if route.access in (Access.PUBLIC, Access.HOOK):
        return 0
    if role is None:
        return 401
    if isinstance(route.access, Permission) and not Actor(id="x", role=role).may(route.access):
        return 403
    return 0


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role or "nobody")
async def test_every_route_lets_in_whom_it_says(whole: tuple[Site, web.Application], role: Role | None) -> None:
    site, app = whole
    server = await site.serve(app)
    wrong = []
    for route in app[ROUTES].values():
        # Anew for each: one of them signs out, another ends the session.
        browser = await site.signed_in(server, role) if role else await site.browser(server)
        if role is None:
            await browser.get("/login")
        status, _ = await answer_of(browser, route)
        let_in = status not in (401, 403) and status < 500
        want = expected(route, role)
        if (want and status != want) or (not want and not let_in):
            wrong.append(f"{route.method} {route.path}: {status}, wanted {want or 'to be let in'}")
    assert not wrong


async def test_every_change_is_refused_without_the_token(whole: tuple[Site, web.Application]) -> None:
    site, app = whole
    server = await site.serve(app)
    admin = await site.signed_in(server, Role.ADMIN)
    unsafe = [
        route
        for route in app[ROUTES].values()
        if route.method not in SAFE_METHODS and route.access is not Access.HOOK  # a machine has no page of ours
    ]
    assert unsafe
    taken = [
        f"{route.method} {route.path}"
        for route in unsafe
        if await answer_of(admin, route, with_token=False) != (403, "forbidden")
    ]
    assert not taken


async def test_a_person_who_is_not_signed_in_is_led_to_the_sign_in_and_back(
    whole: tuple[Site, web.Application],
) -> None:
    site, app = whole
    browser = await site.browser(await site.serve(app))
    for route in app[ROUTES].values():
        if route.method == "GET" and route.access not in (Access.PUBLIC, Access.HOOK):
            path = sample(route)
            response = await browser.get(path + "?view=a%26b")
            assert response.status == 303, route
            assert response.headers["Location"] == f"/login?next={path.replace('/', '%2F')}%3Fview%3Da%2526b"
            assert (await browser.get(path, headers={"HX-Request": "true"})).status == 401


async def test_no_route_is_served_past_the_table(whole: tuple[Site, web.Application]) -> None:
    _, app = whole
    table = app[ROUTES].keys()
    forgotten = [route for route in app.router.routes() if route not in table]
    assert not forgotten
    assert not app._subapps


async def test_only_a_few_routes_are_for_anybody(whole: tuple[Site, web.Application]) -> None:
    _, app = whole
    public = {f"{route.method} {route.path}" for route in app[ROUTES].values() if route.access is Access.PUBLIC}
    assert public == PUBLIC
    hooks = {f"{route.method} {route.path}" for route in app[ROUTES].values() if route.access is Access.HOOK}
    assert hooks == HOOKS
