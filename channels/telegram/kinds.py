"""Messages that are neither text nor file, in words: places, contacts, polls, payments. Pure, never raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from channels.telegram.text import Entity, Formatted, utf16_length
from channels.telegram.values import integer, items, mapping, number, string

_ZOOM = 16
_MAX_DEPTH = 30
"""Levels of a rich message that are read."""
_TAKEN_OUT = ("text", "blocks", "items", "cells", "caption", "summary", "credit", "expression", "alternative_text")


def describe(message: Mapping[str, Any]) -> Formatted:
    """What the message is, in words; empty where it is nothing that was said to anybody."""
    for kind, read in _KINDS.items():
        value = message.get(kind)
        if isinstance(value, dict) and (words := read(value)):
            return words if isinstance(words, Formatted) else Formatted(words)
    return Formatted("")


def _location(place: Mapping[str, Any]) -> Formatted:
    latitude, longitude = number(place.get("latitude")), number(place.get("longitude"))
    where = f"{latitude:.6f}, {longitude:.6f}"
    url = f"https://www.openstreetmap.org/?mlat={latitude:.6f}&mlon={longitude:.6f}#map={_ZOOM}/"
    url += f"{latitude:.6f}/{longitude:.6f}"
    kind = "Live location" if integer(place.get("live_period")) else "Location"
    text = f"📍 {kind}: {where}"
    link = Entity(type="text_link", offset=utf16_length(text) - len(where), length=len(where), url=url)
    return Formatted(text, (link,))


def _venue(venue: Mapping[str, Any]) -> Formatted:
    names = (string(venue.get("title")), string(venue.get("address")))
    lines = "".join(f"{name}\n" for name in names if name)
    return Formatted(lines) + _location(mapping(venue.get("location")))


def _contact(contact: Mapping[str, Any]) -> str:
    names = (string(contact.get(part)).strip() for part in ("first_name", "last_name"))
    name = " ".join(name for name in names if name)
    return f"👤 Contact: {name}, {string(contact.get('phone_number'))}"


def _poll(poll: Mapping[str, Any]) -> str:
    options = (string(mapping(option).get("text")) for option in items(poll.get("options")))
    return "\n".join((f"📊 Poll: {string(poll.get('question'))}", *(f"• {option}" for option in options if option)))


def _checklist(checklist: Mapping[str, Any]) -> str:
    tasks = [mapping(task) for task in items(checklist.get("tasks"))]
    lines = (f"{'☑' if task.get('completion_date') else '☐'} {string(task.get('text'))}" for task in tasks)
    return "\n".join((f"Checklist: {string(checklist.get('title'))}", *lines))


def _dice(dice: Mapping[str, Any]) -> str:
    return f"{string(dice.get('emoji')) or '🎲'} {integer(dice.get('value'))}"


def _money(words: str) -> Callable[[Mapping[str, Any]], str]:
    def read(payment: Mapping[str, Any]) -> str:
        title, currency = string(payment.get("title")), string(payment.get("currency"))
        amount = integer(payment.get("total_amount"))
        # The API counts in the smallest unit; how many make one is different for few currencies, Stars among them.
        shown = f"{amount} {currency}" if currency in _WHOLE_CURRENCIES else f"{amount / 100:.2f} {currency}"
        return ", ".join(part for part in (f"{words}: {title}" if title else words, shown) if part)

    return read


_WHOLE_CURRENCIES = frozenset({"XTR", "JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX"})


def _rich(message: Mapping[str, Any]) -> str:
    return "\n".join(line for line in _lines(message.get("blocks"), 0) if line.strip())


def _lines(blocks: Any, depth: int) -> Iterator[str]:
    """The text of a rich message's blocks (https://core.telegram.org/bots/api#richmessage), one line each."""
    if depth > _MAX_DEPTH:
        return
    for block in items(blocks):
        if isinstance(block, list):
            yield "  ".join(_lines(block, depth + 1))
        for part in _TAKEN_OUT:
            value = mapping(block).get(part)
            if part in ("blocks", "items", "cells"):
                yield from _lines(value, depth + 1)
            elif value:
                yield _run(value, depth)


def _run(rich: Any, depth: int) -> str:
    """The text of a RichText, which may be a string, a list of such, or an object around one."""
    if isinstance(rich, str) or depth > _MAX_DEPTH:
        return string(rich)
    if isinstance(rich, list):
        return "".join(_run(each, depth + 1) for each in rich)
    value = mapping(rich)
    return "".join(_run(value[part], depth + 1) for part in _TAKEN_OUT if value.get(part))


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Formatted | str]] = {
    "rich_message": _rich,
    "venue": _venue,  # before the location it also has
    "location": _location,
    "contact": _contact,
    "poll": _poll,
    "checklist": _checklist,
    "dice": _dice,
    "game": lambda game: f"🎮 Game: {string(game.get('title'))}",
    "sticker": lambda sticker: string(sticker.get("emoji")),
    "story": lambda _: "Shared a story",
    "invoice": _money("Invoice"),
    "successful_payment": _money("Payment made"),
    "refunded_payment": _money("Payment refunded"),
    "paid_media": lambda paid: f"Paid media, {integer(paid.get('star_count'))} Stars",
    "giveaway": lambda _: "Shared a giveaway",
    "giveaway_winners": lambda _: "Shared the winners of a giveaway",
    "gift": lambda gift: f"🎁 Gift {string(mapping(gift.get('gift')).get('id'))} {string(gift.get('text'))}".strip(),
    "unique_gift": lambda _: "🎁 Gift",
    "web_app_data": lambda data: string(data.get("data")),
    "users_shared": lambda shared: f"Shared {len(items(shared.get('users')))} contacts",
}
