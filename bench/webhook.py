"""How long a provider waits for its webhook's answer, which comes after the commit, at 200 calls a second.

The calls are Twilio's: signed forms of 500 customers who write, each at its own moment whether those before are
answered or not (an open loop: a wait counts from when the call was due). Limit: the same calls to a bare aiohttp
handler that does one acknowledged insert. `python -m bench.webhook load PLAN` and `... bare URI DATABASE` are the
processes of their own that call and are called.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import aiohttp
import msgspec
import uvloop
from aiohttp import web
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]  # publishes no types

from bench import places
from bench.result import Result, percentile
from bench.words import language, sentence
from config.settings import Settings
from inbox.core.clock import utcnow
from inbox.core.mongo import Mongo
from inbox.inboxes.model import InboxForm
from inbox.wiring import open_house

RATE = 200
"""Calls a second."""
SECONDS, WARM_UP_SECONDS = 10, 5
TURNS = 3
"""Limit and product take turns."""
CUSTOMERS = 500
_NUMBER, _ACCOUNT, _TOKEN = "+97677001122", "AC" + "0" * 32, "x" * 32


class Call(msgspec.Struct, frozen=True):
    """One call, ready to be made."""

    headers: dict[str, str]
    body: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to call, in order, one each 1 / `RATE` s."""

    url: str
    calls: list[Call]


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from when each call was due to its whole answer, how late the worst was made, and how many were
    answered a second: less than `RATE` says that calls come faster than they can be answered."""

    milliseconds: list[float]
    latest: float
    rate: float


async def run() -> Result:
    async with places.database() as settings:
        inbox_id = await _inbox(settings)
        uri = settings.mongodb_uri.get_secret_value()
        bare_command = [sys.executable, "-m", "bench.webhook", "bare", uri, settings.database]
        async with places.ortoo(settings) as server, places.program(bare_command) as bare:
            hook = f"{server.url}/hooks/{inbox_id}"
            urls = {"bare": await bare.says(r"is at (http\S+)"), "webhook": hook}
            waits: dict[str, list[float]] = {name: [] for name in urls}
            for turn in range(TURNS + 1):
                calls = _calls(hook, turn, SECONDS if turn else WARM_UP_SECONDS)
                for name, url in urls.items():
                    heard = await _load(settings.data, Plan(url=url, calls=calls))
                    if turn:
                        waits[name] += heard.milliseconds
                        line = (
                            f"{_line(name, heard.milliseconds)}, answered {heard.rate:.0f}/s, late {heard.latest:.0f}"
                        )
                        print(f"round {turn}: {line} ms", flush=True)
        await _check(settings, RATE * (WARM_UP_SECONDS + TURNS * SECONDS))
        for name, milliseconds in waits.items():
            print(_line(name, milliseconds), flush=True)
        p99 = {name: percentile(milliseconds, 99) for name, milliseconds in waits.items()}
        return Result(name="webhook", value=p99["webhook"], unit="ms (p99)", limit=p99["bare"])


def _calls(hook: str, turn: int, seconds: int) -> list[Call]:
    chance, validator = random.Random(turn), RequestValidator(_TOKEN)
    calls = []
    for number in range(RATE * seconds):
        sid = f"SM{turn:016x}{number:016x}"
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "AccountSid": _ACCOUNT,
            "From": f"+9768{chance.randrange(CUSTOMERS):07}",
            "To": _NUMBER,
            "Body": sentence(chance, chance.randint(3, 16), language(chance)),
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
            "ApiVersion": "2010-04-01",
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": str(validator.compute_signature(hook, form)),
        }
        calls.append(Call(headers, urlencode(form)))
    return calls


async def _inbox(settings: Settings) -> str:
    account = {"account_sid": _ACCOUNT, "auth_token": _TOKEN, "api_url": "http://127.0.0.1:9"}
    async with open_house(settings) as house:
        form = InboxForm(name="Nomads", address=_NUMBER, settings=account)
        return (await house.inboxes.create(places.SYSTEM, "sms", form)).id


async def _load(folder: Path, plan: Plan) -> Waits:
    path = folder / "plan.json"
    path.write_bytes(msgspec.json.encode(plan))
    async with places.program([sys.executable, "-m", "bench.webhook", "load", str(path)]) as load:
        output = await load.output()
    if not output.startswith("{"):
        raise RuntimeError(output)
    return msgspec.json.decode(output, type=Waits)


async def _check(settings: Settings, expected: int) -> None:
    """An answer to what was not taken in would say nothing."""
    mongo = await Mongo.connect(settings.mongodb_uri.get_secret_value(), settings.database)
    stored = await mongo.collection("messages").count_documents({"kind": "in"})
    dead = await mongo.collection("dead_letters").count_documents({})
    mongo.close()
    if (stored, dead) != (expected, 0):
        raise RuntimeError(f"of {expected} messages {stored} were stored and {dead} are dead letters")


def _line(name: str, milliseconds: Sequence[float]) -> str:
    p99 = percentile(milliseconds, 99)
    return f"{name:8}: p50 {median(milliseconds):6.1f} ms, p99 {p99:6.1f} ms, {len(milliseconds)} calls"


# --- who calls -----------------------------------------------------------------------------------------------------


async def load(plan: Plan) -> Waits:
    """Make each call when it is due."""
    waits: list[float] = []
    latest = 0.0
    connector = aiohttp.TCPConnector(limit=0)
    begun = time.perf_counter()
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for number, call in enumerate(plan.calls):
            due = begun + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            latest = max(latest, (time.perf_counter() - due) * 1000)
            group.create_task(_call(session, plan.url, call, due, waits))
    return Waits(milliseconds=waits, latest=latest, rate=len(waits) / (time.perf_counter() - begun))


async def _call(session: aiohttp.ClientSession, url: str, call: Call, due: float, waits: list[float]) -> None:
    async with session.post(url, data=call.body, headers=call.headers) as answer:
        await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.url.path} answered {answer.status}")
    waits.append((time.perf_counter() - due) * 1000)


# --- the least there is to do ----------------------------------------------------------------------------------------


async def bare(uri: str, database: str) -> None:
    """One acknowledged insert of what came, then the answer."""
    mongo = await Mongo.connect(uri, database)
    hooks = mongo.collection("bare_hooks")

    async def take(request: web.Request) -> web.Response:
        await hooks.insert_one({"at": utcnow(), "headers": dict(request.headers), "body": await request.read()})
        return web.Response(text="<Response/>", content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"bare is at http://{host}:{port}/", flush=True)
    await asyncio.get_running_loop().create_future()  # until it is ended from outside


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as program:
        if sys.argv[1] == "bare":
            program.run(bare(*sys.argv[2:]))
        else:
            given = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Plan)
            print(msgspec.json.encode(program.run(load(given))).decode())
