"""How the browser gets what chats bring: their markup, edits, reactions, and files in ranges."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from channels.base import Attachment, ChannelError, MessageChange
from inbox.accounts.model import Actor
from inbox.wiring import House
from tests.conversations.conftest import ADMIN
from tests.conversations.parrot import (
    BAT,
    Clock,
    Parrot,
    ann,
    change,
    client,
    clock,
    house,
    inbox_id,
    only_conversation,
    only_message,
    said,
    take,
)

__all__ = ["ann", "client", "clock", "house", "inbox_id"]
"""Fixtures of the parrot."""

CONTENT = bytes(range(256)) * 2048


async def sign_in(house: House, client: TestClient[Any, Any], who: Actor) -> None:
    """A browser in which `who` is signed in."""
    found = await house.accounts.agent(who.id)
    await client.get("/login")
    [name] = [morsel.key for morsel in client.session.cookie_jar if "ortoo" in morsel.key]
    token = await house.accounts.open_session(found, ip="127.0.0.1", user_agent="")
    client.session.cookie_jar.update_cookies({name: token}, client.make_url("/"))


async def thread(house: House, client: TestClient[Any, Any]) -> str:
    """The open conversation as HTML."""
    response = await client.get(f"/conversations/{(await only_conversation(house)).id}/pane")
    text: str = await response.text()
    assert response.status == 200, text
    return text


async def test_a_chat_shows_its_markup_and_nothing_that_runs(
    house: House, inbox_id: str, ann: Actor, client: TestClient[Any, Any]
) -> None:
    html = (
        '<b>Two</b> <span class="tg-spoiler" style="x">hidden</span> <span class="button">no</span>'
        '<img src=x onerror=alert(1)><script>alert(2)</script><a href="javascript:alert(3)">a</a>'
    )
    await take(house, inbox_id, [said("1", "Two hidden", html=html)])
    await sign_in(house, client, ann)
    text = await thread(house, client)
    assert '<b>Two</b> <span class="tg-spoiler">hidden</span>' in text
    for bad in ("onerror", "alert(", "javascript:", 'class="button">no', "<iframe"):
        assert bad not in text.split('id="entries"')[1].split("</ul>")[0]


async def test_edits_deletions_and_reactions_are_told(
    house: House, inbox_id: str, ann: Actor, client: TestClient[Any, Any]
) -> None:
    await take(
        house,
        inbox_id,
        [said("1", "Two <please>")],
        [change("1", "edited", text="Three")],
        [
            MessageChange(
                inbox_id="", external_id="r", message_ref="7:1", change="reaction", sender=BAT, reactions=("👍",)
            )
        ],
        [change("1", "deleted", "d")],
    )
    await sign_in(house, client, ann)
    text = await thread(house, client)
    for words in ("Three", "Two &lt;please&gt;", "👍", "The sender took this back"):
        assert words in text


@pytest.mark.parametrize(
    ("failure", "words"),
    [(None, "Being fetched"), (ChannelError("The file is larger than 20 MB."), "The file is larger than 20 MB.")],
)
async def test_a_file_that_is_not_here_says_so_and_is_no_link(
    house: House,
    inbox_id: str,
    ann: Actor,
    client: TestClient[Any, Any],
    failure: ChannelError | None,
    words: str,
) -> None:
    file = Attachment(name="bag.jpg", media_type="image/jpeg", size=3, ref="a")
    await take(house, inbox_id, [said("1", attachments=(file,))])
    if failure is not None:
        Parrot.files["a"] = failure
        await house.fetching.fetch_next()
    await sign_in(house, client, ann)
    text = await thread(house, client)
    assert words in text
    [stored] = (await only_message(house)).attachments
    assert f"/{stored.id}/" not in text
    response = await client.get(f"/files/{(await only_message(house)).id}/{stored.id}/bag.jpg")
    assert response.status == 404


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("", 200, 0, len(CONTENT)),
        ("bytes=0-", 200, 0, len(CONTENT)),
        ("bytes=300000-", 206, 300_000, len(CONTENT)),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=-5", 206, len(CONTENT) - 5, len(CONTENT)),
        ("bytes=261120-261121", 206, 261_120, 261_122),
        ("bytes=999999999-", 416, 0, 0),
        ("pages=1-2", 200, 0, len(CONTENT)),
    ],
)
async def test_a_sound_is_served_in_the_parts_a_player_asks_for(
    house: House,
    inbox_id: str,
    ann: Actor,
    client: TestClient[Any, Any],
    clock: Clock,
    asked: str,
    status: int,
    start: int,
    end: int,
) -> None:
    Parrot.files["a"] = Attachment(name="voice.ogg", media_type="audio/ogg", size=1, content=CONTENT)
    await take(house, inbox_id, [said("1", attachments=(Attachment(name="v", media_type="x/y", size=1, ref="a"),))])
    await house.fetching.fetch_next()
    await sign_in(house, client, ann)
    assert "<audio controls" in await thread(house, client)
    message = await house.conversations.message(ADMIN, (await only_message(house)).id)
    path = f"/files/{message.id}/{message.attachments[0].id}/voice.ogg"
    response = await client.get(path, headers={"Range": asked} if asked else {})
    assert response.status == status
    if status != 416:
        assert await response.read() == CONTENT[start:end]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
