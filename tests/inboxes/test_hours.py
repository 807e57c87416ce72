"""Business hours: open or not, and when next, over clock changes too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from inbox.core.errors import Invalid
from inbox.inboxes import model_hours, web_hours
from inbox.inboxes.model import Inbox
from inbox.inboxes.model_hours import BusinessHours, Holiday, Span, complaint, holiday_complaint
from tests.inboxes.conftest import ADMIN, Room, stone

WORKDAYS = ((Span(540, 720), Span(780, 1080)),) * 5 + ((), ())
EVERY_DAY = ((Span(540, 1080),),) * 7


def hours(zone: str = "UTC", week: tuple[tuple[Span, ...], ...] = WORKDAYS, *holidays: str) -> BusinessHours:
    return BusinessHours(zone=zone, week=week, holidays=tuple(Holiday(day, "Naadam") for day in holidays))


def at(zone: str, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("2026-11-20 08:59:59", False),
        ("2026-11-20 09:00", True),
        ("2026-11-20 12:00", False),
        ("2026-11-20 13:00", True),
        ("2026-11-20 17:59:59", True),
        ("2026-11-20 18:00", False),
        ("2026-11-21 10:00", False),
    ],
)
def test_open_by_the_clock_on_the_wall(text: str, is_open: bool) -> None:
    for zone in ("Asia/Ulaanbaatar", "America/New_York", "UTC"):
        assert hours(zone).is_open(at(zone, text)) is is_open


def test_a_holiday_is_closed_and_the_next_opening_is_after_it() -> None:
    week = hours("Asia/Ulaanbaatar", WORKDAYS, "2026-11-20", "2026-11-23")
    friday = at("Asia/Ulaanbaatar", "2026-11-20 10:00")
    assert week.is_open(friday) is False
    assert week.next_opening(friday) == at("Asia/Ulaanbaatar", "2026-11-24 09:00")


def test_midnight_is_the_end_of_a_day_and_no_gap() -> None:
    always = hours("Europe/Berlin", ((Span(0, 1440),),) * 7)
    assert always.is_open(at("Europe/Berlin", "2026-11-20 23:59:59"))
    assert always.is_open(at("Europe/Berlin", "2026-11-21 00:00"))


def test_nine_stays_nine_when_clocks_change() -> None:
    week = hours("Europe/Berlin", EVERY_DAY)
    assert week.next_opening(datetime(2026, 3, 28, 20, tzinfo=UTC)) == datetime(2026, 3, 29, 7, tzinfo=UTC)
    assert week.next_opening(datetime(2026, 10, 24, 20, tzinfo=UTC)) == datetime(2026, 10, 25, 8, tzinfo=UTC)


def test_a_beginning_that_the_clock_skips_is_where_it_lands() -> None:
    week = hours("Europe/Berlin", ((Span(150, 300),),) * 7)  # 02:30, which 29 March 2026 does not have
    assert week.next_opening(at("Europe/Berlin", "2026-03-29 01:00")) == at("Europe/Berlin", "2026-03-29 03:00")


def test_an_hour_that_comes_twice_opens_twice() -> None:
    week = hours("Europe/Berlin", ((Span(120, 150),),) * 7)  # 02:00 to 02:30
    between = at("Europe/Berlin", "2026-10-25 02:40")
    opens = week.next_opening(between)
    assert opens == at("Europe/Berlin", "2026-10-25 02:00", fold=1).astimezone(UTC)
    assert opens == between.astimezone(UTC) + timedelta(minutes=20)


def test_who_never_opens_has_no_next_opening() -> None:
    assert hours("UTC", ((),) * 7).next_opening(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_a_zone_nobody_knows_counts_as_utc() -> None:
    assert hours("Mars/Olympus").is_open(datetime(2026, 11, 20, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ((Span(540, 1080),), ""),
        ((Span(780, 1080), Span(540, 780)), ""),
        ((Span(-1, 1080),), "A time is missing"),
        ((Span(540, -1),), "A time is missing"),
        ((Span(1080, 540),), "A span ends before"),
        ((Span(540, 540),), "A span ends before"),
        ((Span(540, 800), Span(780, 1080)), "Two spans"),
        ((), "Please give the hours"),
    ],
)
def test_a_week_that_cannot_be_is_said_in_words(spans: tuple[Span, ...], words: str) -> None:
    said = complaint(hours("UTC", (spans, *((),) * 6)))
    assert said.startswith(words)
    assert bool(said) is bool(words)


def test_a_holiday_without_a_date_is_said_in_words() -> None:
    assert holiday_complaint(hours("UTC", WORKDAYS, "2026-02-30"))
    assert not holiday_complaint(hours("UTC", WORKDAYS, "2026-02-28"))


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Ulaanbaatar", "America/Havana", "UTC")
CHANGES = (  # days about which clocks change somewhere above
    "2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01", "2016-03-26", "2026-06-01",
)  # fmt: skip


@some.composite
def spans(draw: some.DrawFn) -> tuple[Span, ...]:
    marks = sorted(draw(some.sets(some.integers(0, 96), max_size=4)))
    return tuple(Span(a * 15, b * 15) for a, b in zip(marks[::2], marks[1::2], strict=False))


@given(
    zone=some.sampled_from(ZONES),
    week=some.tuples(*[spans()] * 7),
    day=some.sampled_from(CHANGES),
    minute=some.integers(-1440, 1440),
    closed=some.sets(some.integers(0, 3), max_size=2),
)
@settings(max_examples=150, deadline=None)
def test_the_next_opening_is_the_first_open_minute(
    zone: str, week: tuple[tuple[Span, ...], ...], day: str, minute: int, closed: set[int]
) -> None:
    days = [(date.fromisoformat(day) + timedelta(days=number)).isoformat() for number in closed]
    open_hours = hours(zone, week, *days)
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minute)
    found = open_hours.next_opening(begin)
    minutes = (begin + timedelta(minutes=number) for number in range(2 * 1440))
    first = next((moment for moment in minutes if open_hours.is_open(moment)), None)
    if first is not None:
        assert found == first
    else:
        assert found is None or found >= begin + timedelta(days=2)
        assert found is None or open_hours.is_open(found)


def test_outside_the_hours_another_text_answers() -> None:
    inbox = Inbox(id="1", channel="paper", name="Support", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    friday, saturday = (datetime(2026, 11, day, 10, tzinfo=UTC) for day in (20, 21))
    inbox = replace(inbox, auto_reply="We have your message.", auto_reply_closed="We are back on Monday.")
    assert inbox.auto_reply_at(saturday) == "We have your message."
    inbox = replace(inbox, hours=hours("UTC"))
    assert inbox.auto_reply_at(friday) == "We have your message."
    assert inbox.auto_reply_at(saturday) == "We are back on Monday."
    assert replace(inbox, auto_reply="").auto_reply_at(friday) == ""
    assert replace(inbox, auto_reply_closed="").auto_reply_at(saturday) == "We have your message."


async def test_hours_are_kept_and_taken_away_again(room: Room) -> None:
    week = hours("Asia/Ulaanbaatar", WORKDAYS, "2026-12-31")
    form = replace(stone(), hours=week, team_id="team-1", auto_reply_closed=" Tomorrow. ")
    inbox = await room.service.create(ADMIN, "paper", form)
    seen = await room.another().get(inbox.id)
    assert (seen.hours, seen.team_id, seen.auto_reply_closed) == (week, "team-1", "Tomorrow.")
    moved = replace(form, hours=replace(week, zone="Europe/Berlin"))
    changed = await room.service.update(ADMIN, inbox.id, moved)
    assert changed.hours is not None
    assert changed.hours.zone == "Europe/Berlin"
    same = replace(moved, settings=stone(password="").settings)
    assert (await room.service.update(ADMIN, inbox.id, same)).version == changed.version
    assert (await room.service.update(ADMIN, inbox.id, stone())).hours is None


async def test_a_zone_is_read_before_anybody_asks_on_the_loop(room: Room) -> None:
    await room.service.create(ADMIN, "paper", replace(stone(), hours=hours("Pacific/Chatham")))
    model_hours._ZONES.pop("Pacific/Chatham", None)
    (inbox,) = await room.another().inboxes()
    assert inbox.hours is not None
    assert model_hours.is_loaded("Pacific/Chatham")
    inbox.hours.is_open(datetime(2026, 11, 20, tzinfo=UTC))


async def test_wrong_hours_are_named_by_field(room: Room) -> None:
    with pytest.raises(Invalid) as caught:
        await room.service.create(ADMIN, "paper", replace(stone(), hours=hours("Mars/Olympus", ((),) * 7, "soon")))
    assert set(caught.value.fields) == {"hours-zone", "hours-week", "holidays"}


FORM = {
    "hours": "set",
    "hours-zone": "Asia/Ulaanbaatar",
    "opens-workdays-0": "09:00",
    "closes-workdays-0": "12:00",
    "opens-workdays-1": "13:00",
    "closes-workdays-1": "18:00",
    "opens-5-0": "10:00",
    "closes-5-0": "00:00",
    "opens-0-0": "07:00",
    "closes-0-0": "08:00",
    "holiday-0": "2026-12-31",
    "holiday-name-0": "New Year's Eve",
    "holiday-2": "2026-07-11",
}


def test_a_form_gives_monday_to_friday_at_once_or_day_by_day() -> None:
    read = web_hours.read(FORM)
    assert read is not None
    assert read.week == (*((Span(540, 720), Span(780, 1080)),) * 5, (Span(600, 1440),), ())
    assert read.holidays == (Holiday("2026-07-11"), Holiday("2026-12-31", "New Year's Eve"))
    single = web_hours.read({**FORM, "hours-single": "1"})
    assert single is not None
    assert single.week == ((Span(420, 480),), (), (), (), (), (Span(600, 1440),), ())
    assert web_hours.read({**FORM, "hours": ""}) is None
    half = web_hours.read({**FORM, "closes-5-0": ""})
    assert half is not None
    assert half.week[5] == (Span(600, -1),)


@pytest.mark.parametrize("single", ["", "1"])
def test_what_is_shown_reads_as_what_was_saved(single: str) -> None:
    saved = web_hours.read({**FORM, "hours-single": single})
    shown = web_hours.view(saved)
    assert shown.single is bool(single)
    form = {"hours": "set", "hours-zone": shown.zone, "hours-single": single}
    for row in shown.rows:
        for number, (opens, closes) in enumerate(row.spans):
            form |= {f"opens-{row.key}-{number}": opens, f"closes-{row.key}-{number}": closes}
    for number, holiday in enumerate(shown.holidays):
        form |= {f"holiday-{number}": holiday.day, f"holiday-name-{number}": holiday.name}
    assert web_hours.read(form) == saved
