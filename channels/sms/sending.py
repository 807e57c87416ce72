"""Sending messages through Twilio, and finding out what became of a send nobody saw the end of.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from channels.base import OutboundMessage, PointOfNoReturn, Ports, Rejected, Retry, SendResult, Sent, Unknown
from channels.sms.errors import BUSY, OPTED_OUT, SETTINGS, explain, known
from channels.sms.numbers import WHATSAPP, e164
from channels.sms.parse import callback_url
from channels.sms.segments import split
from channels.sms.settings import API_URL, SmsSettings
from channels.twilio.http import Answer, Lost, NotSent, TwilioHttp
from channels.twilio.reach import reachable

SETTINGS_RETRY = 300.0
"""Seconds to the next try where a person has to set something right first."""
_PAGE = 200
_PAGES = 10
"""Of the message list, at most; who got more messages than that since is not judged."""
_CLOCKS = timedelta(seconds=60)
"""How far our clock and Twilio's may be apart."""
_TRIAL = re.compile(r"^Sent from your Twilio trial account\s*-\s*")


class SendTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds."""

    settle: float = 30
    """Between the two looks into the list that have to miss a message before it certainly is not there."""


class _Plan(msgspec.Struct, frozen=True):
    to: str
    pieces: tuple[str, ...]


class SmsSender:
    """An inbox's way out."""

    def __init__(
        self, settings: SmsSettings, http: TwilioHttp, ports: Ports, *, timing: SendTiming | None = None
    ) -> None:
        self._settings = settings
        self._http = http
        self._ports = ports
        self._timing = timing or SendTiming()
        self._messages = f"{API_URL}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        """Send to one number, in several messages where the text is long; see `Adapter.send`."""
        plan = _plan(out, self._settings)
        if isinstance(plan, Rejected):
            return plan
        taken: list[Sent] = []
        for number, piece in enumerate(plan.pieces, 1):
            form = self._form(plan, piece, out.message_ref, number)
            result = await self._post(form, None if taken else point_of_no_return)
            if isinstance(result, Sent):
                taken.append(result)
                continue
            if not taken:
                return result
            # What is gone cannot be called back, and sending all of it again would repeat it.
            return Unknown(f"{len(taken)} of {len(plan.pieces)} parts have left, then: {result.reason}")
        return Sent(taken[0].external_id, taken[0].note, tuple(each.external_id for each in taken[1:]))

    async def find(self, out: OutboundMessage) -> SendResult:
        """What Twilio has of a message; see `AskableAdapter.find_sent`.

        It is told by recipient, text and time, since Twilio keeps no reference of ours. The list is not narrowed by
        `DateSent`: what still waits at Twilio has none. Two equal texts to one person cannot be told apart; the host
        has to see that an id is not another message's already.
        """
        plan = _plan(out, self._settings)
        if isinstance(plan, Rejected):
            return Retry(plan.reason, None, plan.code)
        since = out.sent_at - _CLOCKS
        for look in range(2):
            if look:
                await asyncio.sleep(self._timing.settle)
            try:
                listed = await self._list(plan.to, since)
            except (NotSent, Lost) as error:
                return Unknown(f"Twilio cannot be asked: {error}")
            if isinstance(listed, Unknown):
                return listed
            found = _match(plan.pieces, listed)
            if len(found) == len(plan.pieces):
                return Sent(found[0], "Found in Twilio's message list", tuple(found[1:]))
            if found:
                return Unknown(f"Twilio has {len(found)} of {len(plan.pieces)} parts")
            if any(not each.get("body") for each in listed):
                return Unknown("Twilio does not keep the texts of this account, so nobody can tell")
        return Retry("Twilio does not have the message")

    def _form(self, plan: _Plan, piece: str, ref: str, number: int) -> dict[str, str]:
        form = {"To": plan.to, "Body": piece}
        if self._settings.sender == "service":
            form["MessagingServiceSid"] = self._settings.service_sid
        else:
            form["From"] = self._settings.from_
        hook = self._ports.hook_url()
        if reachable(hook, self._settings.api_url):
            form["StatusCallback"] = callback_url(hook, ref, number, len(plan.pieces))
        return form

    async def _post(self, form: Mapping[str, str], leaving: PointOfNoReturn | None) -> SendResult:
        try:
            return judge(await self._http.post(self._messages, form, leaving))
        except NotSent as error:
            return Retry(str(error))
        except Lost as error:
            return Unknown(f"{error}. Twilio may have the message.")

    async def _list(self, to: str, since: datetime) -> list[Mapping[str, Any]] | Unknown:
        """Our messages to a number since a time, oldest first."""
        query = {"To": to, "PageSize": str(_PAGE)}
        if self._settings.sender != "service":
            query["From"] = self._settings.from_
        found: list[Mapping[str, Any]] = []
        answer = await self._http.get(self._messages, query)
        for _ in range(_PAGES):
            page = answer.json.get("messages")
            if answer.status != 200 or not isinstance(page, list):
                return Unknown(f"Twilio cannot be asked: {_said(answer)}")
            newer = [each for each in page if isinstance(each, dict) and _created(each) >= since]
            found += [each for each in newer if str(each.get("direction", "")).startswith("outbound")]
            following = str(answer.json.get("next_page_uri") or "")
            if not following.startswith("/2010-04-01/Accounts/") or (page and not newer):
                return found[::-1]
            answer = await self._http.get(API_URL + following)
        return Unknown("Too many messages went to this number since to tell")


def judge(answer: Answer) -> SendResult:
    """What an answer to a new message means.

    429 is documented as never processed (error 20429), so it is tried again. No such promise is made for 5xx, and a new
    message carries no key by which Twilio would know it again: every 5xx is unknown until the message list was asked.
    """
    code, said = answer.code, _said(answer)
    if answer.status in (200, 201):
        return _taken(answer)
    if answer.status >= 500:
        return Unknown(f"Twilio answered {answer.status}: {said}. It may have the message.")
    if answer.status in (408, 429) or code in BUSY:
        return Retry(said, answer.retry_after, code or str(answer.status))
    if code in OPTED_OUT:
        return Rejected(code, said, opted_out=True)
    if code in SETTINGS or answer.status < 400 or (answer.status in (401, 403, 404, 407) and not known(code)):
        return Retry(said, SETTINGS_RETRY, code or str(answer.status), refused=True)
    return Rejected(code or str(answer.status), said)


def _taken(answer: Answer) -> SendResult:
    sid, status = answer.json.get("sid"), str(answer.json.get("status", ""))
    if not isinstance(sid, str) or not sid:
        return Unknown("Twilio took the message and did not say under which id")
    code = str(answer.json.get("error_code") or "")
    if code and status in ("failed", "undelivered"):
        return Rejected(code, explain(code, str(answer.json.get("error_message") or "")), opted_out=code in OPTED_OUT)
    return Sent(sid, status)


def _said(answer: Answer) -> str:
    return explain(answer.code, answer.message) or f"Twilio answered {answer.status}"


def _plan(out: OutboundMessage, settings: SmsSettings) -> _Plan | Rejected:
    """What is to be sent, or why it cannot be."""
    if out.attachments:
        return Rejected("files", "Files cannot be sent by SMS or WhatsApp from here yet. Please send a link.")
    if len(out.to) != 1 or out.cc or out.bcc:
        return Rejected("recipients", "A text message goes to one number.")
    number = e164(out.to[0].value)
    if not number:
        return Rejected("21211", explain("21211"))
    # Half a surrogate pair cannot be sent at all.
    text = out.text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    pieces = tuple(piece.rstrip() for piece in split(text.rstrip()) if piece.strip())
    if not pieces:
        return Rejected("21602", explain("21602"))
    return _Plan(f"{WHATSAPP}{number}" if settings.whatsapp else number, pieces)


def _created(message: Mapping[str, Any]) -> datetime:
    """When Twilio took a message; for ever ago where that cannot be read."""
    try:
        at = parsedate_to_datetime(str(message.get("date_created")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at.replace(tzinfo=at.tzinfo or UTC)


def _match(pieces: Sequence[str], listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of those pieces that are listed, in order; each entry stands for one piece only."""
    free = [(str(each.get("sid") or ""), _skeleton(str(each.get("body") or ""))) for each in listed]
    found = []
    for piece in pieces:
        entry = next((each for each in free if each[0] and each[1] == _skeleton(piece)), None)
        if entry is not None:
            free.remove(entry)
            found.append(entry[0])
    return found


def _skeleton(text: str) -> str:
    """Letters and digits alone: Twilio puts words before a trial account's texts, trims, and may replace signs (smart
    encoding). A text without any is compared by its signs."""
    text = _TRIAL.sub("", text)
    letters = "".join(each for each in unicodedata.normalize("NFKD", text) if each.isalnum())
    return letters or "".join(text.split())
