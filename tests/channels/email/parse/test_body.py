"""Text, HTML and attachments out of every nesting that mailers send."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest

Shown = Callable[[str], dict[str, Any]]
Built = Callable[..., dict[str, Any]]


def names(mail: dict[str, Any]) -> list[str]:
    return [each["name"] for each in mail["attachments"]]


def multipart(kind: str, *parts: str) -> tuple[str, str]:
    head = f'From: a@x.example\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="=_b"'
    return head, "".join(f"--=_b\n{part}\n" for part in parts) + "--=_b--\n"


def test_a_gmail_reply_is_read_whole(shown: Shown) -> None:
    mail = shown("gmail_reply")
    assert mail["sender"] == {"address": "ann@example.org", "name": "Ann Bodö"}
    assert mail["to"] == [{"address": "support@shop.example", "name": "Support"}]
    assert mail["cc"] == [{"address": "bob+news@example.org", "name": ""}]
    assert mail["date"] == "2026-11-21T10:00:00+00:00"
    assert mail["message_id"] == "CAF=abc+def@mail.example.org"
    assert mail["in_reply_to"] == ["two@shop.example"]
    assert mail["references"] == ["one@shop.example", "two@shop.example"]
    assert mail["text"].startswith("It has not arrived – please look.\n\nOn Fri")
    assert mail["text"].endswith("-- \nAnn Bodö\n000000000000")
    assert mail["reply_text"] == "It has not arrived – please look."
    assert 'class="gmail_quote"' in mail["html"]
    assert mail["kind"] == "message"
    assert mail["bounce"] is None
    assert mail["warnings"] == []


def test_text_wins_over_html_and_files_of_an_alternative_are_kept(shown: Shown) -> None:
    mail = shown("alternative_of_attachments")
    assert mail["text"] == "Hello there"
    assert mail["html"] == '<p>Hello <img src="cid:dot@x"> there</p>'
    assert [(each["type"], each["inline"]) for each in mail["attachments"]] == [
        ("image/gif", True),
        ("application/pdf", False),
    ]


def test_an_inline_image_is_named_by_its_content_id(shown: Shown) -> None:
    (image,) = shown("related_inline_image")["attachments"]
    assert image == {
        "name": "screen.png",
        "type": "image/png",
        "size": 8,
        "sha256": hashlib.sha256(b"\x89PNG\r\n\x1a\n").hexdigest(),
        "inline": True,
        "content_id": "screen@example.org",
    }


def test_apple_mails_pieces_of_html_around_a_file_become_one(shown: Shown) -> None:
    mail = shown("apple_mail_mixed")
    assert mail["text"] == "Before.\n\nAfter."
    assert "Before." in mail["html"]
    assert "After." in mail["html"]
    assert names(mail) == ["bill.pdf"]


def test_text_and_the_same_html_side_by_side_are_shown_once(shown: Shown) -> None:
    mail = shown("mixed_text_then_same_html")
    assert mail["text"] == "Good morning, the lamp is broken again."
    assert mail["html"] == "<p>Good morning, the <b>lamp</b> is broken again.</p>"


def test_text_and_other_html_side_by_side_are_both_shown(built: Built) -> None:
    mail = built(*multipart("mixed", "\nFirst the words.", "Content-Type: text/html\n\n<p>Then a table.</p>"))
    assert mail["text"] == "First the words.\nThen a table."
    assert "First the words." in mail["html"]


def test_a_second_text_is_added(shown: Shown) -> None:
    assert shown("mixed_text_with_list_footer")["text"].startswith("Hello list\n____")


def test_blank_text_beside_html_gives_the_htmls_text(built: Built) -> None:
    mail = built(*multipart("alternative", "\n \n", "Content-Type: text/html\n\n<p>Only <b>here</b></p>"))
    assert mail["text"] == "Only here"


def test_a_named_text_is_a_file_and_a_named_first_one_the_body(built: Built) -> None:
    first = "Content-Type: text/plain; name=body.txt\n\nHello"
    mail = built(*multipart("mixed", first, "Content-Type: text/plain; name=n.txt\n\nnote"))
    assert mail["text"] == "Hello"
    assert names(mail) == ["n.txt"]


def test_a_text_that_is_an_attachment_is_not_the_body(built: Built) -> None:
    mail = built(*multipart("mixed", "Content-Disposition: attachment\n\nlog line", "\nHello"))
    assert mail["text"] == "Hello"
    assert names(mail) == ["attachment-1.txt"]


def test_a_mail_that_is_one_file_has_no_text(built: Built) -> None:
    mail = built("From: a@x.example\nContent-Type: application/pdf; name=a.pdf", "%PDF")
    assert mail["text"] == ""
    assert names(mail) == ["a.pdf"]


def test_an_attached_mail_stays_whole_and_is_named_by_its_subject(
    shown: Shown, recorded: Callable[[str], bytes]
) -> None:
    mail = shown("forwarded_mail_attached")
    (inner,) = mail["attachments"]
    assert inner["name"] == "Café a-b.eml"
    assert inner["type"] == "message/rfc822"
    whole = recorded("forwarded_mail_attached")
    source = whole[whole.index(b"From: Bob") : whole.index(b"\n--f--")]
    assert inner["sha256"] == hashlib.sha256(source).hexdigest()


def test_file_names_in_every_notation(shown: Shown) -> None:
    assert names(shown("filename_variants")) == [
        "Хавсралт.pdf",
        "very long name, continued.pdf",
        "é.pdf",
        "passwd",
        "plan.doc",
        "attachment-6.png",
        "plain name.txt",
    ]


def test_a_name_cannot_turn_its_ending_around(built: Built) -> None:
    head = "From: a@x.example\nContent-Type: application/octet-stream; name*=UTF-8''a%E2%80%AEfdp.exe"
    assert names(built(head, "x")) == ["afdp.exe"]


def test_damaged_base64_gives_what_decodes_and_a_warning(shown: Shown) -> None:
    mail = shown("broken_base64")
    assert mail["text"] == "Hello, world"
    assert mail["attachments"][0]["sha256"] == hashlib.sha256(b"ABCDEFGH").hexdigest()
    assert mail["warnings"] == ["A part of the mail is damaged; what could be read is shown."]


def test_plain_lines_after_base64_are_not_decoded(built: Built) -> None:
    head = "From: a@x.example\nContent-Type: text/plain\nContent-Transfer-Encoding: base64"
    assert built(head, "SGVsbG8=\n\n____________\nThis list is moderated.\n")["text"] == "Hello"


def test_damaged_quoted_printable_is_read(built: Built) -> None:
    head = "From: a@x.example\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable"
    assert built(head, "100=25 =ZZ caf=c3=a9 a=\nb=3D")["text"] == "100% =ZZ café ab="


def test_an_unknown_transfer_encoding_is_shown_as_it_is(built: Built) -> None:
    mail = built("From: a@x.example\nContent-Transfer-Encoding: x-rot13", "Uryyb")
    assert mail["text"] == "Uryyb"
    assert "A part of the mail is encoded in an unknown way." in mail["warnings"]


def test_uuencoded_transfer_is_decoded(shown: Shown) -> None:
    assert shown("uuencoded_transfer")["text"] == "Hello"


@pytest.mark.parametrize(
    ("name", "subject", "text"),
    [
        ("mongolian_cp1251", "Сайн", "Сайн байна уу?"),
        ("japanese_iso2022", "こんにちは", "こんにちは"),
        ("utf7", "Grüße", "Grüße"),
    ],
)
def test_charsets(shown: Shown, name: str, subject: str, text: str) -> None:
    mail = shown(name)
    assert (mail["subject"], mail["text"]) == (subject, text)


@pytest.mark.parametrize(
    ("declared", "data", "text"),
    [
        ("utf-8", "Дэлгүүр".encode(), "Дэлгүүр"),
        ("us-ascii", "Дэлгүүр".encode(), "Дэлгүүр"),
        ("iso-8859-1", b"\x93so\x94", "“so”"),
        ("gb2312", "朱镕基".encode("gb18030"), "朱镕基"),
        ("ks_c_5601-1987", "안녕".encode("cp949"), "안녕"),
        ("cp-850", "Größe".encode("cp850"), "Größe"),
        ("utf-16", "Hello".encode("utf-16"), "Hello"),
        ("unknown-8bit", "Здравствуйте, где мой заказ?".encode("cp1251"), "Здравствуйте, где мой заказ?"),
        ("idna", b"plain", "plain"),
    ],
)
def test_declared_and_undeclared_charsets(built: Built, declared: str, data: bytes, text: str) -> None:
    assert built(f"From: a@x.example\nContent-Type: text/plain; charset={declared}", data)["text"] == text


def test_a_cut_utf8_letter_costs_only_itself(built: Built) -> None:
    head = "From: a@x.example\nContent-Type: text/plain; charset=utf-8"
    mail = built(head, ("Дэлгүүр " * 10).encode()[:-2])
    assert mail["text"].startswith("Дэлгүүр Дэлгүүр")
    assert "The text's character set is wrong or unknown; some letters may be." in mail["warnings"]


def test_html_names_its_own_charset(built: Built) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Сайн</p>'.encode("cp1251")
    assert built("From: a@x.example\nContent-Type: text/html", page)["text"] == "Сайн"


def test_nul_bytes_and_lone_surrogates_are_gone(built: Built) -> None:
    assert built("From: a@x.example\nSubject: a\x00b", "x\x00y")["text"] == "xy"
    assert built("From: a@x.example\nContent-Type: text/plain; charset=utf-7", "a+2AA-b")["text"] == "ab"


def test_flowed_text_is_put_together(shown: Shown) -> None:
    mail = shown("flowed")
    assert mail["text"] == (
        "> quoted and continued\nThis is one long paragraph in three lines.\nFrom here on\n\n-- \nAnn"
    )


def test_flowed_text_with_delsp_joins_words(built: Built) -> None:
    head = "From: a@x.example\nContent-Type: text/plain; format=flowed; delsp=yes"
    assert built(head, "Donau \ndampfer\n")["text"] == "Donaudampfer"


def test_html_only_mail_has_text(built: Built) -> None:
    page = "<p>One &amp; two</p><ul><li>a<li>b</ul><table><tr><td>c</td><td>d</td></tr></table><script>x</script>"
    assert built("From: a@x.example\nContent-Type: text/html", page)["text"] == "One & two\n\n- a\n- b\n\nc  d"


def test_an_invitation_is_readable(shown: Shown) -> None:
    mail = shown("calendar_request")
    assert mail["kind"] == "calendar"
    assert mail["text"].split("\n") == [
        "Invitation: Хурал",
        "When: 2026-11-24 09:00 - 10:00 UTC",
        "Where: Ulaanbaatar",
        "Organiser: Bat <bat@corp.example>",
        "Attendee: Support <support@shop.example>",
        "",
        "Bring the samples.",
    ]
    assert mail["attachments"][0]["type"] == "text/calendar"


def test_an_invitation_that_comes_as_text_and_as_file_is_attached_once(built: Built) -> None:
    event = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR"
    head, alternative = multipart("alternative", "\nCome!", f"Content-Type: text/calendar; method=REQUEST\n\n{event}")
    body = (
        f'--out\nContent-Type: multipart/alternative; boundary="=_b"\n\n{alternative}\n'
        f"--out\nContent-Type: application/ics; name=invite.ics\n\n{event}\n--out--\n"
    )
    mail = built("From: a@x.example\nContent-Type: multipart/mixed; boundary=out", body)
    assert (mail["kind"], mail["text"], names(mail)) == ("calendar", "Come!", ["invite.ics"])
    mail = built(head, alternative)
    assert (mail["kind"], mail["text"], names(mail)) == ("calendar", "Come!", ["invite.ics"])


def test_many_long_texts_and_growing_html_are_cut_as_one(built: Built) -> None:
    mail = built(*multipart("mixed", *["\n" + "word " * 100_000] * 4))
    assert len(mail["text"]) <= 1_000_000
    assert len(mail["attachments"]) == 2
    mail = built("From: a@x.example\nContent-Type: text/html", "<a>x</a>" * 100_000)
    assert mail["html"] == ""
    assert names(mail) == ["message.html"]


def test_an_answer_to_an_invitation_says_so(shown: Shown) -> None:
    mail = shown("calendar_reply")
    assert mail["kind"] == "calendar"
    assert "ann@corp.example: accepted" in mail["text"]


def test_a_calendar_file_without_a_method_is_only_a_file(built: Built) -> None:
    calendar = "Content-Type: text/calendar; name=holidays.ics\nContent-Disposition: attachment\n\nBEGIN:VCALENDAR"
    mail = built(*multipart("mixed", "\nOur holidays", calendar))
    assert mail["kind"] == "message"
    assert names(mail) == ["holidays.ics"]


def test_an_endless_time_zone_is_not_worked_out(built: Built) -> None:
    calendar = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Nowhere
BEGIN:STANDARD
DTSTART:00010101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=SECONDLY
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
SUMMARY:Long
  winded
DTSTART;TZID=Nowhere:20261124T090000
END:VEVENT
END:VCALENDAR
"""
    mail = built("From: a@x.example\nContent-Type: text/calendar; method=REQUEST", calendar)
    assert mail["text"] == "Invitation: Long winded\nWhen: 2026-11-24 09:00 Nowhere"


def test_a_broken_invitation_is_kept_with_a_warning(built: Built) -> None:
    mail = built("From: a@x.example\nContent-Type: text/calendar; method=REQUEST", "BEGIN:VCALENDAR\nnonsense")
    assert mail["kind"] == "calendar"
    assert "The invitation could not be read." in mail["warnings"]
    assert len(mail["attachments"]) == 1


def test_pgp_and_smime_are_shown_as_such(shown: Shown) -> None:
    for name, attached in (("pgp_encrypted", "encrypted.asc"), ("smime_encrypted", "smime.p7m")):
        mail = shown(name)
        assert mail["text"] == ""
        assert attached in names(mail)
        assert mail["warnings"] == ["The mail is encrypted; its content is in the attachment."]


def test_inline_pgp_is_shown_as_such(built: Built) -> None:
    mail = built("From: a@x.example", "-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n")
    assert "The mail is encrypted; its content is in the attachment." in mail["warnings"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pgp_signed", "I promise."),
        ("smime_opaque", "Signed in one piece."),
        ("smime_opaque_ber", "Signed in one piece."),
    ],
)
def test_signed_mail_shows_its_content(shown: Shown, name: str, text: str) -> None:
    mail = shown(name)
    assert mail["text"] == text
    assert mail["warnings"] == ["The mail is signed; the signature was not checked."]


def tnef_object(level: int, name: int, kind: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, name, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


EMBEDDED = bytes.fromhex("0703020000000000c000000000000046")


def tnef(*objects: bytes) -> bytes:
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(objects)


def winmail(data: bytes) -> tuple[str, str]:
    encoded = base64.encodebytes(data).decode()
    return multipart(
        "mixed",
        "\n",
        f'Content-Type: application/ms-tnef; name="winmail.dat"\nContent-Transfer-Encoding: base64\n\n{encoded}',
    )


def test_winmail_dat_is_unpacked(built: Built) -> None:
    data = tnef(
        tnef_object(1, 0x800C, 2, b"Words in Outlook's own format\0"),
        tnef_object(2, 0x9002, 6, b"\0" * 14),
        tnef_object(2, 0x8010, 1, b"plan.pdf\0"),
        tnef_object(2, 0x800F, 6, b"%PDF-1.4"),
    )
    mail = built(*winmail(data))
    assert mail["text"] == "Words in Outlook's own format"
    assert mail["attachments"] == [
        {
            "name": "plan.pdf",
            "type": "application/pdf",
            "size": 8,
            "sha256": hashlib.sha256(b"%PDF-1.4").hexdigest(),
            "inline": False,
            "content_id": "",
        }
    ]


def mapi(*properties: tuple[int, int, bytes]) -> bytes:
    """A property list of strings and binaries."""
    packed = b"".join(
        struct.pack("<HHII", kind, name, 1, len(value)) + value + b"\0" * (-len(value) % 4)
        for kind, name, value in properties
    )
    return struct.pack("<I", len(properties)) + packed


def test_winmail_dat_in_outlooks_later_manner_is_unpacked(built: Built) -> None:
    html = '<p>Сайн уу</p><img src="cid:logo">'.encode("cp1251")
    inner = tnef(
        tnef_object(1, 0x9003, 6, mapi((0x1F, 0x1000, "Inner words\0".encode("utf-16-le")))),
    )
    data = tnef(
        tnef_object(1, 0x9007, 6, struct.pack("<II", 1251, 0)),
        tnef_object(1, 0x9003, 6, mapi((0x102, 0x1013, html))),
        tnef_object(2, 0x9002, 6, b"\0" * 14),
        tnef_object(2, 0x8010, 1, b"PLAN~1.PNG\0"),
        tnef_object(2, 0x800F, 6, b"\x89PNG"),
        tnef_object(2, 0x9005, 6, mapi((0x1F, 0x3707, "зураг.png\0".encode("utf-16-le")), (0x1E, 0x3712, b"logo\0"))),
        tnef_object(2, 0x9002, 6, b"\0" * 14),
        tnef_object(2, 0x9005, 6, mapi((0x1E, 0x3001, b"Forwarded\0"), (0x0D, 0x3701, EMBEDDED + inner))),
    )
    mail = built(*winmail(data))
    assert mail["text"] == "Сайн уу"
    assert [(each["name"], each["size"], each["inline"]) for each in mail["attachments"]] == [
        ("зураг.png", 4, True),
        ("Forwarded.txt", len("Inner words"), False),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense",
        tnef(*[tnef_object(1, 0x8004, 1, b"")] * 6000),
        tnef(tnef_object(1, 0x9003, 6, b"\xff\xff\xff\xff")),
        tnef(tnef_object(1, 0x9003, 6, b"\x01\0\0\0\x02\x10\0\0\xff\xff\xff\xff")),
        tnef(tnef_object(1, 0x9003, 6, b"\x01\0\0\0\x77\x00\0\0")),
        tnef(tnef_object(2, 0x9002, 6, b"")) + b"\x02\x0f\x80\0\0\xff\xff\xff\x7fx" * 2,
    ],
    ids=["no TNEF", "objects", "properties", "values", "type", "cut off"],
)
def test_a_damaged_or_endless_winmail_dat_is_kept_as_it_is(built: Built, data: bytes) -> None:
    mail = built(*winmail(data))
    assert names(mail) == ["winmail.dat"]
    assert "The attachment winmail.dat could not be unpacked." in mail["warnings"]


def test_parts_without_a_known_boundary_are_text(built: Built) -> None:
    mail = built("From: a@x.example\nContent-Type: multipart/mixed", "--x\n\nHello\n--x--")
    assert "Hello" in mail["text"]
    assert "The mail's parts cannot be told apart." in mail["warnings"]


def test_a_missing_last_boundary_loses_nothing(built: Built) -> None:
    head, body = multipart("mixed", "\nHello", "Content-Type: application/pdf; name=a.pdf\n\n%PDF")
    mail = built(head, body.removesuffix("--=_b--\n"))
    assert (mail["text"], names(mail)) == ("Hello", ["a.pdf"])


def test_parts_after_an_early_end_are_still_read(built: Built) -> None:
    head, body = multipart("mixed", "\nHello")
    assert built(head, body + "--=_b\n\nAfterthought\n--=_b--\n")["text"] == "Hello\nAfterthought"


def test_a_digest_holds_mails(built: Built) -> None:
    mail = built(*multipart("digest", "\nSubject: One\n\nx", "\nSubject: Two\n\ny"))
    assert names(mail) == ["One.eml", "Two.eml"]


def test_an_invalid_content_type_is_plain_text(built: Built) -> None:
    assert built("From: a@x.example\nContent-Type: text", "Hello")["text"] == "Hello"


def test_too_long_a_text_is_cut_and_attached_whole(built: Built) -> None:
    mail = built("From: a@x.example", "word " * 300_000)
    assert len(mail["text"]) <= 1_000_000
    assert mail["attachments"][0]["name"] == "message.txt"
    assert mail["attachments"][0]["size"] == 1_500_000
    assert "The text is too long to be shown; the whole is attached." in mail["warnings"]
