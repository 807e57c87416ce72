"""What an adapter is given by its host in tests."""

from __future__ import annotations

from collections.abc import Sequence

from channels.base import Refused


class FakePorts:
    """Hands out `tokens` in order (the last one for ever; none: the sign-in is dead) and keeps what is caught."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.renewals = 0
        self.caught: list[tuple[bytes, str, list[str]]] = []
        self.public = "https://inbox.example.mn"

    async def access_token(self, *, renew: bool = False) -> str:
        if renew:
            self.renewals += 1
            self.tokens = self.tokens[1:] or self.tokens
        if not self.tokens:
            raise Refused("Please sign in again", "invalid_grant")
        return self.tokens[0]

    async def catch(self, message: bytes, sender: str, recipients: Sequence[str]) -> None:
        self.caught.append((message, sender, list(recipients)))

    def hook_url(self) -> str:
        return f"{self.public}/hooks/inbox-1"
