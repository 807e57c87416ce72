"""Passwords: argon2id, hashed in threads and few at a time, so that a flood of them blocks nothing."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2


class Passwords:
    """Hashes and verifies. The default parameters are RFC 9106's for little memory (64 MiB each)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = ""
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, hashed: str, password: str) -> bool:
        """Whether the password is right. An empty hash is nobody's, and takes as long to find wrong as anybody's."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, hashed, password)

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than these."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, hashed: str, password: str) -> bool:
        if not hashed and not self._nobody:
            self._nobody = self._hasher.hash("nobody")
        try:
            self._hasher.verify(hashed or self._nobody, password)
        except (InvalidHashError, VerificationError):
            return False
        return bool(hashed)
