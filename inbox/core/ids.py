"""Identifiers: sortable by time, safe in URLs, made without asking the database."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


class _Rising:
    """Numbers that never repeat or fall within the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, (int(time.time() * 1000) << 80) | secrets.randbits(80))
            return self._last


_rising = _Rising()


def new_id() -> str:
    """A ULID in lower case: 26 characters, sorts by creation time, strictly rising within a process."""
    return _base32(_rising.next(), 26)


def new_secret(bits: int = 256) -> str:
    """An unguessable URL-safe string for links and sessions."""
    return secrets.token_urlsafe(bits // 8)


def digest(*parts: str) -> str:
    """A deterministic `_id` from the parts: hexadecimal SHA-256, the parts kept apart by NUL."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _base32(value: int, length: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range((length - 1) * 5, -1, -5))
