"""What an email inbox's stored settings mean: the typed form, with each provider's preset filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Security = Literal["tls", "starttls", "none"]
Provider = Literal["custom", "gmail", "microsoft", "builtin"]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect, and as whom. No `username` means no login."""

    host: str
    port: int
    security: Security = "tls"
    username: str = ""
    password: str = ""

    @property
    def name(self) -> str:
        """For a person: `imap.example.mn:993`."""
        return f"{self.host}:{self.port}"


class EmailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An email inbox as its adapter needs it."""

    address: str
    name: str = ""
    inbound: Literal["imap", "door"]
    outbound: Literal["smtp", "catcher"]
    auth: Literal["password", "oauth"] = "password"
    imap: Server
    folders: tuple[str, ...] = ("INBOX",)
    start: Literal["all", "new"] = "all"
    """What becomes of the mail a folder holds when it is first seen."""
    smtp: Server
    connections: int = 10
    """How many to the SMTP server at once."""
    plus_addressing: bool = False


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's servers; both take the same login."""

    imap: tuple[str, int, Security]
    smtp: tuple[str, int, Security]
    connections: int


PRESETS: Mapping[str, Preset] = {
    # https://support.google.com/mail/answer/7126229
    "gmail": Preset(imap=("imap.gmail.com", 993, "tls"), smtp=("smtp.gmail.com", 465, "tls"), connections=4),
    # https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/pop3-and-imap4
    # and three connections at most: https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements
    "microsoft": Preset(
        imap=("outlook.office365.com", 993, "tls"), smtp=("smtp.office365.com", 587, "starttls"), connections=3
    ),
}
DEFAULT_PORTS: Mapping[str, Mapping[Security, int]] = {
    "imap": {"tls": 993, "starttls": 143, "none": 143},
    "smtp": {"tls": 465, "starttls": 587, "none": 25},
}
_SECURITY: Mapping[str, Security] = {"tls": "tls", "starttls": "starttls", "none": "none"}


def read(settings: Mapping[str, Any]) -> EmailSettings:
    """Settings that passed `validate` as the adapter's own; what is not set takes its default."""
    provider = text(settings, "provider", "custom")
    builtin = provider == "builtin"
    preset = PRESETS.get(provider)
    imap = _server(settings, "imap")
    smtp = _server(settings, "smtp")
    login = text(settings, "smtp_login", "same")
    if preset is not None or login == "same":
        smtp = msgspec.structs.replace(smtp, username=imap.username, password=imap.password)
    elif login == "none":
        smtp = msgspec.structs.replace(smtp, username="", password="")
    return EmailSettings(
        address=text(settings, "address").lower(),
        name=text(settings, "name"),
        inbound="door" if builtin or (preset is None and settings.get("inbound") == "door") else "imap",
        outbound="catcher" if builtin or (preset is None and settings.get("outbound") == "catcher") else "smtp",
        auth="oauth" if not builtin and settings.get("auth") == "oauth" else "password",
        imap=imap,
        folders=folders(settings),
        start="new" if settings.get("start") == "new" else "all",
        smtp=smtp,
        connections=preset.connections if preset else 10,
        plus_addressing=builtin or preset is not None or bool(settings.get("plus_addressing")),
    )


def folders(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The folders to read, in order and without repeats; the first one is watched."""
    names = (name.strip() for name in text(settings, "imap_folders").split(","))
    return tuple(dict.fromkeys("INBOX" if name.upper() == "INBOX" else name for name in names if name)) or ("INBOX",)


def text(settings: Mapping[str, Any], name: str, default: str = "") -> str:
    """A setting as text without surrounding space."""
    value = settings.get(name)
    return default if value is None else str(value).strip() or default


def _server(settings: Mapping[str, Any], protocol: Literal["imap", "smtp"]) -> Server:
    preset = PRESETS.get(text(settings, "provider"))
    username = text(settings, f"{protocol}_username")
    if protocol == "imap":
        username = username or text(settings, "address").lower()
    password = str(settings.get(f"{protocol}_password") or "")
    if preset is not None:
        host, port, security = getattr(preset, protocol)
        return Server(host=host, port=port, security=security, username=username, password=password)
    secured = _SECURITY.get(text(settings, f"{protocol}_security"), "tls")
    return Server(
        host=text(settings, f"{protocol}_host"),
        port=int(settings.get(f"{protocol}_port") or DEFAULT_PORTS[protocol][secured]),
        security=secured,
        username=username,
        password=password,
    )
