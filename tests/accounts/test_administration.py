"""What administrators do: invite, change roles, deactivate, form teams, read what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from inbox.accounts.administration import AUDIT_PAGE, AdministrationService
from inbox.accounts.model import Actor, Agent, AuditAction, Role
from inbox.core.clock import utcnow
from inbox.core.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from tests.fixtures.web import PASSWORD, Site

HERE = {"ip": "10.0.0.1", "user_agent": "tests"}


@pytest.fixture
async def admin(site: Site) -> Agent:
    return await site.agent(Role.ADMIN)


@pytest.fixture
def house(site: Site) -> AdministrationService:
    return site.administration


async def test_an_invitation_is_for_one_address_and_role_and_works_once(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    _, link = await house.invite(admin.actor, " New@Example.mn", Role.MARKETER)
    token = link.removeprefix("/join/")
    assert (await house.invitation(token)).email == "new@example.mn"
    joined = await house.join(token, "Нэргүй", PASSWORD, timezone="Asia/Hovd")
    assert (joined.email, joined.role, joined.name) == ("new@example.mn", Role.MARKETER, "Нэргүй")
    assert (await site.accounts.authenticate("new@example.mn", PASSWORD, "")).timezone == "Asia/Hovd"
    with pytest.raises(NotFound):
        await house.join(token, "Again", PASSWORD)


async def test_two_who_accept_one_invitation_at_once_become_one_agent(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    _, link = await house.invite(admin.actor, "new@example.mn", Role.AGENT)
    tries = [house.join(link.removeprefix("/join/"), f"No. {n}", PASSWORD) for n in range(4)]
    made = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Agent) for one in made) == 1
    assert all(isinstance(one, Agent | NotFound) for one in made)


async def test_an_invitation_expires_can_be_withdrawn_and_is_replaced_by_the_next(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    first, one = await house.invite(admin.actor, "new@example.mn", Role.AGENT)
    second, two = await house.invite(admin.actor, "new@example.mn", Role.ADMIN)
    assert [invite.id for invite in await house.invites(admin.actor)] == [second.id]
    with pytest.raises(NotFound):
        await house.invitation(one.removeprefix("/join/"))
    await house.withdraw(admin.actor, second.id)
    for path in (one, two):
        with pytest.raises(NotFound):
            await house.join(path.removeprefix("/join/"), "New", PASSWORD)
    with pytest.raises(NotFound):
        await house.withdraw(admin.actor, first.id)

    _, three = await house.invite(admin.actor, "new@example.mn", Role.AGENT)
    site.accounts.clock = lambda: utcnow() + timedelta(days=7, seconds=1)
    with pytest.raises(NotFound):
        await house.invitation(three.removeprefix("/join/"))
    assert await house.invites(admin.actor) == []


@pytest.mark.parametrize("email", ["", "no address", "a@b@c", "x@y\r\nBcc: z@z", "agent@example.mn"])
async def test_an_address_that_cannot_be_invited_is_told(
    site: Site, admin: Agent, house: AdministrationService, email: str
) -> None:
    await site.agent()
    with pytest.raises(Invalid) as wrong:
        await house.invite(admin.actor, email, Role.AGENT)
    assert set(wrong.value.fields) == {"email"}


async def test_an_address_taken_meanwhile_leaves_the_invitation_open(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    _, link = await house.invite(admin.actor, "agent@example.mn", Role.AGENT)
    await site.agent()
    with pytest.raises(Conflict):
        await house.join(link.removeprefix("/join/"), "New", PASSWORD)
    assert len(await house.invites(admin.actor)) == 1


async def test_who_forgot_the_password_chooses_a_new_one_by_a_link(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    agent = await site.agent()
    old_session = await site.accounts.open_session(agent, **HERE)
    _, link = await house.password_link(admin.actor, agent.id)
    again = await house.join(link.removeprefix("/join/"), "", "nine camels resting")
    assert (again.id, again.name) == (agent.id, agent.name)
    assert await site.accounts.session(old_session, **HERE) is None
    await site.accounts.authenticate(agent.email, "nine camels resting", "")
    with pytest.raises(NotFound):
        await house.join(link.removeprefix("/join/"), "", "ten camels resting")


async def test_a_deactivated_agent_cannot_come_back_by_a_link(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    agent = await site.agent()
    _, link = await house.password_link(admin.actor, agent.id)
    await house.deactivate(admin.actor, agent.id)
    with pytest.raises(NotFound):
        await house.join(link.removeprefix("/join/"), "", "nine camels resting")


async def test_a_deactivated_agents_sessions_die_at_once(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    agent = await site.agent()
    token = await site.accounts.open_session(agent, **HERE)
    assert await site.accounts.session(token, **HERE) is not None
    await house.deactivate(admin.actor, agent.id)
    assert await site.accounts.session(token, **HERE) is None
    with pytest.raises(Invalid):
        await site.accounts.authenticate(agent.email, PASSWORD, "")
    late = await site.accounts.open_session(agent, **HERE)  # signed in at the same moment
    assert await site.accounts.session(late, **HERE) is None
    await house.reactivate(admin.actor, agent.id)
    await site.accounts.authenticate(agent.email, PASSWORD, "")


async def test_the_last_administrator_stays_one(site: Site, admin: Agent, house: AdministrationService) -> None:
    for attempt in (house.set_role(admin.actor, admin.id, Role.AGENT), house.deactivate(admin.actor, admin.id)):
        with pytest.raises(Conflict):
            await attempt
    second = await site.agent(Role.ADMIN, "second@example.mn")
    await house.deactivate(admin.actor, second.id)
    with pytest.raises(Conflict):
        await house.set_role(admin.actor, admin.id, Role.AGENT)
    await house.reactivate(admin.actor, second.id)
    assert (await house.set_role(admin.actor, admin.id, Role.AGENT)).role is Role.AGENT


async def test_two_administrators_cannot_demote_each_other_at_once(site: Site, house: AdministrationService) -> None:
    for n in range(5):
        one, two = [await site.agent(Role.ADMIN, f"{n}{who}@example.mn") for who in "ab"]
        await asyncio.gather(
            house.set_role(one.actor, two.id, Role.AGENT),
            house.deactivate(two.actor, one.id),
            return_exceptions=True,
        )
        admins = [agent for agent in await site.accounts.store.agents() if agent.role is Role.ADMIN and agent.active]
        assert len(admins) == 1
        await site.mongo.collection("agents").delete_many({})


async def test_a_role_counts_from_the_next_request_on(site: Site, admin: Agent, house: AdministrationService) -> None:
    agent = await site.agent()
    token = await site.accounts.open_session(agent, **HERE)
    await house.set_role(admin.actor, agent.id, Role.MARKETER)
    found = await site.accounts.session(token, **HERE)
    assert found is not None
    assert found.agent.role is Role.MARKETER


async def test_teams_are_made_named_and_filled(site: Site, admin: Agent, house: AdministrationService) -> None:
    agent = await site.agent()
    team = await house.create_team(admin.actor, " Sales ")
    await house.edit_team(admin.actor, team.id, "Борлуулалт", [agent.id, admin.id, agent.id])
    (now,) = await site.accounts.teams()
    assert (now.name, set(now.member_ids), len(now.member_ids)) == ("Борлуулалт", {agent.id, admin.id}, 2)
    await house.edit_team(admin.actor, team.id, "Борлуулалт", [])
    assert (await site.accounts.teams())[0].member_ids == ()
    with pytest.raises(Invalid):
        await house.create_team(admin.actor, "Борлуулалт")
    with pytest.raises(NotFound):
        await house.edit_team(admin.actor, team.id, "Other", ["nobody"])
    with pytest.raises(NotFound):
        await house.edit_team(admin.actor, "none", "Other", [])
    assert (await site.accounts.teams())[0].name == "Борлуулалт"


async def test_everything_is_written_down_with_who_and_from_where(
    site: Site, admin: Agent, house: AdministrationService
) -> None:
    agent, ip = await site.agent(), "10.0.0.7"
    invite, _ = await house.invite(admin.actor, "new@example.mn", Role.AGENT, ip=ip)
    await house.withdraw(admin.actor, invite.id, ip=ip)
    await house.set_role(admin.actor, agent.id, Role.MARKETER, ip=ip)
    await house.deactivate(admin.actor, agent.id, ip=ip)
    await house.reactivate(admin.actor, agent.id, ip=ip)
    team = await house.create_team(admin.actor, "Sales", ip=ip)
    await house.edit_team(admin.actor, team.id, "Shop", [agent.id], ip=ip)
    entries = list(reversed((await house.audit(admin.actor)).entries))
    assert {(entry.actor_id, entry.actor_name, entry.ip) for entry in entries} == {(admin.id, admin.name, ip)}
    assert [(entry.action, entry.subject, entry.detail) for entry in entries] == [
        (AuditAction.INVITED, "new@example.mn", "agent"),
        (AuditAction.INVITE_WITHDRAWN, "new@example.mn", ""),
        (AuditAction.ROLE_CHANGED, agent.name, "agent → marketer"),
        (AuditAction.DEACTIVATED, agent.name, ""),
        (AuditAction.REACTIVATED, agent.name, ""),
        (AuditAction.TEAM_CREATED, "Sales", ""),
        (AuditAction.TEAM_RENAMED, "Sales", "Sales → Shop"),
        (AuditAction.TEAM_MEMBERS_CHANGED, "Shop", agent.name),
    ]


async def test_the_audit_log_is_read_page_by_page(site: Site, admin: Agent, house: AdministrationService) -> None:
    for n in range(AUDIT_PAGE + 3):
        await house.create_team(admin.actor, f"Team {n}")
    first = await house.audit(admin.actor)
    second = await house.audit(admin.actor, first.next)
    assert (len(first.entries), len(second.entries), second.next) == (AUDIT_PAGE, 3, "")
    names = [entry.subject for entry in (*first.entries, *second.entries)]
    assert names == [f"Team {n}" for n in reversed(range(AUDIT_PAGE + 3))]


@pytest.mark.parametrize("role", [Role.AGENT, Role.MARKETER])
async def test_nobody_but_an_administrator_may_do_any_of_it(
    site: Site, admin: Agent, house: AdministrationService, role: Role
) -> None:
    actor: Actor = (await site.agent(role)).actor
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: house.invite(actor, "new@example.mn", Role.ADMIN),
        lambda: house.invites(actor),
        lambda: house.withdraw(actor, "x"),
        lambda: house.password_link(actor, admin.id),
        lambda: house.set_role(actor, actor.id, Role.ADMIN),
        lambda: house.deactivate(actor, admin.id),
        lambda: house.reactivate(actor, admin.id),
        lambda: house.create_team(actor, "Team"),
        lambda: house.edit_team(actor, "x", "Team", []),
        lambda: house.audit(actor),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            await attempt()


async def test_what_concerns_nobody_is_not_found(admin: Agent, house: AdministrationService) -> None:
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: house.set_role(admin.actor, "x", Role.AGENT),
        lambda: house.deactivate(admin.actor, "x"),
        lambda: house.password_link(admin.actor, "x"),
    ]
    for attempt in attempts:
        with pytest.raises(DomainError) as error:
            await attempt()
        assert isinstance(error.value, NotFound)
