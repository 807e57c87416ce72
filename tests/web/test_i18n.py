"""Words, dates and numbers in the person's language and zone; the pseudo-language; what translators are given."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from babel.messages.pofile import read_po

from inbox.core.clock import utcnow
from inbox.web import filters, i18n
from inbox.web.i18n import PSEUDO, Languages, gettext, ngettext, pseudo
from tests.fixtures.web import Site

ROOT = Path(__file__).parent.parent.parent
WELSH = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=6; plural=(n==0) ? 0 : (n==1) ? 1 : (n==2) ? 2 : (n==3) ? 3 : (n==6) ? 4 : 5;\n"

msgid "Hello %(name)s"
msgstr "Helo %(name)s"

msgid "%(num)d dog"
msgid_plural "%(num)d dogs"
msgstr[0] "dim ci"
msgstr[1] "un ci"
msgstr[2] "dau gi"
msgstr[3] "tri chi"
msgstr[4] "chwe chi"
msgstr[5] "%(num)d ci"
"""


@pytest.fixture
def languages(tmp_path: Path) -> Languages:
    catalogue = tmp_path / "cy" / "LC_MESSAGES" / "messages.po"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_text(WELSH)
    return Languages(tmp_path)


@pytest.fixture(autouse=True)
def english_again() -> None:
    i18n.use(i18n.ENGLISH)


def speak(languages: Languages, code: str) -> None:
    language = languages.get(code)
    assert language is not None
    i18n.use(language)


def test_words_come_from_the_catalogue_and_stay_english_where_it_has_none(languages: Languages) -> None:
    speak(languages, "cy")
    assert gettext("Hello %(name)s", name="Bat") == "Helo Bat"
    assert gettext("Unknown words") == "Unknown words"
    assert [ngettext("%(num)d dog", "%(num)d dogs", n) for n in (0, 1, 2, 3, 6, 7)] == [
        "dim ci",
        "un ci",
        "dau gi",
        "tri chi",
        "chwe chi",
        "7 ci",
    ]


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("cy", "cy"),
        ("cy-GB,en;q=0.5", "cy"),
        ("fr,cy;q=0.2,en;q=0.9", "en"),
        ("de, *;q=0.1", "en"),
        ("cy;q=0", "en"),
        ("cy;q=high", "en"),
        ("", "en"),
        (",;=,", "en"),
    ],
)
def test_the_browsers_preference_is_met(languages: Languages, accept: str, code: str) -> None:
    assert languages.negotiate(accept).code == code


def test_people_choose_among_the_languages_there_are_but_not_the_pseudo_language(languages: Languages) -> None:
    assert languages.choices == [("en", "English"), ("cy", "Cymraeg")]


def test_the_pseudo_language_is_longer_accented_and_keeps_places_and_markup() -> None:
    words = "Send %(count)d replies to <b>%(name)s</b> &amp; save 5%%"
    changed = pseudo(words)
    for kept in ("%(count)d", "<b>", "%(name)s", "</b>", "&amp;", "%%"):
        assert kept in changed
    assert "réplíéš" in changed
    assert len(changed) >= len(words) + 0.4 * len("Send  replies to  save 5")
    assert max(len(word) for word in pseudo("A long sentence of many words. " * 9).split()) < 12
    assert pseudo("%(name)s") == "%(name)s"


async def test_a_page_speaks_the_pseudo_language_when_asked_to_and_goes_on_so(site: Site) -> None:
    browser = await site.browser(await site.serve())
    assert pseudo("Password") in await browser.see(f"/login?lang={PSEUDO}")
    page = await browser.see("/login")
    assert pseudo("Password") in page
    assert 'lang="en-XA"' in page
    page = await browser.see("/login?lang=en")
    assert pseudo("Password") not in page
    assert ">Password<" in page


async def test_an_agents_own_language_goes_before_the_browsers(site: Site) -> None:
    browser = await site.signed_in(await site.serve())
    assert browser.agent is not None
    changes = {"locale": PSEUDO}
    agent = browser.agent
    await site.mongo.transaction(lambda session: site.accounts.store.update_agent(session, agent.id, changes))
    site.accounts.forget()
    response = await browser.get("/settings/profile", headers={"Accept-Language": "en"})
    assert pseudo("Time zone") in await response.text()


async def test_errors_are_told_in_the_persons_language(site: Site) -> None:
    browser = await site.browser(await site.serve())
    await browser.get(f"/login?lang={PSEUDO}")
    response = await browser.post("/login", {"email": "nobody@example.mn", "password": "x"})
    assert pseudo("The e-mail address or the password is not right.") in await response.text()


async def test_an_unknown_time_zone_is_utc(languages: Languages) -> None:
    assert (await languages.zone("Asia/Ulaanbaatar")).key == "Asia/Ulaanbaatar"
    for unknown in ("Mars/Olympus", "../../etc/passwd", ""):
        assert (await languages.zone(unknown)).key == "UTC"


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2026, 11, 21, 16, 5, tzinfo=UTC), "12:05\u202fAM"),
        (datetime(2026, 11, 21, 15, 5, tzinfo=UTC), "Nov 21, 11:05\u202fPM"),
        (datetime(2025, 3, 1, 1, 0, tzinfo=UTC), "Mar 1, 2025"),
    ],
)
def test_a_moment_is_as_short_as_it_can_be_in_the_persons_zone(moment: datetime, words: str) -> None:
    i18n.use(i18n.ENGLISH.at(ZoneInfo("Asia/Ulaanbaatar")))
    with time_machine.travel(datetime(2026, 11, 22, 1, 0, tzinfo=UTC), tick=False):
        shown = filters.when(moment)
    assert f">{words}</time>" in shown
    assert f'datetime="{moment.isoformat()}"' in shown


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=-5), "now"),
        (timedelta(seconds=59), "now"),
        (timedelta(minutes=3), "3 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=23, minutes=59), "23 hr"),
        (timedelta(days=2, hours=5), "2 days"),
        (timedelta(days=30), "Oct 22"),
        (timedelta(days=400), "Oct 17, 2025"),
    ],
)
def test_an_age_never_says_more_than_has_passed(age: timedelta, words: str) -> None:
    with time_machine.travel(datetime(2026, 11, 21, 12, 0, tzinfo=UTC), tick=False):
        assert f">{words}</time>" in filters.ago(utcnow() - age)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 byte"), (999, "999 byte"), (1_234, "1.2 kB"), (25_600_000, "26 MB")]
)
def test_a_size_is_told_as_people_say_it(size: int, words: str) -> None:
    assert filters.filesize(size) == words


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Bat-Erdene Dorj", "BD"),
        ("Сараа", "С"),
        ("ann@x.mn", "AX"),
        ("  ", "?"),
        ("", "?"),
        ("(Mr) Tom B. Ray", "TR"),
        ("+97688001122", "22"),
    ],
)
def test_initials_stand_for_a_name(name: str, letters: str) -> None:
    assert filters.initials(name) == letters


def test_a_person_has_the_same_colour_everywhere() -> None:
    assert filters.avatar_hue("Bat") == filters.avatar_hue("Bat")
    assert {filters.avatar_hue(f"name {n}") for n in range(200)} == set(range(filters.HUES))


def test_translators_get_every_word_that_is_shown(tmp_path: Path) -> None:
    template = tmp_path / "messages.pot"
    subprocess.run(
        [sys.executable, "-m", "babel.messages.frontend", "extract", "-F", "babel.cfg", "-o", str(template), "."],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with template.open("rb") as file:
        words = {message.id for message in read_po(file)}
    assert "Log in" in words, "templates"
    assert "The e-mail address or the password is not right." in words, "errors of services"
    assert "This is too easy to guess. Try a few words in a row." in words, "problems of fields"
    assert "This link was used or has expired. Ask for a new one." in words, "words kept in a constant"
    assert "You may not do this" in words, "handlers"
    assert not [message for message in words if "`" in str(message)], "no docstring"
