"""The email channel's settings: what they mean, and what is said of those that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from channels.email.channel import FIELDS, validate
from channels.email.settings import EmailSettings, Server, read

CUSTOM = {
    "address": "Shop@Example.mn",
    "provider": "custom",
    "imap_host": "imap.example.mn",
    "imap_username": "shop",
    "imap_password": " secret ",
    "smtp_host": "smtp.example.mn",
}


def test_a_custom_server_is_read_as_given() -> None:
    assert read({**CUSTOM, "imap_security": "starttls", "imap_folders": "inbox, Sales,,Sales", "start": "new"}) == (
        EmailSettings(
            address="shop@example.mn",
            inbound="imap",
            outbound="smtp",
            imap=Server(host="imap.example.mn", port=143, security="starttls", username="shop", password=" secret "),
            folders=("INBOX", "Sales"),
            start="new",
            smtp=Server(host="smtp.example.mn", port=465, security="tls", username="shop", password=" secret "),
        )
    )


@pytest.mark.parametrize(
    ("login", "username", "password"),
    [("same", "shop", " secret "), ("own", "other", "o"), ("none", "", "")],
)
def test_the_smtp_login_is_the_one_chosen(login: str, username: str, password: str) -> None:
    smtp = read({**CUSTOM, "smtp_login": login, "smtp_username": "other", "smtp_password": "o"}).smtp
    assert (smtp.username, smtp.password) == (username, password)


@pytest.mark.parametrize(
    ("provider", "imap", "smtp"),
    [
        ("gmail", "imap.gmail.com:993", "smtp.gmail.com:465"),
        ("microsoft", "outlook.office365.com:993", "smtp.office365.com:587"),
    ],
)
def test_a_known_provider_needs_no_servers(provider: str, imap: str, smtp: str) -> None:
    settings = {"address": "Shop@example.mn", "provider": provider, "imap_host": "evil.example", "imap_password": "p"}
    mail = read(settings)
    assert (mail.imap.name, mail.smtp.name) == (imap, smtp)
    assert (mail.imap.username, mail.smtp.username) == ("shop@example.mn", "shop@example.mn")
    assert mail.plus_addressing
    assert validate(settings) == {}


def test_the_built_in_inbox_needs_an_address_only() -> None:
    settings = {"address": "demo@example.mn", "provider": "builtin", "auth": "oauth"}
    mail = read(settings)
    assert (mail.inbound, mail.outbound, mail.auth, mail.plus_addressing) == ("door", "catcher", "password", True)
    assert validate(settings) == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": ""}, "address"),
        ({"address": "shop"}, "address"),
        ({"address": '"our shop"@example.mn'}, "address"),
        ({"address": "shop@example.mn, eve@example.org"}, "address"),
        ({"provider": "elsewhere"}, "provider"),
        ({"imap_security": "maybe"}, "imap_security"),
        ({"imap_host": ""}, "imap_host"),
        ({"imap_host": "imap.example.mn:993"}, "imap_host"),
        ({"imap_host": "imap example"}, "imap_host"),
        ({"imap_port": 0}, "imap_port"),
        ({"imap_port": 70000}, "imap_port"),
        ({"smtp_port": "ssl"}, "smtp_port"),
        ({"smtp_port": 4.5}, "smtp_port"),
        ({"smtp_host": ""}, "smtp_host"),
        ({"imap_password": ""}, "imap_password"),
        ({"auth": "oauth"}, "auth"),
        ({"auth": "oauth", "provider": "gmail"}, "oauth_client_id"),
        ({"smtp_login": "own"}, "smtp_username"),
        ({"inbound": "door", "imap_password": ""}, "smtp_login"),
        ({"max_per_minute": -1}, "max_per_minute"),
        ({"imap_password": "secret\n"}, "imap_password"),
        ({"imap_folders": "INBOX\r\nA1 DELETE INBOX"}, "imap_folders"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(change: dict[str, Any], field: str) -> None:
    assert list(validate({**CUSTOM, **change})) == [field]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"imap_port": "1993"},
        {"imap_port": None, "smtp_port": ""},
        {"imap_host": "::1", "smtp_host": "192.0.2.1"},
        {"inbound": "door", "imap_host": "", "smtp_login": "none", "imap_password": ""},
        {"outbound": "catcher", "smtp_host": ""},
        {"auth": "oauth", "provider": "gmail", "oauth_client_id": "c", "imap_password": ""},
    ],
)
def test_what_can_be_tried_is_left_alone(change: dict[str, Any]) -> None:
    assert validate({**CUSTOM, **change}) == {}


def test_every_password_is_encrypted() -> None:
    assert {field.name for field in FIELDS if field.secret} == {
        field.name for field in FIELDS if field.kind == "password"
    }
