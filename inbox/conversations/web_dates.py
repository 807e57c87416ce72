"""Times as a thread shows them, in the reader's language and zone: the clock beside a message, the day above it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache

from babel import Locale, dates
from markupsafe import Markup

from inbox.core.clock import utcnow
from inbox.web import i18n
from inbox.web.i18n import gettext as _


def clock(moment: datetime) -> Markup:
    """The time of day; the page tells the whole of it on hover."""
    language = i18n.current()
    here = moment.astimezone(language.zone)
    words = _time_of_day(language.code, language.locale, here.hour, here.minute)
    return Markup('<time class="clock" datetime="{}">{}</time>').format(moment.isoformat(), words)


def age(moment: datetime, now: datetime) -> str:
    """How long ago in a word or two ("3 min"); from a week on the day. Lists are full of these."""
    language = i18n.current()
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return _("now")
    for length in (86_400, 3_600, 60):
        if seconds >= length and seconds < 7 * 86_400:
            return _duration(language.code, language.locale, round(seconds / length) * length)
    day = moment.astimezone(language.zone).date()
    return _day(language.code, language.locale, day, "MMMd" if day.year == now.year else "yMMMd")


@lru_cache(maxsize=5000)
def _time_of_day(_code: str, locale: Locale, hour: int, minute: int) -> str:
    return dates.format_time(time(hour, minute), "short", locale=locale)


@lru_cache(maxsize=1000)
def _duration(_code: str, locale: Locale, seconds: int) -> str:
    return dates.format_timedelta(timedelta(seconds=seconds), threshold=1, format="short", locale=locale)


@lru_cache(maxsize=5000)
def _day(_code: str, locale: Locale, day: date, skeleton: str) -> str:
    noon = datetime(day.year, day.month, day.day, 12)  # noqa: DTZ001 # only its day is written
    return dates.format_skeleton(skeleton, noon, locale=locale)


def day_words(day: date) -> str:
    """Today, yesterday, the weekday and day of this year, or the date."""
    language = i18n.current()
    today = utcnow().astimezone(language.zone).date()
    if day == today:
        return _("Today")
    if day == today - timedelta(days=1):
        return _("Yesterday")
    return _day(language.code, language.locale, day, "MMMMEd" if day.year == today.year else "yMMMMd")


def when_written(moment: datetime) -> str:
    """Day and time in full, for the line above a quoted message."""
    language = i18n.current()
    return dates.format_datetime(moment, tzinfo=language.zone, locale=language.locale)
