"""What every worker is: a role with a loop that ends when asked, outlives failures and never spins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from inbox.core.errors import DomainError
from inbox.core.mongo import DriverError

log = structlog.get_logger()

Step = Callable[[], Awaitable[float]]
"""Does what there is to do and answers the seconds until it wants to be called again; 0 is at once."""

_AFTER_FAILURE = 1.0


async def loop(role: str, step: Step, stop: asyncio.Event, wake: asyncio.Event | None = None) -> None:
    """Call `step` until `stop`, sooner when `wake` is set. A failing step is logged and tried again."""
    while not stop.is_set():
        try:
            pause = await step()
        except (DriverError, DomainError, OSError) as error:
            log.warning("worker failed, trying again", role=role, error=str(error))
            pause = _AFTER_FAILURE
        except Exception:
            log.exception("worker failed, trying again", role=role)
            pause = _AFTER_FAILURE
        await _first_of(pause, stop, wake)


async def _first_of(seconds: float, stop: asyncio.Event, wake: asyncio.Event | None) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in (stop, wake) if event is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    if wake is not None:
        wake.clear()
