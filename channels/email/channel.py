"""The email channel as the registry lists it: its settings and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from channels.base import Channel, Field
from channels.email.adapter import CAPABILITIES, build
from channels.email.header_text import Unsendable, addr_spec
from channels.email.settings import PRESETS, EmailSettings, read, text
from channels.email.sign_in import SignIn

_SECURITY = (("tls", "TLS"), ("starttls", "STARTTLS"), ("none", "Not encrypted"))
_HOST = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")
_UNTYPEABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
_INCOMING, _OUTGOING, _SIGN_IN = "Incoming mail", "Outgoing mail", "Sign-in"

FIELDS = (
    Field(
        name="address",
        label="Address",
        kind="email",
        group="Inbox",
        required=True,
        help="Customers write to this address, and answers come from it.",
    ),
    Field(
        name="name",
        label="Name",
        group="Inbox",
        help="Shown to customers beside the address, for example “Nomad Travel”.",
    ),
    Field(
        name="provider",
        label="Provider",
        kind="select",
        group="Inbox",
        default="custom",
        choices=(
            ("custom", "Any mail server"),
            ("gmail", "Gmail or Google Workspace"),
            ("microsoft", "Microsoft 365"),
            ("builtin", "Built in, for trying out"),
        ),
        help="Built in: mail comes in through the mail door of this server, and nothing leaves it.",
    ),
    Field(
        name="auth",
        label="Sign in with",
        kind="select",
        group=_SIGN_IN,
        default="password",
        choices=(("password", "User name and password"), ("oauth", "The provider's own sign-in page")),
        help="Gmail takes a password only if it is an app password; Microsoft 365 takes none.",
    ),
    Field(
        name="oauth_client_id",
        label="Client ID",
        group=_SIGN_IN,
        show_when=("auth", "oauth"),
        help="From the application that you registered with the provider.",
    ),
    Field(
        name="oauth_client_secret",
        label="Client secret",
        kind="password",
        group=_SIGN_IN,
        secret=True,
        show_when=("auth", "oauth"),
    ),
    Field(
        name="oauth_tenant",
        label="Directory (tenant)",
        group=_SIGN_IN,
        default="common",
        show_when=("provider", "microsoft"),
        help="The directory ID of your organisation; “common” where the application is open to all.",
    ),
    Field(
        name="imap_username",
        label="User name",
        group=_SIGN_IN,
        help="Usually the address itself, and taken to be that where this is empty.",
    ),
    Field(
        name="imap_password",
        label="Password",
        kind="password",
        group=_SIGN_IN,
        secret=True,
        show_when=("auth", "password"),
    ),
    Field(
        name="inbound",
        label="Mail comes in by",
        kind="select",
        group=_INCOMING,
        default="imap",
        choices=(("imap", "IMAP: fetched from the mailbox"), ("door", "Mail door: your mail server forwards it")),
        show_when=("provider", "custom"),
    ),
    Field(name="imap_host", label="IMAP server", group=_INCOMING, show_when=("provider", "custom")),
    Field(
        name="imap_port",
        label="IMAP port",
        kind="number",
        group=_INCOMING,
        default=993,
        show_when=("provider", "custom"),
    ),
    Field(
        name="imap_security",
        label="IMAP encryption",
        kind="select",
        group=_INCOMING,
        default="tls",
        choices=_SECURITY,
        show_when=("provider", "custom"),
        help="Not encrypted is for a server on the same machine only.",
    ),
    Field(
        name="imap_folders",
        label="Folders",
        group=_INCOMING,
        default="INBOX",
        help="Separated by commas. The first one is watched all the time, the others are looked at every minute.",
    ),
    Field(
        name="start",
        label="Mail that is already there",
        kind="select",
        group=_INCOMING,
        default="all",
        choices=(("all", "Bring it in"), ("new", "Leave it; begin with new mail")),
    ),
    Field(
        name="outbound",
        label="Mail goes out by",
        kind="select",
        group=_OUTGOING,
        default="smtp",
        choices=(("smtp", "SMTP"), ("catcher", "Mail catcher: kept here, sent to nobody")),
        show_when=("provider", "custom"),
    ),
    Field(name="smtp_host", label="SMTP server", group=_OUTGOING, show_when=("provider", "custom")),
    Field(
        name="smtp_port",
        label="SMTP port",
        kind="number",
        group=_OUTGOING,
        default=465,
        show_when=("provider", "custom"),
    ),
    Field(
        name="smtp_security",
        label="SMTP encryption",
        kind="select",
        group=_OUTGOING,
        default="tls",
        choices=_SECURITY,
        show_when=("provider", "custom"),
        help="TLS goes with port 465, STARTTLS with 587.",
    ),
    Field(
        name="smtp_login",
        label="SMTP login",
        kind="select",
        group=_OUTGOING,
        default="same",
        choices=(("same", "The same as for incoming mail"), ("own", "Another one"), ("none", "None")),
        show_when=("provider", "custom"),
    ),
    Field(name="smtp_username", label="SMTP user name", group=_OUTGOING, show_when=("smtp_login", "own")),
    Field(
        name="smtp_password",
        label="SMTP password",
        kind="password",
        group=_OUTGOING,
        secret=True,
        show_when=("smtp_login", "own"),
    ),
    Field(
        name="plus_addressing",
        label="The mail server delivers name+anything@ to name@",
        kind="checkbox",
        group=_OUTGOING,
        default=False,
        show_when=("provider", "custom"),
        help="Then answers and bounces find their conversation even where a mail program drops the usual marks.",
    ),
    Field(
        name="max_per_minute",
        label="Mails per minute",
        kind="number",
        group=_OUTGOING,
        default=60,
        help="At most so many are sent; the rest waits its turn.",
    ),
)


def validate(settings: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong, by field; empty when the settings can be tried."""
    wrong = _wrong_values(settings)
    try:
        plain = '"' not in addr_spec(text(settings, "address"))
    except Unsendable:
        plain = False
    if not plain:
        wrong["address"] = "This is not an email address."
    for name, largest in (("imap_port", 65535), ("smtp_port", 65535), ("max_per_minute", 100_000)):
        if settings.get(name) not in (None, "") and not _whole(settings[name], largest):
            wrong[name] = "This has to be a whole number from 1 on, and not beyond what is possible."
    if wrong:
        return wrong
    mail = read(settings)
    if mail.auth == "oauth":
        wrong |= _wrong_sign_in(settings)
    if mail.inbound == "imap":
        wrong |= _wrong_imap(mail)
    if mail.outbound == "smtp":
        wrong |= _wrong_smtp(mail, text(settings, "smtp_login", "same"))
    return wrong


def _wrong_sign_in(settings: Mapping[str, Any]) -> dict[str, str]:
    if text(settings, "provider") not in PRESETS:
        return {"auth": "This provider has no sign-in page; use a user name and password."}
    if not text(settings, "oauth_client_id"):
        return {"oauth_client_id": "The provider's sign-in page needs a client ID."}
    return {}


def _wrong_imap(mail: EmailSettings) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not _HOST.fullmatch(mail.imap.host):
        wrong["imap_host"] = "Please name the IMAP server, for example imap.example.com."
    if mail.auth == "password" and not mail.imap.password:
        wrong["imap_password"] = "The mailbox needs a password."  # noqa: S105  # words, not a password
    return wrong


def _wrong_smtp(mail: EmailSettings, login: str) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not _HOST.fullmatch(mail.smtp.host):
        wrong["smtp_host"] = "Please name the SMTP server, for example smtp.example.com."
    if login == "own" and not mail.smtp.username:
        wrong["smtp_username"] = "Please give the user name, or choose another SMTP login."
    if login == "same" and mail.inbound == "door" and not mail.imap.password:
        wrong["smtp_login"] = "There is no login for incoming mail: choose another one, or none."
    return wrong


def _wrong_values(settings: Mapping[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    for field in FIELDS:
        if field.choices and text(settings, field.name, str(field.default)) not in dict(field.choices):
            wrong[field.name] = "Please choose one of the list."
        elif _UNTYPEABLE.search(str(settings.get(field.name) or "")):
            wrong[field.name] = "This has to be one line of text."
    return wrong


def _whole(value: Any, largest: int) -> bool:
    return str(value).isdecimal() and str(value).isascii() and 1 <= int(value) <= largest


CHANNEL = Channel(
    name="email",
    label="Email",
    blurb="A mailbox of any provider, or mail forwarded to the mail door.",
    icon="mail",
    capabilities=CAPABILITIES,
    fields=FIELDS,
    build=build,
    validate=validate,
    oauth=SignIn(),
    built_in={"name": "Hello", "address": "hello@ortoo.localhost", "provider": "builtin"},
)
