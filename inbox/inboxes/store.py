"""What the inboxes room keeps in MongoDB: inboxes, their addresses, secrets, tokens, cursors, troubles, caught mail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import orjson
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument

from channels.base import Cursor
from inbox.core.errors import Conflict, Invalid
from inbox.core.events import Event
from inbox.core.mongo import Document, Duplicate, Mongo, Session, from_document, to_document, to_value
from inbox.core.store import EventStore
from inbox.inboxes.model import (
    Caught,
    HealthState,
    Inbox,
    LoopState,
    LoopTest,
    OAuthAttempt,
    Problem,
    Token,
)

_PROBLEMS_KEPT = 50
_LOOP_TEST_SECONDS = 86400


class InboxStore:
    """The room's collections. Every change of an inbox appends its event in the same transaction."""

    def __init__(self, mongo: Mongo, events: EventStore) -> None:
        self._mongo = mongo
        self._events = events
        self._inboxes = mongo.collection("inboxes")
        self._addresses = mongo.collection("inbox_addresses")
        self._secrets = mongo.collection("inbox_secrets")
        self._problems = mongo.collection("inbox_problems")
        self._loop_tests = mongo.collection("inbox_loop_tests")
        self._cursors = mongo.collection("cursors")
        self._tokens = mongo.collection("oauth_tokens")
        self._attempts = mongo.collection("oauth_states")
        self._caught = mongo.collection("caught")

    async def prepare(self) -> None:
        """Create collections and indexes."""
        for name in ("inboxes", "inbox_addresses", "inbox_secrets", "inbox_problems", "cursors", "oauth_tokens"):
            await self._mongo.ensure(name)
        await self._mongo.ensure(
            "inbox_loop_tests", [IndexModel([("at", ASCENDING)], expireAfterSeconds=_LOOP_TEST_SECONDS)]
        )
        await self._mongo.ensure("oauth_states", [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)])
        await self._mongo.ensure("caught")

    # Inboxes

    async def all(self) -> list[Inbox]:
        """Every inbox, archived ones too, oldest first."""
        return [from_document(found, Inbox) async for found in self._inboxes.find().sort("_id", ASCENDING)]

    async def get(self, inbox_id: str) -> Inbox | None:
        """One inbox."""
        found = await self._inboxes.find_one({"_id": inbox_id})
        return from_document(found, Inbox) if found else None

    async def insert(self, inbox: Inbox, key: str, sealed: bytes, event: Event) -> bool:
        """Add an inbox with its address and secrets; False where its id is taken. Raises `Invalid` for its address."""

        async def work(session: Session) -> bool:
            if await self._inboxes.find_one({"_id": inbox.id}, {"_id": 1}, session=session):
                return False
            await self._inboxes.insert_one(to_document(inbox), session=session)
            await self._claim(inbox.id, "", key, session)
            await self._secrets.insert_one({"_id": inbox.id, "sealed": sealed}, session=session)
            await self._events.append(session, [event])
            return True

        return await self._mongo.transaction(work)

    async def update(
        self,
        inbox: Inbox,
        changes: Mapping[str, Any],
        event: Event,
        *,
        keys: tuple[str, str] = ("", ""),
        sealed: bytes | None = None,
    ) -> Inbox:
        """Set fields of an inbox and raise its version; `keys` are its old and new address key where that changes.

        Raises `Conflict` where it is no longer at the version given, `Invalid` where the address is taken.
        """

        async def work(session: Session) -> Inbox:
            found = await self._inboxes.find_one_and_update(
                {"_id": inbox.id, "version": inbox.version, "archived_at": None},
                {"$set": {name: _bson(value) for name, value in changes.items()}, "$inc": {"version": 1}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if found is None:
                raise Conflict("Somebody else changed this inbox meanwhile. Look at it again, then save once more.")
            if keys[0] != keys[1]:
                await self._claim(inbox.id, keys[0], keys[1], session)
            if sealed is not None:
                await self._secrets.replace_one(
                    {"_id": inbox.id}, {"_id": inbox.id, "sealed": sealed}, upsert=True, session=session
                )
            await self._events.append(session, [event])
            return from_document(found, Inbox)

        return await self._mongo.transaction(work)

    async def forget_access(self, inbox_id: str) -> None:
        """Delete the secrets and tokens of an inbox that is out of use."""
        await self._secrets.delete_one({"_id": inbox_id})
        await self._tokens.delete_one({"_id": inbox_id})

    async def sealed(self, inbox_id: str) -> bytes | None:
        """The sealed secrets of an inbox."""
        found = await self._secrets.find_one({"_id": inbox_id})
        return bytes(found["sealed"]) if found else None

    async def _claim(self, inbox_id: str, old: str, new: str, session: Session) -> None:
        if old:
            await self._addresses.delete_one({"_id": old, "inbox_id": inbox_id}, session=session)
        if not new:
            return
        try:
            await self._addresses.insert_one({"_id": new, "inbox_id": inbox_id}, session=session)
        except Duplicate as error:
            raise Invalid(
                "Please correct what is marked.", fields={"address": "Another inbox has this address already."}
            ) from error

    # Cursors

    async def cursor(self, inbox_id: str) -> Cursor:
        """Where the poller stands; empty at the beginning."""
        found = await self._cursors.find_one({"_id": inbox_id})
        cursor: Cursor = orjson.loads(found["json"]) if found else {}
        return cursor

    async def save_cursor(self, inbox_id: str, cursor: Cursor) -> None:
        """Kept as JSON text: folder names hold dots and dollars, which are no field names."""
        document = {"_id": inbox_id, "json": orjson.dumps(cursor).decode()}
        await self._cursors.replace_one({"_id": inbox_id}, document, upsert=True)

    # Health

    async def set_health(self, inbox_id: str, state: HealthState, words: str, at: datetime, event: Event) -> bool:
        """Set state and words; the event is appended where the state is another. False where nothing changed."""

        async def work(session: Session) -> bool:
            before = await self._inboxes.find_one_and_update(
                {"_id": inbox_id, "$or": [{"health.state": {"$ne": state}}, {"health.words": {"$ne": words}}]},
                [{"$set": _health_change(state, words, at)}],
                session=session,
            )
            if before is None:
                return False
            if state in (HealthState.DEGRADED, HealthState.DEAD):
                await self._note_problem(session, inbox_id, Problem(at=at, state=state, words=words))
            if before["health"]["state"] != state:
                await self._events.append(session, [event])
            return True

        return await self._mongo.transaction(work)

    async def set_sending(self, inbox_id: str, words: str, at: datetime, event: Event) -> bool:
        """Set or clear why nothing can leave, with the event. False where nothing changed."""

        async def work(session: Session) -> bool:
            changed = await self._inboxes.update_one(
                {"_id": inbox_id, "health.sending": {"$ne": words}},
                {"$set": {"health.sending": words}},
                session=session,
            )
            if not changed.modified_count:
                return False
            if words:
                await self._note_problem(session, inbox_id, Problem(at=at, state=HealthState.DEAD, words=words))
            await self._events.append(session, [event])
            return True

        return await self._mongo.transaction(work)

    async def _note_problem(self, session: Session, inbox_id: str, problem: Problem) -> None:
        entries = {"$each": [to_document(problem)], "$slice": -_PROBLEMS_KEPT}
        await self._problems.update_one(
            {"_id": inbox_id}, {"$push": {"entries": entries}}, upsert=True, session=session
        )

    async def repeat_problem(self, inbox_id: str, problem: Problem) -> None:
        """Note a problem that anybody on the net can cause: it takes the place of the same one from before, so that
        it cannot push the others out."""

        async def work(session: Session) -> None:
            same = {"$pull": {"entries": {"words": problem.words}}}
            await self._problems.update_one({"_id": inbox_id}, same, session=session)
            await self._note_problem(session, inbox_id, problem)

        await self._mongo.transaction(work)

    async def saw(self, inbox_id: str, what: str, at: datetime) -> None:
        """Move `health.<what>` forward, never back."""
        await self._inboxes.update_one({"_id": inbox_id}, {"$max": {f"health.{what}": at}})

    async def reconciled(self, inbox_id: str, missing: int, at: datetime) -> None:
        """Keep the result of a reconciliation."""
        changes = {"health.missing": missing, "health.reconciled_at": at}
        await self._inboxes.update_one({"_id": inbox_id}, {"$set": changes})

    async def problems(self, inbox_id: str) -> list[Problem]:
        """Recent troubles, newest first."""
        found = await self._problems.find_one({"_id": inbox_id}) or {"entries": []}
        return [from_document(entry, Problem) for entry in reversed(found["entries"])]

    # Loop tests

    async def save_loop_test(self, test: LoopTest) -> None:
        """Add one; it is forgotten after a day."""
        await self._loop_tests.insert_one(to_document(test))

    async def loop_test(self, token: str) -> LoopTest | None:
        """One, by its token."""
        found = await self._loop_tests.find_one({"_id": token})
        return from_document(found, LoopTest) if found else None

    async def step_loop_test(self, token: str, inbox_id: str, state: LoopState, words: str, at: datetime) -> bool:
        """Move a test on; one that was seen stays so. False where this inbox has no such test."""
        changes: Document = {"state": state, "words": words}
        if state is LoopState.SEEN:
            changes["seen_at"] = at
        known = {"_id": token, "inbox_id": inbox_id}
        final = [LoopState.SEEN] if state is not LoopState.SENT else [LoopState.SEEN, LoopState.CAUGHT]
        await self._loop_tests.update_one({**known, "state": {"$nin": final}}, {"$set": changes})
        return await self._loop_tests.find_one(known, {"_id": 1}) is not None

    # OAuth

    async def token(self, inbox_id: str) -> Token | None:
        """The tokens of an inbox."""
        found = await self._tokens.find_one({"_id": inbox_id})
        return from_document(found, Token) if found else None

    async def save_token(self, token: Token) -> None:
        """Keep new tokens and show their expiry in the inbox's health."""
        await self._tokens.replace_one({"_id": token.id}, to_document(token), upsert=True)
        await self._inboxes.update_one({"_id": token.id}, {"$set": {"health.token_expires_at": token.expires_at}})

    async def refuse_token(self, inbox_id: str, version: int, words: str) -> None:
        """Remember that the provider takes this refresh token no more, unless a newer one came meanwhile."""
        await self._tokens.update_one({"_id": inbox_id, "version": version}, {"$set": {"refused": words}})

    async def add_attempt(self, attempt: OAuthAttempt) -> None:
        """Keep a sign-in that was begun until it expires."""
        await self._attempts.insert_one(to_document(attempt))

    async def take_attempt(self, attempt_id: str) -> OAuthAttempt | None:
        """Take a sign-in out: it can be taken once."""
        found = await self._attempts.find_one_and_delete({"_id": attempt_id})
        return from_document(found, OAuthAttempt) if found else None

    # Caught mail

    async def add_caught(self, caught: Caught, raw: bytes | None) -> None:
        """Keep a caught mail; `raw` is None where its source is a file."""
        await self._caught.insert_one({**to_document(caught), "raw": raw})

    async def caught(self, before: str, limit: int) -> list[Caught]:
        """Newest first, from before the id given."""
        query = {"_id": {"$lt": before}} if before else {}
        cursor = self._caught.find(query, {"raw": 0}).sort("_id", DESCENDING).limit(limit)
        return [from_document(found, Caught) async for found in cursor]

    async def has_caught(self, caught_id: str) -> bool:
        """Whether a caught mail is there."""
        return await self._caught.find_one({"_id": caught_id}, {"_id": 1}) is not None

    async def one_caught(self, caught_id: str) -> tuple[Caught, bytes | None] | None:
        """A caught mail and its source, None where that is a file."""
        found = await self._caught.find_one({"_id": caught_id})
        if found is None:
            return None
        raw = found.pop("raw")
        return from_document(found, Caught), None if raw is None else bytes(raw)


def _bson(value: Any) -> Any:
    return to_value(value) if isinstance(value, msgspec.Struct) else value


def _health_change(state: HealthState, words: str, at: datetime) -> Document:
    # $literal: words of a provider that begin with a dollar sign are no field path.
    return {
        "health.since": {"$cond": [{"$eq": ["$health.state", state]}, "$health.since", at]},
        "health.state": state,
        "health.words": {"$literal": words},
        "health.checked_at": {"$max": ["$health.checked_at", at]},
    }
