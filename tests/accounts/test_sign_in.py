"""Set-up, sign-in, sessions, passwords."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher

from inbox.accounts.model import AuditAction, Role
from inbox.accounts.passwords import Passwords
from inbox.accounts.service import TRIES_PER_ADDRESS, TRIES_PER_EMAIL, TRIES_WINDOW, AccountService
from inbox.core.clock import utcnow
from inbox.core.errors import DomainError, Invalid, NotFound, TooMany
from inbox.core.events import Event, EventType
from inbox.core.mongo import from_document
from tests.fixtures.web import PASSWORD, QUICK, Site

HERE = {"ip": "10.0.0.1", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


class Clock:
    """Now, moved by hand."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(site: Site) -> Clock:
    clock = Clock()
    site.accounts.clock = clock
    return clock


def another(site: Site) -> AccountService:
    """The accounts as another process sees them."""
    return AccountService(site.accounts.store, site.events, Passwords(QUICK))


async def audited(site: Site) -> list[AuditAction]:
    return [entry.action for entry in reversed(await site.accounts.store.audit("", 100))]


async def events(site: Site) -> list[Event]:
    found = site.mongo.collection("events").find().sort("_id", 1)
    return [from_document(document, Event) async for document in found]


async def set_up(site: Site, link: str | None = None, **changes: str) -> Any:
    link = link or await site.accounts.setup_link()
    assert link is not None
    about = {"name": "Bat", "email": "Bat@Example.mn ", "password": PASSWORD, **changes}
    return await site.accounts.create_first_admin(link.removeprefix("/setup/"), **about)


async def test_the_link_makes_the_first_administrator_once(site: Site) -> None:
    link = await site.accounts.setup_link()
    admin = await set_up(site, link, timezone="Asia/Ulaanbaatar")
    assert (admin.email, admin.role, admin.timezone) == ("bat@example.mn", Role.ADMIN, "Asia/Ulaanbaatar")
    assert await site.accounts.setup_link() is None
    with pytest.raises(NotFound):
        await set_up(site, link, email="second@example.mn")
    assert [agent.email for agent in await site.accounts.agents()] == ["bat@example.mn"]
    assert await audited(site) == [AuditAction.WORKSPACE_SET_UP]
    (event,) = await events(site)
    assert (event.type, event.data["agent_id"]) == (EventType.AGENT_CREATED, admin.id)


async def test_a_new_start_ends_the_link_of_the_one_before(site: Site) -> None:
    first = await site.accounts.setup_link()
    second = await another(site).setup_link()
    with pytest.raises(NotFound):
        await set_up(site, first)
    await set_up(site, second)


async def test_two_who_use_the_link_at_once_make_one_administrator(site: Site) -> None:
    link = await site.accounts.setup_link()
    tries = [set_up(site, link, email=f"a{n}@example.mn") for n in range(5)]
    made = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, NotFound) for one in made) == 4
    assert len(await site.accounts.store.agents()) == 1


async def test_a_mistake_in_the_set_up_does_not_use_the_link_up(site: Site) -> None:
    link = await site.accounts.setup_link()
    with pytest.raises(Invalid) as wrong:
        await set_up(site, link, name=" ", email="bat", password="short")
    assert set(wrong.value.fields) == {"name", "email", "password"}
    await set_up(site, link)


async def test_no_token_and_no_password_is_kept_as_it_is(site: Site) -> None:
    link = await site.accounts.setup_link()
    assert link is not None
    await set_up(site, link)
    admin = await site.accounts.authenticate("bat@example.mn", PASSWORD, "10.0.0.1")
    _, invite = await site.administration.invite(admin.actor, "new@example.mn", Role.AGENT)
    token = await site.accounts.open_session(admin, **HERE)
    stored = ""
    for name in await site.mongo.db.list_collection_names():
        stored += repr(await site.mongo.collection(name).find().to_list(None))
    for secret in (link.rpartition("/")[2], invite.rpartition("/")[2], token, PASSWORD):
        assert secret not in stored
    assert "$argon2id$" in stored


async def test_signing_in_takes_the_right_password_and_any_spelling_of_the_address(site: Site) -> None:
    agent = await site.agent()
    found = await site.accounts.authenticate("  AGENT@example.MN", PASSWORD, "10.0.0.1")
    assert found.id == agent.id


async def refused(site: Site, email: str, password: str, ip: str = "10.0.0.1") -> DomainError:
    with pytest.raises(DomainError) as error:
        await site.accounts.authenticate(email, password, ip)
    return error.value


async def test_wrong_address_password_and_account_are_told_in_the_same_words(site: Site) -> None:
    await site.agent()
    gone = await site.agent(Role.MARKETER)
    await site.administration.deactivate((await site.agent(Role.ADMIN)).actor, gone.id)
    told = [
        await refused(site, "nobody@example.mn", PASSWORD),
        await refused(site, "agent@example.mn", "wrong password"),
        await refused(site, "marketer@example.mn", PASSWORD),
        await refused(site, "", ""),
    ]
    assert {(type(error), error.words) for error in told} == {
        (Invalid, "The e-mail address or the password is not right.")
    }


async def test_an_unknown_address_costs_as_much_work_as_a_known_one() -> None:
    class Counting(PasswordHasher):
        verified = 0

        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 # argon2's name
            Counting.verified += 1
            return super().verify(hash, password)

    passwords = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    assert await passwords.verify("", "nobody") is False
    assert Counting.verified == 1
    assert await passwords.verify("no hash at all", PASSWORD) is False


async def test_guessing_at_one_address_is_stopped_and_told_for_how_long(site: Site, clock: Clock) -> None:
    await site.agent()
    for n in range(TRIES_PER_EMAIL):
        assert isinstance(await refused(site, "agent@example.mn", "wrong", f"10.0.0.{n}"), Invalid)
    error = await refused(site, "agent@example.mn", PASSWORD, "10.0.0.99")
    assert isinstance(error, TooMany)
    assert str(error) == "Too many tries. Try again in 15 min."
    clock.now += timedelta(minutes=14, seconds=1)
    assert str(await refused(site, "agent@example.mn", PASSWORD)) == "Too many tries. Try again in 1 min."
    clock.now += TRIES_WINDOW
    await site.accounts.authenticate("agent@example.mn", PASSWORD, "10.0.0.1")


async def test_guessing_from_one_place_is_stopped_whatever_the_address(site: Site, clock: Clock) -> None:
    for n in range(TRIES_PER_ADDRESS):
        assert isinstance(await refused(site, f"a{n}@example.mn", "wrong"), Invalid)
    assert isinstance(await refused(site, "another@example.mn", "wrong"), TooMany)
    await site.agent()
    await site.accounts.authenticate("agent@example.mn", PASSWORD, "10.9.9.9")


async def test_guesses_made_at_once_are_all_counted(site: Site) -> None:
    await site.agent()
    told = await asyncio.gather(*(refused(site, "agent@example.mn", "wrong") for _ in range(TRIES_PER_EMAIL + 5)))
    assert sum(isinstance(error, TooMany) for error in told) == 5


async def test_a_whole_office_behind_one_address_can_sign_in(site: Site) -> None:
    await site.agent()
    for _ in range(TRIES_PER_ADDRESS + 5):
        await site.accounts.authenticate("agent@example.mn", PASSWORD, "10.0.0.1")


async def test_a_hash_of_older_parameters_is_renewed_at_sign_in(site: Site) -> None:
    agent = await site.agent()
    stronger = AccountService(
        site.accounts.store, site.events, Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    )
    await stronger.authenticate(agent.email, PASSWORD, "10.0.0.1")
    stored = await site.accounts.store.agent(agent.id)
    assert stored is not None
    assert "m=16,t=2" in stored.password_hash
    await stronger.authenticate(agent.email, PASSWORD, "10.0.0.1")


async def test_a_session_lasts_as_long_as_it_is_used(site: Site, clock: Clock) -> None:
    agent = await site.agent()
    token = await site.accounts.open_session(agent, **HERE)
    for _ in range(4):
        clock.now += timedelta(days=20)
        found = await site.accounts.session(token, **HERE)
        assert found is not None
        assert found.is_prolonged
    clock.now += timedelta(days=30)
    assert await site.accounts.session(token, **HERE) is None


async def test_the_database_forgets_sessions_by_itself(site: Site) -> None:
    indexes = await site.mongo.collection("sessions").index_information()
    assert any(index["key"] == [("expires_at", 1)] and index["expireAfterSeconds"] == 0 for index in indexes.values())


async def test_a_session_notes_where_it_was_last_used_but_not_at_every_request(site: Site, clock: Clock) -> None:
    agent = await site.agent()
    token = await site.accounts.open_session(agent, **HERE)
    clock.now += timedelta(minutes=4)
    assert await site.accounts.session(token, ip="10.0.0.2", user_agent="curl") is not None
    (session,) = await site.accounts.sessions(agent)
    assert (session.ip, session.device) == ("10.0.0.1", "Firefox, Linux")
    clock.now += timedelta(minutes=1)
    await site.accounts.session(token, ip="10.0.0.2", user_agent="curl")
    (session,) = await site.accounts.sessions(agent)
    assert (session.ip, session.device, session.seen_at) == ("10.0.0.2", "", clock.now)


async def test_a_revoked_session_is_dead_at_once_in_every_process(site: Site) -> None:
    agent, other = await site.agent(), another(site)
    token = await site.accounts.open_session(agent, **HERE)
    assert await other.session(token, **HERE) is not None
    (session,) = await site.accounts.sessions(agent)
    await site.accounts.revoke_session(agent, session.id, ip="10.0.0.1")
    assert await other.session(token, **HERE) is None
    with pytest.raises(NotFound):
        await site.accounts.revoke_session(agent, session.id, ip="10.0.0.1")
    assert (await audited(site))[-1] is AuditAction.SESSION_REVOKED
    assert (await events(site))[-1].data == {"agent_id": agent.id, "changed": "sessions"}


async def test_nobody_revokes_the_session_of_another(site: Site) -> None:
    agent, other = await site.agent(), await site.agent(Role.MARKETER)
    token = await site.accounts.open_session(agent, **HERE)
    (session,) = await site.accounts.sessions(agent)
    with pytest.raises(NotFound):
        await site.accounts.revoke_session(other, session.id, ip="10.0.0.1")
    assert await site.accounts.session(token, **HERE) is not None


async def test_changing_the_password_ends_every_other_session(site: Site) -> None:
    agent = await site.agent()
    here, there = [await site.accounts.open_session(agent, **HERE) for _ in range(2)]
    kept = await site.accounts.session(here, **HERE)
    assert kept is not None
    new = "nine camels resting"
    await site.accounts.change_password(agent, PASSWORD, new, keep_session=kept.session.id, ip="10.0.0.1")
    assert await site.accounts.session(here, **HERE) is not None
    assert await site.accounts.session(there, **HERE) is None
    assert isinstance(await refused(site, agent.email, PASSWORD), Invalid)
    await site.accounts.authenticate(agent.email, new, "10.0.0.1")
    assert AuditAction.PASSWORD_CHANGED in await audited(site)


async def test_a_password_is_changed_only_by_who_knows_it(site: Site) -> None:
    agent = await site.agent()
    with pytest.raises(Invalid) as wrong:
        await site.accounts.change_password(agent, "guess", "short", keep_session="", ip="")
    assert set(wrong.value.fields) == {"current", "new"}
    for _ in range(TRIES_PER_EMAIL - 1):
        with pytest.raises(Invalid):
            await site.accounts.change_password(agent, "guess", "nine camels resting", keep_session="", ip="")
    with pytest.raises(TooMany):
        await site.accounts.change_password(agent, PASSWORD, "nine camels resting", keep_session="", ip="")


async def test_a_profile_is_checked_cleaned_and_told_of(site: Site) -> None:
    agent = await site.agent()
    about = {"name": "Сараа", "locale": "en", "timezone": "Asia/Hovd", "ip": "10.0.0.1"}
    changed = await site.accounts.edit_profile(agent, signature="<b>Сараа</b><script>alert(1)</script>", **about)
    assert (changed.name, changed.timezone, changed.signature) == ("Сараа", "Asia/Hovd", "<b>Сараа</b>")
    assert (await site.accounts.names())[agent.id] == "Сараа"
    assert (await events(site))[-1].type is EventType.AGENT_CHANGED
    plain = await site.accounts.edit_profile(agent, signature="Bat & Co <bat@x.mn>\nDarkhan", **about)
    assert plain.signature == "Bat &amp; Co &lt;bat@x.mn&gt;<br>Darkhan"
    with pytest.raises(Invalid) as wrong:
        await site.accounts.edit_profile(
            agent, signature="x" * 20_001, **{**about, "name": "a\nb", "timezone": "Mars/Olympus"}
        )
    assert set(wrong.value.fields) == {"name", "timezone", "signature"}


async def test_another_process_sees_a_change_within_a_second(site: Site, clock: Clock) -> None:
    agent, other = await site.agent(), another(site)
    other.clock = clock
    other.forget()
    assert (await other.names())[agent.id] == agent.name
    about = {"locale": "", "timezone": "UTC", "signature": "", "ip": ""}
    await site.accounts.edit_profile(agent, name="Other", **about)
    assert (await other.names())[agent.id] == agent.name
    clock.now += timedelta(seconds=1)
    assert (await other.names())[agent.id] == "Other"
