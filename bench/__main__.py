"""`make bench`: every benchmark in a process of its own; `make bench NAME=ingest`: one. The last line is JSON."""

from __future__ import annotations

import asyncio
import importlib
import logging
import subprocess
import sys
from collections.abc import Sequence

import structlog
import uvloop

NAMES = ("ingest", "send", "pages", "live", "memory", "webhook")


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, or all; answers the exit status."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    if len(names) == 1:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        run = importlib.import_module(f"bench.{names[0]}").run
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(runner.run(run()).line)
        return 0
    statuses = []
    for name in names or NAMES:
        print(f"== {name} ==", flush=True)
        statuses.append(subprocess.run([sys.executable, "-m", "bench", name], check=False).returncode)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
