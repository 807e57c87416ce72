"""The one send gate: everything that leaves passes here right before it is handed to a channel. Pure rules.

Agents answering a person may write to an address that bounced or opted out (they see it beside the composer);
what no person wrote may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

import msgspec

from inbox.customers.model import Identity

RETRY_FOR = timedelta(days=3)
"""How long a message that is not taken is tried again (RFC 5321 section 4.5.4.1 asks for days)."""
_FIRST_RETRY = 30.0
_LONGEST_RETRY = 3600.0


class Purpose(StrEnum):
    """Why something is sent."""

    AGENT = "agent"
    AUTOMATIC = "automatic"


class Verdict(msgspec.Struct, frozen=True):
    """Whether a message may leave; `reason` is a gettext msgid."""

    allowed: bool
    reason: str = ""


def decide(purpose: Purpose, recipients: Iterable[Identity]) -> Verdict:
    """May this go to these known recipients?"""
    if purpose is Purpose.AGENT:
        return Verdict(True)
    for identity in recipients:
        if identity.opted_out:
            return Verdict(False, "Not sent: the customer does not want automatic messages.")
        if identity.undeliverable:
            return Verdict(False, "Not sent: earlier messages to this address came back.")
    return Verdict(True)


def retry_delay(attempts: int, asked: float | None, chance: float) -> float:
    """Seconds until the next try: doubling from 30 s to an hour with up to a quarter of jitter, never less than the
    provider `asked` for. `attempts` counts those made; `chance` is random in [0, 1)."""
    backoff = min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(attempts - 1, 20))
    return max(asked or 0.0, backoff) * (1 + chance / 4)
