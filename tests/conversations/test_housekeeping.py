"""What is done now and then: files nothing refers to go, all others stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from inbox.accounts.model import Actor
from inbox.conversations.composing import Written
from inbox.conversations.model import View
from inbox.core.clock import utcnow
from inbox.wiring import House
from tests.conversations.conftest import everything, mail


async def test_only_files_that_nothing_uses_are_swept(house: House, inbox_id: str, ann: Actor) -> None:
    await house.ingest.ingest(inbox_id, mail())
    [row] = (await house.conversations.page(ann, View())).items

    async def content() -> AsyncIterator[bytes]:
        yield b"%PDF-1.4"

    async def attach(name: str) -> str:
        return (await house.drafts.attach(ann, row.id, name, "application/pdf", content())).id

    draft = await house.drafts.start_reply(ann, row.id, "reply")
    sent = await attach("sent.pdf")
    written = Written(to=draft.to, subject=draft.subject, html="<p>Here.</p>")
    await house.replies.send(ann, row.id, written, headline=lambda _: "He wrote:")
    await house.drafts.start_reply(ann, row.id, "reply")
    drafted = await attach("drafted.pdf")
    taken_off = await attach("taken off.pdf")
    await house.drafts.detach(ann, row.id, taken_off)
    orphan = (await house.files.put(b"x", name="orphan", media_type="x/y", owner="a message that never was")).id

    assert await house.housekeeping.sweep_files() == 0, "they are not a day old"
    house.housekeeping._clock = lambda: utcnow() + timedelta(days=2)
    assert await house.housekeeping.sweep_files() == 1
    left = {file["_id"] for file in await everything(house, "fs.files")}
    assert left == {sent, drafted}
    assert orphan not in left
    assert await house.housekeeping.sweep_files() == 0

    await house.drafts.discard_draft(ann, row.id)
    assert {file["_id"] for file in await everything(house, "fs.files")} == {sent}
