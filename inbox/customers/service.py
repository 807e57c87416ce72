"""Use-cases around one customer: look up, edit, note what became of their addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from channels.base import Address
from inbox.accounts.model import Actor, Permission
from inbox.core.clock import Clock, utcnow
from inbox.core.errors import Invalid, NotFound
from inbox.core.events import Event, EventType
from inbox.core.ids import new_id
from inbox.core.mongo import Mongo, Session
from inbox.core.store import EventStore
from inbox.customers.model import Consent, Customer, Identity, display_name
from inbox.customers.store import CustomerStore

_LONGEST_WORDS = 500
_LONGEST_SOURCE = 200
_LONGEST = {"name": 200, "company": 200, "note": 10_000}


class CustomerService:
    """What the product does with customers."""

    def __init__(self, mongo: Mongo, store: CustomerStore, events: EventStore, clock: Clock = utcnow) -> None:
        self._mongo = mongo
        self._store = store
        self._events = events
        self._clock = clock

    async def get(self, actor: Actor, customer_id: str) -> Customer:
        """One customer. Raises `NotFound`."""
        actor.require(Permission.CUSTOMER_READ)
        customer = await self._store.get(customer_id)
        if customer is None:
            raise NotFound("This customer is no longer there.")
        return customer

    async def identities(self, actor: Actor, customer_id: str) -> list[Identity]:
        """Every address of a customer, oldest first."""
        actor.require(Permission.CUSTOMER_READ)
        return await self._store.identities_of(customer_id)

    async def find(self, actor: Actor, text: str, limit: int = 10) -> list[Customer]:
        """Customers whose name has a word, or whose address begins, with `text`."""
        actor.require(Permission.CUSTOMER_READ)
        text = text.strip()
        return await self._store.find(text, limit) if text else []

    async def edit(
        self,
        actor: Actor,
        customer_id: str,
        *,
        name: str | None = None,
        company: str | None = None,
        note: str | None = None,
    ) -> Customer:
        """Change what is given. Raises `Invalid` by field, `NotFound`."""
        actor.require(Permission.CUSTOMER_EDIT)
        given = {"name": name, "company": company, "note": note}
        changes = {key: value.strip() for key, value in given.items() if value is not None}
        wrong = {key: "This is too long." for key, value in changes.items() if len(value) > _LONGEST[key]}
        if changes.get("name") == "":
            wrong["name"] = "A customer needs a name."
        if wrong:
            raise Invalid("The customer was not saved.", fields=wrong)

        async def work(session: Session) -> Customer:
            customer = await self._store.edit(session, customer_id, changes)
            if customer is None:
                raise NotFound("This customer is no longer there.")
            event = Event(
                type=EventType.CUSTOMER_CHANGED,
                at=self._clock(),
                actor=actor.id,
                customer_id=customer_id,
                data={"fields": sorted(changes)},
            )
            await self._events.append(session, [event])
            return customer

        return await self._mongo.transaction(work)

    # For the way of a message: callers are services that have checked access, or workers

    def people(self, session: Session) -> People:
        """The people of one group of messages, within a transaction."""
        return People(self._store, session)

    async def known(self, keys: Collection[str]) -> dict[str, Identity]:
        """Those of the address keys that are known."""
        return await self._store.identities(keys)

    async def came_back(self, session: Session, key: str, why: str) -> None:
        """Note that messages to an address bounced for good."""
        await self._store.set_undeliverable(session, key, why)

    async def set_consent(self, session: Session, key: str, *, opted_out: bool, words: str, at: datetime) -> None:
        """Note that somebody does not want messages at an address any more, or wants them again, and how he said so."""
        consent = Consent(at=at, opted_out=opted_out, words=words[:_LONGEST_WORDS])
        await self._store.set_consent(session, key, consent)


class People:
    """Known and new people of one group of messages; part of a transaction of the conversations room.

    `load` reads what is known, `customer_of` answers from that or makes a new customer, `save` writes all that is new.
    """

    def __init__(self, store: CustomerStore, session: Session) -> None:
        self._store = store
        self._session = session
        self._known: dict[str, Identity] = {}
        self._names: dict[str, str] = {}
        self._customers: list[Customer] = []
        self._identities: list[Identity] = []
        self._contacts: dict[str, datetime] = {}
        self._sources: dict[str, str] = {}

    async def load(self, keys: Collection[str]) -> None:
        """Read the identities of the address keys and their customers' names."""
        if not keys:
            return
        self._known |= await self._store.identities(keys, self._session)
        ids = {identity.customer_id for identity in self._known.values()}
        self._names |= await self._store.names(ids, self._session)

    def known(self, key: str) -> str | None:
        """The customer id of an address, None for a stranger."""
        identity = self._known.get(key)
        return identity.customer_id if identity else None

    def customer_of(self, address: Address, at: datetime, source: str = "") -> tuple[str, str]:
        """(customer id, name) of an address; a new customer where it was never seen, or where it names nobody."""
        customer_id = self.known(address.key) if address.value else None
        if customer_id is None:
            customer_id = new_id()
            name = display_name(address.name, address.value)
            self._names[customer_id] = name
            self._customers.append(Customer(id=customer_id, name=name, created_at=at, last_contact_at=at))
            if address.value:
                identity = Identity(id=address.key, customer_id=customer_id, name=address.name, first_seen=at)
                self._known[address.key] = identity
                self._identities.append(identity)
        else:
            self._contacts[customer_id] = max(at, self._contacts.get(customer_id, at))
        if source:
            self._sources.setdefault(customer_id, source[:_LONGEST_SOURCE])
        return customer_id, self._names.get(customer_id, address.value)

    def link(self, customer_id: str, address: Address, at: datetime) -> None:
        """Another address of a customer; one that is somebody else's stays his."""
        if self.known(address.key) is None:
            identity = Identity(id=address.key, customer_id=customer_id, name=address.name, first_seen=at)
            self._known[address.key] = identity
            self._identities.append(identity)

    @property
    def created(self) -> Iterable[Customer]:
        """The customers made so far."""
        return self._customers

    async def save(self) -> None:
        """Write new customers and identities, and the last contact of the known ones."""
        fresh = {customer.id for customer in self._customers}
        await self._store.insert(self._session, self._customers, self._identities)
        await self._store.touch(self._session, {k: at for k, at in self._contacts.items() if k not in fresh})
        for customer_id, source in self._sources.items():
            await self._store.set_source(self._session, customer_id, source)
