"""The line `ortoo parse` prints for a mail: its normal form as JSON, for a bug report. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from channels.base import Address, Attachment, Raw
from channels.email import bounce
from channels.email.parse import read_mail


def report(path: str, data: bytes) -> dict[str, Any]:
    """The normal form of one raw mail; `path` is only named."""
    mail = read_mail(Raw(body=data), "")
    message = mail.message
    return {
        "file": path,
        "message_id": message.message_ref,
        "subject": message.subject,
        "sender": _address(message.sender),
        "to": _addresses(message.to),
        "cc": _addresses(message.cc),
        "reply_to": _addresses(message.reply_to),
        "date": message.sent_at.isoformat() if message.sent_at else None,
        "text": message.text,
        "reply_text": message.reply_text,
        "html": message.html,
        "attachments": [_attachment(each) for each in message.attachments],
        "in_reply_to": list(message.thread.in_reply_to),
        "references": list(message.thread.references),
        "auto_submitted": message.auto_submitted,
        "kind": mail.kind,
        "bounce": _bounce(mail.report),
        "warnings": list(message.warnings),
    }


def report_line(path: str, data: bytes) -> bytes:
    """`report` as one line of UTF-8 JSON, without the line break."""
    return orjson.dumps(report(path, data))


def _address(address: Address) -> dict[str, str]:
    return {"address": address.value, "name": address.name}


def _addresses(addresses: Iterable[Address]) -> list[dict[str, str]]:
    return [_address(each) for each in addresses]


def _attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "name": attachment.name,
        "type": attachment.media_type,
        "size": attachment.size,
        "sha256": hashlib.sha256(attachment.content or b"").hexdigest(),
        "inline": attachment.inline,
        "content_id": attachment.content_id,
    }


def _bounce(found: bounce.Report | None) -> dict[str, Any] | None:
    if found is None or found.kind != "bounce":
        return None
    return {
        "recipients": [
            {
                "address": each.address,
                "status": each.status,
                "permanent": each.permanent,
                "diagnostic": each.diagnostic,
            }
            for each in found.recipients
        ],
        "original_message_id": found.original_message_id,
    }
