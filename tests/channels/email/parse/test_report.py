"""The line that `ortoo parse` prints."""

from __future__ import annotations

import orjson
import pytest

from channels.email.report import report, report_line
from tests.channels.email.parse.conftest import MAILS

KEYS = [
    *("file", "message_id", "subject", "sender", "to", "cc", "reply_to", "date", "text", "reply_text", "html"),
    *("attachments", "in_reply_to", "references", "auto_submitted", "kind", "bounce", "warnings"),
]


@pytest.mark.parametrize("name", sorted(path.stem for path in MAILS.glob("*.eml")))
def test_every_recorded_mail_gives_one_line_with_every_key(name: str) -> None:
    data = (MAILS / f"{name}.eml").read_bytes()
    line = report_line(name, data)
    assert b"\n" not in line
    shown = orjson.loads(line)
    assert list(shown) == KEYS
    assert shown == report(name, data)
    assert shown["file"] == name
    assert shown["kind"] in ("message", "bounce", "complaint", "auto_reply", "calendar")
    assert (shown["bounce"] is not None) == (shown["kind"] == "bounce")


def test_an_empty_file_gives_empty_values() -> None:
    shown = report("empty", b"")
    assert shown["sender"] == {"address": "", "name": ""}
    assert (shown["message_id"], shown["subject"], shown["text"], shown["html"]) == ("", "", "", "")
    assert (shown["to"], shown["attachments"], shown["in_reply_to"]) == ([], [], [])
    assert shown["date"] is None
    assert shown["bounce"] is None
