"""Twilio's messaging webhooks into the normal form.

Messages: https://www.twilio.com/docs/messaging/guides/webhook-request. What became of ours:
https://www.twilio.com/docs/messaging/guides/track-outbound-message-status. Opting out:
https://help.twilio.com/articles/223134027 and, for `OptOutType`, 360034798533.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

from channels.base import (
    Address,
    Attachment,
    ConsentChange,
    DeliveryState,
    DeliveryUpdate,
    InboundEvent,
    InboundMessage,
    Raw,
    ThreadHints,
)
from channels.sms.errors import OPTED_OUT, RECIPIENT_GONE, explain
from channels.sms.numbers import WHATSAPP, e164, from_twilio
from channels.twilio.webhook import Form, form_of, query_of

STATUS = "/status"
"""What is added to the inbox's webhook for the addresses that Twilio reports to."""
_OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"})
# YES lets messages in again at Twilio, but it is also an answer: it counts only where Twilio calls it START.
_OPT_IN = frozenset({"START", "UNSTOP"})
_HELP = frozenset({"HELP", "INFO"})
# On WhatsApp Twilio blocks nothing by itself, and END or CANCEL are things that people say.
_WHATSAPP_OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "OPTOUT"})
_MAX_MEDIA = 50
_STATES: Mapping[str, DeliveryState] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "accepted",
    "delivered": "delivered",
    "partially_delivered": "delivered",
    "read": "read",
    "undelivered": "bounced",
    "failed": "failed",
    "canceled": "failed",
}
_EXTENSIONS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/3gpp": "3gp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/jpg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/calendar": "ics",
    "text/csv": "csv",
    "text/plain": "txt",
    "text/vcard": "vcf",
    "text/x-vcard": "vcf",
    "video/3gpp": "3gp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
}
_NAMES = {"image": "picture", "audio": "sound", "video": "video"}


def parse(raw: Raw, inbox_id: str) -> list[InboundEvent]:
    """What a webhook says; nothing where it is none of Twilio's messaging webhooks."""
    form = form_of(raw)
    if form.one("MessageStatus") not in ("", "received", "receiving"):
        return _report(form, raw, inbox_id)
    if not form.one("From"):
        return []
    message = _message(form, raw, inbox_id)
    consent = _consent(form, message)
    return [message, consent] if consent is not None else [message]


def callback_url(hook_url: str, message_ref: str, part: int, parts: int) -> str:
    """Where Twilio is to report on a piece of a message: the address itself says whose it is.

    The reference is in base64url, which no proxy writes differently on the way (`%40` for `@`): the address is signed.
    """
    ref = base64.urlsafe_b64encode(message_ref.encode()).decode().rstrip("=")
    return f"{hook_url}{STATUS}?ref={ref}" + (f"&part={part}-{parts}" if parts > 1 else "")


def file_name(media_type: str, number: int) -> str:
    """A name for a file that came without one: `picture-1.jpg`."""
    kind = media_type.partition("/")[0]
    extension = _EXTENSIONS.get(media_type, "")
    name = "contact" if extension == "vcf" else _NAMES.get(kind, "file")
    return f"{name}-{number}.{extension}" if extension else f"{name}-{number}"


def _message(form: Form, raw: Raw, inbox_id: str) -> InboundMessage:
    sender = form.one("From")
    sid = form.one("MessageSid") or form.one("SmsSid") or form.one("SmsMessageSid")
    text = form.get("Body", [""])[0]
    text = text if text.strip() else form.one("ButtonText") or form.one("ListTitle")
    text = "\n".join(each for each in (text, *_place(form)) if each)
    name = form.one("ProfileName")
    replied = form.one("OriginalRepliedMessageSid")
    return InboundMessage(
        inbox_id=inbox_id,
        external_id=sid or _digest(raw),
        message_ref=sid,
        sender=Address("phone", from_twilio(sender), name),
        to=(Address("phone", from_twilio(form.one("To"))),) if form.one("To") else (),
        thread=ThreadHints(in_reply_to=(replied,) if replied else ()),
        text=text,
        reply_text=text,
        attachments=_media(form),
        auto_submitted=bool(_opt_out_type(form)),
    )


def _digest(raw: Raw) -> str:
    return "sha256:" + hashlib.sha256(raw.url.encode("utf-8", "replace") + b"\n" + raw.body).hexdigest()


def _media(form: Form) -> tuple[Attachment, ...]:
    found = []
    number = form.one("NumMedia")
    # Longer numbers of digits than this are no count, and Python refuses to read very long ones.
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 4 else 0
    for index in range(min(count, _MAX_MEDIA)):
        url = form.one(f"MediaUrl{index}")
        if url.partition(":")[0].lower() not in ("http", "https"):
            continue
        media_type = (
            form.one(f"MediaContentType{index}").partition(";")[0].strip().lower() or "application/octet-stream"
        )
        found.append(Attachment(name=file_name(media_type, index + 1), media_type=media_type, size=0, ref=url))
    return tuple(found)


def _place(form: Form) -> list[str]:
    """A shared location as lines of text."""
    try:
        latitude, longitude = float(form.one("Latitude")), float(form.one("Longitude"))
    except ValueError:
        return []
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return []
    query = urlencode({"mlat": f"{latitude:.6f}", "mlon": f"{longitude:.6f}"})
    words = ", ".join(dict.fromkeys(each for each in (form.one("Label"), form.one("Address")) if each))
    return [each for each in (words, f"https://www.openstreetmap.org/?{query}") if each]


def _opt_out_type(form: Form) -> str:
    """STOP, START or HELP where this is one: by what Twilio says, else by its default words, alone in a message."""
    said = form.one("OptOutType").upper()
    if said in ("STOP", "START", "HELP"):
        return said
    word = form.one("Body").upper()
    if word in (_WHATSAPP_OPT_OUT if form.one("From").startswith(WHATSAPP) else _OPT_OUT):
        return "STOP"
    if word in _OPT_IN:
        return "START"
    return "HELP" if word in _HELP else ""


def _consent(form: Form, message: InboundMessage) -> ConsentChange | None:
    kind = _opt_out_type(form)
    if kind not in ("STOP", "START"):
        return None
    return ConsentChange(
        inbox_id=message.inbox_id,
        external_id=f"{message.external_id}:consent",
        address=message.sender,
        opted_out=kind == "STOP",
        words=form.one("Body") or kind,
    )


def _report(form: Form, raw: Raw, inbox_id: str) -> list[InboundEvent]:
    """What became of a message of ours, or of a piece of it."""
    status = form.one("MessageStatus").lower()
    sid = form.one("MessageSid") or form.one("SmsSid")
    query = _query(raw.url)
    ref = _plain(query.get("ref", "")) or sid
    state = _STATES.get(status)
    if state is None or not ref:
        return []
    number, _, parts = query.get("part", "").partition("-")
    if number != parts and state in ("delivered", "read"):
        state = "accepted"  # a message has arrived when its last piece has
    code = form.one("ErrorCode")
    code = "" if code == "0" else code
    failed = state in ("bounced", "failed")
    gone = failed and code in RECIPIENT_GONE
    if state == "bounced" and not gone:
        state = "failed"  # it will not arrive any more, and the next message may: nothing is wrong with the number
    recipient = from_twilio(form.one("To"))
    update = DeliveryUpdate(
        inbox_id=inbox_id,
        external_id=f"{sid or ref}:{status}",
        state=state,
        message_ref=ref,
        recipient=recipient,
        code=code if failed else "",
        reason=explain(code, form.one("ChannelStatusMessage") or form.one("ErrorMessage")) if failed else "",
        permanent=gone,
    )
    if code in OPTED_OUT and e164(recipient):
        address = Address("phone", recipient)
        return [
            update,
            ConsentChange(
                inbox_id=inbox_id,
                external_id=f"{update.external_id}:consent",
                address=address,
                opted_out=True,
                words=update.reason,
            ),
        ]
    return [update]


def _plain(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""


def _query(url: str) -> dict[str, str]:
    try:
        path = urlsplit(url).path
    except ValueError:
        return {}
    if not path.rstrip("/").endswith(STATUS):
        return {}
    return {name: values[0] for name, values in parse_qs(query_of(url)).items()}
