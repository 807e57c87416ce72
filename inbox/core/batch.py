"""Group commit: what queues up while one write is under way goes into the next write together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Hands queued items to `flush` in groups, one group at a time, and each caller its own result.

    `flush` answers one result or exception per item, in order; what it raises itself goes to every caller of the group.
    """

    def __init__(
        self, flush: Callable[[Sequence[T]], Awaitable[Sequence[R | BaseException]]], *, most: int = 50
    ) -> None:
        self._flush = flush
        self._most = most
        self._queue: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """Wait until the item's group is written; raises what `flush` answered for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def close(self) -> None:
        """Wait for what is queued."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        group: list[tuple[T, asyncio.Future[R]]] = []
        try:
            await asyncio.sleep(0)  # callers that are ready now come along
            while self._queue:
                group, self._queue = self._queue[: self._most], self._queue[self._most :]
                self._tell(group, await self._results(group))
        finally:
            self._task = None
            for _, future in group:  # told all of them, unless the write was cancelled
                future.cancel()
            if self._queue:
                self._task = asyncio.create_task(self._drain())

    async def _results(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> Sequence[R | BaseException]:
        try:
            return await self._flush([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 # handed to every caller, who knows what to do with it
            return [error] * len(group)

    def _tell(self, group: Sequence[tuple[T, asyncio.Future[R]]], results: Sequence[R | BaseException]) -> None:
        for (_, future), result in zip(group, results, strict=True):
            if future.done():
                continue  # the caller was cancelled meanwhile; the write stands
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
