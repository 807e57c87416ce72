"""A channel made of paper: what the inboxes room needs of any channel, with nothing behind it but what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from channels.base import (
    Address,
    Capabilities,
    Channel,
    CheckStep,
    Field,
    InboundEvent,
    InboundMessage,
    OutboundMessage,
    PointOfNoReturn,
    Ports,
    Raw,
    Refused,
    SendResult,
    Sent,
)
from channels.signing_in import Tokens

CAPABILITIES = Capabilities(address_kind="email", subjects=True)
FIELDS = (
    Field(name="address", label="Address", kind="email", required=True),
    Field(
        name="provider",
        label="Provider",
        kind="select",
        default="stone",
        choices=(("stone", "Stone mail"), ("cloud", "Cloud mail"), ("catcher", "Nowhere")),
    ),
    Field(name="host", label="Server", group="Receiving", required=True, show_when=("provider", "stone")),
    Field(name="port", label="Port", kind="number", group="Receiving", default=993, show_when=("provider", "stone")),
    Field(name="tls", label="Encrypt", kind="checkbox", group="Receiving", default=True),
    Field(
        name="password", label="Password", kind="password", group="Receiving", secret=True, help="The mailbox's own."
    ),
    Field(name="client_secret", label="Client secret", kind="password", secret=True, show_when=("provider", "cloud")),
)


class PaperAdapter:
    """Keeps what it was built with; sends into `outbox`, or to the catcher."""

    capabilities = CAPABILITIES

    def __init__(self, inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> None:
        self.inbox_id = inbox_id
        self.settings = dict(settings)
        self.ports = ports
        self.closed = 0
        self.readable = True
        self.html = "<p>Sain <b>uu</b></p>"
        self.outbox: list[OutboundMessage] = []
        self.steps = [CheckStep("Receiving", True, "Signed in."), CheckStep("Sending", True, "Signed in.")]

    def verify(self, raw: Raw) -> bool:
        return True

    def receive(self, raw: Raw) -> list[InboundEvent]:
        if not self.readable:
            raise ValueError("This paper is wet.")
        _, _, text = raw.body.partition(b"\r\n\r\n")
        sender = Address("email", "ann@x.mn", "Ann")
        message = InboundMessage(
            inbox_id=self.inbox_id, external_id="1", sender=sender, text=text.decode(), html=self.html
        )
        return [message]

    async def send(self, out: OutboundMessage, point_of_no_return: PointOfNoReturn) -> SendResult:
        await point_of_no_return()
        self.outbox.append(out)
        if self.settings["provider"] == "catcher":
            mail = f"Subject: {out.subject}\r\n\r\n{out.text}"
            await self.ports.catch(mail.encode(), out.sender.value, [to.value for to in out.to])
        return Sent(external_id="1")

    async def check(self) -> list[CheckStep]:
        return self.steps

    async def close(self) -> None:
        self.closed += 1


class PaperFlow:
    """A provider that knows one code, gives numbered tokens and counts; `gate` holds a refresh until it is set."""

    def __init__(self) -> None:
        self.refreshes: list[str] = []
        self.exchanges: list[tuple[str, str]] = []
        self.dead = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.expires_in = 3600

    def wanted(self, settings: Mapping[str, Any]) -> bool:
        return bool(settings["provider"] == "cloud")

    def authorize_url(self, settings: Mapping[str, Any], redirect_uri: str, state: str, challenge: str) -> str:
        return f"https://provider.example/authorize?redirect_uri={redirect_uri}&state={state}&challenge={challenge}"

    async def exchange(self, settings: Mapping[str, Any], code: str, redirect_uri: str, verifier: str) -> Tokens:
        self.exchanges.append((code, verifier))
        if code != "good":
            raise Refused("That code is not known.")
        return Tokens(access="access-0", expires_in=self.expires_in, refresh="refresh-0")

    async def refresh(self, settings: Mapping[str, Any], refresh_token: str) -> Tokens:
        self.refreshes.append(refresh_token)
        await self.gate.wait()
        if self.dead:
            raise Refused(self.dead)
        number = len(self.refreshes)
        return Tokens(access=f"access-{number}", expires_in=3600, refresh=f"refresh-{number}")


def paper_channel(flow: PaperFlow | None = None, built: list[PaperAdapter] | None = None) -> Channel:
    """The channel; adapters it builds are added to `built`."""

    def build(inbox_id: str, settings: Mapping[str, Any], ports: Ports) -> PaperAdapter:
        adapter = PaperAdapter(inbox_id, settings, ports)
        if built is not None:
            built.append(adapter)
        return adapter

    return Channel(
        name="paper",
        label="Paper",
        blurb="Letters.",
        icon="mail",
        capabilities=CAPABILITIES,
        fields=FIELDS,
        build=build,
        validate=_validate,
        oauth=flow,
        built_in={"name": "First", "address": "hello@ortoo.localhost", "provider": "catcher"},
    )


def _validate(settings: Mapping[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if "@" not in settings["address"]:
        wrong["address"] = "Please write an e-mail address."
    if settings["provider"] == "stone" and not settings.get("password"):
        wrong["password"] = "Please write the password."
    return wrong
