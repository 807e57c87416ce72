"""What every request goes through: a number, the log, errors turned into answers, language, session, access."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import TypeVar
from urllib.parse import quote

import aiohttp_remotes
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_remotes.exceptions import IPAddress
from aiohttp_session import get_session
from markupsafe import Markup
from multidict import MultiMapping

from inbox.accounts.model import Permission
from inbox.core import errors
from inbox.core.ids import new_id
from inbox.core.mongo import DriverError
from inbox.web import i18n
from inbox.web.i18n import gettext as _
from inbox.web.live import LiveHub
from inbox.web.pages import (
    LIVE_AFTER,
    NONCE,
    REQUEST_ID,
    actor,
    agent,
    client_ip,
    is_htmx,
    redirect,
    render,
    visitor,
    wants_page,
)
from inbox.web.pages import json as json_answer
from inbox.web.problems import Problem, of_domain, of_http
from inbox.web.routes import ROUTES, Access
from inbox.web.security import check_origin_and_token

T = TypeVar("T")
log = structlog.get_logger("inbox.web")

_LANGUAGE_COOKIE = "lang"


class Proxies(aiohttp_remotes.XForwardedRelaxed):
    """The `X-Forwarded-*` headers of as many proxies as there are; fewer entries than that are not their work."""

    def get_forwarded_for(self, headers: MultiMapping[str]) -> list[IPAddress]:
        """The addresses, the nearest last."""
        return self._enough(super().get_forwarded_for(headers))

    def get_forwarded_proto(self, headers: MultiMapping[str]) -> list[str]:
        """The schemes, the nearest last."""
        return self._enough(super().get_forwarded_proto(headers))

    def get_forwarded_host(self, headers: MultiMapping[str]) -> list[str]:
        """The hosts, the nearest last."""
        return self._enough(super().get_forwarded_host(headers))

    def _enough(self, entries: list[T]) -> list[T]:
        return entries if len(entries) >= self._num else []


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its number, for the log and for the person, and its nonce."""
    request[REQUEST_ID] = new_id()
    request[NONCE] = secrets.token_urlsafe(16)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=request[REQUEST_ID])
    return await handler(request)


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log every request: no query, and no path that holds a secret."""
    started, status = time.perf_counter(), 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    except ConnectionError:
        status = 499  # the browser went away, as other servers write it
        if request.writer.output_size:
            raise
        return web.Response(status=status)  # raised, aiohttp would log it as our error
    except asyncio.CancelledError:
        status = 499
        raise
    finally:
        resource = request.match_info.route.resource
        is_secret = "token" in request.match_info and resource is not None
        path = resource.canonical if is_secret and resource else request.path
        milliseconds = round((time.perf_counter() - started) * 1000)
        log.info("request", method=request.method, path=path, status=status, ms=milliseconds, ip=client_ip(request))


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into an answer: a page, a part of one or JSON, as it was asked for."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        problem = of_http(error)
    except errors.DomainError as error:
        problem = of_domain(error)
    except DriverError as error:
        log.error("the database failed", error=str(error))
        problem = Problem(503, "unavailable", _("The database does not answer. Try again in a moment."))
    except ConnectionError:
        raise  # the browser is gone: nobody to answer
    except Exception:
        log.exception("a handler failed")
        problem = Problem(500, "error", _("This is our mistake. It has been logged; nothing you wrote was lost."))
    if request.writer.output_size:
        raise ConnectionAbortedError("failed in the middle of an answer")
    return await _answer(request, problem)


class Gate:
    """Finds out who asks and in which language, and whether they may."""

    def __init__(self, languages: i18n.Languages, hub: LiveHub, public_url: str) -> None:
        self._languages = languages
        self._hub = hub
        self._public_url = public_url

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Raise `Unauthenticated` or `Forbidden`, or let the request through."""
        request[LIVE_AFTER] = self._hub.position
        i18n.use(self._languages.negotiate(request.headers.get("Accept-Language", "")))
        await get_session(request)
        await self._choose_language(request)
        if request.match_info.http_exception is None:
            await self._check(request)
        response = await handler(request)
        if "lang" in request.query and not response.prepared:
            response.set_cookie(_LANGUAGE_COOKIE, request.query["lang"][:20], httponly=True, samesite="Lax")
        return response

    async def _check(self, request: web.Request) -> None:
        route = request.app[ROUTES].get(request.match_info.route)
        if route is None:
            raise web.HTTPNotFound  # registered past the table: nobody said who may
        if route.access is Access.HOOK:
            return
        if route.access is not Access.PUBLIC:
            agent(request)
        if isinstance(route.access, Permission):
            actor(request).require(route.access)
        await check_origin_and_token(request, self._public_url)

    async def _choose_language(self, request: web.Request) -> None:
        who = visitor(request)
        language = i18n.current()
        if who is not None:
            language = (self._languages.get(who.locale) or language).at(await self._languages.zone(who.timezone))
        if request.query.get("lang", request.cookies.get(_LANGUAGE_COOKIE)) == i18n.PSEUDO:
            language = (self._languages.get(i18n.PSEUDO) or language).at(language.zone)
        i18n.use(language)


async def _answer(request: web.Request, problem: Problem) -> web.Response:
    if problem.status == 401 and request.method == "GET" and wants_page(request):
        return redirect(f"/login?next={quote(request.path_qs, safe='')}")
    about = {"code": problem.code, "message": problem.message, "fields": problem.fields}
    if wants_page(request):
        context = {"title": problem.title, "message": problem.message}
        if problem.status < 500:
            context["request_id"] = ""  # nothing in the log would tell an administrator more
        response = await render(request, "ui/error.html", status=problem.status, **context)
    elif is_htmx(request):
        # Whatever was to be replaced stays as it is; the page shows the words it is told by the event.
        part = Markup('<p role="alert">{}</p>').format(problem.message)
        headers = {"HX-Reswap": "none", "HX-Trigger": json.dumps({"problem": about})}
        response = web.Response(text=part, status=problem.status, content_type="text/html", headers=headers)
    else:
        response = json_answer(about, problem.status)
    response.headers.update(problem.headers)
    return response
