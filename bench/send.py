"""How many queued replies a second leave through the outbox, until their state is committed as sent.

Limit: a bare aiosmtplib loop that sends the same mails, written beforehand by the product's own composer, into the same
sink over as many connections. The sink is Postfix's smtp-sink where it is installed, else aiosmtpd, in its own process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median

import aiosmtplib

from bench import places
from bench.mails import mails
from bench.result import Result
from channels.base import OutboundMessage, Raw
from channels.email.compose import Composed, compose
from channels.email.settings import read
from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.model import Message, State
from inbox.inboxes.model import Inbox, InboxForm
from inbox.wiring import House
from workers.deliver import Deliver

REPLIES = 300
ROUNDS = 5
"""Odd, so that a median is one of them. Limit and product take turns in each."""
_WRITING = 20
_LOOK_SECONDS = 0.02
"""Between looks whether all have left: to ask costs the database more than a reply does."""
_START_SECONDS = 10
_ANSWER = "<p>Thank you for your order. <b>We have sent it this morning</b>; it should be with you on Friday.</p>" * 4


async def run() -> Result:
    async with places.house() as house, _sink() as port:
        inbox = await _add_inbox(house, port)
        connections = read(inbox.settings).connections
        print(f"over {connections} connections, which is what the product opens to a server of no provider it knows")
        agent = await places.hire(house, "Ann Bold")
        limits, rates = [], []
        for number in range(ROUNDS + 1):
            messages = await _queue(house, inbox, agent.actor, number)
            composed = [compose(_outbound(message)) for message in messages]
            limit, rate = await _bare(composed, port, connections), await _through_outbox(house, inbox, messages)
            if number == 0:
                continue  # to warm up
            limits.append(limit)
            rates.append(rate)
            print(f"round {number}: {rate:6.0f} replies/s, bare {limit:6.0f} replies/s", flush=True)
        return Result(name="send", value=median(rates), unit="replies/s", limit=median(limits))


async def _queue(house: House, inbox: Inbox, actor: Actor, number: int) -> list[Message]:
    """Customers write, and an agent answers each conversation once."""
    sources = mails(REPLIES, seed=number, people=REPLIES)
    await house.ingest.ingest_many(inbox.id, [Raw(body=raw, url="smtp:") for raw in sources])
    conversations = house.mongo.collection("conversations").find({"last_kind": "in"}, {"_id": 1})
    waiting = iter([document["_id"] async for document in conversations])
    messages = []

    async def write() -> None:
        for conversation_id in waiting:
            draft = await house.drafts.start_reply(actor, conversation_id, "reply")
            written = Written(to=draft.to, subject=draft.subject, html=_ANSWER)
            messages.append(await house.replies.send(actor, conversation_id, written, headline=lambda _: "You wrote:"))

    await asyncio.gather(*(write() for _ in range(_WRITING)))
    return messages


async def _through_outbox(house: House, inbox: Inbox, messages: Sequence[Message]) -> float:
    """Replies a second from the start of the sending worker until the last one's state is stored."""
    stop = asyncio.Event()
    begun = time.perf_counter()
    worker = asyncio.create_task(Deliver(house.delivery, house.dispatcher).run(stop))
    while await house.outbox.queued(inbox.id):  # noqa: ASYNC110 # that it is empty is no event
        await asyncio.sleep(_LOOK_SECONDS)
    rate = len(messages) / (time.perf_counter() - begun)
    stop.set()
    await worker
    query = {"_id": {"$in": [message.id for message in messages]}, "delivery.state": State.SENT.value}
    sent = await house.mongo.collection("messages").count_documents(query)
    if sent != len(messages):
        raise RuntimeError(f"of {len(messages)} replies {sent} were sent")
    return rate


async def _bare(composed: Sequence[Composed], port: int, connections: int) -> float:
    """Replies a second without a database, by connections that are open already."""
    waiting = iter(composed)
    clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) for _ in range(connections)]
    for client in clients:
        await client.connect()
        await client.ehlo()

    async def send(client: aiosmtplib.SMTP) -> None:
        for mail in waiting:
            await client.sendmail(mail.envelope_from, mail.recipients, mail.message)

    begun = time.perf_counter()
    await asyncio.gather(*(send(client) for client in clients))
    rate = len(composed) / (time.perf_counter() - begun)
    for client in clients:
        await client.quit()
    return rate


async def _add_inbox(house: House, port: int) -> Inbox:
    settings = {"inbound": "door", "smtp_host": "127.0.0.1", "smtp_port": port}
    settings |= {"smtp_security": "none", "smtp_login": "none"}
    form = InboxForm(name="Sales", address="sales@shop.mn", settings=settings)
    return await house.inboxes.create(places.SYSTEM, "email", form)


def _outbound(message: Message) -> OutboundMessage:
    """What the product hands to its composer for a stored reply."""
    assert message.sender is not None
    return OutboundMessage(
        inbox_id=message.inbox_id,
        message_ref=message.message_ref,
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        subject=message.subject,
        text=message.text + message.quoted_text,
        html=message.html + message.quoted_html,
        in_reply_to=message.in_reply_to,
        references=message.references,
        sent_at=message.at,
    )


@asynccontextmanager
async def _sink() -> AsyncIterator[int]:
    """A server that throws mail away; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [sys.executable, "-m", "bench.sink", str(port)]
    if found := shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        as_user = ["-u", "nobody"] if os.getuid() == 0 else []
        command = [found, *as_user, f"127.0.0.1:{port}", "100"]
    print(f"sink: {'smtp-sink' if found else 'aiosmtpd, for want of smtp-sink (Debian package postfix)'}", flush=True)
    async with places.program(command):
        await _until_it_answers(port)
        yield port


async def _until_it_answers(port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            writer.close()
            return
