"""Times as a thread shows them, in the reader's language and zone: the clock beside a message, the day above it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from babel import dates
from markupsafe import Markup

from inbox.core.clock import utcnow
from inbox.web import i18n
from inbox.web.i18n import gettext as _


def clock(moment: datetime) -> Markup:
    """The time of day, the whole of it on hover."""
    language = i18n.current()
    words = dates.format_time(moment, "short", tzinfo=language.zone, locale=language.locale)
    whole = dates.format_datetime(moment, "full", tzinfo=language.zone, locale=language.locale)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), whole, words)


def day_words(day: date) -> str:
    """Today, yesterday, the weekday and day of this year, or the date."""
    language = i18n.current()
    today = utcnow().astimezone(language.zone).date()
    if day == today:
        return _("Today")
    if day == today - timedelta(days=1):
        return _("Yesterday")
    skeleton = "MMMMEd" if day.year == today.year else "yMMMMd"
    # A skeleton wants a moment; noon keeps the day in every zone.
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=language.zone)
    return dates.format_skeleton(skeleton, noon, tzinfo=language.zone, locale=language.locale)


def when_written(moment: datetime) -> str:
    """Day and time in full, for the line above a quoted message."""
    language = i18n.current()
    return dates.format_datetime(moment, tzinfo=language.zone, locale=language.locale)
