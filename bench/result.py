"""What a benchmark finds, and the arithmetic it is found with."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beside the limit that was measured in the same run."""

    name: str
    value: float
    unit: str
    limit: float

    @property
    def line(self) -> str:
        """The closing line of a run, for a program to read; `ratio` is value / limit."""
        ratio = self.value / self.limit
        figures = {"value": _short(self.value), "unit": self.unit, "limit": _short(self.limit), "ratio": _short(ratio)}
        return json.dumps({"name": self.name, **figures})


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _short(value: float) -> float:
    """Four significant digits: no benchmark here knows more."""
    return float(f"{value:.4g}")
