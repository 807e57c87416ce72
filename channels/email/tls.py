"""The TLS context of outgoing connections: the system's authorities, names checked, no way to turn it off."""

from __future__ import annotations

import asyncio
import functools
import ssl


async def trusted() -> ssl.SSLContext:
    """The shared client context; the authorities are read from disk once, outside the loop."""
    return await asyncio.to_thread(_context)


@functools.cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
