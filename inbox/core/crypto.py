"""Secrets at rest and signed tokens, both from one key of the workspace.

Stored secrets are AES-256-GCM (NIST SP 800-38D) with the owner's name as associated data, so that a
ciphertext moved to another record does not open. Signed tokens are HMAC-SHA-256, cut to what an address can hold.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inbox.core.errors import Unavailable

_KEY_BYTES = 32
_SIGNATURE_BYTES = 10


class Keyring:
    """What a 32-byte master key can do. Keys for each purpose are derived, so that none is used twice."""

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY_BYTES:
            raise ValueError("the secret key must be 32 bytes")
        self._seal_key = AESGCM(hmac.digest(master, b"seal", hashlib.sha256))
        self._sign_key = hmac.digest(master, b"sign", hashlib.sha256)

    def seal(self, secret: str, owner: str) -> bytes:
        """Encrypt for storage under `owner` (for example `inbox:01k...`)."""
        nonce = os.urandom(12)
        return nonce + self._seal_key.encrypt(nonce, secret.encode(), owner.encode())

    def open(self, sealed: bytes, owner: str) -> str:
        """Decrypt what `seal` made for the same owner. Raises `Unavailable` with another key or owner."""
        try:
            return self._seal_key.decrypt(sealed[:12], sealed[12:], owner.encode()).decode()
        except InvalidTag as error:
            raise Unavailable("A stored secret does not open with this secret key.") from error

    def sign(self, purpose: str, value: str) -> str:
        """`value`, of lower-case letters and digits, with its signature behind a dash."""
        return f"{value}-{self._signature(purpose, value)}"

    def unsign(self, purpose: str, token: str) -> str | None:
        """The value of a token signed for `purpose`, or None. Case does not matter: mail servers fold it."""
        value, _, signature = token.lower().rpartition("-")
        good = hmac.compare_digest(signature.encode(), self._signature(purpose, value).encode())
        return value if value and good else None

    def _signature(self, purpose: str, value: str) -> str:
        mac = hmac.digest(self._sign_key, f"{purpose}\0{value}".encode(), hashlib.sha256)
        return base64.b32encode(mac[:_SIGNATURE_BYTES]).decode().lower()


def load_keyring(configured: str, data: Path) -> Keyring:
    """The workspace's key: as configured (base64 of 32 bytes), else `data/secret.key`, made on first use."""
    if configured:
        return _decode(configured, "ORTOO_SECRET_KEY")
    path = data / "secret.key"
    data.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _decode(path.read_text().strip(), str(path))
    with os.fdopen(handle, "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return _decode(path.read_text().strip(), str(path))


def _decode(text: str, source: str) -> Keyring:
    try:
        return Keyring(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise Unavailable("%(source)s does not hold a key (32 bytes in base64).", source=source) from error
