"""Keyset cursors: the time and id of the last row seen, as an opaque string for a link."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from inbox.core.errors import Invalid


def encode_cursor(at: datetime, row_id: str) -> str:
    """The cursor after a row."""
    text = f"{round(at.timestamp() * 1000)}.{row_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str] | None:
    """(time, id) of the last row seen; None for the first page. Raises `Invalid`."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        milliseconds, _, row_id = text.partition(".")
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC), row_id
    except (binascii.Error, ValueError, OverflowError, OSError) as error:
        raise Invalid("This link is not complete. Open the list again.") from error
