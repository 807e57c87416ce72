"""Delivery reports (RFC 3464 and the older kinds) and spam complaints (RFC 5965): what became of which mail. Pure."""

from __future__ import annotations

import email
import logging
import re
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import msgspec
from flufl.bounce import all_failures

from channels.email import automata
from channels.email.addresses import header_addresses, parse_addresses
from channels.email.charsets import decode
from channels.email.headers import Headers, decode_words, message_id, message_ids, parse_headers
from channels.email.mime import Part, read_headers

MAX_HEURISTIC = 100_000
"""Bytes of a notice that are searched by the rules for non-standard ones; what it says, it says at the beginning."""
MAX_RECIPIENTS = 200

_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_SMTP_CODE = re.compile(r"(?<![\d.])([45])\d\d[ -](?=\D)")
_GROUPS = re.compile(rb"\n[ \t\r]*\n")
_QUOTED_ID = re.compile(r"^[>\s]*Message-ID:\s*<([^<>\s]{1,998})>", re.IGNORECASE | re.MULTILINE)
_RETURNED = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}
)
_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "dmarc", "virus"})
_DIAGNOSTIC_LINES = 6

# Its detectors stumble over odd mails and say so at length.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)


class Recipient(msgspec.Struct, frozen=True):
    """What a report says of one recipient. `permanent` is the class of the status: 5 is, 4 is not."""

    address: str
    status: str = ""
    permanent: bool = True
    diagnostic: str = ""
    action: str = "failed"
    """failed | delayed | delivered | complained"""


class Report(msgspec.Struct, frozen=True):
    """A report about a mail that was sent earlier."""

    kind: Literal["bounce", "complaint", "delivered"]
    recipients: tuple[Recipient, ...]
    original_message_id: str = ""


def read_report(root: Part, text: str, sender: str, *, null_sender: bool, expected: bool) -> Report | None:
    """The report a mail is, None where it is none. `text` is its body.

    `expected` says that it came to a bounce address: a daemon's notice there is a bounce even where nothing in it is
    understood.
    """
    parts = list(_leaves(root))
    returned = next((read_headers(part.content(set())) for part in parts if part.type in _RETURNED), Headers({}))
    feedback = next((part for part in parts if part.type == "message/feedback-report"), None)
    if feedback is not None:
        return _complaint(feedback, returned)
    machine = null_sender or automata.is_daemon(sender) or root.type == "multipart/report"
    if not machine:
        # A person who forwards a notice has not bounced.
        return None
    statuses = [part for part in parts if part.type in _STATUS_PARTS]
    recipients = list(islice((each for part in statuses for each in _recipients(part)), MAX_RECIPIENTS))
    if not recipients:
        recipients = _heuristic(root, text, sender)
    if not recipients and expected and automata.is_daemon(sender):
        recipients = [_described("", text, permanent=_STATUS.search(text) is not None)]
    if not recipients:
        return None
    # A recipient is reported once; should it occur twice, the first is the server's own word.
    recipients = list({each.address: each for each in reversed(recipients)}.values())[::-1]
    original = message_id(returned.all("message-id")) or _original_id(root.headers, text)
    troubled = tuple(each for each in recipients if each.action != "delivered")
    if troubled:
        return Report("bounce", troubled, original)
    return Report("delivered", tuple(recipients), original)


def _leaves(part: Part) -> Iterator[Part]:
    if not part.children:
        yield part
    for child in part.children:
        yield from _leaves(child)


def _complaint(part: Part, returned: Headers) -> Report | None:
    fields, _, _ = parse_headers(part.content(set()).lstrip())
    if fields.first("feedback-type").strip().lower() in _NO_COMPLAINT:
        return None
    values = (
        fields.all("original-rcpt-to") or fields.all("removal-recipient") or returned.all("x-hmxmroriginalrecipient")
    )
    addresses = [address for value in values for _, address in parse_addresses(value) if "@" in address]
    addresses = addresses or [address for _, address in header_addresses(returned, "to") if "@" in address]
    recipients = tuple(Recipient(address, action="complained") for address in dict.fromkeys(addresses))
    return Report(
        "complaint", recipients or (Recipient("", action="complained"),), message_id(returned.all("message-id"))
    )


def _recipients(part: Part) -> Iterator[Recipient]:
    """Per-recipient groups of a delivery status (RFC 3464 section 2.3)."""
    content = part.content(set()).replace(b"\r\n", b"\n").strip()
    for group in _GROUPS.split(content):
        fields, _, _ = parse_headers(group.lstrip(b"\n"))
        address = _typed_address(fields.first("original-recipient")) or _typed_address(fields.first("final-recipient"))
        if not address:
            continue
        diagnostic = decode_words(fields.first("diagnostic-code")).partition(";")
        words = (diagnostic[2] or diagnostic[0]).strip()
        action = _action(fields.first("action").strip().lower(), fields.first("status"))
        status = _status(fields.first("status")) or _status_of(words) or ("4.0.0" if action == "delayed" else "5.0.0")
        yield Recipient(address, status, action == "failed" and status[0] != "4", words, action)


def _action(action: str, status: str) -> str:
    if action.startswith("delayed"):
        return "delayed"
    if action.startswith(("fail", "error")):
        return "failed"
    if action.startswith(("delivered", "relayed", "expanded")):
        return "delivered"
    return {"2": "delivered", "4": "delayed"}.get(status.strip()[:1], "failed")


def _typed_address(value: str) -> str:
    """`rfc822; ann@x.mn` (or without the type, as some write it)."""
    kind, separator, address = value.partition(";")
    found = parse_addresses(address if separator else kind)
    return found[0][1] if found and "@" in found[0][1] else ""


def _status(value: str) -> str:
    match = _STATUS.search(value)
    return match[0] if match else ""


def _status_of(diagnostic: str) -> str:
    """An enhanced status (RFC 3463) out of the server's words, or what its three-digit code amounts to."""
    code = _SMTP_CODE.search(diagnostic)
    return _status(diagnostic) or (f"{code[1]}.0.0" if code else "")


def _heuristic(root: Part, text: str, sender: str) -> list[Recipient]:
    """Recipients of a notice that follows no standard: qmail, Exim, Exchange, Postfix' old ones and many more."""
    failed = [address for value in root.headers.all("x-failed-recipients") for _, address in parse_addresses(value)]
    if not failed and not automata.is_daemon(sender):
        return []
    try:
        # Latin-1, because its detectors expect headers to be strings, which the library's are not beyond ASCII.
        temporary, permanent = all_failures(email.message_from_string(root.source[:MAX_HEURISTIC].decode("latin-1")))
    except Exception:  # noqa: BLE001 - its detectors stumble over odd mails; the mail is then shown as a message
        temporary = permanent = frozenset()
    failed += [decode(address)[0].lower() for address in sorted(permanent)]
    delayed = [decode(address)[0].lower() for address in sorted(temporary)]
    return [
        *(_described(address, text, permanent=True) for address in dict.fromkeys(failed) if "@" in address),
        *(_described(address, text, permanent=False) for address in dict.fromkeys(delayed) if "@" in address),
    ][:MAX_RECIPIENTS]


def _described(address: str, text: str, *, permanent: bool) -> Recipient:
    """A recipient with the first line after its mention that holds a server's answer, or the first such line at all."""
    lines = text[:MAX_HEURISTIC].split("\n")
    # A line that begins with the address explains it; others repeat the headers of the mail.
    mentions = (
        [at for at, line in enumerate(lines) if line.strip(" \t<").lower().startswith(address)] if address else []
    )
    start = mentions[0] if mentions else 0
    near = lines[start : start + _DIAGNOSTIC_LINES] if mentions else lines
    telling = [line.strip() for line in near if _SMTP_CODE.search(line) or _STATUS.search(line)]
    words = telling[0] if telling else " ".join(line.strip() for line in near[1:3]).strip()
    status = _status_of(words) or ("5.0.0" if permanent else "4.0.0")
    return Recipient(
        address, status, permanent and status[0] != "4", words[:1000], "failed" if permanent else "delayed"
    )


def _original_id(headers: Headers, text: str) -> str:
    """The reported mail's id where no copy of it is attached: quoted in the text, or named by the notice's headers."""
    quoted = _QUOTED_ID.search(text[:MAX_HEURISTIC])
    if quoted:
        return quoted[1]
    ids = message_ids([*headers.all("x-original-message-id"), *headers.all("in-reply-to"), *headers.all("references")])
    return ids[0] if ids else ""
