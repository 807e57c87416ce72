"""Fetching files: sizes, types, and who gets to see our credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.base import ChannelError, InboundMessage, Refused, Unreachable
from channels.sms.adapter import SmsAdapter
from channels.twilio.http import TwilioHttp
from channels.twilio.media import fetch
from channels.twilio.reach import PublicOnly, is_private_host, reachable
from tests.fakes.twilio_server import ACCOUNT, TOKEN, TwilioServer

MakeAdapter = Callable[..., SmsAdapter]
MB = 2**20


class Elsewhere:
    """Another server, which notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer = web.Response(body=b"elsewhere", content_type="image/png")
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self.server = TestServer(app, host="127.0.0.1")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        return self.answer

    @property
    def url(self) -> str:
        return str(self.server.make_url("/file"))


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    other = Elsewhere()
    async with other.server:
        yield other


def refs(twilio: TwilioServer, adapter: SmsAdapter, *media: str) -> list[str]:
    (message,) = adapter.receive(twilio.inbound("", media=media).raw)
    assert isinstance(message, InboundMessage)
    return [each.ref for each in message.attachments]


async def test_every_picture_is_fetched(twilio: TwilioServer, adapter: SmsAdapter) -> None:
    """Twilio shows where it is stored to who may know; the store is asked without credentials (the fake fails else)."""
    first, second = refs(twilio, adapter, "image/jpeg", "application/pdf")
    picture = await adapter.fetch(first, MB)
    assert (picture.name, picture.media_type, picture.size, picture.content, picture.ref) == (
        "picture-1.jpg",
        "image/jpeg",
        6,
        b"file 0",
        first,
    )
    assert (await adapter.fetch(second, MB)).content == b"file 1"


async def test_wrong_credentials_need_a_person(twilio: TwilioServer, make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(auth_token="wrong")
    with pytest.raises(Refused, match="credentials"):
        await adapter.fetch(refs(twilio, adapter, "image/jpeg")[0], MB)


async def test_a_file_may_be_as_large_as_the_limit_and_no_larger(twilio: TwilioServer, adapter: SmsAdapter) -> None:
    (ref,) = refs(twilio, adapter, "image/jpeg")
    assert (await adapter.fetch(ref, 6)).size == 6
    with pytest.raises(ChannelError, match="larger") as caught:
        await adapter.fetch(ref, 5)
    assert not isinstance(caught.value, Unreachable), "it will not shrink"


async def test_a_file_that_hides_its_size_is_cut_off(elsewhere: Elsewhere) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            for _ in range(1000):
                await response.write(b"x" * 64 * 1024)
                written += 1
        except ConnectionError:
            pass  # what the test wants: the other end has heard enough
        return response

    app = web.Application()
    app.router.add_get("/file", endless)
    async with TestServer(app, host="127.0.0.1") as server:
        http = TwilioHttp(str(server.make_url("")), (ACCOUNT, TOKEN))
        with pytest.raises(ChannelError, match="larger"):
            await fetch(http, str(server.make_url("/file")), MB)
        await http.close()
    assert written < 1000


async def test_the_inboxs_own_limit_holds_too(twilio: TwilioServer, make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(max_media_mb=1)
    (ref,) = refs(twilio, adapter, "image/jpeg")
    path = next(iter(twilio.media))
    twilio.media[path] = ("image/jpeg", b"x" * (MB + 1))
    with pytest.raises(ChannelError, match="1 MB"):
        await adapter.fetch(ref, 100 * MB)


async def test_a_file_that_is_gone_stays_gone(twilio: TwilioServer, adapter: SmsAdapter) -> None:
    (ref,) = refs(twilio, adapter, "image/jpeg")
    twilio.redirects_media_to = "/stored/L25vd2hlcmU="
    with pytest.raises(ChannelError, match="not there") as caught:
        await adapter.fetch(ref, MB)
    assert not isinstance(caught.value, Unreachable | Refused)


async def test_a_redirect_leads_into_no_private_network(
    twilio: TwilioServer, adapter: SmsAdapter, elsewhere: Elsewhere
) -> None:
    (ref,) = refs(twilio, adapter, "image/jpeg")
    for target in (elsewhere.url, elsewhere.url.replace("127.0.0.1", "localhost"), "file:///etc/passwd", "//[::1]/x"):
        twilio.redirects_media_to = target
        with pytest.raises(ChannelError):
            await adapter.fetch(ref, MB)
    assert elsewhere.asked == []


async def test_redirects_come_to_an_end(twilio: TwilioServer, adapter: SmsAdapter) -> None:
    (ref,) = refs(twilio, adapter, "image/jpeg")
    twilio.redirects_media_to = ref
    with pytest.raises(Refused):  # the second time without credentials
        await adapter.fetch(ref, MB)


async def test_a_forged_address_gets_neither_credentials_nor_a_connection(
    make_adapter: MakeAdapter, elsewhere: Elsewhere
) -> None:
    """A webhook with somebody else's address of a file, at an inbox of the real API."""
    adapter = make_adapter(api_url="https://api.twilio.com")
    for ref in (
        elsewhere.url,
        elsewhere.url.replace("http://", "https://"),
        "https://169.254.169.254/latest/meta-data",
    ):
        with pytest.raises(ChannelError):
            await adapter.fetch(ref, MB)
    assert elsewhere.asked == []


async def test_another_port_of_the_apis_machine_is_another_server(adapter: SmsAdapter, elsewhere: Elsewhere) -> None:
    with pytest.raises(ChannelError, match="private"):
        await adapter.fetch(elsewhere.url, MB)
    assert elsewhere.asked == []
    # By its name, too: of the API's own host any address would do, also a private one.
    http = TwilioHttp("http://twilio.test:8080", (ACCOUNT, TOKEN))
    with pytest.raises(ChannelError, match="private"):
        await fetch(http, "http://twilio.test:6379/x", MB)
    await http.close()


async def test_a_public_address_is_asked_without_credentials(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server plays a public one: its address is let through for this test only."""
    monkeypatch.setattr("channels.twilio.media.is_private_host", lambda _url: False)
    http = TwilioHttp("http://10.255.255.1:9", (ACCOUNT, TOKEN))
    file = await fetch(http, elsewhere.url, MB)
    await http.close()
    assert file.content == b"elsewhere"
    assert ["Authorization" in each for each in elsewhere.asked] == [False]


async def test_a_name_that_leads_into_a_private_network_is_not_followed() -> None:
    resolver = PublicOnly("api.twilio.com")
    with pytest.raises(OSError, match="private"):
        await resolver.resolve("localhost", 80)
    await resolver.close()
    own = PublicOnly("localhost")
    assert await own.resolve("localhost", 80)
    await own.close()


async def test_busy_servers_are_asked_again(elsewhere: Elsewhere) -> None:
    http = TwilioHttp(str(elsewhere.server.make_url("")), (ACCOUNT, TOKEN))
    for status in (429, 500, 503):
        elsewhere.answer = web.Response(status=status)
        with pytest.raises(Unreachable):
            await fetch(http, elsewhere.url, MB)
    url = elsewhere.url
    await elsewhere.server.close()
    with pytest.raises(Unreachable):
        await fetch(http, url, MB)
    await http.close()


async def test_a_files_own_name_loses_its_folders(elsewhere: Elsewhere) -> None:
    http = TwilioHttp(str(elsewhere.server.make_url("")), (ACCOUNT, TOKEN))
    elsewhere.answer = web.Response(
        body=b"x", headers={"Content-Disposition": 'inline; filename="..\\\\..\\\\passport.pdf"'}
    )
    assert (await fetch(http, elsewhere.url, MB)).name == "passport.pdf"
    await http.close()


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://media.twiliocdn.com/x", False),
        ("https://8.8.8.8/", False),
        ("https://10.0.0.1/", True),
        ("https://127.0.0.1:8443/", True),
        ("https://[::1]/", True),
        ("https://[::ffff:10.0.0.1]/", True),
        ("https://[fe80::1%25eth0]/", True),
        ("https://169.254.169.254/", True),
        ("https://100.64.0.1/", True),
        ("https://224.0.0.1/", True),
        ("https://0.0.0.0/", True),
        ("https://localhost/", True),
        ("https://LOCALHOST./", True),
        ("https://hello.localhost/", True),
        ("https:///x", True),
        ("https://[broken/", True),
    ],
)
def test_private_hosts(url: str, private: bool) -> None:
    assert is_private_host(url) == private


@pytest.mark.parametrize(
    ("hook", "api", "can"),
    [
        ("https://inbox.example.mn/hooks/1", "https://api.twilio.com", True),
        ("http://inbox.example.mn/hooks/1", "https://api.twilio.com", True),
        ("http://127.0.0.1:8080/hooks/1", "https://api.twilio.com", False),
        ("http://127.0.0.1:8080/hooks/1", "http://127.0.0.1:9999", True),
        ("/hooks/1", "http://127.0.0.1:9999", False),
        ("", "https://api.twilio.com", False),
    ],
)
def test_where_twilio_can_call_us(hook: str, api: str, can: bool) -> None:
    assert reachable(hook, api) == can
