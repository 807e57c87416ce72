"""What templates turn values into: times, sizes, initials and colours, by the person's language and zone."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from babel import Locale, dates, units
from markupsafe import Markup

from inbox.core.clock import utcnow
from inbox.web.i18n import current, gettext

_AGES = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))
HUES = 12
"""How many colours avatars come in (`.hue-0` to `.hue-11`)."""


def when(moment: datetime | None) -> Markup:
    """A moment in as few words as say it: the time today, the day this year, the date before that."""
    if moment is None:
        return Markup("")
    language = current()
    here, today = moment.astimezone(language.zone), utcnow().astimezone(language.zone)
    if here.date() == today.date():
        words = dates.format_time(here, "short", tzinfo=language.zone, locale=language.locale)
    else:
        skeleton = "MMMd" if here.year == today.year else "yMMMd"
        words = dates.format_skeleton(skeleton, here, tzinfo=language.zone, locale=language.locale)
        if here.year == today.year:
            time = dates.format_time(here, "short", tzinfo=language.zone, locale=language.locale)
            words = f"{words}, {time}"
    return _time(moment, words)


def ago(moment: datetime | None) -> Markup:
    """How long ago, short ("3 min"), up to a week; then the day."""
    if moment is None:
        return Markup("")
    language = current()
    age = utcnow() - moment
    if age < timedelta(minutes=1):
        return _time(moment, gettext("now"))
    if age.days < 7:
        unit, length = next(one for one in _AGES if age >= one[1])
        return _time(moment, units.format_unit(age // length, f"duration-{unit}", "short", locale=language.locale))
    here = moment.astimezone(language.zone)
    skeleton = "MMMd" if age.days < 300 else "yMMMd"
    return _time(moment, dates.format_skeleton(skeleton, here, tzinfo=language.zone, locale=language.locale))


def filesize(size: int) -> str:
    """A size in bytes as people say it: "1.2 MB"."""
    value, unit = float(size), "byte"
    for larger in ("kilobyte", "megabyte", "gigabyte", "terabyte"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    rounded = round(value, 1) if value < 10 else round(value)
    return units.format_unit(rounded, f"digital-{unit}", "short", locale=current().locale)


def initials(name: str) -> str:
    """One or two letters that stand for a person; of a telephone number its last digits, in which numbers differ."""
    if name.startswith("+") and name[1:].replace(" ", "").isdigit():
        return name[-2:]
    words = [word for word in name.replace("@", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def avatar_hue(name: str) -> int:
    """The colour of a person's avatar, the same everywhere."""
    return zlib.crc32(name.encode()) % HUES


@lru_cache(maxsize=5000)
def _full(_code: str, locale: Locale, zone: tzinfo, moment: datetime) -> str:
    return dates.format_datetime(moment, "full", tzinfo=zone, locale=locale)


def _time(moment: datetime, words: str) -> Markup:
    language = current()
    full = _full(language.code, language.locale, language.zone, moment)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), full, words)


FILTERS = {
    "datetime": when,
    "ago": ago,
    "filesize": filesize,
    "initials": initials,
    "avatar_hue": avatar_hue,
}
