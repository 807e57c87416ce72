"""The channels there are. A new one is a folder, its tests and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from channels.base import Channel
from channels.email import channel as email
from channels.email.door import Door, Limits
from channels.sms import channel as sms
from channels.telegram import channel as telegram

DoorLimits = Limits
__all__ = ["CHANNELS", "Door", "DoorLimits"]

CHANNELS: Mapping[str, Channel] = {
    "email": email.CHANNEL,
    "sms": sms.CHANNEL,
    "telegram": telegram.CHANNEL,
}
