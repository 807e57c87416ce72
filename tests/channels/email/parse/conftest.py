"""Mails for the parser's tests: recorded ones by name, and short ones built from headers and a body."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from channels.email.report import report

MAILS = Path(__file__).parents[3] / "fixtures" / "mail"
Shown = Callable[[str], dict[str, Any]]
Built = Callable[..., dict[str, Any]]


def source(name: str) -> bytes:
    return (MAILS / f"{name}.eml").read_bytes()


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    """The source of a recorded mail."""
    return source


@pytest.fixture
def shown() -> Shown:
    """What `ortoo parse` shows of a recorded mail."""
    return lambda name: report(name, source(name))


@pytest.fixture
def built() -> Built:
    """What `ortoo parse` shows of a mail with these header lines and this body."""

    def show(headers: str | bytes, body: str | bytes = "") -> dict[str, Any]:
        head = headers.encode() if isinstance(headers, str) else headers
        rest = body.encode() if isinstance(body, str) else body
        return report("built", head.strip() + b"\n\n" + rest)

    return show
