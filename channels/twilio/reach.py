"""Which addresses may be connected to, and which can be reached from outside."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver


class PublicOnly(AbstractResolver):
    """Resolves names to public addresses only, and the configured host to whatever it has.

    A file's address comes from outside, so it may name a machine of our own network. aiohttp does not ask where an
    address is a number already: `is_private_host` says it of those.
    """

    def __init__(self, own_host: str) -> None:
        self._own_host = own_host.lower()
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See `AbstractResolver`. Raises `OSError` where only private addresses are left."""
        found = await self._resolver.resolve(host, port, family)
        if host.lower() == self._own_host:
            return found
        public = [each for each in found if not _is_private(each["host"])]
        if not public:
            raise OSError(f"{host} is a private address")
        return public

    async def close(self) -> None:
        """See `AbstractResolver`."""
        await self._resolver.close()


def is_private_host(url: str) -> bool:
    """Whether an address names a machine by a private number or as our own (`localhost`); nothing is resolved."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return True
    return not host or host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or _is_private(host)


def reachable(hook_url: str, api_url: str) -> bool:
    """Whether the API can call an address: a public one, or any where the API itself stands in a private network."""
    try:
        split = urlsplit(hook_url)
    except ValueError:
        return False
    if split.scheme not in ("http", "https") or not split.hostname:
        return False
    return not is_private_host(hook_url) or is_private_host(api_url)


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return not address.is_global or address.is_multicast
