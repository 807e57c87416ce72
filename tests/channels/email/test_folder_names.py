"""Folder names outside ASCII, as IMAP writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.email import folder_names


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", "INBOX"),
        ("Tom & Jerry", "Tom &- Jerry"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 section 5.1.3
        ("Захиалга", "&BBcEMARFBDgEMAQ7BDMEMA-"),
    ],
)
def test_names_are_written_as_the_standard_says(name: str, written: str) -> None:
    assert folder_names.encode(name) == written
    assert folder_names.decode(written) == name


@given(st.text())
def test_every_name_comes_back(name: str) -> None:
    written = folder_names.encode(name)
    assert written.isascii()
    assert folder_names.decode(written) == name


@pytest.mark.parametrize("broken", ["&", "&!!-", "a&b", "&A-"])
def test_what_is_not_valid_is_left_as_it_is(broken: str) -> None:
    assert folder_names.decode(broken) == broken
