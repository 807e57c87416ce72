"""People's addresses as an agent types them, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formataddr

from channels.base import Address, AddressKind

_PART = re.compile(r'(?:"[^"]*"|[^",;])+')
_NAMED = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<name>[^<]*?))\s*<(?P<mail>[^<>]*)>\s*')
_MAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


def read_addresses(text: str, kind: AddressKind) -> tuple[Address, ...]:
    """What was typed, separated by commas or semicolons. What is no address yet is kept as it is: it may become one."""
    found: dict[str, Address] = {}
    for part in _PART.findall(text):
        named = _NAMED.fullmatch(part) if kind == "email" else None
        value = (named["mail"] if named else part).strip().lower()
        name = (named["quoted"] or named["name"] or "").strip() if named else ""
        if value:
            found.setdefault(value, Address(kind, value, name))
    return tuple(found.values())


def write_addresses(addresses: Iterable[Address]) -> str:
    """Addresses as an agent can edit them."""
    return ", ".join(_write(address) for address in addresses)


def names_of(addresses: Iterable[Address]) -> str:
    """Whom a message went to, in few words."""
    return ", ".join(address.name or address.value for address in addresses)


def wrong_address(addresses: Iterable[Address]) -> str:
    """The first that nothing can be sent to; empty where all are good."""
    for address in addresses:
        if address.kind == "email" and not _MAIL.fullmatch(address.value):
            return address.value
    return ""


def _write(address: Address) -> str:
    if not address.name or address.kind != "email":
        return address.value
    if address.name.isascii():
        return formataddr((address.name, address.value))
    name = address.name.replace('"', "'")
    return f'"{name}" <{address.value}>' if re.search(r"[,;<>@]", name) else f"{name} <{address.value}>"
