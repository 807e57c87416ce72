"""Reads JSON values whose type is not certain: each answers with what is asked for, empty where it is not that."""

from __future__ import annotations

from typing import Any


def mapping(value: Any) -> dict[str, Any]:
    """An object."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """An array."""
    return value if isinstance(value, list) else []


def string(value: Any) -> str:
    """A string."""
    return value if isinstance(value, str) else ""


def integer(value: Any) -> int:
    """A whole number, 0 for all else. The API's ids have up to 52 bits; what is beyond 64 is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else 0


def number(value: Any) -> float:
    """A number that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**63:
        return 0.0
    return float(value)
