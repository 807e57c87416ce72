"""What the form of an inbox calls its fields."""

from __future__ import annotations

import pytest

from channels.registry import CHANNELS
from inbox.inboxes import web_form


@pytest.mark.parametrize(("channel", "label"), [("email", "Address"), ("sms", "Phone number")])
def test_a_mistake_is_listed_under_the_label_its_field_has(channel: str, label: str) -> None:
    kind = CHANNELS[channel]
    view = web_form.view(kind, web_form.blank(kind, ""), {"address": "This is no address."}, ())
    assert view.summary == (("f-address", label, "This is no address."),)
    assert view.address_label.startswith(label)
