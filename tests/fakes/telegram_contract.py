"""The Bot API's own description (methods and types), and whether a request keeps to it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

SPEC = Path(__file__).parent.parent / "fixtures" / "telegram_bot_api.json"
ARRAY = "Array of "
_LENGTH = re.compile(r"(\d+)-(\d+) (characters|bytes)")
_ITEMS = re.compile(r"must include (\d+)-(\d+) items")
_RANGE = re.compile(r"[Vv]alues between (\d+)-(\d+) are accepted")
_CONSTANT = re.compile(r"(?:must be|always) [“\"]?([a-z_]+)[”\"]?$")


@cache
def spec() -> dict[str, Any]:
    """`methods` and `types` by name."""
    loaded: dict[str, Any] = json.loads(SPEC.read_text(encoding="utf-8"))
    return loaded


def constant(field: Mapping[str, Any]) -> str:
    """The only value a field may have, as with the `type` of a kind of media; empty where there are others."""
    found = _CONSTANT.search(field["description"]) if field["types"] == ["String"] else None
    return found[1] if found else ""


def shortest(field: Mapping[str, Any]) -> int:
    """How short a string may be."""
    found = _LENGTH.search(field["description"])
    return int(found[1]) if found else 0


def problems(method: str, given: Mapping[str, Any], files: Collection[str]) -> list[str]:
    """What is wrong with a call: `given` as the request has it, `files` the names of the uploaded parts."""
    described = spec()["methods"].get(method)
    if described is None:
        return [f"there is no method {method}"]
    fields = {field["name"]: field for field in described.get("fields", [])}
    attached = {name for value in given.values() for name in re.findall(r"attach://([\w-]+)", json.dumps(value))}
    found = [f"{method} has no parameter {name}" for name in given if name not in fields]
    found += [f"{method}: nothing refers to the file {name}" for name in files if name not in attached | set(fields)]
    found += [f"{method}: no file is attached as {name}" for name in attached - set(files)]
    for name, field in fields.items():
        if name in files and "InputFile" in field["types"]:
            continue
        if name in given:
            found += [f"{method}: {each}" for each in _wrong(name, _decoded(given[name], field), field)]
        elif field["required"]:
            found.append(f"{method}: {name} is missing")
    return found


def decoded(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a call that keeps to the contract, with what came as text made what it is."""
    fields = {field["name"]: field for field in spec()["methods"][method].get("fields", [])}
    return {name: _decoded(value, fields[name]) for name, value in given.items() if name in fields}


def problems_of(value: Any, kind: str) -> list[str]:
    """What is wrong with a value that should be of a type of the API."""
    return list(_reasons(kind, value, kind))


def utf16(text: str) -> int:
    """What the API counts texts in."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def entity_problems(text: str, entities: Any) -> Iterator[str]:
    """Beyond types: entities lie within the text, are not empty, and nest."""
    size = utf16(text)
    spans = []
    for each in entities or []:
        start, end = each["offset"], each["offset"] + each["length"]
        if not 0 <= start < end <= size:
            yield f"entity {each['type']} at {start}-{end} of {size}"
        spans.append((start, end, each["type"]))
    for start, end, kind in spans:
        for other_start, other_end, other in spans:
            if start < other_start < end < other_end:
                yield f"{kind} and {other} overlap"
            if kind in ("code", "pre") and other != kind and start <= other_start and other_end <= end:
                yield f"{other} within {kind}"


def _decoded(value: Any, field: Mapping[str, Any]) -> Any:
    """Forms carry all values as text; what is no string is written as JSON in them."""
    if not isinstance(value, str) or field["types"] == ["String"]:
        return value
    if "String" in field["types"]:
        return int(value) if "Integer" in field["types"] and re.fullmatch(r"-?\d+", value) else value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _wrong(where: str, value: Any, field: Mapping[str, Any]) -> Iterator[str]:
    if not any(_fits(value, each) for each in field["types"]):
        reasons = [reason for each in field["types"] for reason in _reasons(where, value, each)]
        yield f"{where} is no {' or '.join(field['types'])}: {value!r:.200} {'; '.join(reasons)}"
        return
    words = field["description"]
    if isinstance(value, str) and (length := _LENGTH.search(words)):
        size = len(value.encode()) if length[3] == "bytes" else utf16(value)
        if not int(length[1]) <= size <= int(length[2]):
            yield f"{where} has {size} of {length[0]}"
    if isinstance(value, list) and (items := _ITEMS.search(words)) and not int(items[1]) <= len(value) <= int(items[2]):
        yield f"{where} has {len(value)} items"
    between = _RANGE.search(words)
    if isinstance(value, int) and between and not int(between[1]) <= value <= int(between[2]):
        yield f"{where} is {value}, not {between[0]}"


def _fits(value: Any, kind: str) -> bool:
    return not list(_reasons("", value, kind))


def _reasons(where: str, value: Any, kind: str) -> Iterator[str]:
    """Why a value is not of a type of the spec."""
    if kind.startswith(ARRAY):
        if not isinstance(value, list):
            yield f"{where} is no list"
        else:
            for number, each in enumerate(value):
                yield from _reasons(f"{where}[{number}]", each, kind.removeprefix(ARRAY))
    elif kind in _SIMPLE:
        if not isinstance(value, _SIMPLE[kind]) or (isinstance(value, bool) and kind != "Boolean"):
            yield f"{where} is no {kind}"
    elif subtypes := spec()["types"][kind].get("subtypes"):
        if not any(_fits(value, each) for each in subtypes):
            yield f"{where} is no {kind}"
    else:
        yield from _object_reasons(where, value, kind)


def _object_reasons(where: str, value: Any, kind: str) -> Iterator[str]:
    if not isinstance(value, dict) or kind == "InputFile":
        yield f"{where} is no {kind}"
        return
    fields = {field["name"]: field for field in spec()["types"][kind].get("fields", [])}
    for name in value.keys() - fields.keys():
        yield f"{where}.{name} is not in {kind}"
    for name, field in fields.items():
        if name in value:
            yield from _wrong(f"{where}.{name}", value[name], field)
            if (only := constant(field)) and value[name] != only:
                yield f"{where}.{name} is not {only}"
        elif field["required"]:
            yield f"{where}.{name} is missing in {kind}"


_SIMPLE: Mapping[str, Any] = {"Integer": int, "Float": (int, float), "String": str, "Boolean": bool}
