"""What went wrong is told as it was asked: as a page, as a part of one, as JSON."""

from __future__ import annotations

import io
import json

import msgspec
import pytest
from aiohttp import ClientPayloadError, web

from inbox.accounts.model import Permission, Role
from inbox.accounts.store import AccountStore
from inbox.core.errors import Conflict, DomainError, Invalid, NotFound, TooMany, Unavailable
from inbox.core.mongo import DriverError, Mongo
from inbox.web.pages import body
from inbox.web.pages import json as answer
from inbox.web.routes import Access, Route
from tests.fixtures.web import Site


def failing(error: Exception) -> Route:
    async def handler(_: web.Request) -> web.StreamResponse:
        raise error

    return Route("GET", "/fails", handler, Access.PUBLIC)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("Gone."), 404, "not_found"),
        (Conflict("Changed meanwhile."), 409, "conflict"),
        (Invalid("No.", fields={"name": "Enter a name."}), 422, "invalid"),
        (TooMany("Wait %(minutes)d min.", after=61.2, minutes=2), 429, "too_many"),
        (Unavailable("Away."), 503, "unavailable"),
        (DomainError("Hm."), 400, "error"),
        (DriverError("secret host name"), 503, "unavailable"),
        (ZeroDivisionError("secret detail"), 500, "error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_an_error_is_json_for_a_script(site: Site, error: Exception, status: int, code: str) -> None:
    browser = await site.browser(await site.serve([failing(error)]))
    response = await browser.ask("GET", "/fails")
    told = await response.json()
    assert (response.status, told["code"]) == (status, code)
    assert told["message"]
    assert "secret" not in told["message"]


async def test_json_says_which_field_is_wrong_and_when_to_try_again(site: Site) -> None:
    invalid = Invalid("No.", fields={"name": "Enter a name."})
    browser = await site.browser(await site.serve([failing(invalid)]))
    assert (await (await browser.ask("GET", "/fails")).json())["fields"] == {"name": "Enter a name."}

    too_many = TooMany("Wait %(minutes)d min.", after=61.2, minutes=2)
    browser = await site.browser(await site.serve([failing(too_many)]))
    response = await browser.ask("GET", "/fails")
    assert response.headers["Retry-After"] == "62"
    assert (await response.json())["message"] == "Wait 2 min."


async def test_an_error_is_a_page_for_a_person_with_the_number_of_the_log(site: Site) -> None:
    browser = await site.browser(await site.serve([failing(Conflict("Somebody <b>else</b> was faster."))]))
    response = await browser.get("/fails")
    text = await response.text()
    assert response.status == 409
    assert response.content_type == "text/html"
    assert "Somebody &lt;b&gt;else&lt;/b&gt; was faster." in text
    assert response.headers["X-Request-Id"] not in text, "there is nothing to look up"
    browser = await site.browser(await site.serve([failing(ZeroDivisionError("secret"))]))
    response = await browser.get("/fails")
    text = await response.text()
    assert response.headers["X-Request-Id"] in text
    assert "secret" not in text


async def test_an_error_changes_nothing_on_a_page_that_htmx_asked_for(site: Site) -> None:
    browser = await site.browser(await site.serve([failing(Conflict("Зөрчил.\r\nX: y"))]))
    response = await browser.get("/fails", headers={"HX-Request": "true"})
    assert response.status == 409
    assert response.headers["HX-Reswap"] == "none"
    assert json.loads(response.headers["HX-Trigger"])["problem"]["message"] == "Зөрчил.\r\nX: y"
    assert "X" not in response.headers
    assert "Зөрчил." in await response.text()


async def test_what_is_not_there_and_what_cannot_be_done_say_so(site: Site) -> None:
    browser = await site.browser(await site.serve())
    response = await browser.get("/no/such/page")
    assert response.status == 404
    assert "There is nothing here" in await response.text()
    response = await browser.ask("DELETE", "/login")
    assert response.status == 405
    assert response.headers["Allow"] == "GET,POST"


async def test_a_route_that_nobody_said_who_may_use_is_not_served(site: Site) -> None:
    async def open_door(_: web.Request) -> web.Response:
        return web.Response(text="open")

    app = await site.app()
    app.router.add_get("/forgotten", open_door)
    browser = await site.signed_in(await site.serve(app), Role.ADMIN)
    assert (await browser.get("/forgotten")).status == 404


async def test_a_failure_in_the_middle_of_an_answer_ends_the_connection(site: Site) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise ZeroDivisionError

    browser = await site.browser(await site.serve([Route("GET", "/half", half, Access.PUBLIC)]))
    response = await browser.client.get("/half")
    with pytest.raises(ClientPayloadError):
        await response.read()


class Wish(msgspec.Struct):
    name: str
    count: int


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        (b'{"name": "x", "count": "many"}', {"count": "Expected `int`, got `str`"}),
        (b'{"name": "x"', {}),
        (b'{"name": "\xff", "count": 1}', {}),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused(site: Site, sent: bytes, fields: dict[str, str]) -> None:
    async def handler(request: web.Request) -> web.Response:
        return answer(await body(request, Wish))

    server = await site.serve([Route("POST", "/wish", handler, Permission.INBOX_READ)])
    browser = await site.signed_in(server)
    headers = {"Content-Type": "application/json"}
    response = await browser.ask("POST", "/wish", data=sent, headers=headers)
    assert response.status == 422
    assert (await response.json())["fields"] == fields
    response = await browser.ask("POST", "/wish", data=b'{"name": "x", "count": 2}', headers=headers)
    assert await response.json() == {"name": "x", "count": 2}


async def test_a_request_that_is_too_large_is_refused(site: Site) -> None:
    browser = await site.signed_in(await site.serve())
    form = io.BytesIO(b"signature=" + b"x" * 5_000_000)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await browser.ask("POST", "/settings/profile", data=form, headers=headers)
    assert response.status == 413
    assert (await response.json())["code"] == "too_large"


async def test_a_page_says_so_while_the_database_is_away(site: Site, mongo_uri: str) -> None:
    browser = await site.signed_in(await site.serve())
    away = await Mongo.connect(mongo_uri, "away")
    away.close()
    site.accounts.store = AccountStore(away)
    response = await browser.get("/settings/profile")
    assert response.status == 503
    assert "The database does not answer." in await response.text()
