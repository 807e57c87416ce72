"""The adapter as the host uses it: settings in, mail in and out."""

from __future__ import annotations

import email
from collections.abc import Callable, Sequence
from typing import Any

from channels.base import Address, Attachment, OutboundMessage, Rejected, Sent
from channels.email.adapter import EmailAdapter, PollingEmailAdapter, build
from tests.fakes.certificates import Certificates
from tests.fakes.dovecot import PASSWORD, Mailbox
from tests.fakes.ports import FakePorts
from tests.fakes.smtp_sink import SmtpSink

Make = Callable[..., OutboundMessage]


def settings(**more: Any) -> dict[str, Any]:
    return {
        "address": "shop@example.mn",
        "imap_security": "none",
        "smtp_security": "none",
        "smtp_login": "none",
        **more,
    }


class Passed:
    """A point of no return that counts."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def test_a_reply_goes_out_by_smtp_with_its_tokens(outbound: Make) -> None:
    async with SmtpSink() as sink:
        adapter = build(
            "inbox-1", settings(smtp_host="127.0.0.1", smtp_port=sink.port, plus_addressing=True), FakePorts()
        )
        passed = Passed()
        out = outbound(reply_token="RT", bounce_token="BT", bcc=(Address("email", "bob@example.org"),))
        result = await adapter.send(out, passed)
        assert isinstance(result, Sent)
        assert result.external_id == out.message_ref
        assert passed.times == 1
        (received,) = sink.mails
        assert received.mail_from == "shop+b.BT@example.mn"
        assert received.rcpt_tos == ["ann@example.org", "bob@example.org"]
        parsed = email.message_from_bytes(received.content)
        assert parsed["Message-ID"] == f"<{out.message_ref}>"
        assert parsed["Reply-To"] == "Shop <shop+r.RT@example.mn>"
        await adapter.close()


async def test_the_built_in_inbox_hands_its_mail_to_the_catcher(outbound: Make) -> None:
    ports = FakePorts()
    adapter = build("inbox-1", {"address": "shop@example.mn", "provider": "builtin"}, ports)
    assert type(adapter) is EmailAdapter
    passed = Passed()
    assert isinstance(await adapter.send(outbound(), passed), Sent)
    assert passed.times == 1
    ((content, sender, recipients),) = ports.caught
    assert (sender, recipients) == ("shop@example.mn", ["ann@example.org"])
    assert b"Subject: Your order\r\n" in content
    assert [step.ok for step in await adapter.check()] == [True]
    await adapter.close()


async def test_what_cannot_be_written_is_rejected_before_anything_is_sent(outbound: Make) -> None:
    adapter = build("inbox-1", {"address": "shop@example.mn", "provider": "builtin"}, FakePorts())
    passed = Passed()
    result = await adapter.send(outbound(to=(Address("email", "nonsense"),)), passed)
    assert result == Rejected("553", "Not an email address: nonsense")
    assert passed.times == 0


async def test_a_large_attachment_does_not_hold_up_the_loop(outbound: Make) -> None:
    ports = FakePorts()
    adapter = build("inbox-1", {"address": "shop@example.mn", "provider": "builtin"}, ports)
    content = bytes(range(256)) * 20_000
    attachment = Attachment(name="a.bin", media_type="application/zip", size=len(content), content=content)
    assert isinstance(await adapter.send(outbound(attachments=(attachment,)), Passed()), Sent)
    parsed = email.message_from_bytes(ports.caught[0][0])
    assert [part.get_payload(decode=True) for part in parsed.walk() if part.get_filename()] == [content]


async def test_the_check_tries_both_ways(mailbox: Mailbox, certificates: Certificates) -> None:
    async with SmtpSink() as sink:
        adapter = build(
            "inbox-1",
            settings(
                address=mailbox.user,
                imap_host="127.0.0.1",
                imap_port=mailbox.server.port,
                imap_password=PASSWORD,
                smtp_host="127.0.0.1",
                smtp_port=sink.port,
            ),
            FakePorts(),
        )
        assert type(adapter) is PollingEmailAdapter
        assert [(step.name, step.ok) for step in await adapter.check()] == [
            ("Read mail", True),
            ("Folder INBOX", True),
            ("Send mail", True),
        ]
        await adapter.close()


async def test_mail_is_fetched_and_compared(mailbox: Mailbox) -> None:
    mailbox.deliver(b"From: Ann <ann@example.org>\r\nSubject: hi\r\n\r\nhello\r\n")
    adapter = build(
        "inbox-1",
        settings(
            address=mailbox.user,
            imap_host="127.0.0.1",
            imap_port=mailbox.server.port,
            imap_password=PASSWORD,
            outbound="catcher",
        ),
        FakePorts(),
    )
    assert isinstance(adapter, PollingEmailAdapter)
    polling = adapter.poll({})
    raws, cursor = await anext(polling)
    assert len(raws) == 1

    async def nothing(_: Sequence[str]) -> set[str]:
        return set()

    assert [raws async for _, raws in adapter.reconcile(cursor, nothing)] == [raws]
    await adapter.close()
    assert [raw async for raws, _ in polling for raw in raws] == []
