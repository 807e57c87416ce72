"""Conversations, messages, references and drafts in MongoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.write_concern import WriteConcern

from inbox.conversations.model import Conversation, Draft, EarlyChange, FileRef, Message, Ref, State, Status, View
from inbox.core.ids import digest
from inbox.core.mongo import Document, Mongo, Session, from_document, to_document, to_value

_ROW_ORDER = [("updated_at", DESCENDING), ("_id", DESCENDING)]
_EARLY_SECONDS = 7 * 86400
"""How long a change waits for its message; one of a message from before our time waits in vain."""
_SEND_KEYS_SECONDS = 7 * 86400
COUNT_LIMIT = 1000
"""Views are counted up to here; more is shown as "999+"."""


def ref_id(inbox_id: str, message_ref: str) -> str:
    """The `_id` of a reference: messages are named within their inbox."""
    return digest(inbox_id, message_ref)


class ConversationStore:
    """The collections `conversations`, `messages`, `message_refs`, `drafts` and `sends`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._conversations = mongo.collection("conversations")
        self._messages = mongo.collection("messages")
        self._refs = mongo.collection("message_refs")
        self._early = mongo.collection("early_changes")
        self._drafts = mongo.collection("drafts")
        self._sends = mongo.collection("sends")

    async def prepare(self) -> None:
        """Create the collections and their indexes."""
        await self._mongo.ensure(
            "conversations",
            [
                IndexModel([("status", ASCENDING), *_ROW_ORDER]),
                IndexModel([("assignee_id", ASCENDING), ("status", ASCENDING), *_ROW_ORDER]),
                IndexModel([("inbox_id", ASCENDING), ("status", ASCENDING), *_ROW_ORDER]),
                IndexModel([("labels", ASCENDING), ("status", ASCENDING), *_ROW_ORDER]),
                *_unread_indexes(),
                IndexModel([("customer_id", ASCENDING), ("inbox_id", ASCENDING), ("updated_at", DESCENDING)]),
                IndexModel([("customer_id", ASCENDING), ("updated_at", DESCENDING)]),
                IndexModel(
                    [("inbox_id", ASCENDING), ("chat_id", ASCENDING)], partialFilterExpression={"chat_id": {"$gt": ""}}
                ),
                IndexModel([("number", ASCENDING)]),
                IndexModel(
                    [("snoozed_until", ASCENDING)],
                    partialFilterExpression={"status": Status.SNOOZED.value},
                ),
            ],
        )
        await self._mongo.ensure(
            "messages",
            [
                IndexModel([("conversation_id", ASCENDING), ("at", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("inbox_id", ASCENDING), ("raw_id", ASCENDING)]),
            ],
        )
        await self._mongo.ensure("message_refs")
        early = IndexModel([("at", ASCENDING)], expireAfterSeconds=_EARLY_SECONDS)
        await self._mongo.ensure("early_changes", [IndexModel([("ref", ASCENDING)]), early])
        await self._mongo.ensure("drafts", [IndexModel([("conversation_id", ASCENDING)])])
        await self._mongo.ensure("sends", [IndexModel([("at", ASCENDING)], expireAfterSeconds=_SEND_KEYS_SECONDS)])

    # --- lists -------------------------------------------------------------------------------------------------

    async def page(
        self, view: View, agent_id: str, after: tuple[datetime, str] | None, limit: int
    ) -> list[Conversation]:
        """Conversations of a view, newest first, after (updated_at, id) of the last one seen."""
        query = view_query(view, agent_id)
        if after is not None:
            at, last_id = after
            query["$or"] = [{"updated_at": {"$lt": at}}, {"updated_at": at, "_id": {"$lt": last_id}}]
            query["updated_at"] = {"$lte": at}
        cursor = self._conversations.find(query).sort(_ROW_ORDER).limit(limit)
        return [from_document(document, Conversation) for document in await cursor.to_list(limit)]

    async def count(self, view: View, agent_id: str, *, unread: bool = False) -> int:
        """How many conversations a view has, counted up to `COUNT_LIMIT`."""
        query = view_query(view, agent_id)
        if unread:
            query["unread"] = True
        return int(await self._conversations.count_documents(query, limit=COUNT_LIMIT))

    async def labels(self) -> list[str]:
        """Every label in use, sorted."""
        found = await self._conversations.distinct("labels")
        return sorted(label for label in found if label)  # the index names conversations without labels too

    async def of_customer(self, customer_id: str, limit: int) -> list[Conversation]:
        """A customer's conversations, the latest first."""
        cursor = self._conversations.find({"customer_id": customer_id}).sort("updated_at", DESCENDING).limit(limit)
        return [from_document(document, Conversation) async for document in cursor]

    async def due_snoozed(self, now: datetime, limit: int = 100) -> list[Conversation]:
        """Snoozed conversations whose time has come."""
        cursor = self._conversations.find({"status": Status.SNOOZED.value, "snoozed_until": {"$lte": now}}).limit(limit)
        return [from_document(document, Conversation) async for document in cursor]

    # --- conversations -----------------------------------------------------------------------------------------

    async def get(self, conversation_id: str, session: Session | None = None) -> Conversation | None:
        """One conversation."""
        document = await self._conversations.find_one({"_id": conversation_id}, session=session)
        return from_document(document, Conversation) if document else None

    async def get_many(self, ids: Collection[str], session: Session | None = None) -> dict[str, Conversation]:
        """Several conversations by id."""
        cursor = self._conversations.find({"_id": {"$in": list(ids)}}, session=session)
        return {document["_id"]: from_document(document, Conversation) async for document in cursor}

    async def latest_of(
        self, session: Session, inbox_id: str, customer_ids: Collection[str]
    ) -> dict[str, Conversation]:
        """Each customer's latest conversation in an inbox that is not spam."""
        found: dict[str, Conversation] = {}
        for customer_id in customer_ids:
            cursor = (
                self._conversations.find({"customer_id": customer_id, "inbox_id": inbox_id}, session=session)
                .sort("updated_at", DESCENDING)
                .limit(5)
            )
            for document in await cursor.to_list(5):
                if document["status"] != Status.SPAM and not document["chat_id"]:
                    found[customer_id] = from_document(document, Conversation)
                    break
        return found

    async def by_chat(self, session: Session, inbox_id: str, chat_ids: Collection[str]) -> dict[str, Conversation]:
        """The conversations of chats, by chat id."""
        cursor = self._conversations.find(
            {"inbox_id": inbox_id, "chat_id": {"$in": list(chat_ids), "$gt": ""}}, session=session
        )
        return {document["chat_id"]: from_document(document, Conversation) async for document in cursor}

    async def insert(self, session: Session, conversations: Sequence[Conversation]) -> None:
        """Add new conversations."""
        if conversations:
            await self._conversations.insert_many([to_document(item) for item in conversations], session=session)

    async def replace(self, session: Session, conversations: Sequence[Conversation]) -> None:
        """Write back conversations read in the same transaction."""
        if conversations:
            writes = [ReplaceOne({"_id": item.id}, to_document(item)) for item in conversations]
            await self._conversations.bulk_write(writes, ordered=False, session=session)

    async def change(
        self,
        session: Session,
        conversation_id: str,
        changes: Mapping[str, Any],
        *,
        add_label: str = "",
        remove_label: str = "",
        only_if: Mapping[str, Any] | None = None,
    ) -> Conversation | None:
        """Set fields, add or remove a label; None where there is no such conversation, or one not as `only_if` says."""
        update: Document = {"$inc": {"version": 1}}
        if changes:
            update["$set"] = dict(changes)
        if add_label:
            update["$addToSet"] = {"labels": add_label}
        if remove_label:
            update["$pull"] = {"labels": remove_label}
        document = await self._conversations.find_one_and_update(
            {**(only_if or {}), "_id": conversation_id},
            update,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return from_document(document, Conversation) if document else None

    # --- messages ----------------------------------------------------------------------------------------------

    async def message(self, message_id: str, session: Session | None = None) -> Message | None:
        """One message."""
        document = await self._messages.find_one({"_id": message_id}, session=session)
        return from_document(document, Message) if document else None

    async def messages(self, message_ids: Collection[str], session: Session | None = None) -> dict[str, Message]:
        """Several messages by id."""
        cursor = self._messages.find({"_id": {"$in": list(message_ids)}}, session=session)
        return {document["_id"]: from_document(document, Message) async for document in cursor}

    async def thread(self, conversation_id: str, before: tuple[datetime, str] | None, limit: int) -> list[Message]:
        """The newest `limit` messages before (at, id), oldest first."""
        query: Document = {"conversation_id": conversation_id}
        if before is not None:
            at, last_id = before
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
            query["at"] = {"$lte": at}
        cursor = self._messages.find(query).sort([("at", DESCENDING), ("_id", DESCENDING)]).limit(limit)
        return [from_document(document, Message) for document in reversed(await cursor.to_list(limit))]

    async def last_message(self, conversation_id: str, session: Session | None = None) -> Message | None:
        """The newest message that came in or went out."""
        return await self._newest({"conversation_id": conversation_id, "kind": {"$in": ["in", "out"]}}, session)

    async def answerable(self, conversation_id: str) -> Message | None:
        """The newest message that a reply answers: no notice of a bounce, and nothing passed on to somebody else."""
        query = {"conversation_id": conversation_id, "kind": {"$in": ["in", "out"]}}
        return await self._newest(query | {"joined_by": {"$ne": "bounce"}, "forward": {"$ne": True}})

    async def _newest(self, query: Document, session: Session | None = None) -> Message | None:
        cursor = self._messages.find(query, session=session).sort([("at", DESCENDING), ("_id", DESCENDING)]).limit(1)
        documents = await cursor.to_list(1)
        return from_document(documents[0], Message) if documents else None

    async def add_messages(self, session: Session, messages: Sequence[Message]) -> None:
        """Add entries to threads."""
        if messages:
            await self._messages.insert_many([to_document(message) for message in messages], session=session)

    async def remove_message(self, session: Session, message: Message) -> None:
        """Take back a message that never left, with its reference."""
        await self._messages.delete_one({"_id": message.id}, session=session)
        await self._refs.delete_one({"_id": ref_id(message.inbox_id, message.message_ref)}, session=session)

    async def update_message(self, session: Session, message_id: str, changes: Mapping[str, Any]) -> None:
        """Set fields of one message."""
        await self._messages.update_one({"_id": message_id}, {"$set": dict(changes)}, session=session)

    async def states(self, session: Session, message_ids: Collection[str]) -> dict[str, Document]:
        """Of outbound messages: conversation, inbox, reference, recipients and delivery."""
        names = ("conversation_id", "inbox_id", "message_ref", "delivery", "to", "cc", "bcc")
        fields = dict.fromkeys(names, 1)
        cursor = self._messages.find({"_id": {"$in": list(message_ids)}}, fields, session=session)
        return {document["_id"]: document async for document in cursor}

    async def set_deliveries(self, session: Session, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set delivery fields by message id."""
        updates = [
            UpdateOne({"_id": message_id}, {"$set": {f"delivery.{name}": value for name, value in fields.items()}})
            for message_id, fields in changes.items()
        ]
        if updates:
            await self._messages.bulk_write(updates, ordered=False, session=session)

    async def has_failed(self, session: Session, conversation_id: str) -> bool:
        """Whether a message of a conversation failed, came back or is unconfirmed."""
        states = [state.value for state in (State.FAILED, State.BOUNCED, State.UNCONFIRMED)]
        query = {"conversation_id": conversation_id, "delivery.state": {"$in": states}}
        return await self._messages.find_one(query, {"_id": 1}, session=session) is not None

    async def show_sending(self, message_ids: Collection[str], at: datetime) -> None:
        """Show queued messages as being sent. Acknowledged by the primary alone: what counts stands in the outbox."""
        query = {"_id": {"$in": list(message_ids)}, "delivery.state": State.QUEUED.value}
        fields = {"delivery.state": State.SENDING.value, "delivery.at": at}
        await self._messages.with_options(write_concern=WriteConcern(1)).update_many(query, {"$set": fields})

    async def sent_by_key(self, key: str) -> str:
        """The message that was sent under a composer's key, empty where there is none."""
        document = await self._sends.find_one({"_id": key})
        return str(document["message_id"]) if document else ""

    async def take_send_key(self, session: Session, key: str, message_id: str, at: datetime) -> bool:
        """Note what is sent under a composer's key; False where something was, and was not taken back."""
        known = await self._sends.find_one({"_id": key}, session=session)
        if known and await self._messages.find_one({"_id": known["message_id"]}, {"_id": 1}, session=session):
            return False
        fields = {"message_id": message_id, "at": at}
        await self._sends.update_one({"_id": key}, {"$set": fields}, upsert=True, session=session)
        return True

    # --- references --------------------------------------------------------------------------------------------

    async def refs(self, ids: Collection[str], session: Session | None = None) -> dict[str, Ref]:
        """References by their `_id`."""
        cursor = self._refs.find({"_id": {"$in": list(ids)}}, session=session)
        return {document["_id"]: from_document(document, Ref) async for document in cursor}

    async def add_refs(self, session: Session, refs: Sequence[Ref]) -> None:
        """Add references; where a Message-ID is repeated the first one stays."""
        if not refs:
            return
        updates = []
        for ref in {ref.id: ref for ref in reversed(refs)}.values():
            document = to_document(ref)
            updates.append(UpdateOne({"_id": document.pop("_id")}, {"$setOnInsert": document}, upsert=True))
        await self._refs.bulk_write(updates, ordered=False, session=session)

    async def early_changes(self, session: Session, refs: Collection[str]) -> list[EarlyChange]:
        """Changes that came before the messages of these references, oldest first."""
        cursor = self._early.find({"ref": {"$in": list(refs)}}, session=session).sort([("at", ASCENDING)])
        return [from_document(document, EarlyChange) async for document in cursor]

    async def keep_early(self, session: Session, new: Sequence[EarlyChange], used: Sequence[str]) -> None:
        """Keep changes until their messages come, and drop those that came into use, by id."""
        if new:
            await self._early.insert_many([to_document(each) for each in new], session=session)
        if used:
            await self._early.delete_many({"_id": {"$in": list(used)}}, session=session)

    # --- drafts ------------------------------------------------------------------------------------------------

    async def draft(self, draft_id: str, session: Session | None = None) -> Draft | None:
        """One draft."""
        document = await self._drafts.find_one({"_id": draft_id}, session=session)
        return from_document(document, Draft) if document else None

    async def replace_draft(self, session: Session, draft: Draft) -> None:
        """Keep a draft, whole, with its files."""
        document = to_document(draft)
        await self._drafts.replace_one({"_id": document["_id"]}, document, upsert=True, session=session)

    async def write_draft(self, draft: Draft) -> Draft:
        """Keep what is written, and add the draft's files to those that are there: others may come at the same time."""
        fields = to_document(draft)
        update = {"$push": {"attachments": {"$each": fields.pop("attachments")}}, "$set": fields}
        document = await self._drafts.find_one_and_update(
            {"_id": fields.pop("_id")}, update, upsert=True, return_document=ReturnDocument.AFTER
        )
        return from_document(document, Draft)

    async def delete_draft(self, draft_id: str, session: Session | None = None) -> bool:
        """Throw a draft away; whether there was one."""
        result = await self._drafts.delete_one({"_id": draft_id}, session=session)
        return bool(result.deleted_count)

    async def add_draft_file(self, empty: Draft, file: FileRef) -> None:
        """Add a file to a draft, which begins as `empty` where there is none yet."""
        fields = to_document(empty)
        del fields["attachments"]
        update = {"$push": {"attachments": to_value(file)}, "$setOnInsert": fields}
        await self._drafts.update_one({"_id": fields.pop("_id")}, update, upsert=True)

    async def remove_draft_file(self, draft_id: str, file_id: str) -> bool:
        """Take a file off a draft; whether it was on it."""
        result = await self._drafts.update_one({"_id": draft_id}, {"$pull": {"attachments": {"id": file_id}}})
        return bool(result.modified_count)

    async def refers_to_file(self, owner: str, file_id: str) -> bool:
        """Whether a file is in use: by the message it was stored for, or by the draft, or by what the draft became."""
        conversation_id, _, agent_id = owner.partition(":")
        if not agent_id:
            return await self._messages.find_one({"_id": owner, "attachments.id": file_id}, {"_id": 1}) is not None
        if await self._drafts.find_one({"_id": owner, "attachments.id": file_id}, {"_id": 1}):
            return True
        sent = {"conversation_id": conversation_id, "attachments.id": file_id}
        return await self._messages.find_one(sent, {"_id": 1}) is not None


def _unread_indexes() -> list[IndexModel]:
    """So that a view's unread conversations are counted from an index alone; they are few, and so are its entries."""
    views: tuple[list[str], ...] = ([], ["assignee_id"], ["inbox_id"], ["labels"])
    keys = [[(name, ASCENDING) for name in (*fields, "status", "unread")] for fields in views]
    return [IndexModel(key, partialFilterExpression={"unread": True}) for key in keys]


def view_query(view: View, agent_id: str) -> Document:
    """The indexed query of a view, as one agent sees it."""
    query: Document = {"status": view.status.value}
    if view.kind == "mine":
        query["assignee_id"] = agent_id
    elif view.kind == "unassigned":
        query["assignee_id"] = ""
    elif view.kind == "inbox":
        query["inbox_id"] = view.value
    elif view.kind == "label":
        query["labels"] = view.value
    return query
