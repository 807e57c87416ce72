"""The one seam through which work is handed out: named tasks that carry ids only.

The truth is in MongoDB: a task that is lost is found again by a worker's sweep, one that comes twice finds its work
done. `memory://` wakes workers of this process; a broker that crosses processes plugs in here by its URL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from taskiq import AsyncBroker, InMemoryBroker

from inbox.core.errors import Invalid

Task = Callable[[str], Awaitable[None]]


class Dispatcher:
    """Registers tasks by name and hands ids to them through a taskiq broker."""

    def __init__(self, broker: AsyncBroker) -> None:
        self.broker = broker

    def register(self, name: str, task: Task) -> None:
        """Make `task` callable as `name` in every process that shares the broker."""

        async def run(subject_id: str) -> None:  # taskiq renames what it registers: a method has no name to change
            await task(subject_id)

        self.broker.register_task(run, task_name=name)

    async def kick(self, name: str, subject_id: str) -> None:
        """Hand `subject_id` to whoever runs the task; where nobody here does, the sweep will find the work."""
        task = self.broker.find_task(name)
        if task is not None:
            await task.kiq(subject_id)


def open_broker(url: str) -> AsyncBroker:
    """The broker an URL names. Raises `Invalid` for one this version cannot speak to."""
    if url == "memory://":
        return InMemoryBroker()
    raise Invalid("The broker %(url)s is not known; use memory://.", url=url.partition("://")[0] + "://…")
