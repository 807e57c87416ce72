"""How many mails a second are taken in, from raw bytes to committed.

Limit: what one would write in an afternoon, on the same database at the same concurrency: the standard library parses
the mail, decodes bodies and attachments, and one acknowledged insert stores the lot in one document.
"""

from __future__ import annotations

import asyncio
import email
import time
from collections.abc import Awaitable, Callable, Sequence
from email import policy
from statistics import median
from typing import Any

from bench import places
from bench.mails import mails
from bench.result import Result
from channels.base import Raw
from inbox.wiring import House

CONCURRENCY = 50
MAILS = 200
ROUNDS = 9
"""Odd, so that a median is one of them. Limit and product take turns in each."""
WARM_UP = 100

Take = Callable[[bytes], Awaitable[object]]


async def run() -> Result:
    async with places.house() as house:
        inbox_id = (await house.inboxes.built_in()).id
        plain = house.mongo.collection("plain")

        async def take_plainly(raw: bytes) -> None:
            await plain.insert_one(_parsed(raw))

        async def take(raw: bytes) -> None:
            await house.ingest.ingest(inbox_id, Raw(body=raw, url="smtp:"))

        await _rate(take_plainly, mails(WARM_UP, seed=0))
        await _rate(take, mails(WARM_UP, seed=0))
        limits, rates = [], []
        for number in range(1, ROUNDS + 1):
            sources = mails(MAILS, seed=number)
            limits.append(await _rate(take_plainly, sources))
            rates.append(await _rate(take, sources))
            print(f"round {number}: {rates[-1]:6.0f} mails/s, plainly {limits[-1]:6.0f} mails/s", flush=True)
        await _check(house, WARM_UP + ROUNDS * MAILS)
        return Result(name="ingest", value=median(rates), unit="mails/s", limit=median(limits))


async def _rate(take: Take, sources: Sequence[bytes]) -> float:
    """Mails a second, `CONCURRENCY` being under way at any time."""
    waiting = iter(sources)

    async def work() -> None:
        for source in waiting:
            await take(source)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return len(sources) / (time.perf_counter() - begun)


def _parsed(raw: bytes) -> dict[str, Any]:
    """A mail as a document, by the standard library alone."""
    message = email.message_from_bytes(raw, policy=policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    document: dict[str, Any] = {
        name: str(message[name] or "")
        for name in ("From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References")
    }
    document["text"] = text.get_content() if text else ""
    document["html"] = html.get_content() if html else ""
    document["attachments"] = [
        {"name": part.get_filename(), "type": part.get_content_type(), "content": part.get_content()}
        for part in message.iter_attachments()
    ]
    return document


async def _check(house: House, expected: int) -> None:
    """A rate of mails that were not taken in would say nothing."""
    stored = await house.mongo.collection("messages").count_documents({})
    dead = await house.mongo.collection("dead_letters").count_documents({})
    if (stored, dead) != (expected, 0):
        raise RuntimeError(f"of {expected} mails {stored} were stored and {dead} are dead letters")
