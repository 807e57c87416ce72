"""What guards the browser: forged requests, cookies, headers, redirects, proxies."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from config.settings import Settings
from inbox.accounts.model import Role
from inbox.core.mongo import Mongo
from inbox.web.pages import back_or, client_ip, redirect, safe_path
from inbox.web.pages import json as answer
from inbox.web.routes import Access, Route
from tests.fixtures.web import PASSWORD, Browser, Site


async def changed(_: web.Request) -> web.Response:
    return answer({"changed": True})


CHANGE = [Route(method, "/change", changed, Access.SIGNED_IN) for method in ("POST", "PUT", "PATCH", "DELETE")]


async def settle(site: Site, role: Role = Role.AGENT) -> Browser:
    return await site.signed_in(await site.serve(CHANGE), role)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_change_needs_the_token_of_this_browser(site: Site, method: str) -> None:
    browser = await settle(site)
    assert (await browser.ask(method, "/change")).status == 200

    for token in ("", "0" * 64, browser.csrf.upper(), "ö"):
        refused = await browser.ask(method, "/change", headers={"X-CSRF-Token": token})
        told = await refused.json()
        assert (refused.status, told["code"]) == (403, "forbidden")
        assert "Reload" in told["message"]


async def test_the_token_of_another_browser_is_refused(site: Site) -> None:
    server = await site.serve(CHANGE)
    one, other = await site.signed_in(server), await site.signed_in(server)
    assert one.csrf != other.csrf
    assert (await one.ask("POST", "/change", headers={"X-CSRF-Token": other.csrf})).status == 403


async def test_a_form_may_carry_the_token_as_a_field(site: Site) -> None:
    browser = await settle(site)
    assert (await browser.post("/change")).status == 200
    assert (await browser.post("/change", {"csrf": "0" * 64})).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, 403),
    ],
)
async def test_a_change_from_another_site_is_refused_even_with_the_token(
    site: Site, headers: dict[str, str], status: int
) -> None:
    browser = await settle(site)
    assert (await browser.ask("POST", "/change", headers=headers)).status == status


async def test_a_change_from_our_own_address_is_accepted(site: Site) -> None:
    browser = await settle(site)
    origin = str(browser.client.make_url("/")).rstrip("/")
    assert (await browser.ask("POST", "/change", headers={"Origin": origin})).status == 200


async def test_signing_in_from_another_site_is_refused(site: Site) -> None:
    browser = await site.browser(await site.serve())
    agent = await site.agent()
    await browser.get("/login")
    form = {"email": agent.email, "password": PASSWORD}
    assert (await browser.post("/login", form, headers={"Sec-Fetch-Site": "cross-site"})).status == 403
    assert (await browser.post("/login", {**form, "csrf": ""})).status == 403
    assert (await browser.post("/login", form)).status == 303


@pytest.mark.parametrize(
    ("public_url", "name", "secure"), [("", "ortoo", False), ("https://inbox.example.mn", "__Host-ortoo", True)]
)
async def test_the_cookie_is_for_this_site_only_and_for_no_script(
    mongo: Mongo, public_url: str, name: str, secure: bool
) -> None:
    site = Site(mongo, Settings(public_url=public_url))
    await site.prepare()
    browser = await site.browser(await site.serve())
    response = await browser.get("/login")
    cookie = next(iter(response.cookies.values()))
    assert cookie.key.startswith(name)
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")
    assert bool(cookie["secure"]) is secure
    assert not cookie["max-age"], "nobody's cookie is gone when the browser is closed"
    assert ("Strict-Transport-Security" in response.headers) is secure
    await site.close()


async def test_a_signed_in_cookie_lasts_as_long_as_the_session_and_the_database_does_not_hold_it(site: Site) -> None:
    agent, browser = await site.agent(), await site.browser(await site.serve())
    await browser.get("/login")
    await browser.post("/login", {"email": agent.email, "password": PASSWORD})
    assert int(browser.cookie["max-age"]) == 30 * 86400
    stored = await site.mongo.collection("sessions").find_one({})
    assert stored is not None
    assert browser.cookie.value not in repr(stored)


async def test_two_copies_on_one_machine_do_not_share_a_cookie(site: Site, mongo: Mongo) -> None:
    other = Site(mongo)
    other.keyring = type(site.keyring)(b"another key of thirty-two bytes!")
    names = set()
    for one in (site, other):
        browser = await one.browser(await one.serve())
        await browser.get("/login")
        names.add(browser.cookie.key)
    assert len(names) == 2
    await other.close()


async def test_every_answer_has_the_headers_that_guard_it(site: Site) -> None:
    browser = await site.browser(await site.serve())
    for path in ("/login", "/no-such-page", "/healthz", "/settings"):
        headers = (await browser.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["Cache-Control"] == "private, no-cache"
        assert "Server" not in headers


async def test_the_content_policy_lets_nothing_in_but_our_own(site: Site) -> None:
    browser = await site.browser(await site.serve())
    first, second = await browser.get("/login"), await browser.get("/login")
    policy = dict(part.split(" ", 1) for part in first.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == policy["frame-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in first.headers["Content-Security-Policy"]
    nonce = re.fullmatch(r"'self' 'nonce-([\w-]{22})'", policy["script-src"])
    assert nonce is not None
    text = await first.text()
    scripts = re.findall(r"<(?:script|style)[^>]*>", text)
    assert scripts
    assert all(f'nonce="{nonce[1]}"' in script for script in scripts)
    assert nonce[1] not in second.headers["Content-Security-Policy"]


async def test_a_handlers_own_policy_stays(site: Site) -> None:
    async def frame(_: web.Request) -> web.Response:
        return web.Response(
            text="mail", headers={"Content-Security-Policy": "sandbox", "Referrer-Policy": "no-referrer"}
        )

    browser = await site.browser(await site.serve([Route("GET", "/frame", frame, Access.PUBLIC)]))
    headers = (await browser.get("/frame")).headers
    assert (headers["Content-Security-Policy"], headers["Referrer-Policy"]) == ("sandbox", "no-referrer")


HOSTILE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "/\t/evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    "/inbox\r\nSet-Cookie: a=b",
]


@pytest.mark.parametrize("location", HOSTILE)
def test_a_path_that_leads_elsewhere_is_not_ours(location: str) -> None:
    assert safe_path(location, "/home") == "/home"


@pytest.mark.parametrize("location", ["/", "/inbox", "/inbox/c/1?view=mine&x=%2F%2Fevil", "/settings/agents#top"])
def test_a_path_of_ours_is_kept(location: str) -> None:
    assert safe_path(location) == location


@pytest.mark.parametrize("location", HOSTILE)
async def test_signing_in_never_leads_to_another_site(site: Site, location: str) -> None:
    agent = await site.agent()
    browser = await site.browser(await site.serve())
    await browser.get("/login", params={"next": location})
    form = {"email": agent.email, "password": PASSWORD}
    response = await browser.post("/login", form, params={"next": location})
    assert response.status == 303
    assert response.headers["Location"] == "/inbox"
    assert "a" not in response.cookies
    assert (await browser.get("/login", params={"next": location})).headers["Location"] == "/inbox"


async def test_going_back_never_leads_to_another_site(site: Site) -> None:
    async def back(request: web.Request) -> web.Response:
        return back_or(request, "/home")

    server = await site.serve([Route("GET", "/back", back, Access.PUBLIC)])
    browser = await site.browser(server)
    for referer, location in (
        ("https://evil.example/inbox", "/home"),
        (str(server.make_url("/")) + "/evil.example/x", "/home"),
        (str(server.make_url("/inbox?view=mine")), "/inbox?view=mine"),
        ("", "/home"),
    ):
        assert (await browser.get("/back", headers={"Referer": referer})).headers["Location"] == location


async def test_a_line_break_never_gets_into_a_header(site: Site) -> None:
    async def echo(request: web.Request) -> web.Response:
        return redirect(request.query["to"])

    browser = await site.browser(await site.serve([Route("GET", "/echo", echo, Access.PUBLIC)]))
    response = await browser.client.get("/echo", params={"to": "/x\r\nSet-Cookie: a=b"}, allow_redirects=False)
    assert "a" not in response.cookies
    assert response.status == 500


async def behind(mongo: Mongo, proxies: int, headers: CIMultiDict[str]) -> dict[str, Any]:
    async def seen(request: web.Request) -> web.Response:
        return answer({"ip": client_ip(request), "scheme": request.scheme, "host": request.host})

    site = Site(mongo, Settings(trusted_proxies=proxies))
    await site.prepare()
    browser = await site.browser(await site.serve([Route("GET", "/seen", seen, Access.PUBLIC)]))
    told: dict[str, Any] = await (await browser.client.get("/seen", headers=headers)).json()
    await site.close()
    return told


@pytest.mark.parametrize(
    ("proxies", "forwarded", "ip"),
    [
        (0, "1.2.3.4", "127.0.0.1"),
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "6.6.6.6", "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
async def test_only_what_trusted_proxies_say_is_believed(mongo: Mongo, proxies: int, forwarded: str, ip: str) -> None:
    headers = CIMultiDict({"X-Forwarded-For": forwarded} if forwarded else {})
    assert (await behind(mongo, proxies, headers))["ip"] == ip


async def test_a_proxys_scheme_and_host_are_taken_and_sessions_still_work(mongo: Mongo) -> None:
    headers = CIMultiDict({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "inbox.example.mn"})
    told = await behind(mongo, 1, headers)
    assert (told["scheme"], told["host"]) == ("https", "inbox.example.mn")

    site = Site(mongo, Settings(trusted_proxies=1))
    browser = await site.signed_in(await site.serve())
    sessions = await site.accounts.sessions(await site.agent())
    assert "My profile" in await browser.see("/settings/profile")
    assert len(sessions) == 1
    await site.close()


async def test_the_log_holds_no_query_and_no_token(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    browser = await site.browser(await site.serve())
    await browser.get("/join/SECRETTOKEN?code=SECRETQUERY")
    await browser.get("/login?next=SECRETQUERY")
    logged = capsys.readouterr().out
    assert "/join/{token}" in logged
    assert "SECRET" not in logged
