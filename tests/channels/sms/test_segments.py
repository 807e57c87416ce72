"""The counter against fixed cases (shared with the composer's TypeScript) and against a naive reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.sms.segments import GSM7, GSM7_EXTENSION, count, split

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "segments.json").read_text(encoding="utf-8")
)
gsm = st.text(st.sampled_from(sorted(GSM7 | GSM7_EXTENSION)), max_size=700)
"""Texts of the default alphabet; most of them longer than one SMS, as `lengthened` makes them."""
mixed = st.text(st.sampled_from("aя€👍 \n\u0301\u200d🇲🇳’{"), max_size=700)
lengthened = st.builds(lambda text, times: text * times, st.one_of(gsm, mixed), st.integers(1, 8))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_counts(case: dict[str, Any]) -> None:
    counted = count(case["text"])
    assert {
        "encoding": counted.encoding,
        "units": counted.units,
        "segments": counted.segments,
        "left": counted.left,
        "forced_by": counted.forced_by,
    } == {name: case[name] for name in ("encoding", "units", "segments", "left", "forced_by")}


def test_there_are_cases_enough_for_the_other_implementation() -> None:
    assert len(CASES) >= 60
    assert len({case["name"] for case in CASES}) == len(CASES)


def test_the_alphabet_has_its_size() -> None:
    assert len(GSM7) == 127, "128 places, one of which is the escape"
    assert len(GSM7_EXTENSION) == 10, "with the form feed"


def naive(text: str) -> list[list[str]]:
    """The segments of a text as a phone would fill them, each a list of atoms (one per unit pair or unit)."""
    plain = all(each in GSM7 or each in GSM7_EXTENSION for each in text)
    if plain:
        atoms = [f"\x1b{each}" if each in GSM7_EXTENSION else each for each in text]
        single, part = 160, 153
    else:
        atoms = list(text)
        single, part = 70, 67
    widths = [len(atom) if plain else len(atom.encode("utf-16-le", "surrogatepass")) // 2 for atom in atoms]
    if sum(widths) <= single:
        return [atoms] if atoms else []
    filled: list[list[str]] = []
    free = 0
    for atom, width in zip(atoms, widths, strict=True):
        if width > free:
            filled.append([])
            free = part
        filled[-1].append(atom)
        free -= width
    return filled


@given(lengthened)
@example("a" * 152 + "€" * 3)
def test_counting_agrees_with_filling_segments_one_by_one(text: str) -> None:
    assert count(text).segments == len(naive(text))


@given(st.text(max_size=300))
def test_any_text_can_be_counted(text: str) -> None:
    counted = count(text)
    assert counted.units >= len(text)
    assert counted.left >= 0
    assert (counted.encoding == "ucs2") == bool(counted.forced_by)
    assert not counted.forced_by or text.index(counted.forced_by) == min(
        index for index, each in enumerate(text) if each not in GSM7 | GSM7_EXTENSION
    )


@given(lengthened)
def test_what_is_left_fits_and_one_more_does_not(text: str) -> None:
    before = count(text)
    if not before.segments:
        return
    filler = "я" if before.encoding == "ucs2" else "a"
    assert count(text + filler * before.left).segments == before.segments
    assert count(text + filler * (before.left + 1)).segments > before.segments


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(st.one_of(lengthened, st.text()), st.integers(2, 80))
def test_pieces_joined_are_the_text_and_each_fits(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert "".join(pieces) == text
    assert all(0 < units(piece) <= limit for piece in pieces)


@given(st.lists(st.text("abcя", min_size=1, max_size=20), min_size=1, max_size=60), st.integers(20, 60))
def test_no_word_is_torn_that_has_room(words: list[str], limit: int) -> None:
    pieces = split(" ".join(words), limit)
    assert [word for piece in pieces for word in piece.split()] == words


def test_a_paragraph_ends_a_piece_rather_than_a_line_and_a_line_rather_than_a_word() -> None:
    assert split("aaaa bbbb\n\ncc\ndd ee ff", 16) == ("aaaa bbbb\n\n", "cc\ndd ee ff")
    assert split("aaaa bbbb cc\ndd ee ff", 16) == ("aaaa bbbb cc\n", "dd ee ff")


def test_an_emoji_of_several_characters_stays_whole() -> None:
    family = "👨‍👩‍👧"
    assert split("x" * 6 + family + "y", 12) == ("x" * 6, family + "y")
    assert split("x" * 9 + "🇲🇳", 12) == ("x" * 9, "🇲🇳")
    assert split("x" * 10 + "👍🏽", 12) == ("x" * 10, "👍🏽")
    assert split("x" * 11 + "e\u0301", 12) == ("x" * 11, "e\u0301")


def test_a_text_of_the_limit_stays_one_message() -> None:
    assert split("a" * 1600) == ("a" * 1600,)
    assert [len(piece) for piece in split("a" * 1601)] == [1600, 1]
    assert [units(piece) for piece in split("👍" * 801)] == [1600, 2]
    assert split("") == ()
