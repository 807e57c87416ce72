"""Words in the person's language, dates in their zone: gettext through Babel.

The language of the request at hand is in a context variable, so that templates, macros, filters and handlers share it.
Catalogues are `locale/<code>/LC_MESSAGES/messages.po`, read once at the start. `en-XA` is the pseudo-language made
from the English words themselves: accents and 40 % more length, to find words that were not marked and boxes too small.
"""

from __future__ import annotations

import asyncio
import gettext as stdlib
import io
import re
from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import babel
import msgspec
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

PSEUDO = "en-XA"
CATALOGUES = Path(__file__).parent / "locale"

_PLACES = re.compile(r"(%\(\w+\)[a-z]|%%|<[^>]*>|&\w+;)")
_ACCENTS = str.maketrans("aceinosuyzACEINOSUYZ", "áçéíñóšúýžÁÇÉÍÑÓŠÚÝŽ")


class Language(msgspec.Struct, frozen=True):
    """A language, how it writes dates and numbers, and a person's time zone."""

    code: str
    locale: babel.Locale
    translations: stdlib.NullTranslations
    zone: ZoneInfo = ZoneInfo("UTC")

    def at(self, zone: ZoneInfo) -> Language:
        """The same language for somebody in another zone."""
        return msgspec.structs.replace(self, zone=zone)


class _Pseudo(stdlib.NullTranslations):
    def gettext(self, message: str) -> str:
        return pseudo(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return pseudo(super().ngettext(msgid1, msgid2, n))


ENGLISH = Language("en", babel.Locale("en"), stdlib.NullTranslations())
_current: ContextVar[Language] = ContextVar("language", default=ENGLISH)


class Languages:
    """The languages this copy speaks. Making it reads the disk: do it in a thread where a loop runs."""

    def __init__(self, catalogues: Path = CATALOGUES) -> None:
        self._known = {
            "en": ENGLISH,
            PSEUDO: Language(PSEUDO, babel.Locale("en"), _Pseudo()),
        }
        for path in sorted(catalogues.glob("*/LC_MESSAGES/messages.po")):
            code = path.parent.parent.name
            locale = babel.Locale.parse(code, sep="-")
            self._known[code] = Language(code, locale, _read(path, locale))
        self._zones = {"UTC": ENGLISH.zone}
        self.choices = [
            (code, one.locale.get_display_name() or code) for code, one in self._known.items() if code != PSEUDO
        ]
        """What a person can choose: (code, the language's own name)."""

    async def zone(self, name: str) -> ZoneInfo:
        """A time zone by its name; UTC where this machine does not know it."""
        if name not in self._zones:
            try:
                self._zones[name] = await asyncio.to_thread(ZoneInfo, name)
            except (ZoneInfoNotFoundError, ValueError):
                return ENGLISH.zone
        return self._zones[name]

    def get(self, code: str) -> Language | None:
        """The language of a code, or None."""
        return self._known.get(code)

    def negotiate(self, accept: str) -> Language:
        """The best for an `Accept-Language` header (RFC 9110, section 12.5.4); English where nothing fits."""
        for code in _by_preference(accept):
            for candidate in (code, code.partition("-")[0]):
                if found := self._known.get(candidate):
                    return found
        return ENGLISH


def use(language: Language) -> None:
    """Speak this language from here on in this request."""
    _current.set(language)


def current() -> Language:
    """The language of this request."""
    return _current.get()


def gettext(words: str, **values: object) -> str:
    """The words in this request's language, their `%(name)s` places filled."""
    translated = current().translations.gettext(words)
    return translated % values if values else translated


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """The same by number; `%(num)d` is the number."""
    return current().translations.ngettext(one, many, n) % {"num": n, **values}


def pseudo(words: str) -> str:
    """Words as the pseudo-language has them; places, tags and entities stay."""
    letters = 0
    parts = []
    for part in _PLACES.split(words):
        is_place = _PLACES.fullmatch(part) is not None
        letters += 0 if is_place else len(part)
        parts.append(part if is_place else part.translate(_ACCENTS))
    more = ("~~~~ " * letters)[: round(letters * 0.4)].strip()
    return f"[{''.join(parts)}{more}]" if letters else words


def _by_preference(accept: str) -> Iterable[str]:
    weighted = []
    for place, entry in enumerate(accept.split(",")[:20]):
        code, _, weight = entry.strip().partition(";")
        try:
            quality = float(weight.partition("=")[2] or 1)
        except ValueError:
            continue
        if code and quality > 0:
            weighted.append((-quality, place, code))
    return (code for _, _, code in sorted(weighted))


def _read(path: Path, locale: babel.Locale) -> stdlib.NullTranslations:
    compiled = io.BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale, abort_invalid=True))
    compiled.seek(0)
    return stdlib.GNUTranslations(compiled)
