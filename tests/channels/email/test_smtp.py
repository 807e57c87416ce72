"""Sending to a real SMTP server that answers as told: each outcome says whether the mail may have been taken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from channels.base import Rejected, Retry, SendResult, Sent, Unknown
from channels.email.compose import Composed
from channels.email.settings import read
from channels.email.smtp import MESSAGES_PER_CONNECTION, SmtpSender, SmtpTiming
from tests.fakes.certificates import Certificates
from tests.fakes.ports import FakePorts
from tests.fakes.smtp_sink import CUT, HANG, SmtpSink

MAIL = Composed(b"Subject: hi\r\n\r\nhello\r\n", "shop@example.mn", ["ann@example.org"])
Make = Callable[..., SmtpSender]


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    async with SmtpSink() as server:
        yield server


@pytest.fixture
async def sender(certificates: Certificates) -> AsyncIterator[Make]:
    made: list[SmtpSender] = []

    def make(
        sink: SmtpSink | int, *, ports: FakePorts | None = None, context: ssl.SSLContext | None = None, **more: Any
    ) -> SmtpSender:
        timing = SmtpTiming(connect=2, command=0.5, content=0.5)
        settings = {
            "address": "shop@example.mn",
            "smtp_host": "127.0.0.1",
            "smtp_port": sink if isinstance(sink, int) else sink.port,
            "smtp_security": "none",
            "smtp_login": "none",
            **more,
        }
        context = context or certificates.client_context()
        made.append(SmtpSender(read(settings), ports or FakePorts(), timing=timing, context=context))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def no_return() -> None:
    """A point of no return that nobody watches."""


async def send(sender: SmtpSender, mail: Composed = MAIL) -> SendResult:
    return await sender.send(mail, "ref-1@example.mn", no_return)


async def test_a_mail_arrives_as_it_was_written_with_its_envelope(sink: SmtpSink, sender: Make) -> None:
    mail = Composed(
        b"Subject: hi\r\n\r\n.\r\n..\r\n.dots\r\nend.\r\n", "shop+b.T@example.mn", ["a@example.org", "b@example.org"]
    )
    result = await send(sender(sink), mail)
    assert result == Sent("ref-1@example.mn", "250 2.0.0 Ok: queued as 1")
    received = sink.mails[0]
    assert (received.mail_from, received.rcpt_tos) == (mail.envelope_from, mail.recipients)
    assert received.content == mail.message


async def test_a_mail_that_begins_with_a_dot_keeps_it(sink: SmtpSink, sender: Make) -> None:
    await send(sender(sink), MAIL._replace(message=b".\r\nSubject: odd\r\n\r\n"))
    assert sink.mails[0].content == b".\r\nSubject: odd\r\n\r\n"


@pytest.mark.parametrize("pipelining", [True, False])
async def test_one_connection_serves_many_mails(sender: Make, pipelining: bool) -> None:
    async with SmtpSink(pipelining=pipelining) as sink:
        each = sender(sink)
        for _ in range(5):
            assert isinstance(await send(each), Sent)
        assert (len(sink.mails), sink.connections) == (5, 1)
        assert "RSET" not in sink.commands


async def test_a_connection_is_left_after_its_share_of_mails(sink: SmtpSink, sender: Make) -> None:
    each = sender(sink)
    for _ in range(MESSAGES_PER_CONNECTION + 1):
        await send(each)
    assert (len(sink.mails), sink.connections) == (MESSAGES_PER_CONNECTION + 1, 2)


async def test_connections_at_once_are_bounded(sink: SmtpSink, sender: Make) -> None:
    each = sender(sink)
    results = await asyncio.gather(*(send(each) for _ in range(40)))
    assert all(isinstance(result, Sent) for result in results)
    assert len(sink.mails) == 40
    assert sink.connections <= 10


async def test_a_server_that_takes_fewer_connections_gets_fewer_and_every_mail(sink: SmtpSink, sender: Make) -> None:
    served: list[str] = []

    def script(stage: str, peer: str) -> str | None:
        if stage != "connect":
            return None
        served.append(peer)
        return "421 too many" if len(served) > 3 else None

    sink.script = script
    each = sender(sink)
    results = await asyncio.gather(*(send(each) for _ in range(40)))
    assert all(isinstance(result, Sent) for result in results), "none has to wait for another try"
    assert sink.connections == 10
    assert all(isinstance(result, Sent) for result in await asyncio.gather(*(send(each) for _ in range(40))))
    assert sink.connections == 10, "it is not asked for more again and again"


async def test_an_unused_connection_is_given_back(sink: SmtpSink, certificates: Certificates) -> None:
    settings = read(
        {
            "address": "a@b.mn",
            "smtp_host": "127.0.0.1",
            "smtp_port": sink.port,
            "smtp_security": "none",
            "smtp_login": "none",
        }
    )
    each = SmtpSender(settings, FakePorts(), timing=SmtpTiming(idle=0.01), context=certificates.client_context())
    await send(each)
    async with asyncio.timeout(5):
        while sink.open:
            await asyncio.sleep(0.005)
    assert sink.commands[-1] == "QUIT"
    await each.close()


async def test_a_connection_that_died_while_idle_is_replaced_unnoticed(sink: SmtpSink, sender: Make) -> None:
    each = sender(sink)
    await send(each)
    for connection in list(sink.open):
        connection.cut()
    assert isinstance(await send(each), Sent)
    assert (len(sink.mails), sink.connections) == (2, 2)


async def test_a_connection_that_dies_under_the_next_mail_is_replaced_unnoticed(sink: SmtpSink, sender: Make) -> None:
    each = sender(sink)
    await send(each)
    cuts = iter([CUT])
    sink.script = lambda stage, _value: next(cuts, None) if stage == "MAIL" else None
    assert isinstance(await send(each), Sent)
    assert (len(sink.mails), sink.connections) == (2, 2)


async def test_a_server_that_closes_an_idle_connection_with_421_is_asked_anew(sink: SmtpSink, sender: Make) -> None:
    each = sender(sink)
    await send(each)
    answers = iter(["421 4.4.2 timeout"])
    sink.script = lambda stage, _value: next(answers, None) if stage == "MAIL" else None
    assert isinstance(await send(each), Sent)
    assert sink.connections == 2


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_temporary_failure_is_for_later_and_a_permanent_one_for_good(
    sender: Make, stage: str, pipelining: bool
) -> None:
    async with SmtpSink(pipelining=pipelining) as sink:
        each = sender(sink)
        sink.script = lambda at, _value: "451 4.7.1 greylisted" if at == stage else None
        later = await send(each)
        assert isinstance(later, Retry)
        assert later.code == "451"
        assert "451 4.7.1 greylisted" in later.reason
        sink.script = lambda at, _value: "550 5.7.1 not wanted" if at == stage else None
        never = await send(each)
        assert isinstance(never, Rejected)
        assert never.code == "550"
        assert "5.7.1 not wanted" in never.reason
        sink.script = lambda _at, _value: None
        assert isinstance(await send(each), Sent)
        assert (len(sink.mails), sink.connections) == (1, 1)


async def test_where_one_recipient_is_refused_nobody_gets_the_mail(sink: SmtpSink, sender: Make) -> None:
    sink.script = lambda stage, value: "550 5.1.1 unknown" if (stage, value) == ("RCPT", "bob@example.org") else None
    each = sender(sink)
    result = await send(each, MAIL._replace(recipients=["ann@example.org", "bob@example.org", "eve@example.org"]))
    assert result == Rejected("550", "bob@example.org: 550 5.1.1 unknown")
    assert sink.mails == []
    assert "DATA" not in sink.commands
    assert isinstance(await send(each), Sent)
    assert sink.connections == 1


async def test_a_refusal_for_good_outweighs_one_for_now(sink: SmtpSink, sender: Make) -> None:
    answers = {"ann@example.org": "451 later", "bob@example.org": "550 never"}
    sink.script = lambda stage, value: answers.get(value) if stage == "RCPT" else None
    result = await send(sender(sink), MAIL._replace(recipients=list(answers)))
    assert result == Rejected("550", "bob@example.org: 550 never")


async def test_a_login_that_has_ended_is_no_fault_of_the_mail(sink: SmtpSink, sender: Make) -> None:
    sink.script = lambda stage, _value: "530 5.7.0 authentication required" if stage == "MAIL" else None
    result = await send(sender(sink))
    assert isinstance(result, Retry)
    assert result.code == "530"


@pytest.mark.parametrize("fault", [CUT, HANG])
@pytest.mark.parametrize("stage", ["connect", "MAIL", "RCPT", "DATA"])
async def test_a_connection_lost_before_the_mail_left_is_for_later(
    sink: SmtpSink, sender: Make, stage: str, fault: str
) -> None:
    sink.script = lambda at, _value: fault if at == stage else None
    each = sender(sink)
    assert isinstance(await asyncio.wait_for(send(each), 10), Retry)
    sink.script = lambda _at, _value: None
    assert isinstance(await send(each), Sent)


@pytest.mark.parametrize("fault", [CUT, HANG])
async def test_a_connection_lost_after_the_mail_left_is_unknown(sink: SmtpSink, sender: Make, fault: str) -> None:
    sink.script = lambda at, _value: fault if at == "END" else None
    each = sender(sink)
    assert isinstance(await asyncio.wait_for(send(each), 10), Unknown)
    sink.script = lambda _at, _value: None
    assert isinstance(await send(each), Sent)


async def test_the_point_of_no_return_comes_after_the_recipients_and_before_data(sink: SmtpSink, sender: Make) -> None:
    seen: list[list[str]] = []

    async def remember() -> None:
        seen.append(list(sink.commands))

    await sender(sink).send(MAIL, "ref", remember)
    assert seen == [["EHLO", "MAIL", "RCPT"]]
    assert sink.commands == ["EHLO", "MAIL", "RCPT", "DATA"]


async def test_a_refused_mail_never_passes_the_point_of_no_return(sink: SmtpSink, sender: Make) -> None:
    async def never() -> None:
        raise AssertionError("it was passed")

    sink.script = lambda stage, _value: "550 no" if stage == "RCPT" else None
    assert isinstance(await sender(sink).send(MAIL, "ref", never), Rejected)


async def test_nothing_leaves_where_the_point_of_no_return_fails(sink: SmtpSink, sender: Make) -> None:
    async def fail() -> None:
        raise LookupError("the lease was lost")

    each = sender(sink)
    with pytest.raises(LookupError):
        await each.send(MAIL, "ref", fail)
    assert "DATA" not in sink.commands
    assert isinstance(await send(each), Sent)
    assert len(sink.mails) == 1


async def test_a_mail_beyond_the_servers_size_is_not_tried(sender: Make) -> None:
    async with SmtpSink(size=1000) as sink:
        result = await send(sender(sink), MAIL._replace(message=b"x" * 2000 + b"\r\n"))
        assert isinstance(result, Rejected)
        assert result.code == "552"
        assert "MAIL" not in sink.commands


async def test_addresses_outside_ascii_need_a_server_that_knows_them(sender: Make) -> None:
    mail = MAIL._replace(recipients=["бат@xn--b1a97aba.mn"])
    async with SmtpSink(utf8=True) as sink:
        assert isinstance(await send(sender(sink), mail), Sent)
        assert sink.mails[0].rcpt_tos == ["бат@xn--b1a97aba.mn"]
    async with SmtpSink(utf8=False) as sink:
        result = await send(sender(sink), mail)
        assert isinstance(result, Rejected)
        assert result.code == "553"


async def test_a_password_is_used_and_a_wrong_one_is_the_inboxs_trouble(sender: Make) -> None:
    async with SmtpSink(password="secret") as sink:
        login = {"smtp_login": "own", "smtp_username": "shop@example.mn"}
        assert isinstance(await send(sender(sink, **login, smtp_password="secret")), Sent)
        wrong = sender(sink, **login, smtp_password="wrong")
        result = await send(wrong)
        assert isinstance(result, Retry)
        assert (result.code, result.after) == ("535", 300)
        steps = await wrong.check()
        assert [step.ok for step in steps] == [False]
        assert "did not accept the login" in steps[0].words


async def test_a_refused_token_is_renewed_once(sender: Make) -> None:
    async with SmtpSink(token="fresh") as sink:
        ports = FakePorts("stale", "fresh")
        oauth = {"auth": "oauth", "smtp_login": "same"}
        assert isinstance(await send(sender(sink, ports=ports, **oauth)), Sent)
        assert ports.renewals == 1
        result = await send(sender(sink, ports=FakePorts("stale", "stale as well"), **oauth))
        assert isinstance(result, Retry)
        assert result.code == "535"
        assert isinstance(await send(sender(sink, **oauth)), Retry)  # the sign-in is dead


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_tls_is_spoken_and_the_certificate_is_checked(
    sender: Make, certificates: Certificates, security: str
) -> None:
    context = certificates.server_context()
    at_once = security == "tls"
    async with SmtpSink(tls=context if at_once else None, starttls=None if at_once else context) as sink:
        each = sender(sink, smtp_security=security)
        assert isinstance(await send(each), Sent)
        assert isinstance(await send(each), Sent)
        assert [step.ok for step in await each.check()] == [True]
        stranger = sender(sink, smtp_security=security, context=Certificates().client_context())
        result = await send(stranger)
        assert isinstance(result, Retry)
        assert "is not trusted" in result.reason
        assert len(sink.mails) == 2


async def test_starttls_that_is_not_offered_is_not_skipped(sink: SmtpSink, sender: Make) -> None:
    result = await send(sender(sink, smtp_security="starttls"))
    assert isinstance(result, Retry)
    assert sink.mails == []


async def test_a_server_that_is_away_is_tried_later(sink: SmtpSink, sender: Make) -> None:
    port = sink.port
    await sink.stop()
    result = await send(sender(port))
    assert isinstance(result, Retry)
    assert "Cannot connect to 127.0.0.1" in result.reason


async def test_a_mail_of_25_mb_arrives_whole(sink: SmtpSink, sender: Make) -> None:
    mail = MAIL._replace(message=b"Subject: big\r\n\r\n" + (b"." + b"x" * 900 + b"\r\n") * (25 * 2**20 // 903))
    each = sender(sink)
    each._timing = SmtpTiming(content=60)
    assert isinstance(await send(each, mail), Sent)
    assert sink.mails[0].content == mail.message


async def test_a_cancelled_send_leaves_no_connection_in_an_unknown_state(sink: SmtpSink, sender: Make) -> None:
    reached = asyncio.Event()

    async def wait() -> None:
        reached.set()
        await asyncio.Event().wait()

    each = sender(sink)
    sending = asyncio.create_task(each.send(MAIL, "ref", wait))
    await reached.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert isinstance(await send(each), Sent)
    assert (len(sink.mails), sink.connections) == (1, 2)
