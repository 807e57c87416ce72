"""Hypothesis strategies for any object that the Bot API's description allows, made from the description itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.fakes.telegram_contract import ARRAY, constant, shortest, spec

TELLING = (
    "message",
    "edited_message",
    "business_message",
    "edited_business_message",
    "callback_query",
    "my_chat_member",
)
"""Kinds of update that are drawn more often than others."""
_DEPTH = 5
"""How deep optional fields go; beyond, only what is required is there."""
_NUMBERS = st.integers(-(2**52), 2**52) | st.sampled_from([0, 1, 7, 5512001])
_TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "bold",
        "text_link",
        "https://x.mn",
        "javascript:1",
        "private",
        "supergroup",
        "channel",
        "/start x",
        "👨\u200d👩\u200d👧 ger",
    ]
)


def value(kind: str, depth: int) -> st.SearchStrategy[Any]:
    """Any value of a type as the description writes it."""
    if kind.startswith(ARRAY):
        inner = value(kind.removeprefix(ARRAY), depth + 1)
        return st.lists(inner, max_size=3 if depth < _DEPTH else 1)
    simple = _simple(kind)
    if simple is not None:
        return simple
    return st.deferred(lambda: _object(kind, min(depth, _DEPTH)))


def update(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """An update about one kind of thing; at most one of them is ever present."""
    return st.fixed_dictionaries({"update_id": st.integers(1, 2**31), kind: value(_update_kinds()[kind], 1)})


def updates() -> st.SearchStrategy[dict[str, Any]]:
    """Any update."""
    kinds = sorted(_update_kinds())
    return st.sampled_from([*kinds, *TELLING * 3]).flatmap(update)


def any_valid(kind: str) -> st.SearchStrategy[Any]:
    """Any object of a type."""
    return value(kind, 1)


@cache
def _update_kinds() -> dict[str, str]:
    fields = spec()["types"]["Update"]["fields"]
    return {field["name"]: field["types"][0] for field in fields if field["name"] != "update_id"}


@cache
def _simple(kind: str) -> st.SearchStrategy[Any] | None:
    return {
        "Integer": _NUMBERS,
        "Float": st.floats(-180, 180) | st.floats(allow_nan=False, allow_infinity=False),
        "String": _TEXTS,
        "Boolean": st.booleans(),
        "InputFile": st.nothing(),
    }.get(kind)


@cache
def _object(kind: str, depth: int) -> st.SearchStrategy[Any]:
    described = spec()["types"][kind]
    if subtypes := described.get("subtypes"):
        # At the end of the depth only the first of them that can end, so that nothing goes on for ever.
        chosen = subtypes if depth < _DEPTH else subtypes[:1]
        return st.one_of([value(each, depth) for each in chosen])
    required, optional = {}, {}
    for field in described.get("fields", []):
        strategy = _field(field, depth + 1)
        if field["required"]:
            required[field["name"]] = strategy
        elif depth < _DEPTH:
            optional[field["name"]] = strategy
    if not optional:
        return st.fixed_dictionaries(required)
    # A few at a time: with all of the hundred fields of a message, hardly any has one kind of content alone.
    names = st.lists(st.sampled_from(sorted(optional)), max_size=6, unique=True)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({**required, **{name: optional[name] for name in chosen}})
    )


def _field(field: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    if only := constant(field):
        return st.just(only)
    if field["types"] == ["String"]:
        least = shortest(field)
        return _TEXTS.filter(lambda text: len(text) >= least) if least else _TEXTS
    return st.one_of([value(each, depth) for each in field["types"]])
