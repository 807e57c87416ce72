"""The table of routes: what there is and who may ask for it. Nothing is served that is not in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import NamedTuple

from aiohttp import web

from inbox.accounts.model import Permission

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(Enum):
    """Who may ask for a route that no permission guards."""

    PUBLIC = "public"
    HOOK = "hook"
    """A machine that signs what it sends, and has no page of ours to take a token from."""
    SIGNED_IN = "signed in"


class Route(NamedTuple):
    """One method of one path. The service behind it checks permissions too: this is the outer door."""

    method: str
    path: str
    handler: Handler
    access: Access | Permission
    name: str = ""


ROUTES = web.AppKey("routes", dict[web.AbstractRoute, Route])


def add_routes(app: web.Application, routes: Sequence[Route]) -> None:
    """Register routes; the middleware and the permission test read the table."""
    table = app.setdefault(ROUTES, {})
    for route in routes:
        table[app.router.add_route(route.method, route.path, route.handler, name=route.name or None)] = route
