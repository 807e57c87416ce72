"""Raw mail to the normal form. Pure and synchronous; never raises, whatever the bytes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from channels.base import Address, DeliveryUpdate, InboundEvent, InboundMessage, Raw, ThreadHints
from channels.email import automata, bounce, wording
from channels.email.addresses import MAX_ADDRESSES, Mailbox, find_tokens, header_addresses, parse_addresses, strip_tag
from channels.email.body import read_body
from channels.email.folder_names import is_sent
from channels.email.headers import Headers, message_id, message_ids, parse_date
from channels.email.mime import Part, read

_LOG = logging.getLogger(__name__)

Kind = Literal["message", "bounce", "complaint", "auto_reply", "calendar"]

_TOKEN_FIELDS = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc")
_DIGEST_LENGTH = 32
_MAX_ID_SHOWN = 500


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """All that parsing finds in one mail."""

    message: InboundMessage
    kind: Kind
    report: bounce.Report | None = None
    bounce_token: str = ""


def parse(raw: Raw, inbox_id: str, own_addresses: Collection[str] = ()) -> list[InboundEvent]:
    """Events of one mail: a message, or what became of earlier ones, one update for each recipient reported.

    `own_addresses` are the inbox's, by which its own copies are known.
    """
    mail = read_mail(raw, inbox_id, own_addresses)
    if mail.report is None:
        return [mail.message]
    updates: list[InboundEvent] = []
    for recipient in mail.report.recipients:
        update = DeliveryUpdate(
            inbox_id=inbox_id,
            external_id=f"{mail.message.external_id}#{recipient.address}",
            state=_state(recipient),
            message_ref=mail.report.original_message_id,
            bounce_token=mail.bounce_token,
            recipient=recipient.address,
            code=recipient.status,
            reason=recipient.diagnostic,
            permanent=recipient.permanent,
            at=mail.message.sent_at,
            notice=mail.message,
        )
        updates.append(update)
    return updates


def read_mail(raw: Raw, inbox_id: str, own_addresses: Collection[str] = ()) -> Mail:
    """As `parse`, with what `ortoo parse` shows besides."""
    try:
        return _read(raw, inbox_id, own_addresses)
    except Exception:  # noqa: BLE001 - see below
        # The one place where a fault of the parser ends: the raw source is stored, and a mail that shows only that it
        # could not be read is better than a folder that stops there.
        _LOG.exception("a mail could not be parsed")
        digest = hashlib.sha256(raw.body).hexdigest()[:_DIGEST_LENGTH]
        message = InboundMessage(
            inbox_id=inbox_id, external_id=digest, sender=Address("email", ""), warnings=(wording.UNPARSED,)
        )
        return Mail(message=message, kind="message")


def _read(raw: Raw, inbox_id: str, own_addresses: Collection[str]) -> Mail:
    warnings: set[str] = set()
    root = read(raw.body, warnings)
    headers = root.headers
    subject = headers.words("subject")
    body = read_body(root, subject, warnings)
    name, sender = _sender(headers, raw.headers, warnings)
    null_sender = _is_null_sender(headers, raw.headers)
    reply_token, bounce_token = find_tokens(_addressed(headers, raw.headers))
    report = bounce.read_report(root, body.text, sender, null_sender=null_sender, expected=bool(bounce_token))
    automation = automata.recognise(headers, subject, null_sender=null_sender)
    reference = _message_id(headers, warnings)
    from_self = bool(sender) and strip_tag(sender) in {address.lower() for address in own_addresses}
    message = InboundMessage(
        inbox_id=inbox_id,
        external_id=_external_id(root, reference),
        message_ref=reference,
        sender=Address("email", sender, name),
        to=_people(headers, "to", warnings),
        cc=_people(headers, "cc", warnings),
        reply_to=_people(headers, "reply-to", warnings),
        sent_at=_date(headers, warnings),
        thread=ThreadHints(
            reply_token=reply_token,
            in_reply_to=message_ids(headers.all("in-reply-to")),
            references=message_ids(headers.all("references")),
        ),
        subject=subject,
        text=body.text,
        reply_text=body.reply_text,
        html=body.html,
        attachments=body.attachments,
        auto_submitted=automation.automatic or report is not None,
        auto_reply=automation.reply,
        from_self=from_self,
        sent_by_us=from_self and _is_in_sent_folder(raw.url),
        warnings=tuple(sorted(warnings)),
    )
    kind: Kind = "message"
    if report is not None and report.kind != "delivered":
        kind = report.kind
    elif automation.reply:
        kind = "auto_reply"
    elif body.is_calendar:
        kind = "calendar"
    return Mail(message=message, kind=kind, report=report, bounce_token=bounce_token)


def _is_in_sent_folder(place: str) -> bool:
    scheme, _, path = place.partition(":")
    return scheme == "imap" and is_sent(path.partition(";uidvalidity=")[0])


def _state(recipient: bounce.Recipient) -> Literal["bounced", "failed", "complained", "delivered"]:
    """A delay is `bounced` and not permanent; a server that gave up for a passing reason has `failed`."""
    if recipient.action == "complained":
        return "complained"
    if recipient.action == "delivered":
        return "delivered"
    return "failed" if recipient.action == "failed" and not recipient.permanent else "bounced"


def _sender(headers: Headers, envelope: Mapping[str, str], warnings: set[str]) -> Mailbox:
    """The author: From, else Sender, else whoever the envelope names."""
    authors = header_addresses(headers, "from")
    if len(authors) > 1:
        warnings.add(wording.MANY_SENDERS)
    spare = [*header_addresses(headers, "sender"), *header_addresses(headers, "return-path")]
    spare += parse_addresses(envelope.get("mail-from", ""))
    for candidates in (authors, spare):
        for name, address in candidates:
            if address:
                return name, strip_tag(address)
    warnings.add(wording.NO_SENDER)
    return (authors[0][0], "") if authors else ("", "")


def _is_null_sender(headers: Headers, envelope: Mapping[str, str]) -> bool:
    """Whether the envelope's return path is `<>`, as a notice's must be (RFC 5321 section 4.5.5)."""
    if "mail-from" in envelope:
        return envelope["mail-from"].strip() in ("", "<>")
    return headers.raw("return-path").replace(b" ", b"") == b"<>"


def _addressed(headers: Headers, envelope: Mapping[str, str]) -> Iterable[str]:
    """Every address the mail was sent to, the envelope's first: nobody but our server writes that."""
    for _, address in parse_addresses(envelope.get("rcpt-to", "")):
        yield address
    for name in _TOKEN_FIELDS:
        for _, address in header_addresses(headers, name):
            yield address


def _people(headers: Headers, name: str, warnings: set[str]) -> tuple[Address, ...]:
    found: dict[str, Address] = {}
    mailboxes = header_addresses(headers, name)
    if len(mailboxes) >= MAX_ADDRESSES:
        warnings.add(wording.MANY_ADDRESSES)
    for title, address in mailboxes:
        bare = strip_tag(address)
        if "@" in bare:
            found.setdefault(bare, Address("email", bare, title))
        elif address or title:
            warnings.add(wording.BAD_ADDRESS)
    return tuple(found.values())


def _date(headers: Headers, warnings: set[str]) -> datetime | None:
    values = headers.all("date")
    if len(values) > 1:
        warnings.add(wording.MANY_DATES)
    for value in values:
        when = parse_date(value)
        if when is not None:
            return when
    warnings.add(wording.BAD_DATE if values else wording.NO_DATE)
    return None


def _message_id(headers: Headers, warnings: set[str]) -> str:
    if headers.count("message-id") > 1:
        warnings.add(wording.MANY_MESSAGE_IDS)
    found = message_id(headers.all("message-id"))
    if not found:
        warnings.add(wording.NO_MESSAGE_ID)
    return found


def _external_id(root: Part, reference: str) -> str:
    """Message-ID and a digest of sender, date and body: the same for copies that took other ways, another for another
    mail under the same id. It is stored, so what goes into it may not change with the parser."""
    body = root.body().replace(b"\r\n", b"\n").strip()
    digest = hashlib.sha256()
    for part in (root.headers.raw("from"), root.headers.raw("date"), body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    found = digest.hexdigest()[:_DIGEST_LENGTH]
    return f"{reference[:_MAX_ID_SHOWN]}/{found}" if reference else found
