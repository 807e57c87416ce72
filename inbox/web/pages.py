"""What handlers use: who asks, what was sent, and the answers they give."""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp_jinja2
import msgspec
from aiohttp import web
from aiohttp_session import SESSION_KEY

from inbox.accounts.model import Actor, Agent, AgentSession
from inbox.core.errors import Invalid, Unauthenticated
from inbox.core.ids import digest, new_secret
from inbox.web import i18n

M = TypeVar("M", bound=msgspec.Struct)

LANGUAGES = web.AppKey("languages", i18n.Languages)
PUBLIC_URL = web.AppKey("public_url", str)
AGENT = web.RequestKey("agent", Agent)
SIGN_IN = web.RequestKey("sign_in", AgentSession)
NONCE = web.RequestKey("nonce", str)
REQUEST_ID = web.RequestKey("request_id", str)
LIVE_AFTER = web.RequestKey("live_after", str)

_CONTROL = re.compile(r"[\x00-\x20\\]")


def visitor(request: web.Request) -> Agent | None:
    """Who asks; None where nobody is signed in."""
    return request.get(AGENT)


def agent(request: web.Request) -> Agent:
    """Who asks. Raises `Unauthenticated`."""
    found = visitor(request)
    if found is None:
        raise Unauthenticated("Please log in.")
    return found


def actor(request: web.Request) -> Actor:
    """Who asks, as services want it. Raises `Unauthenticated`."""
    return agent(request).actor


def client_ip(request: web.Request) -> str:
    """Where the request came from, behind the proxies that are trusted."""
    return request.remote or ""


def is_htmx(request: web.Request) -> bool:
    """Whether a part of a page is asked for, not a whole one."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def wants_page(request: web.Request) -> bool:
    """Whether a browser asks for a page to show."""
    return not is_htmx(request) and "text/html" in request.headers.get("Accept", "")


async def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A template as the answer, with what every template may use."""
    common = {
        "agent": visitor(request),
        "csrf": csrf_token(request),
        "current_path": request.path,
        "live_after": request.get(LIVE_AFTER, ""),
        "locale": i18n.current().code,
        "nonce": request.get(NONCE, ""),
        "request_id": request.get(REQUEST_ID, ""),
    }
    text = aiohttp_jinja2.render_string(template, request, {**common, **context})
    return web.Response(text=text, status=status, content_type="text/html")


async def form(request: web.Request) -> dict[str, str]:
    """The text fields of a form; the last where a name comes twice (see `request.post()` for all, and for files)."""
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


async def body(request: web.Request, model: type[M]) -> M:
    """The JSON body as a model. Raises `Invalid` with the field that is wrong."""
    if request.content_type != "application/json":
        raise Invalid("The request was not understood.")
    try:
        return msgspec.json.decode(await request.read(), type=model)
    except msgspec.ValidationError as error:
        words, _, path = str(error).partition(" - at `$")
        raise Invalid("The request was not understood.", fields={path.strip("`.") or "body": words}) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("The request was not understood.") from error


def json(data: object, status: int = 200) -> web.Response:
    """Data as JSON; models, dates and all else msgspec knows."""
    return web.Response(body=msgspec.json.encode(data), status=status, content_type="application/json")


def redirect(location: str) -> web.Response:
    """See another page (303: asked for by GET, whatever this was). Raises `ValueError` for what is no address."""
    if not location.isprintable():
        raise ValueError("an address holds no control characters")
    return web.Response(status=303, headers={"Location": location})


def back_or(request: web.Request, url: str) -> web.Response:
    """Back to the page of ours the person came from, else to `url`."""
    came_from = urlsplit(request.headers.get("Referer", ""))
    if came_from.netloc != request.host or not came_from.path:
        return redirect(url)
    back = f"{came_from.path}?{came_from.query}" if came_from.query else came_from.path
    return redirect(safe_path(back, url))


def absolute(request: web.Request, path: str) -> str:
    """The whole address of a path of ours, as people reach it."""
    return (request.app[PUBLIC_URL] or f"{request.scheme}://{request.host}") + path


def safe_path(path: str, otherwise: str = "/") -> str:
    """`path` where it is one of this site and nothing a browser could take for another, else `otherwise`."""
    is_ours = path.startswith("/") and not path.startswith("//") and not _CONTROL.search(path)
    return path if is_ours else otherwise


def csrf_token(request: web.Request) -> str:
    """What unsafe requests of this browser must send along; made from its cookie, which gets made if need be."""
    session = request.get(SESSION_KEY)
    if session is None:
        return ""  # the answer to an error before the session was read: nothing to send from there
    if session.identity is None:
        session.set_new_identity(new_secret())
        session.changed()
    return digest("csrf", session.identity)
