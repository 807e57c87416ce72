"""The web application that all rooms' routes are put into: order of the middleware, templates, static files, health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import aiohttp_jinja2
import aiohttp_remotes
import aiohttp_session
import jinja2
import structlog
from aiohttp import web

from config.settings import Settings
from inbox.accounts.service import AccountService
from inbox.core.crypto import Keyring
from inbox.core.mongo import DriverError
from inbox.core.store import EventStore
from inbox.web import i18n
from inbox.web.assets import Assets
from inbox.web.filters import FILTERS
from inbox.web.live import LiveHub
from inbox.web.middleware import Gate, Proxies, answer_errors, identify, observe
from inbox.web.pages import LANGUAGES, PUBLIC_URL, json
from inbox.web.routes import Access, Handler, Route, add_routes
from inbox.web.security import Headers
from inbox.web.sessions import SessionStorage

TEMPLATES = Path(__file__).parent.parent.parent / "templates"
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""The largest form or JSON body; files are streamed past this limit and have their own."""
_HEALTH_SECONDS = 5

log = structlog.get_logger()


class _Parts(NamedTuple):
    assets: Assets
    languages: i18n.Languages
    templates: jinja2.Environment


async def create(
    settings: Settings,
    keyring: Keyring,
    accounts: AccountService,
    events: EventStore,
    ping: Callable[[], Awaitable[object]],
    routes: Sequence[Route],
) -> web.Application:
    """The application with these routes and those every copy has; `ping` raises where the database does not answer."""
    parts = await asyncio.to_thread(_load)
    is_https = settings.base_url.startswith("https://")
    hub = LiveHub(events, parts.assets.version)
    gate = Gate(parts.languages, hub, settings.public_url)
    # Copies beside each other on one machine share its cookies, so each copy has a name of its own.
    cookie_name = "ortoo" + keyring.sign("cookie", "name").rpartition("-")[2][:6]
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.middlewares.append(identify)
    if settings.trusted_proxies:
        await aiohttp_remotes.setup(app, Proxies(settings.trusted_proxies))
    app.middlewares.append(observe)
    aiohttp_session.setup(app, SessionStorage(accounts, cookie_name=cookie_name, secure=is_https))
    app.middlewares.append(answer_errors)
    app.middlewares.append(gate.admit)
    app.on_response_prepare.append(Headers(https=is_https))
    app.on_shutdown.append(hub.end_streams)
    app.cleanup_ctx.append(hub.run)
    app[aiohttp_jinja2.APP_KEY] = parts.templates
    app[PUBLIC_URL] = settings.public_url
    app[LANGUAGES] = parts.languages
    add_routes(app, routes)
    add_routes(
        app,
        [
            Route("GET", "/live", hub.serve, Access.SIGNED_IN, "live"),
            Route("GET", "/healthz", _health(ping), Access.PUBLIC, "health"),
            Route("GET", "/static/dist/{name}", parts.assets.serve, Access.PUBLIC, "static"),
        ],
    )
    return app


def _health(ping: Callable[[], Awaitable[object]]) -> Handler:
    async def health(_: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                await ping()
        except (DriverError, TimeoutError) as error:
            log.warning("the database does not answer", error=str(error))
            return json({"status": "unavailable", "database": "does not answer"}, status=503)
        return json({"status": "ok", "database": "ok"})

    return health


@cache
def _load() -> _Parts:
    """What comes from the disk, once a process: templates are compiled here and not in the midst of a request."""
    assets = Assets()
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        auto_reload=False,
        cache_size=-1,
        extensions=["jinja2.ext.i18n"],
    )
    templates.filters.update(FILTERS)
    templates.globals["static"] = assets.url
    templates.install_gettext_callables(  # type: ignore[attr-defined]  # the extension adds it
        i18n.gettext, i18n.ngettext, newstyle=True
    )
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)
    return _Parts(assets, i18n.Languages(), templates)
