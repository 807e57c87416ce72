"""Connected accounts: one sign-in, one use of its state, one refresh among all processes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from channels.base import Refused
from inbox.accounts.model import Actor, Role
from inbox.core.errors import Invalid
from inbox.core.events import EventType
from inbox.core.store import Leases
from inbox.inboxes.model import HealthState, Inbox
from tests.inboxes.conftest import ADMIN, Room, cloud, stone

BACK = "https://inbox.example/oauth/callback"


async def began(room: Room, inbox: Inbox) -> dict[str, str]:
    """The query of the provider's page an admin is sent to."""
    url = await room.service.begin_oauth(ADMIN, inbox.id, BACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def connected(room: Room) -> Inbox:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    state = (await began(room, inbox))["state"]
    return await room.service.finish_oauth(ADMIN, state=state, code="good", redirect_uri=BACK)


async def test_an_account_is_connected_with_the_verifier_its_challenge_was_made_of(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    assert await room.service.connected(inbox) is False
    query = await began(room, inbox)
    after = await room.service.finish_oauth(ADMIN, state=query["state"], code="good", redirect_uri=BACK)
    code, verifier = room.flow.exchanges[0]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert (code, challenge) == ("good", query["challenge"])
    assert await room.service.connected(after) is True
    assert after.version > inbox.version
    assert after.health.token_expires_at is not None


async def test_a_state_is_good_once(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    state = (await began(room, inbox))["state"]
    tries = [room.another().finish_oauth(ADMIN, state=state, code="good", redirect_uri=BACK) for _ in range(4)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, Inbox) for result in results) == 1
    assert sum(isinstance(result, Invalid) for result in results) == 3
    assert len(room.flow.exchanges) == 1


async def test_a_state_of_another_agent_is_refused_and_spent(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    state = (await began(room, inbox))["state"]
    other = Actor(id="agent-2", role=Role.ADMIN)
    for actor in (other, ADMIN):
        with pytest.raises(Invalid):
            await room.service.finish_oauth(actor, state=state, code="good", redirect_uri=BACK)
    assert room.flow.exchanges == []


async def test_an_old_state_is_refused(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    state = (await began(room, inbox))["state"]
    room.clock.forward(minutes=16)
    with pytest.raises(Invalid):
        await room.service.finish_oauth(ADMIN, state=state, code="good", redirect_uri=BACK)


@pytest.mark.parametrize(("code", "refusal"), [("", "access_denied"), ("bad", "")])
async def test_a_refusal_is_told_and_connects_nothing(room: Room, code: str, refusal: str) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    state = (await began(room, inbox))["state"]
    with pytest.raises(Invalid, match="not connected"):
        await room.service.finish_oauth(ADMIN, state=state, code=code, redirect_uri=BACK, refusal=refusal)
    assert await room.service.connected(inbox) is False


async def test_an_inbox_with_a_password_has_nothing_to_connect(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", stone())
    assert await room.service.connected(inbox) is None
    with pytest.raises(Invalid):
        await room.service.begin_oauth(ADMIN, inbox.id, BACK)


async def test_tokens_state_and_verifier_are_in_clear_nowhere(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    state = (await began(room, inbox))["state"]
    attempts = [repr(document) async for document in room.mongo.collection("oauth_states").find()]
    await room.service.finish_oauth(ADMIN, state=state, code="good", redirect_uri=BACK)
    verifier = room.flow.exchanges[0][1]
    assert not [text for text in attempts if state in text or verifier in text]
    for name in await room.mongo.db.list_collection_names():
        async for document in room.mongo.collection(name).find():
            assert not {"access-0", "refresh-0"} & set(repr(document).split("'")), name


async def test_many_askers_in_two_processes_burn_one_refresh_token(room: Room) -> None:
    inbox = await connected(room)
    ports = [(await service.adapter(inbox.id)).ports for service in (room.service, room.another())]  # type: ignore[attr-defined]  # the paper adapter shows its ports
    assert await ports[0].access_token() == "access-0"
    room.clock.forward(minutes=56)
    room.flow.gate.clear()
    asking = [asyncio.create_task(port.access_token()) for port in ports * 5]
    while not room.flow.refreshes:
        await asyncio.sleep(0)
    room.flow.gate.set()
    assert await asyncio.gather(*asking) == ["access-1"] * 10
    assert room.flow.refreshes == ["refresh-0"]
    room.clock.forward(minutes=56)
    assert await ports[1].access_token() == "access-2"
    assert room.flow.refreshes == ["refresh-0", "refresh-1"]
    assert await Leases(room.mongo).holder(f"oauth:{inbox.id}") is None


async def test_a_refused_access_token_is_renewed_before_its_time(room: Room) -> None:
    inbox = await connected(room)
    ports = (await room.service.adapter(inbox.id)).ports  # type: ignore[attr-defined]  # the paper adapter shows its ports
    assert await ports.access_token(renew=True) == "access-1"


async def test_a_new_refresh_token_is_kept_though_its_asker_has_gone(room: Room) -> None:
    inbox = await connected(room)
    ports = (await room.service.adapter(inbox.id)).ports  # type: ignore[attr-defined]  # the paper adapter shows its ports
    room.flow.gate.clear()
    asking = asyncio.create_task(ports.access_token(renew=True))
    while not room.flow.refreshes:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    room.flow.gate.set()
    await room.service.close()
    assert await room.another()._accounts.access_token(inbox.id) == "access-1"


async def test_a_dead_token_marks_the_inbox_dead_tells_everybody_once_and_is_not_tried_again(room: Room) -> None:
    inbox = await connected(room)
    ports = (await room.service.adapter(inbox.id)).ports  # type: ignore[attr-defined]  # the paper adapter shows its ports
    room.flow.dead = "Access was revoked for the client's secret."
    room.clock.forward(hours=2)
    for _ in range(3):
        with pytest.raises(Refused, match="revoked"):
            await ports.access_token()
    assert room.flow.refreshes == ["refresh-0"]
    health = (await room.service.get(inbox.id)).health
    assert health.state is HealthState.DEAD
    assert health.words == "Access was revoked for •••."
    events = [event for event in await room.events() if event.type is EventType.INBOX_HEALTH]
    assert [(event.inbox_id, event.data["state"]) for event in events] == [(inbox.id, "dead")]
    assert await room.service.connected(inbox) is False


async def test_connecting_again_brings_a_dead_inbox_back(room: Room) -> None:
    inbox = await connected(room)
    ports = (await room.service.adapter(inbox.id)).ports  # type: ignore[attr-defined]  # the paper adapter shows its ports
    room.flow.dead = "Revoked."
    room.clock.forward(hours=2)
    with pytest.raises(Refused):
        await ports.access_token()
    state = (await began(room, inbox))["state"]
    back = await room.service.finish_oauth(ADMIN, state=state, code="good", redirect_uri=BACK)
    assert back.health.state is HealthState.UNKNOWN
    assert await ports.access_token() == "access-0"


async def test_an_account_never_connected_says_so(room: Room) -> None:
    inbox = await room.service.create(ADMIN, "paper", cloud())
    ports = (await room.service.adapter(inbox.id)).ports  # type: ignore[attr-defined]  # the paper adapter shows its ports
    with pytest.raises(Refused, match="not connected yet"):
        await ports.access_token()
    assert (await room.service.get(inbox.id)).health.state is HealthState.DEAD
