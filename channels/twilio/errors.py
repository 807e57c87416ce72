"""What Twilio's error codes mean to the person who runs the inbox, whatever the channel.

https://www.twilio.com/docs/api/errors. Words are gettext msgids; each says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

ACCOUNT: Mapping[str, str] = {
    "10001": "The Twilio account is not active. Please sign in to Twilio and reactivate it.",
    "20003": "Twilio did not accept the account SID and auth token (or API key). Please check them in the settings.",
    "20005": "The Twilio account is not active. Please sign in to Twilio and reactivate it.",
    "20008": "These are Twilio's test credentials, which send nothing. Please use the live ones.",
    "20403": "The Twilio account may not do this. Please check what the API key is allowed to do.",
    "20404": "Twilio does not know this account or sender. Please check the settings.",
    "21219": "This is a trial account, which can only reach numbers that were verified in Twilio first.",
    "30002": "The Twilio account is suspended. Please sign in to Twilio to see why.",
}
"""It is the account that is refused: nothing leaves before a person has acted."""

BUSY: Mapping[str, str] = {
    "14107": "Twilio takes no more from this sender for the moment.",
    "20429": "Twilio takes no more requests for the moment.",
    "20503": "Twilio is not available for the moment.",
}
"""Nothing was done, and the same may work later."""
