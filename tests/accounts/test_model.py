"""Rules without a database: passwords, addresses, devices; HTML of our own editor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.accounts.model import describe_device, email_problem, name_problem, normal_email, password_problem
from inbox.core.html import clean, from_field, to_field


@pytest.mark.parametrize("password", ["a" * 9, "a" * 201, "aaaaaaaaaaaa", "abababababab", "ann.bat@example.mn"])
def test_a_password_easy_to_guess_is_refused(password: str) -> None:
    assert password_problem(password, "ann.bat@example.mn")


@pytest.mark.parametrize("password", ["eight goats crossing", "нууц үг минь", "x7!pQ2#zLm"])
def test_a_password_of_some_length_is_taken_whatever_it_is_made_of(password: str) -> None:
    assert password_problem(password, "ann@example.mn") == ""


@pytest.mark.parametrize(
    "email", ["ann@example.mn", "o'neil+tag@sub.example.co.uk", "анна@пример.рф", "root@localhost"]
)
def test_an_address_is_taken_in_every_script(email: str) -> None:
    assert email_problem(normal_email(f" {email.upper()} ")) == ""


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 81, "tab\there"])
def test_a_name_is_one_line(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/143.0 Safari/537.36 Edg/143.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/143.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("curl/8.0", ""),
    ],
)  # fmt: skip
def test_a_browser_is_told_in_two_words(user_agent: str, device: str) -> None:
    assert describe_device(user_agent) == device


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<script>alert(1)</script>Hi", "Hi"),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<p onclick="x()" style="color:red;position:fixed">y</p>', '<p style="color:red">y</p>'),
        ('<img src="data:text/html,x" onerror="x()">', "<img>"),
        ('<img src="cid:logo@x" alt="Logo">', '<img src="cid:logo@x" alt="Logo">'),
        ("<iframe src=//evil></iframe><form><input></form><svg><use/></svg>", ""),
        ('<base href="//evil"><meta http-equiv=refresh><link rel=stylesheet>', ""),
    ],
)
def test_nothing_that_runs_survives_our_own_editor(html: str, kept: str) -> None:
    assert clean(html) == kept


def test_what_is_clean_stays_as_it_is() -> None:
    html = '<p>Сайн <b>байна</b> уу<br><a href="https://x.mn" rel="noopener noreferrer">x</a></p><ul><li>1</li></ul>'
    assert clean(html) == html


@given(
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="<\u2028\u2029\x85"), max_size=80)
)
def test_what_is_typed_into_a_plain_field_comes_back_as_it_was(text: str) -> None:
    assert to_field(from_field(text)).strip() == text.strip()
