"""Customers and identities: types and rules."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """One time somebody said whether he wants messages at an address; the proof."""

    at: datetime
    opted_out: bool
    words: str = ""
    """What he wrote, or what the provider reports."""


MOST_CONSENTS = 50


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An address a customer is known by. `id` is the address key, for example `email:ann@x.mn`."""

    id: str
    customer_id: str
    name: str = ""
    first_seen: datetime
    undeliverable: str = ""
    """Why mail to it bounced for good, empty while it works."""
    opted_out: bool = False
    consents: tuple[Consent, ...] = ()
    """What was said about it, oldest first, the newest `MOST_CONSENTS`."""

    @property
    def kind(self) -> str:
        """The address kind."""
        return self.id.split(":", 1)[0]

    @property
    def value(self) -> str:
        """The normalised address."""
        return self.id.split(":", 1)[1]


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A person who writes or is written to. The display name is primary: no name is taken apart."""

    id: str
    name: str
    created_at: datetime
    last_contact_at: datetime
    company: str = ""
    note: str = ""
    language: str = ""
    timezone: str = ""
    source: str = ""
    """Where they came from first, as the provider said (the parameter of a deep link)."""


def display_name(name: str, address: str) -> str:
    """What to call somebody: the name given, else the part of the address before `@`, else the address."""
    return " ".join(name.split()) or address.split("@", 1)[0] or address or "?"
