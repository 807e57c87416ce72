"""The part of an inbox's form that asks for business hours: what a submitted form says, and what the template shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from inbox.inboxes.model_hours import DAY, BusinessHours, Holiday, Span
from inbox.web.i18n import current
from inbox.web.i18n import gettext as _

_WORKDAYS = "workdays"
_SPANS = 2
_MOST_HOLIDAYS = 200
_BLANK_HOLIDAYS = 3
_USUAL = ((Span(540, 1080),),) * 5 + ((), ())
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::[0-5][0-9])?")


class RowView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the week: a day, or Monday to Friday in one."""

    key: str
    label: str
    spans: tuple[tuple[str, str], ...]
    """(from, to) as a time input has them, empty for none."""
    shown: str
    """`workdays`, `single` or `always`: which of the two ways to fill in Monday to Friday it belongs to."""

    @property
    def has_break(self) -> bool:
        """Whether there is more than one span."""
        return any(self.spans[1])


class HoursView(msgspec.Struct, frozen=True, kw_only=True):
    """What the template shows."""

    is_set: bool
    zone: str
    single: bool
    rows: tuple[RowView, ...]
    holidays: tuple[Holiday, ...]
    """With some empty ones at the end."""


def read(form: Mapping[str, str]) -> BusinessHours | None:
    """A submitted form; None where there are no hours. What is no time becomes -1, which the service refuses."""
    if form.get("hours") != "set":
        return None
    single = bool(form.get("hours-single"))
    keys = [str(day) if single or day > 4 else _WORKDAYS for day in range(7)]
    holidays = {
        day: Holiday(day, form.get(f"holiday-name-{number}", "").strip()[:100])
        for number in range(_MOST_HOLIDAYS)
        if (day := form.get(f"holiday-{number}", "").strip()[:10])
    }
    return BusinessHours(
        zone=form.get("hours-zone", ""),
        week=tuple(tuple(_read_spans(form, key)) for key in keys),
        holidays=tuple(holiday for _, holiday in sorted(holidays.items())),
    )


def view(hours: BusinessHours | None) -> HoursView:
    """What the template shows; the usual working week where there are no hours yet."""
    week = hours.week if hours is not None else _USUAL
    names = current().locale.days["stand-alone"]["wide"]
    single = any(spans != week[0] for spans in week[1:5])
    rows = [_row(_WORKDAYS, _("Monday to Friday"), week[0], _WORKDAYS)]
    for day, spans in enumerate(week):
        name = str(names[day])
        rows.append(_row(str(day), name[:1].upper() + name[1:], spans, "single" if day < 5 else "always"))
    return HoursView(
        is_set=hours is not None,
        zone=hours.zone if hours is not None else current().zone.key,
        single=single,
        rows=tuple(rows),
        holidays=(*(hours.holidays if hours is not None else ()), *(Holiday(""),) * _BLANK_HOLIDAYS),
    )


def _row(key: str, label: str, spans: Iterable[Span], shown: str) -> RowView:
    times = [(_clock(span.start), _clock(span.end)) for span in spans][:_SPANS]
    return RowView(key=key, label=label, spans=(*times, *(("", ""),) * (_SPANS - len(times))), shown=shown)


def _read_spans(form: Mapping[str, str], key: str) -> list[Span]:
    spans = []
    for number in range(_SPANS):
        begins, ends = form.get(f"opens-{key}-{number}", "").strip(), form.get(f"closes-{key}-{number}", "").strip()
        if begins or ends:
            spans.append(Span(_minute(begins), _minute(ends) or DAY))
    return sorted(spans, key=lambda span: span.start)


def _minute(text: str) -> int:
    found = _TIME.fullmatch(text)
    return int(found[1]) * 60 + int(found[2]) if found else -1


def _clock(minute: int) -> str:
    return "" if minute < 0 else f"{minute // 60 % 24:02}:{minute % 60:02}"
