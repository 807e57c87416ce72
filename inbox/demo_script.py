"""The script of the demo: who writes what to whom, and when. Pure; the words are in the folder demo_data."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from inbox.conversations.model import Priority, Status

ZONE = timezone(timedelta(hours=8))
"""Ulaanbaatar, where the agents work."""
_OPENS, _CLOSES = 9, 19
_DATA = Path(__file__).parent / "demo_data"
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")
_REPORTS = 62


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mail, reply or note."""

    text: str
    by: str = ""
    """The agent who writes it; empty for the customer."""
    after: str = ""
    """How long after what was said before, such as `1d2h30m`; empty: by chance."""
    note: bool = False
    draft: bool = False
    """An answer that was begun and not sent."""
    kind: Literal["mail", "away", "bounce", "invite"] = "mail"
    html: str = ""
    """A designed mail; otherwise the HTML is made of the text."""
    files: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    """Shown within the text."""
    cc: tuple[str, ...] = ()
    outcome: Literal["sent", "failed", "unconfirmed"] = "sent"


class Talk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One conversation."""

    subject: str
    ago: str
    """How long before now it began."""
    inbox: Literal["hello", "shop"] = "hello"
    owner: str = ""
    """The agent it is assigned to."""
    labels: tuple[str, ...] = ()
    priority: Priority = Priority.NORMAL
    status: Status = Status.OPEN
    snoozed: str = ""
    """How long from now it comes back."""
    unread: bool = False
    said: tuple[Said, ...] = ()
    reports: bool = False
    """What is said is made of the parts in long_ride.toml."""
    dead: bool = False
    """Its mail cannot be read, and becomes a dead letter."""


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer."""

    name: str
    email: str
    client: Literal["gmail", "outlook", "apple", "plain"]
    """The mail program that writes their mails."""
    company: str = ""
    note: str = ""
    talks: tuple[Talk, ...]


class Chapter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of people who write in the same language."""

    headline: str
    """What their mail programs put above a quote."""
    people: tuple[Person, ...]


class Reports(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts of the long thread."""

    morning: tuple[str, ...]
    evening: tuple[str, ...]
    answer: tuple[str, ...]
    places: tuple[str, ...]


class Step(Enum):
    """What kind of thing happens."""

    SAID = "said"
    SORTED = "sorted"
    """Somebody gives it its labels, priority and owner."""
    SETTLED = "settled"
    """It comes to stand where the script leaves it."""


class Cue(NamedTuple):
    """Something that happens in a talk at a moment."""

    at: datetime
    step: Step
    headline: str
    person: Person
    talk: Talk
    said: Said | None = None


def load() -> list[Chapter]:
    """Every chapter, with the long thread written out."""
    reports = msgspec.toml.decode((_DATA / "long_ride.toml").read_bytes(), type=Reports)
    paths = sorted(path for path in _DATA.glob("*.toml") if path.stem != "long_ride")
    chapters = [msgspec.toml.decode(path.read_bytes(), type=Chapter) for path in paths]
    return [
        msgspec.structs.replace(chapter, people=tuple(_written_out(person, reports) for person in chapter.people))
        for chapter in chapters
    ]


def timeline(chapters: list[Chapter], start: datetime, chance: random.Random) -> list[Cue]:
    """Everything in the order it happens, all of it before `start`. The same for the same seed and start."""
    cues: list[Cue] = []
    for chapter in chapters:
        for person in chapter.people:
            for talk in person.talks:
                moments = _moments(talk, start, chance)
                cues += [Cue(at, Step.SAID, chapter.headline, person, talk, said) for at, said in moments]
                if not talk.dead:
                    first, last = moments[0][0], moments[-1][0]
                    cues.append(Cue(_soon(first, start), Step.SORTED, chapter.headline, person, talk))
                    cues.append(Cue(_soon(last, start), Step.SETTLED, chapter.headline, person, talk))
    return sorted(cues, key=lambda cue: cue.at)


def span(text: str) -> timedelta:
    """`1d2h30m` as a length of time. Raises `ValueError`."""
    found = _SPAN.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"not a length of time: {text}")
    days, hours, minutes = (int(group or 0) for group in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def _moments(talk: Talk, start: datetime, chance: random.Random) -> list[tuple[datetime, Said]]:
    moments = []
    at = start - span(talk.ago)
    if talk.reports:
        at = at.astimezone(ZONE).replace(hour=7, minute=10)
    for number, said in enumerate(talk.said):
        before = at
        if number:
            at += span(said.after) if said.after else _pause(said, chance)
            if said.by and not said.after:
                at = _at_work(at, chance)
            if at >= start:  # it has to have happened by now
                at = before + (start - before) * 0.6
        moments.append((at, said))
    return moments


def _soon(at: datetime, start: datetime) -> datetime:
    return at + min(timedelta(minutes=3), (start - at) * 0.1)


def _pause(said: Said, chance: random.Random) -> timedelta:
    """Notes follow at once, agents answer within hours, customers within a day."""
    shortest, longest = (4, 20) if said.note else (15, 200) if said.by else (50, 800)
    return timedelta(minutes=chance.uniform(shortest, longest))


def _at_work(at: datetime, chance: random.Random) -> datetime:
    """The moment itself within working hours, else the next morning."""
    local = at.astimezone(ZONE)
    if _OPENS <= local.hour < _CLOSES:
        return at
    morning = local.replace(hour=_OPENS, minute=0, second=0) + timedelta(minutes=chance.uniform(2, 50))
    return morning if morning > local else morning + timedelta(days=1)


def _written_out(person: Person, reports: Reports) -> Person:
    talks = tuple(
        msgspec.structs.replace(talk, said=tuple(_reports(reports, talk.owner))) if talk.reports else talk
        for talk in person.talks
    )
    return msgspec.structs.replace(person, talks=talks)


def _reports(reports: Reports, owner: str) -> Iterator[Said]:
    """A report every morning and evening, each answered within the hour."""
    for number in range(_REPORTS):
        words = reports.evening if number % 2 else reports.morning
        place = reports.places[(number // 2 * 7) % len(reports.places)]
        text = words[number // 2 % len(words)].format(day=number // 2 + 1, km=19 + number * 13 % 24, place=place)
        yield Said(text=text, after="11h15m" if number else "")
        yield Said(text=reports.answer[number * 3 % len(reports.answer)], by=owner, after="45m")
