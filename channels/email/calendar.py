"""A calendar invitation (RFC 5545, RFC 5546) as a few readable lines. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from icalendar import Calendar

MAX_BYTES = 512_000
MAX_LINES = 500

_FOLD = re.compile(rb"\r?\n[ \t]")
_NEEDED = re.compile(
    rb"(?:(?:BEGIN|END):(?:VCALENDAR|VEVENT|VTODO)\s*$)|"
    rb"(?:METHOD|SUMMARY|DTSTART|DTEND|LOCATION|ORGANIZER|ATTENDEE|DESCRIPTION|UID)[;:]",
    re.IGNORECASE,
)
"""The rest is not shown to the library: a time zone that changes each second keeps it busy for ever."""

_TITLES = {
    "REQUEST": "Invitation",
    "REPLY": "Answer to an invitation",
    "CANCEL": "Cancelled",
    "COUNTER": "New time proposed",
    "PUBLISH": "Event",
}
_ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "accepted tentatively"}


def summarise(data: bytes) -> str | None:
    """What, when, where and who of the first event; None where it cannot be read."""
    if len(data) > MAX_BYTES:
        return None
    try:
        lines = [line for line in _FOLD.sub(b"", data).splitlines() if _NEEDED.match(line)]
        calendar = Calendar.from_ical(b"\r\n".join(_shortened(lines)))
        method = str(calendar.get("METHOD", "")).upper()
        event = next(iter(calendar.walk("VEVENT") or calendar.walk("VTODO")), None)
        return None if event is None else "\n".join(_lines(event, method))
    except Exception:  # noqa: BLE001 - whatever the library raises on broken input, the file itself is still attached
        return None


def _shortened(lines: list[bytes]) -> list[bytes]:
    """As many lines as are read in reasonable time, the event closed where it is cut."""
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], b"END:VEVENT", b"END:VCALENDAR"]


def _lines(event: Any, method: str) -> list[str]:
    lines = [f"{_TITLES.get(method, 'Event')}: {_word(event, 'SUMMARY')}".rstrip(": ")]
    when = _when(event)
    if when:
        lines.append(f"When: {when}")
    if _word(event, "LOCATION"):
        lines.append(f"Where: {_word(event, 'LOCATION')}")
    if _word(event, "ORGANIZER"):
        lines.append(f"Organiser: {_person(event['ORGANIZER'])}")
    attendees = event.get("ATTENDEE", [])
    for attendee in attendees[:20] if isinstance(attendees, list) else [attendees]:
        answer = _ANSWERS.get(str(attendee.params.get("PARTSTAT", "")).upper())
        lines.append(f"{_person(attendee)}: {answer}" if answer else f"Attendee: {_person(attendee)}")
    if _word(event, "DESCRIPTION"):
        lines += ["", _word(event, "DESCRIPTION")]
    return lines


def _word(event: Any, name: str) -> str:
    value = event.get(name, "")
    return str(value[0] if isinstance(value, list) else value).strip()


def _person(value: Any) -> str:
    address = str(value)
    address = address[7:] if address.lower().startswith("mailto:") else address
    name = str(value.params.get("CN", ""))
    return f"{name} <{address}>" if name and name != address else address


def _when(event: Any) -> str:
    start, end = _moment(event, "DTSTART"), _moment(event, "DTEND")
    if isinstance(start, datetime) and isinstance(end, datetime) and start.date() == end.date():
        return f"{start:%Y-%m-%d %H:%M} - {end:%H:%M} {_zone(event, start)}".rstrip()
    return " - ".join(_show(event, moment) for moment in (start, end) if moment)


def _moment(event: Any, name: str) -> date | None:
    value = getattr(event.get(name), "dt", None)
    return value if isinstance(value, date) else None


def _show(event: Any, moment: date) -> str:
    if isinstance(moment, datetime):
        return f"{moment:%Y-%m-%d %H:%M} {_zone(event, moment)}".rstrip()
    return f"{moment:%Y-%m-%d}"


def _zone(event: Any, moment: datetime) -> str:
    """The zone's name; the sender's own word where it is none that is known."""
    known = getattr(moment.tzinfo, "key", "") or moment.tzname()
    return str(known or event["DTSTART"].params.get("TZID", ""))
