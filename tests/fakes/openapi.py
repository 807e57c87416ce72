"""Checks requests and answers against an OpenAPI 3 file: paths, methods, parameters, types, patterns.

Only what Twilio's files use. `python -m tests.fakes.openapi FULL.json TRIMMED.json PATH...` writes the part of a file
that some paths need, which is what lies in `tests/fixtures/twilio`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

METHODS = ("get", "post", "delete")
_PROSE = frozenset(
    {"description", "summary", "tags", "examples", "example", "headers", "x-twilio", "servers", "security"}
)
Schema = Mapping[str, Any]
Values = Mapping[str, Sequence[str]]
"""What a form or a query has, by name."""


class Operation(msgspec.Struct, frozen=True):
    """What a request is, with what its path says."""

    id: str
    spec: Schema
    path: Mapping[str, str]


class Contract:
    """One OpenAPI file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._paths = [(_pattern(path), path, item) for path, item in document["paths"].items()]

    @classmethod
    def read(cls, *files: Path) -> Contract:
        """Several files as one; their paths and schemas have names of their own."""
        merged: dict[str, Any] = {"paths": {}, "components": {"schemas": {}}}
        for file in files:
            document = json.loads(file.read_text(encoding="utf-8"))
            merged["paths"].update(document["paths"])
            merged["components"]["schemas"].update(document["components"]["schemas"])
        return cls(merged)

    def operation(self, method: str, path: str) -> Operation | None:
        """What a request asks for, None where the provider has no such thing."""
        for pattern, _, item in self._paths:
            found = pattern.fullmatch(path)
            if found and method.lower() in item:
                spec = item[method.lower()]
                return Operation(spec["operationId"], spec, found.groupdict())
        return None

    def wrong_request(self, operation: Operation, query: Values, form: Values, media_type: str) -> list[str]:
        """What is wrong with a request, in words; nothing where it is right."""
        wrong: list[str] = []
        known: dict[str, set[str]] = {"path": set(), "query": set()}
        given: dict[str, Values] = {"path": {k: [v] for k, v in operation.path.items()}, "query": query}
        for parameter in operation.spec.get("parameters", []):
            name, place = parameter["name"], parameter["in"]
            known[place].add(name)
            values = given[place].get(name)
            if values is not None:
                wrong += self._wrong_text(f"{place} {name}", parameter["schema"], values)
            elif parameter.get("required"):
                wrong.append(f"{place} {name} is missing")
        wrong += [f"query {name} is unknown" for name in query if name not in known["query"]]
        return wrong + self._wrong_form(operation, form, media_type)

    def wrong_answer(self, operation: Operation, status: int, body: Any) -> list[str]:
        """What is wrong with an answer of success."""
        answer = operation.spec["responses"].get(str(status))
        if answer is None:
            return [f"{operation.id} never answers {status}"]
        content = answer.get("content", {}).get("application/json")
        return self._wrong_value("answer", content["schema"], body) if content else []

    def _wrong_form(self, operation: Operation, form: Values, media_type: str) -> list[str]:
        content = operation.spec.get("requestBody", {}).get("content", {})
        if not content:
            return [f"form {name} is unknown" for name in form]
        if media_type not in content:
            return [f"{media_type or 'no media type'} is not taken"]
        schema = content[media_type]["schema"]
        properties = schema.get("properties", {})
        wrong = [f"form {name} is missing" for name in schema.get("required", []) if name not in form]
        for name, values in form.items():
            if name in properties:
                wrong += self._wrong_text(f"form {name}", properties[name], values)
            else:
                wrong.append(f"form {name} is unknown")
        return wrong

    def _wrong_text(self, name: str, schema: Schema, values: Sequence[str]) -> list[str]:
        """The same for what came as text."""
        schema = self._resolved(schema)
        if schema.get("type") == "array":
            return [each for value in values for each in self._wrong_text(name, schema["items"], [value])]
        if len(values) != 1:
            return [f"{name} comes {len(values)} times"]
        value: Any = values[0]
        kind = schema.get("type")
        if kind == "integer" and re.fullmatch("-?[0-9]+", value):
            value = int(value)
        elif kind == "number" and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            value = float(value)
        elif kind == "boolean" and value in ("true", "false"):
            value = value == "true"
        return self._wrong_value(name, schema, value)

    def _wrong_value(self, name: str, schema: Schema, value: Any) -> list[str]:
        schema = self._resolved(schema)
        if value is None:
            return [] if schema.get("nullable") or "enum" in schema else [f"{name} is null"]
        kind = schema.get("type")
        if kind is not None and not _is_a(kind, value):
            return [f"{name} is no {kind}: {value!r}"]
        if kind == "array":
            return [
                each
                for at, item in enumerate(value)
                for each in self._wrong_value(f"{name}[{at}]", schema["items"], item)
            ]
        if kind == "object":
            return self._wrong_object(name, schema, value)
        return list(_wrong_scalar(name, schema, value))

    def _wrong_object(self, name: str, schema: Schema, value: Mapping[str, Any]) -> list[str]:
        properties = schema.get("properties")
        if properties is None:
            return []
        wrong = [f"{name}.{key} is unknown" for key in value if key not in properties]
        for key, item in value.items():
            if key in properties:
                wrong += self._wrong_value(f"{name}.{key}", properties[key], item)
        return wrong

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema


def trim(document: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """What `paths` need of a file, without prose."""
    kept = {path: _plain(document["paths"][path]) for path in paths}
    schemas: dict[str, Any] = {}
    waiting = list(_refs(kept))
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _plain(document["components"]["schemas"][name])
            waiting += _refs(schemas[name])
    return {"paths": kept, "components": {"schemas": dict(sorted(schemas.items()))}}


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(f"(?P<{part}>[^/]+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))


def _is_a(kind: str, value: Any) -> bool:
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    types: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    return isinstance(value, types[kind])


def _wrong_scalar(name: str, schema: Schema, value: Any) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{name} is none of {schema['enum']}: {value!r}"
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{name} is {len(value)} long"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{name} does not match {schema['pattern']}: {value!r}"
        fits = _FORMATS.get(schema.get("format", ""))
        if fits is not None and not fits(value):
            yield f"{name} is no {schema['format']}: {value!r}"
    elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{name} is out of range: {value}"


def _is_uri(value: str) -> bool:
    split = urlsplit(value)
    if not split.scheme:
        return value == "" or value.startswith("/")  # Twilio has empty ones (none) and relative ones of its own
    return split.scheme in ("http", "https") and bool(split.hostname) and "_" not in str(split.hostname)


def _is_phone_number(value: str) -> bool:
    """A number, a channel's address, a short code or a sender id."""
    return re.fullmatch(r"([a-z]+:)?\+[1-9]\d{4,14}|\d{3,8}|[A-Za-z0-9 &+_-]{1,11}", value) is not None


def _is_date_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_mail_date(value: str) -> bool:
    try:
        parsedate_to_datetime(value)
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "uri": _is_uri,
    "phone-number": _is_phone_number,
    "date-time": _is_date_time,
    "date-time-rfc-2822": _is_mail_date,
    "http-method": lambda value: value in ("GET", "POST"),
}


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        # A property may have the name of a keyword of prose: those hold schemas, prose holds text or lists.
        return {key: _plain(item) for key, item in node.items() if key not in _PROSE or _is_schema(item)}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _is_schema(node: Any) -> bool:
    return isinstance(node, dict) and ("type" in node or "$ref" in node)


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, item in node.items():
            if key == "$ref":
                yield item.rpartition("/")[2]
            else:
                yield from _refs(item)
    elif isinstance(node, list):
        for item in node:
            yield from _refs(item)


if __name__ == "__main__":
    full, trimmed, *wanted = sys.argv[1:]
    part = trim(json.loads(Path(full).read_text(encoding="utf-8")), wanted)
    Path(trimmed).write_text(json.dumps(part, indent=1, sort_keys=True) + "\n", encoding="utf-8")
