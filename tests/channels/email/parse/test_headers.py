"""Subjects, addresses, ids and dates as mailers really write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.email.addresses import find_tokens, parse_addresses, strip_tag
from channels.email.headers import MAX_REFERENCES, decode_words, message_id, message_ids, parse_date, parse_params
from channels.email.report import report

Shown = Callable[[str], dict[str, Any]]
Built = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("plain", "plain"),
        ("=?iso-8859-1?q?this=20is=20some=20text?=", "this is some text"),
        ("=?utf-8?B?0JDQvdC9?= =?utf-8?B?0LA=?= x", "Анна x"),
        ("a =?utf-8?Q?=C3?= =?utf-8?Q?=A9?= b", "a é b"),
        ("=?utf-8?Q?one?= two =?utf-8?Q?three?=", "one two three"),
        ("=?unknown-x?Q?=C3=A9?=", "é"),
        ("=?utf-8?Q?a b c?=", "a b c"),
        ("x=?utf-8?Q?=20y?=z", "x yz"),
        ("=?utf-8*en?Q?hi?=", "hi"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?utf-8?B?w6k?=", "é"),
        ("=?iso-8859-1?Q?=93quoted=94?=", "“quoted”"),
        ("=?broken", "=?broken"),
        ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        ("a\tb\x00c\x07", "a bc"),
    ],
)
def test_encoded_words_are_read_also_where_they_break_the_rules(written: str, read: str) -> None:
    assert decode_words(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Ann <a@x.org>", [("Ann", "a@x.org")]),
        ('"Doe, John" <J@X.org>', [("Doe, John", "j@x.org")]),
        ("Doe, John <j@x.org>, b@y.org", [("Doe, John", "j@x.org"), ("", "b@y.org")]),
        ("a@x.org (Ann Bee)", [("Ann Bee", "a@x.org")]),
        ("Ann (the boss) <a@x.org>", [("Ann", "a@x.org")]),
        ("undisclosed-recipients:;", []),
        ("Team: a@x.org, B <b@x.org>;, c@x.org", [("", "a@x.org"), ("B", "b@x.org"), ("", "c@x.org")]),
        ("=?utf-8?Q?Doe=2C_J?= <j@x.org>", [("Doe, J", "j@x.org")]),
        ("=?utf-8?Q?John_<j@x.org>?=", [("John", "j@x.org")]),
        ('"=?utf-8?B?0JDQvdC90LA=?=" <a@x.org>', [("Анна", "a@x.org")]),
        ("john@x.org <john@x.org>", [("john@x.org", "john@x.org")]),
        ("MAILER-DAEMON (Mail Delivery System)", [("Mail Delivery System", "mailer-daemon")]),
        ("<>", [("", "")]),
        ('"unclosed <a@b.c>', [("unclosed", "a@b.c")]),
        ("'Bob' <bob@x.org>", [("Bob", "bob@x.org")]),
        ("<@a,@b:c@d.e>", [("", "c@d.e")]),
        ("mailto:x@y.z", [("", "x@y.z")]),
        ("a @ b.c", [("", "a@b.c")]),
        ('"john doe"@x.org', [("", '"john doe"@x.org')]),
        ('"a@b" <c@d.e>', [("a@b", "c@d.e")]),
        ("a@b.c; d@e.f", [("", "a@b.c"), ("", "d@e.f")]),
        ("A <a@b.c> B <d@e.f>", [("A", "a@b.c"), ("B", "d@e.f")]),
        ("John Doe j@x.org", [("John Doe", "j@x.org")]),
        ("<a@b.c", [("", "a@b.c")]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        ('"John \\"J\\" Doe" <j@x.org>', [('John "J" Doe', "j@x.org")]),
        ("", []),
        (",,;,", []),
    ],
)
def test_addresses_are_found_in_whatever_people_write(written: str, read: list[tuple[str, str]]) -> None:
    assert parse_addresses(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Sat, 21 Nov 2026 10:00:00 +0100", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:00 -0000", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("21 Nov 26 10:00 GMT", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("Sat Nov 21 10:00:00 2026", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("Sat, 99 Nov 2026 10:00:00 +0100", None),
        ("Sat, 21 Nov 99999 10:00:00 +0000", None),
        ("Sat, 21 Nov 2026 10:00:00 +9999", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read_or_given_up(written: str, read: datetime | None) -> None:
    assert parse_date(written) == read


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates.pdf; filename=\"EURO.pdf\"", "€ rates.pdf"),
        ("attachment; filename*0*=UTF-8''%e2%82; filename*1*=%ac; filename*2=\".txt\"", "€.txt"),
        ("attachment; filename=my file.pdf; size=3", "my file.pdf"),
        ('attachment; filename="unclosed.pdf', "unclosed.pdf"),
        ('attachment; filename="a;b.txt"', "a;b.txt"),
        ("attachment; filename*=foo.txt", "foo.txt"),
        ("attachment; filename*=x-unknown''caf%C3%A9.txt", "café.txt"),
    ],
)
def test_file_name_parameters_are_read(written: str, name: str) -> None:
    assert parse_params(written)[1]["filename"] == name


def test_message_ids_lose_their_brackets_and_doubles_and_keep_their_order() -> None:
    assert message_ids(["<a@b> <c@d>\t<a@b>", "x@y"]) == ("a@b", "c@d", "x@y")
    assert message_ids(["Your message of Monday <q@r>", "Ann's mail of Monday a@b"]) == ("q@r",)
    assert message_id(["", "<a b@c>"]) == "ab@c"


def test_of_too_many_references_the_first_and_the_latest_stay() -> None:
    ids = message_ids([" ".join(f"<{number}@x>" for number in range(500))])
    assert len(ids) == MAX_REFERENCES
    assert ids[0] == "0@x"
    assert ids[-1] == "499@x"


def test_our_own_tags_are_tokens_and_other_peoples_stay_in_the_address() -> None:
    assert strip_tag("support+r.abc_-2@shop.example") == "support@shop.example"
    assert strip_tag("bob+news@example.org") == "bob+news@example.org"
    assert find_tokens(["x@y", "support+r.abc@shop.example", "support+b.def@shop.example"]) == ("abc", "def")


def test_raw_utf8_headers_are_read(shown: Shown) -> None:
    mail = shown("raw_8bit_headers")
    assert mail["subject"] == "Größe 42"
    assert mail["sender"] == {"address": "anne@example.de", "name": "Änne Müller"}
    assert mail["to"] == [{"address": "support@shop.example", "name": "Bücher"}]


def test_raw_latin1_headers_and_an_unknown_charset_are_guessed(shown: Shown) -> None:
    mail = shown("raw_latin1_headers")
    assert mail["subject"] == "Über die Größe der Schuhe für mich und meine Schwester"
    assert mail["sender"]["name"] == "Jürgen Müller"
    assert mail["text"].startswith("Die Schuhe sind für meine Füße zu groß")


def test_of_repeated_headers_the_first_good_one_counts_and_a_warning_says_so(shown: Shown) -> None:
    mail = shown("repeated_headers")
    assert mail["sender"]["address"] == "ann@example.org"
    assert mail["subject"] == "First"
    assert mail["message_id"] == "first@x"
    assert mail["date"] == "2026-11-21T10:00:00+00:00"
    assert [each["address"] for each in mail["to"]] == ["a@x.example", "b@x.example"]
    assert len(mail["warnings"]) == 3


def test_a_mail_without_headers_is_text(shown: Shown) -> None:
    mail = shown("nothing_but_text")
    assert mail["text"] == "Just some words,\nno headers at all."
    assert mail["sender"] == {"address": "", "name": ""}
    assert mail["message_id"] == ""
    assert mail["date"] is None
    assert mail["kind"] == "message"


def test_a_stray_line_among_headers_is_left_out(shown: Shown) -> None:
    mail = shown("garbage_header_line")
    assert mail["subject"] == "Still here"
    assert mail["text"] == "Body"


def test_headers_that_run_into_the_body_end_there(shown: Shown) -> None:
    assert shown("headers_run_into_body")["text"] == "Hello there,\nthis is the body."


def test_an_mbox_line_is_no_header(shown: Shown) -> None:
    mail = shown("mbox_from_line")
    assert (mail["subject"], mail["text"]) == ("mbox", "Body")


def test_folded_subjects_are_one_line(built: Built) -> None:
    assert built("From: a@x\nSubject: one\n two\n\tthree")["subject"] == "one two three"


def test_a_nonsense_date_is_null_with_a_warning(built: Built) -> None:
    mail = built("From: a@x.example\nMessage-ID: <1@x>\nDate: the day before")
    assert mail["date"] is None
    assert mail["warnings"] == ["The mail's date makes no sense."]


def test_without_from_the_sender_field_speaks(built: Built) -> None:
    assert built("Sender: Bob <bob@x.example>")["sender"] == {"address": "bob@x.example", "name": "Bob"}


def test_recipients_without_a_domain_are_left_out_with_a_warning(built: Built) -> None:
    mail = built("From: a@x.example\nTo: Customers, b@x.example")
    assert [each["address"] for each in mail["to"]] == ["b@x.example"]
    assert "An address in the mail is broken." in mail["warnings"]


def test_windows_line_ends_change_nothing(recorded: Callable[[str], bytes]) -> None:
    unix = recorded("related_inline_image")
    assert report("x", unix) == report("x", unix.replace(b"\n", b"\r\n"))


def test_a_mail_with_bare_carriage_returns_is_read() -> None:
    mail = report("x", b"From: a@x.example\rSubject: Old Mac\r\rBody\rtwo\r")
    assert (mail["subject"], mail["text"]) == ("Old Mac", "Body\ntwo")
