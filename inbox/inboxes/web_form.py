"""The form of an inbox: what a template shows for a channel's fields, and what a submitted form says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from channels.base import Channel, Field
from inbox.inboxes import fields, web_hours
from inbox.inboxes.model import Inbox, InboxForm, takes_mail
from inbox.web.i18n import gettext as _

PREFIX = "set-"
"""Before the names of a channel's own fields, so that none meets one of ours."""
HOOK_AT = {
    "": "Paste it at the provider, where it asks for the address that incoming messages are sent to, or let it be set "
    "from here.",
    "sms": "In the Twilio console: Phone Numbers, Active numbers, your number; below Messaging, “A message comes in” "
    "is “Webhook”, this address, HTTP POST. With a messaging service it is below Integration; with WhatsApp, at the "
    "WhatsApp sender.",
    "telegram": "Telegram has no page to paste it to: the button below tells Telegram, and a secret with it.",
}
"""Where a provider wants the webhook's address, by channel: gettext msgids."""
_REOPEN_DAYS = 30


class FieldView(msgspec.Struct, frozen=True, kw_only=True):
    """One field as the macro `field` wants it, with where its wrapper hides."""

    name: str
    id: str
    label: str
    kind: str
    value: Any
    help: str
    error: str
    required: bool
    choices: tuple[tuple[str, str], ...]
    attrs: dict[str, Any]


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """Fields under one heading."""

    id: str
    label: str
    fields: tuple[FieldView, ...]


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the form's template shows."""

    channel: Channel
    values: Mapping[str, Any]
    """Of the fields every inbox has."""
    errors: Mapping[str, str]
    summary: tuple[tuple[str, str, str], ...]
    """(the input's id, label, what is wrong) of every mistake."""
    groups: tuple[GroupView, ...]
    hours: web_hours.HoursView
    style: str
    """CSS that hides what is not asked for: no script, no round trip, and nothing typed is lost."""
    address_label: str
    address_help: str
    address_kind: str
    """Of the input: `email` or `text`."""
    address_required: bool
    name_help: str
    takes_mail: bool
    """Whether the inbox can be the one for mail that no other takes."""


def read(channel: Channel, form: Mapping[str, str]) -> InboxForm:
    """A submitted form. What is no number becomes -1, which the service refuses beside the field."""

    def whole(name: str, default: int) -> int:
        value = fields.number(form.get(name, "").strip() or str(default))
        return value if isinstance(value, int) else -1

    own = {name.removeprefix(PREFIX): value for name, value in form.items() if name.startswith(PREFIX)}
    return InboxForm(
        name=form.get("name", ""),
        address=form.get("address", ""),
        settings=fields.read_form(channel, own),
        catch_all=fields.is_checked_word(form.get("catch_all", "")),
        signature=form.get("signature", ""),
        reopen_days=whole("reopen_days", _REOPEN_DAYS),
        max_per_minute=whole("max_per_minute", 0),
        auto_reply=form.get("auto_reply", "").replace("\r\n", "\n"),
        auto_reply_closed=form.get("auto_reply_closed", "").replace("\r\n", "\n"),
        hours=web_hours.read(form),
        team_id=form.get("team_id", ""),
    )


def blank(channel: Channel, preset: str) -> InboxForm:
    """The form of a new inbox, with the first choice made already."""
    settings = fields.defaults(channel)
    first = leading(channel)
    if first is not None and preset in dict(first.choices):
        settings[first.name] = preset
    return InboxForm(name="", settings=settings, max_per_minute=_default_rate(channel))


def of_inbox(inbox: Inbox) -> InboxForm:
    """The form of an inbox as it is saved."""
    return InboxForm(
        name=inbox.name,
        address=inbox.address,
        settings=inbox.settings,
        catch_all=inbox.catch_all,
        signature=fields.signature_text(inbox.signature),
        reopen_days=inbox.reopen_days,
        max_per_minute=inbox.max_per_minute,
        auto_reply=inbox.auto_reply,
        auto_reply_closed=inbox.auto_reply_closed,
        hours=inbox.hours,
        team_id=inbox.team_id,
    )


def leading(channel: Channel) -> Field | None:
    """The choice a new inbox begins with, where the channel's first field is one."""
    own = fields.fields_of(channel)
    return own[0] if own and own[0].kind == "select" else None


def view(channel: Channel, form: InboxForm, errors: Mapping[str, str], saved_secrets: Collection[str]) -> FormView:
    """What the template shows. Secrets are never in it, not even those just typed."""
    groups = tuple(
        GroupView(
            id=f"group-{number}",
            label=_say(label),
            fields=tuple(
                _field_view(channel, field, form.settings, errors.get(field.name, ""), field.name in saved_secrets)
                for field in members
            ),
        )
        for number, (label, members) in enumerate(fields.groups(fields.fields_of(channel)))
    )
    own = {field.name: field for field in channel.fields if field.name in fields.OWN}
    address = own.get("address", Field(name="address", label="Address"))
    name = own.get("name", Field(name="name", label="Name"))
    labels = {shown.name.removeprefix(PREFIX): (shown.id, shown.label) for group in groups for shown in group.fields}
    labels["address"] = ("f-address", _say(address.label))
    return FormView(
        channel=channel,
        values=msgspec.structs.asdict(form),
        errors={name: _(words) for name, words in errors.items()},
        summary=tuple(
            (*labels.get(name, (f"f-{name}", _say(_OWN_LABELS.get(name, name)))), _(words))
            for name, words in errors.items()
        ),
        groups=groups,
        hours=web_hours.view(form.hours),
        style=_style(channel),
        address_label=_say(address.label) if address.required else _("%(label)s (optional)", label=_say(address.label)),
        address_help=_say(address.help),
        address_kind=address.kind,
        address_required=address.required,
        name_help=_say(name.help) or _("Customers see it beside the address, colleagues in the list of inboxes."),
        takes_mail=takes_mail(channel.capabilities.address_kind),
    )


_OWN_LABELS = {
    "name": "Name",
    "signature": "Signature",
    "reopen_days": "Reopen within",
    "max_per_minute": "Messages a minute",
    "auto_reply": "Automatic answer",
    "auto_reply_closed": "Automatic answer outside business hours",
    "hours-week": "Business hours",
    "hours-zone": "Time zone",
    "holidays": "Holidays",
}


def _field_view(channel: Channel, field: Field, settings: Mapping[str, Any], error: str, saved: bool) -> FieldView:
    attrs: dict[str, Any] = {"id": f"f-{PREFIX}{field.name}"}
    if field.secret:
        attrs |= {"autocomplete": "new-password", "placeholder": _("Saved. Type to replace.") if saved else None}
    elif field.kind in ("text", "email"):
        attrs |= {"autocomplete": "off", "spellcheck": "false"}
    elif field.kind == "number":
        attrs |= {"inputmode": "numeric"}
    return FieldView(
        name=PREFIX + field.name,
        id=attrs["id"],
        label=_say(field.label),
        kind=field.kind,
        value="" if field.secret else settings.get(field.name, field.default),
        help=_say(field.help),
        error=_say(error),
        # A browser would hold back a form over a required field that is hidden.
        required=field.required and field.show_when is None and not saved,
        choices=tuple((value, _say(words)) for value, words in field.choices),
        attrs=attrs,
    )


def _style(channel: Channel) -> str:
    """Rules that hide a field whose conditions do not hold, and a group all of whose fields are hidden."""
    kinds = {field.name: field.kind for field in channel.fields}
    rules = []
    for number, (_label, members) in enumerate(fields.groups(fields.fields_of(channel))):
        held = [
            "".join(_has(kinds[name], name, wanted) for name, wanted in fields.conditions(channel, field))
            for field in members
        ]
        for field, holds in zip(members, held, strict=True):
            if holds:
                rules.append(f'.inbox-form:not({holds}) [data-field="{PREFIX}{field.name}"]')
        if all(held):
            nothing_holds = "".join(f":not({holds})" for holds in dict.fromkeys(held))
            rules.append(f".inbox-form{nothing_holds} #group-{number}")
    return ",\n".join(rules) + " { display: none; }" if rules else ""


def _has(kind: str, name: str, wanted: str) -> str:
    if kind == "checkbox":
        ticked = f':has([name="{PREFIX}{name}"]:checked)'
        return ticked if fields.is_checked_word(wanted) else f":not({ticked})"
    return f':has([name="{PREFIX}{name}"] > option[value="{wanted}"]:checked)'


def _default_rate(channel: Channel) -> int:
    rate = next((field.default for field in channel.fields if field.name == "max_per_minute"), 0)
    return rate if isinstance(rate, int) else 0


def _say(words: str) -> str:
    """A channel's words in the person's language; gettext answers its own header for none."""
    return _(words) if words else ""
