"""What a channel's fields mean: which are asked for, what a form's words become, what is wrong with them. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from channels.base import Channel, Field
from inbox.core.html import clean

OWN = frozenset({"address", "name", "max_per_minute"})
"""Settings every inbox has, whatever its channel: they are the inbox's own, and handed to the channel with the rest."""

_TRUE = frozenset({"1", "true", "on", "yes"})
_BREAK = re.compile(r"<br\s*/?>\n?", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z]+(?=[\s/>])[^>]*>", re.IGNORECASE)


def defaults(channel: Channel) -> dict[str, Any]:
    """The settings of a form nobody has touched."""
    return {field.name: field.default for field in fields_of(channel)}


def fields_of(channel: Channel) -> list[Field]:
    """The fields of a channel that are not every inbox's own."""
    return [field for field in channel.fields if field.name not in OWN]


def conditions(channel: Channel, field: Field) -> list[tuple[str, str]]:
    """The (field, value) pairs that must all hold for a field to be asked for; those of the fields it hangs on too."""
    by_name = {one.name: one for one in channel.fields}
    found: list[tuple[str, str]] = []
    while field.show_when is not None:
        found.append(field.show_when)
        field = by_name[field.show_when[0]]
    return found


def is_shown(channel: Channel, field: Field, values: Mapping[str, Any]) -> bool:
    """Whether a field is asked for beside these values."""
    return all(_holds(values.get(name, ""), wanted) for name, wanted in conditions(channel, field))


def can_fetch(channel: Channel) -> bool:
    """Whether one of the channel's choices is to fetch what came in; by agreement its value is `polling`."""
    return any(value == "polling" for field in channel.fields for value, _ in field.choices)


def is_checked_word(word: str) -> bool:
    """Whether a word means that a box is ticked."""
    return word.lower() in _TRUE


def read_form(channel: Channel, form: Mapping[str, str]) -> dict[str, Any]:
    """A submitted form as typed values; what is no number stays as it was typed, for `complaints` to find."""
    values: dict[str, Any] = {}
    for field in fields_of(channel):
        text = form.get(field.name, "")
        text = text if field.secret else text.strip()
        if field.kind == "checkbox":
            values[field.name] = is_checked_word(text)
        elif field.kind == "number":
            values[field.name] = number(text) if text else field.default
        else:
            values[field.name] = text
    return values


def number(text: str) -> int | str:
    """A whole number, or the text where it is none."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip()) else text


def complaints(channel: Channel, settings: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with settings, secret ones included, by field: gettext msgids."""
    wrong: dict[str, str] = {}
    for field in channel.fields:
        value = settings.get(field.name, field.default)
        if not is_shown(channel, field, settings):
            continue
        if field.required and value in ("", None):
            wrong[field.name] = "Please fill this in."
        elif field.kind == "select" and value and str(value) not in {key for key, _ in field.choices}:
            wrong[field.name] = "Please choose one of these."
        elif field.kind == "number" and value not in ("", None) and not isinstance(value, int):
            wrong[field.name] = "Please write a whole number."
    return {**channel.validate(settings), **wrong}


def split(channel: Channel, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings as (what may be shown, what is secret and was given). Names the channel does not know are dropped."""
    known = {field.name: field for field in fields_of(channel)}
    plain = {name: value for name, value in settings.items() if name in known and not known[name].secret}
    secret = {name: str(value) for name, value in settings.items() if name in known and known[name].secret and value}
    return plain, secret


def groups(fields: Sequence[Field]) -> list[tuple[str, list[Field]]]:
    """Fields by group, both in the order of the channel."""
    grouped: dict[str, list[Field]] = {}
    for field in fields:
        grouped.setdefault(field.group, []).append(field)
    return list(grouped.items())


def redact(words: str, secrets: Mapping[str, str]) -> str:
    """Words of a provider without our secrets in them: some servers repeat what they refuse."""
    for secret in sorted(secrets.values(), key=len, reverse=True):
        if len(secret) >= 4:  # a shorter one would blot out ordinary words, and protects nothing
            words = words.replace(secret, "•••")
    return words


def signature_html(text: str) -> str:
    """What an admin typed as a signature, as safe HTML: plain lines keep their breaks, HTML is sanitised."""
    text = text.strip().replace("\r\n", "\n")
    if _TAG.search(text):
        return clean(text)
    return html.escape(text, quote=False).replace("\n", "<br>\n")


def signature_text(signature: str) -> str:
    """A stored signature as it is edited: plain lines where it has nothing but lines."""
    lines = _BREAK.sub("\n", signature)
    return signature if _TAG.search(lines) else html.unescape(lines)


def _holds(value: Any, wanted: str) -> bool:
    return value == is_checked_word(wanted) if isinstance(value, bool) else str(value) == wanted
