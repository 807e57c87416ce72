"""Business hours of an inbox: its week, its holidays, its time zone, and what they say about a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

DAY: Final = 1440  # minutes
_LOOK_AHEAD: Final = 400  # days: past a year of holidays nobody waits for an opening
_ZONES: dict[str, ZoneInfo] = {"UTC": ZoneInfo("UTC")}


class Span(msgspec.Struct, frozen=True):
    """Open from one minute of the day up to another, by the clock on the wall; 1440 is midnight at the end."""

    start: int
    end: int


class Holiday(msgspec.Struct, frozen=True):
    """A day on which nobody is there."""

    day: str
    """As `2026-12-31`."""
    name: str = ""


class BusinessHours(msgspec.Struct, frozen=True, kw_only=True):
    """When people are there. Clock changes are kept: 09:00 is what the clock on the wall says that day."""

    zone: str
    week: tuple[tuple[Span, ...], ...]
    """Monday first, seven days; a day without spans is closed."""
    holidays: tuple[Holiday, ...] = ()

    def is_open(self, at: datetime) -> bool:
        """Whether somebody is there at a moment (aware)."""
        return self._is_open_at(at.astimezone(zone_of(self.zone)))

    def next_opening(self, at: datetime) -> datetime | None:
        """The first moment from `at` on that is open, in UTC; `at` itself where that is, None within 400 days."""
        at = at.astimezone(UTC)
        if self.is_open(at):
            return at
        first = at.astimezone(zone_of(self.zone)).date() - timedelta(days=1)
        found: datetime | None = None
        for number in range(_LOOK_AHEAD):
            day = first + timedelta(days=number)
            moments = [moment for moment in self._beginnings(day) if moment > at and self.is_open(moment)]
            if found is not None:  # where clocks go back over midnight, the day after may begin before
                return min([found, *moments])
            found = min(moments, default=None)
        return found

    def _is_open_at(self, local: datetime) -> bool:
        if local.date().isoformat() in {holiday.day for holiday in self.holidays}:
            return False
        minute = local.hour * 60 + local.minute
        return any(span.start <= minute < span.end for span in self.week[local.weekday()])

    def _beginnings(self, day: date) -> Iterator[datetime]:
        """The moments of a day at which it may begin to be open: both, where clocks go back and an hour comes twice."""
        zone = zone_of(self.zone)
        for span in self.week[day.weekday()]:
            begins = datetime.combine(day, time(span.start // 60, span.start % 60), zone)
            yield begins.astimezone(UTC)
            yield begins.replace(fold=1).astimezone(UTC)
        # Where the clock jumps, it may jump into the middle of a span.
        before = datetime.combine(day, time(), UTC) - timedelta(hours=16)
        after = before + timedelta(hours=56)
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            yield _jump(zone, before, after)


def zone_of(name: str) -> ZoneInfo:
    """A time zone by name; UTC where this machine does not know it. The first call for a name reads the disk."""
    if name not in _ZONES:
        try:
            _ZONES[name] = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            return _ZONES["UTC"]
    return _ZONES[name]


def is_loaded(name: str) -> bool:
    """Whether `zone_of` answers without reading the disk."""
    return name in _ZONES


def complaint(hours: BusinessHours) -> str:
    """What is wrong with a week, as a gettext msgid; empty where nothing is."""
    if not any(hours.week):
        return "Please give the hours of at least one day."
    for spans in hours.week:
        if any(span.start < 0 or span.end < 0 for span in spans):
            return "A time is missing: every span needs its beginning and its end."
        if any(span.start >= span.end for span in spans):
            return "A span ends before it begins. To stay open past midnight, end at 00:00 and begin the next at 00:00."
        ordered = sorted(spans, key=lambda span: span.start)
        if any(first.end > second.start for first, second in pairwise(ordered)):
            return "Two spans of one day lie over each other."
    return ""


def holiday_complaint(hours: BusinessHours) -> str:
    """What is wrong with the holidays, likewise."""
    for holiday in hours.holidays:
        try:
            date.fromisoformat(holiday.day)
        except ValueError:
            return "A holiday needs its date."
    return ""


def _jump(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second between two moments at which the zone's offset changes."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
