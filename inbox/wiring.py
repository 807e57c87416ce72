"""Builds everything from the settings: database, stores, services. The only place that knows how they hang together."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import structlog

from channels.base import Channel
from channels.registry import CHANNELS
from config.settings import Settings
from inbox.accounts.administration import AdministrationService
from inbox.accounts.service import AccountService
from inbox.accounts.store import AccountStore
from inbox.conversations.confirming import ConfirmingService
from inbox.conversations.delivery import DeliveryService
from inbox.conversations.drafts import DraftService
from inbox.conversations.fetching import FetchingService
from inbox.conversations.housekeeping import HousekeepingService
from inbox.conversations.ingest import IngestService
from inbox.conversations.ingest_lookup import Stores
from inbox.conversations.receiving import ReceivingService
from inbox.conversations.replies import ReplyService
from inbox.conversations.service import ConversationService
from inbox.conversations.store import ConversationStore
from inbox.conversations.store_confirms import ConfirmStore
from inbox.conversations.store_fetches import FetchStore
from inbox.conversations.store_outbox import AutoReplies, Buckets, OutboxStore
from inbox.conversations.store_raw import RawStore
from inbox.core import embedded
from inbox.core.clock import Clock, utcnow
from inbox.core.crypto import Keyring, load_keyring
from inbox.core.dispatch import Dispatcher, open_broker
from inbox.core.files import Files
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo
from inbox.core.store import Counters, EventStore, Leases, Marks, Migration, Schema
from inbox.customers.service import CustomerService
from inbox.customers.store import CustomerStore
from inbox.inboxes.model import Backlog
from inbox.inboxes.service import InboxService
from inbox.inboxes.store import InboxStore

log = structlog.get_logger()

MIGRATIONS: list[Migration] = []
"""In order; each brings the stored schema one version forward and may be run again after a crash."""


class House(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that pages and workers call, for one process."""

    settings: Settings
    owner: str
    """This process, as leases name it."""
    mongo: Mongo
    keyring: Keyring
    leases: Leases
    events: EventStore
    files: Files
    dispatcher: Dispatcher
    accounts: AccountService
    administration: AdministrationService
    inboxes: InboxService
    customers: CustomerService
    conversations: ConversationService
    drafts: DraftService
    replies: ReplyService
    ingest: IngestService
    receiving: ReceivingService
    fetching: FetchingService
    delivery: DeliveryService
    confirming: ConfirmingService
    housekeeping: HousekeepingService
    outbox: OutboxStore
    database_ended: Callable[[], Awaitable[int]] | None
    """Waits for the embedded database's end; None where the database is somebody else's."""


@asynccontextmanager
async def open_house(
    settings: Settings, *, clock: Clock = utcnow, channels: Mapping[str, Channel] = CHANNELS
) -> AsyncIterator[House]:
    """Start or reach the database, bring it up to date, and build every service. Raises `DomainError`.

    `clock` and `channels` are for who plays a story into an empty house: its past, and its channels' bad days.
    """
    async with AsyncExitStack() as stack:
        uri = settings.mongodb_uri.get_secret_value()
        ended = None
        if not uri:
            database = await embedded.start(settings.data, cache_gb=settings.mongodb_cache_gb)
            stack.push_async_callback(database.stop)
            uri, ended = database.uri, database.wait
        # One of our own is there or has ended; another's may be electing a new primary.
        mongo = await Mongo.connect(uri, settings.database, timeout=20 if ended is None else 5)
        stack.callback(mongo.close)
        yield await _furnish(settings, mongo, stack, ended, clock, channels)


async def _furnish(
    settings: Settings,
    mongo: Mongo,
    stack: AsyncExitStack,
    ended: Callable[[], Awaitable[int]] | None,
    clock: Clock,
    channels: Mapping[str, Channel],
) -> House:
    keyring = await asyncio.to_thread(load_keyring, settings.secret_key.get_secret_value(), settings.data)
    events, counters, leases, files = EventStore(mongo), Counters(mongo), Leases(mongo), Files(mongo)
    account_store, inbox_store, customer_store = AccountStore(mongo), InboxStore(mongo, events), CustomerStore(mongo)
    store, outbox, raws = ConversationStore(mongo), OutboxStore(mongo), RawStore(mongo, files)
    owner = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
    await Schema(mongo, MIGRATIONS).upgrade(owner)
    await events.prepare(settings.events_days)
    auto_replies, fetches, confirms = AutoReplies(mongo), FetchStore(mongo), ConfirmStore(mongo)
    parts = (files, account_store, inbox_store, customer_store, store, outbox, raws, auto_replies, fetches, confirms)
    for part in parts:
        await part.prepare()
    if ended is not None:  # the data folder is ours alone: whoever held a lease before is dead
        await leases.release_all()
        await outbox.release_all(clock())

    dispatcher = Dispatcher(open_broker(settings.broker))
    await dispatcher.broker.startup()
    stack.push_async_callback(dispatcher.broker.shutdown)
    accounts = AccountService(account_store, events, session_days=settings.session_days, clock=clock)

    async def backlog(inbox_id: str) -> Backlog:
        arrived, since = await raws.backlog(inbox_id)
        return Backlog(
            arrived=arrived,
            arrived_since=since,
            queued_since=await outbox.due_since(inbox_id, clock()),
            files=await fetches.waiting(inbox_id),
        )

    inboxes = InboxService(
        inbox_store,
        keyring,
        files,
        leases,
        channels,
        clock=clock,
        queue=outbox.queued,
        backlog=backlog,
        base_url=settings.base_url,
    )
    stack.push_async_callback(inboxes.close)
    await inboxes.ensure_built_in()
    customers = CustomerService(mongo, customer_store, events, clock)
    stores = Stores(
        conversations=store,
        raws=raws,
        outbox=outbox,
        auto_replies=auto_replies,
        fetches=fetches,
        customers=customers,
        events=events,
        counters=counters,
        keyring=keyring,
    )
    ingest = IngestService(mongo, stores, files, inboxes, clock)
    stack.push_async_callback(ingest.close)
    conversations = ConversationService(mongo, store, events, files, inboxes, accounts, clock)
    receiving = ReceivingService(inboxes, ingest)

    async def caught(owner: str, _file_id: str) -> bool:
        return await inboxes.owns_file(owner)

    users_of_files = (store.refers_to_file, raws.refers_to_file, caught)

    delivery = DeliveryService(
        mongo,
        store,
        outbox,
        confirms,
        Buckets(mongo),
        customers,
        events,
        files,
        inboxes,
        keyring,
        clock,
        lease_seconds=settings.lease_seconds,
    )

    async def wake(message_id: str) -> None:
        await dispatcher.kick("deliver", message_id)

    return House(
        settings=settings,
        owner=owner,
        mongo=mongo,
        keyring=keyring,
        leases=leases,
        events=events,
        files=files,
        dispatcher=dispatcher,
        accounts=accounts,
        administration=AdministrationService(accounts),
        inboxes=inboxes,
        customers=customers,
        conversations=conversations,
        drafts=DraftService(store, files, inboxes, max_message_bytes=settings.max_message_bytes, clock=clock),
        replies=ReplyService(
            mongo,
            store,
            outbox,
            customers,
            events,
            counters,
            files,
            inboxes,
            accounts,
            undo_seconds=settings.undo_seconds,
            wake=wake,
            clock=clock,
        ),
        ingest=ingest,
        receiving=receiving,
        fetching=FetchingService(
            mongo,
            store,
            fetches,
            files,
            events,
            inboxes,
            max_bytes=settings.max_message_bytes,
            clock=clock,
        ),
        delivery=delivery,
        confirming=ConfirmingService(mongo, store, confirms, outbox, events, inboxes, delivery.outbound, clock=clock),
        housekeeping=HousekeepingService(conversations, ingest, receiving, files, users_of_files, Marks(mongo), clock),
        outbox=outbox,
        database_ended=ended,
    )
