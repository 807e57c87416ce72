"""The least a server must do, as the limit that pages and live updates are held against; a process of its own.

`python -m bench.bare URI DATABASE` prints its address. `/list` is one indexed find as JSON. `/` is a page that shows
what is posted to `/push` as soon as it comes down `/events`; the answer is when it was sent, in Unix milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop
from aiohttp import web

from inbox.core.mongo import Mongo

_PAGE = """<!doctype html><title>bare</title><ul id="rows"></ul><script>
new EventSource("/events").onmessage = (event) => {
  const row = document.createElement("li");
  row.dataset.id = JSON.parse(event.data).conversation_id;
  document.querySelector("ul").prepend(row);
};
</script>"""


class _Bare:
    def __init__(self, mongo: Mongo) -> None:
        self._conversations = mongo.collection("conversations")
        self._streams: set[web.StreamResponse] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.page)
        app.router.add_get("/list", self.list)
        app.router.add_get("/events", self.events)
        app.router.add_post("/push", self.push)
        return app

    async def list(self, _: web.Request) -> web.StreamResponse:
        cursor = self._conversations.find({"status": "open"}).sort([("updated_at", -1), ("_id", -1)]).limit(50)
        rows = await cursor.to_list(50)
        return web.Response(body=msgspec.json.encode(rows), content_type="application/json")

    async def page(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=_PAGE, content_type="text/html")

    async def events(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        self._streams.add(stream)
        try:
            await asyncio.get_running_loop().create_future()  # until the browser is gone
        finally:
            self._streams.discard(stream)
        return stream

    async def push(self, request: web.Request) -> web.StreamResponse:
        data, at = await request.read(), time.time() * 1000
        await asyncio.gather(*(stream.write(b"data: " + data + b"\n\n") for stream in self._streams))
        return web.json_response(at)


async def main(uri: str, database: str) -> None:
    mongo = await Mongo.connect(uri, database)
    runner = web.AppRunner(_Bare(mongo).app(), access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"bare is at http://{host}:{port}", flush=True)
    await asyncio.get_running_loop().create_future()  # until it is ended from outside


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
