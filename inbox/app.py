"""The web application: every room's pages over one set of services."""

from __future__ import annotations

from aiohttp import web

from inbox.accounts.web import AccountPages
from inbox.conversations.web import ConversationPages
from inbox.conversations.web_dead_letters import DeadLetterPages
from inbox.conversations.web_hooks import HookPages
from inbox.customers.web import CustomerPages
from inbox.inboxes.web import InboxPages
from inbox.web import application
from inbox.web.routes import Route
from inbox.wiring import House


async def build(house: House, door_port: int | None = None) -> web.Application:
    """The application of one process, which touches no port; `door_port` is where the mail door really listens."""
    settings = house.settings
    door = (settings.door_host, settings.door_port if door_port is None else door_port)
    return await application.create(
        settings, house.keyring, house.accounts, house.events, house.mongo.ping, routes(house, door)
    )


def routes(house: House, door: tuple[str, int]) -> list[Route]:
    """Every route of every room."""
    settings = house.settings
    rooms = (
        AccountPages(house.accounts, house.administration),
        InboxPages(house.inboxes, settings.public_url, house.accounts.teams),
        CustomerPages(house.customers),
        ConversationPages(
            house.conversations,
            house.drafts,
            house.replies,
            house.inboxes,
            house.accounts,
            house.customers,
            door=door,
        ),
        DeadLetterPages(house.ingest, house.inboxes),
        HookPages(house.inboxes, house.ingest, settings.public_url),
    )
    return [route for room in rooms for route in room.routes()]
