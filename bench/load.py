"""Agents who ask for pages, as a process of its own: `python -m bench.load PLAN` prints what they had to wait.

Each agent is one connection that is kept: ask, read all of the answer, think, ask again (a closed loop).
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import uvloop


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, how long, how often."""

    url: str
    cookies: list[str]
    """One agent each."""
    steps: list[tuple[str, list[str]]]
    """(kind, paths): every agent goes through the kinds in turn, with any of the paths."""
    seconds: float
    think: tuple[float, float]
    """Seconds between an answer and the next question, from and to."""
    seed: int


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds until the whole answer was there, by kind."""

    milliseconds: dict[str, list[float]]


async def main(plan: Plan) -> Waits:
    waits: dict[str, list[float]] = {kind: [] for kind, _ in plan.steps}
    end = time.perf_counter() + plan.seconds
    async with aiohttp.ClientSession(plan.url, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(_agent(session, plan, number, end, waits) for number in range(len(plan.cookies))))
    return Waits(milliseconds=waits)


async def _agent(
    session: aiohttp.ClientSession, plan: Plan, number: int, end: float, waits: dict[str, list[float]]
) -> None:
    chance = random.Random(f"{plan.seed} {number}")
    headers = {"Cookie": plan.cookies[number], "Accept": "text/html"}
    await asyncio.sleep(chance.uniform(0, plan.think[1]))
    while True:
        for kind, paths in plan.steps:
            if time.perf_counter() >= end:
                return
            begun = time.perf_counter()
            async with session.get(chance.choice(paths), headers=headers, allow_redirects=False) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{answer.url.path} answered {answer.status}")
            waits[kind].append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(chance.uniform(*plan.think))


if __name__ == "__main__":
    given = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(main(given))).decode())
