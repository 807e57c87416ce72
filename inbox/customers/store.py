"""Customers and identities in MongoDB. An identity's `_id` is its address key, so that nobody is there twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument, UpdateOne

from inbox.core.mongo import Mongo, Session, from_document, to_document, to_value
from inbox.customers.model import MOST_CONSENTS, Consent, Customer, Identity


class CustomerStore:
    """The collections `customers` and `identities`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._customers = mongo.collection("customers")
        self._identities = mongo.collection("identities")

    async def prepare(self) -> None:
        """Create the collections and their indexes."""
        await self._mongo.ensure(
            "customers",
            [
                IndexModel([("last_contact_at", DESCENDING), ("_id", DESCENDING)]),
                IndexModel([("search", ASCENDING)]),
            ],
        )
        await self._mongo.ensure("identities", [IndexModel([("customer_id", ASCENDING)])])

    async def identities(self, keys: Collection[str], session: Session | None = None) -> dict[str, Identity]:
        """Those of the address keys that are known."""
        cursor = self._identities.find({"_id": {"$in": list(keys)}}, session=session)
        return {document["_id"]: from_document(document, Identity) async for document in cursor}

    async def identities_of(self, customer_id: str) -> list[Identity]:
        """Every address of one customer, oldest first."""
        cursor = self._identities.find({"customer_id": customer_id}).sort("first_seen", ASCENDING)
        return [from_document(document, Identity) async for document in cursor]

    async def get(self, customer_id: str) -> Customer | None:
        """One customer."""
        document = await self._customers.find_one({"_id": customer_id})
        return from_document(document, Customer) if document else None

    async def names(self, customer_ids: Collection[str], session: Session | None = None) -> dict[str, str]:
        """Display names by id."""
        cursor = self._customers.find({"_id": {"$in": list(customer_ids)}}, {"name": 1}, session=session)
        return {document["_id"]: document["name"] async for document in cursor}

    async def insert(self, session: Session, customers: Sequence[Customer], identities: Sequence[Identity]) -> None:
        """Add new customers with their identities. Raises the driver's `Duplicate` where an identity is taken."""
        if customers:
            await self._customers.insert_many([_with_search(customer) for customer in customers], session=session)
        if identities:
            await self._identities.insert_many([to_document(identity) for identity in identities], session=session)

    async def touch(self, session: Session, contacts: Mapping[str, datetime]) -> None:
        """Note the last contact by customer id. Two writers on one customer conflict here, so that neither opens a
        conversation the other does not see."""
        if contacts:
            # Counted as well: where another machine's clock is ahead, `$max` alone writes nothing and meets nobody.
            updates = [
                UpdateOne({"_id": key}, {"$max": {"last_contact_at": at}, "$inc": {"contacts": 1}})
                for key, at in contacts.items()
            ]
            await self._customers.bulk_write(updates, ordered=False, session=session)

    async def edit(self, session: Session, customer_id: str, changes: Mapping[str, Any]) -> Customer | None:
        """Change fields; None where there is no such customer."""
        fields = dict(changes)
        if "name" in fields:
            fields["search"] = _words(fields["name"])
        document = await self._customers.find_one_and_update(
            {"_id": customer_id}, {"$set": fields}, return_document=ReturnDocument.AFTER, session=session
        )
        return from_document(document, Customer) if document else None

    async def set_undeliverable(self, session: Session, key: str, why: str) -> None:
        """Note that mail to an address bounced for good, or, with an empty reason, that it works again."""
        await self._identities.update_one({"_id": key}, {"$set": {"undeliverable": why}}, session=session)

    async def set_consent(self, session: Session, key: str, consent: Consent) -> None:
        """Note what somebody said about messages to an address; an older word does not undo a newer one."""
        await self._identities.update_one(
            {"_id": key, "consents.at": {"$not": {"$gt": consent.at}}},
            {
                "$set": {"opted_out": consent.opted_out},
                "$push": {"consents": {"$each": [to_value(consent)], "$slice": -MOST_CONSENTS}},
            },
            session=session,
        )

    async def set_source(self, session: Session, customer_id: str, source: str) -> None:
        """Note where a customer came from, if that is not known yet."""
        query = {"_id": customer_id, "source": {"$in": ["", None]}}
        await self._customers.update_one(query, {"$set": {"source": source}}, session=session)

    async def find(self, prefix: str, limit: int) -> list[Customer]:
        """Customers by the beginning of a word of their name, or of an address."""
        lowest, highest = prefix.lower(), prefix.lower() + "\uffff"
        by_name = self._customers.find({"search": {"$gte": lowest, "$lt": highest}}).limit(limit)
        found = {document["_id"]: from_document(document, Customer) async for document in by_name}
        by_address = self._identities.find(
            {"_id": {"$gte": f"email:{lowest}", "$lt": f"email:{highest}"}}, {"customer_id": 1}
        ).limit(limit)
        missing = [document["customer_id"] async for document in by_address if document["customer_id"] not in found]
        async for document in self._customers.find({"_id": {"$in": missing}}):
            found[document["_id"]] = from_document(document, Customer)
        return list(found.values())[:limit]


def _words(name: str) -> list[str]:
    return sorted(set(name.lower().split()))[:20]


def _with_search(customer: Customer) -> dict[str, Any]:
    return to_document(customer) | {"search": _words(customer.name)}
