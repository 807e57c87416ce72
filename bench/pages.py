"""How long agents wait for the inbox's list and for a conversation, among 100,000 of them with 500,000 messages.

Fifty agents are signed in and at work: each asks for a page every two seconds or so, lists and conversations by turns.
Limit: a bare aiohttp handler that answers the same agents with one indexed find of 50 conversations as JSON.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench import places, workspace
from bench.load import Plan, Waits
from bench.result import Result, percentile
from config.settings import Settings
from inbox.inboxes.model import Inbox, InboxForm
from inbox.wiring import House, open_house

AGENTS = 50
THINK = (1.0, 3.0)
TURNS = 2
"""Limit and product take turns."""
BARE_SECONDS, SECONDS, SATURATED_SECONDS, WARM_UP_SECONDS = 10, 20, 8, 5
OLD_ONES = 0.2
"""The share of opened conversations that are not open ones: found by search or a link, of any age."""

Waiting = dict[str, list[float]]


async def run() -> Result:
    async with places.database() as settings:
        print(f"filling the database with {workspace.CONVERSATIONS:,} conversations ...", flush=True)
        begun = time.perf_counter()
        tokens, steps = await fill(settings)
        print(f"filled in {time.perf_counter() - begun:.0f} s", flush=True)
        return await measure(settings, tokens, steps)


async def fill(settings: Settings) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Agents, inboxes and conversations; answers the agents' session tokens and what they will ask for."""
    async with open_house(settings) as house:
        agents = [await places.hire(house, f"Agent {number}") for number in range(AGENTS)]
        inboxes = [await house.inboxes.built_in(), *[await _add_inbox(house, n) for n in ("Sales", "Returns", "Press")]]
        shop = await workspace.build(house.mongo, agents, inboxes)
        tokens = [await house.accounts.open_session(agent, ip="127.0.0.1", user_agent="bench") for agent in agents]
    return tokens, _steps(shop, inboxes)


async def measure(settings: Settings, tokens: Sequence[str], steps: list[tuple[str, list[str]]]) -> Result:
    """Let agents ask the product and the bare handler in turn."""
    uri = settings.mongodb_uri.get_secret_value()
    bare_command = [sys.executable, "-m", "bench.bare", uri, settings.database]
    async with places.ortoo(settings) as server, places.program(bare_command) as bare:
        ours = Plan(
            url=server.url,
            cookies=[f"{name}={value}" for name, value in await places.cookies(server.url, tokens)],
            steps=steps,
            seconds=WARM_UP_SECONDS,
            think=THINK,
            seed=0,
        )
        theirs = msgspec.structs.replace(
            ours, url=await bare.says(r"is at (http\S+)"), cookies=[""] * AGENTS, steps=[("bare", ["/list"])]
        )
        folder = settings.data
        await _load(folder, ours)
        await _load(folder, theirs)
        waits: Waiting = {}
        for turn in range(1, TURNS + 1):
            for plan, seconds in ((theirs, BARE_SECONDS), (ours, SECONDS)):
                answered = await _load(folder, msgspec.structs.replace(plan, seconds=seconds, seed=turn))
                for kind, milliseconds in answered.items():
                    waits.setdefault(kind, []).extend(milliseconds)
        for kind, milliseconds in waits.items():
            print(_line(kind, milliseconds), flush=True)
        for name, plan in (("bare", theirs), ("product", ours)):
            rushed = msgspec.structs.replace(plan, seconds=SATURATED_SECONDS, think=(0, 0))
            count = sum(map(len, (await _load(folder, rushed)).values()))
            print(f"{name} without a pause between pages: {count / SATURATED_SECONDS:.0f} a second", flush=True)
        worst = max(percentile(milliseconds, 99) for kind, milliseconds in waits.items() if kind != "bare")
        return Result(name="pages", value=worst, unit="ms (p99)", limit=percentile(waits["bare"], 99))


def _steps(shop: workspace.Workspace, inboxes: Sequence[Inbox]) -> list[tuple[str, list[str]]]:
    chance = random.Random(3)
    views = ["all", "all", "mine", "unassigned", *(f"in/{inbox.id}" for inbox in inboxes), "label/billing", "label/vip"]
    resolved = ["/inbox/all/list?status=resolved", "/inbox/mine/list?status=resolved"]
    old = int(500 * OLD_ONES)
    opened = [*chance.choices(shop.open_ids, k=500 - old), *chance.choices(shop.other_ids, k=old)]
    return [
        ("list", [*(f"/inbox/{view}/list" for view in views), *resolved]),
        ("conversation", [f"/conversations/{one}/pane" for one in opened]),
        ("whole page", [f"/inbox/{view}" for view in views]),
        ("conversation", [f"/conversations/{one}/pane" for one in opened]),
    ]


async def _add_inbox(house: House, name: str) -> Inbox:
    built_in = await house.inboxes.built_in()
    form = InboxForm(name=name, address=f"{name.lower()}@shop.mn", settings=built_in.settings)
    return await house.inboxes.create(places.SYSTEM, built_in.channel, form)


async def _load(folder: Path, plan: Plan) -> Waiting:
    path = folder / "plan.json"
    path.write_bytes(msgspec.json.encode(plan))
    async with places.program([sys.executable, "-m", "bench.load", str(path)]) as load:
        output = await load.output()
    if not output.startswith("{"):
        raise RuntimeError(output)
    return msgspec.json.decode(output, type=Waits).milliseconds


def _line(kind: str, milliseconds: Sequence[float]) -> str:
    p99 = percentile(milliseconds, 99)
    return f"{kind:12}: p50 {median(milliseconds):6.1f} ms, p99 {p99:6.1f} ms, {len(milliseconds)} asked"
