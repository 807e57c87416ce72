"""What tests of the mail transport share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import Address, Cursor, OutboundMessage, Raw
from channels.email.imap import ImapPoller, Timing
from channels.email.settings import read
from tests.fakes.certificates import Certificates
from tests.fakes.dovecot import PASSWORD, Mailbox
from tests.fakes.ports import FakePorts

Poller = Callable[..., ImapPoller]


@pytest.fixture
async def poller(certificates: Certificates) -> AsyncIterator[Poller]:
    """Makes pollers: (mailbox or None, port=..., timing=..., ports=..., any setting=...); closes them all."""
    made: list[ImapPoller] = []

    def make(
        mailbox: Mailbox | None = None,
        *,
        port: int = 0,
        timing: Timing | None = None,
        ports: FakePorts | None = None,
        **settings: Any,
    ) -> ImapPoller:
        if mailbox is not None:
            settings = {"address": mailbox.user, "imap_port": port or mailbox.server.port, **settings}
        everything = {
            "address": "shop@example.mn",
            "imap_host": "127.0.0.1",
            "imap_port": port,
            "imap_security": "none",
            "imap_password": PASSWORD,
            **settings,
        }
        made.append(
            ImapPoller(
                read(everything),
                ports or FakePorts(),
                timing=timing or Timing(timeout=10),
                context=certificates.client_context(),
            )
        )
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def take() -> Callable[..., Any]:
    """Polls until `count` mails came, or without it until the first heartbeat: (mails, last cursor)."""

    async def run(poller: ImapPoller, cursor: Cursor, count: int | None = None) -> tuple[list[Raw], Cursor]:
        taken: list[Raw] = []
        polling = poller.poll(cursor)
        try:
            async for raws, after in polling:
                taken += raws
                cursor = after
                if (count is None and not raws) or (count is not None and len(taken) >= count):
                    break
        finally:
            await polling.aclose()
        return taken, cursor

    return run


@pytest.fixture
def outbound() -> Callable[..., OutboundMessage]:
    """Makes messages to be sent; any field may be given."""

    def make(**fields: Any) -> OutboundMessage:
        return OutboundMessage(
            **{
                "inbox_id": "inbox-1",
                "message_ref": "ref-1@example.mn",
                "sender": Address("email", "shop@example.mn", "Shop"),
                "to": (Address("email", "ann@example.org", "Ann"),),
                "subject": "Your order",
                "text": "It is on its way.\n",
                "sent_at": datetime(2026, 11, 21, 8, 30, tzinfo=UTC),
                **fields,
            }
        )

    return make
