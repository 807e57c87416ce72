"""Phone numbers as people type them and as Twilio writes them, normalised to E.164."""

from __future__ import annotations

import phonenumbers

WHATSAPP = "whatsapp:"
"""Before a number: the same person on WhatsApp (Twilio, "WhatsApp addresses")."""
_OF_PHONES = (WHATSAPP, "rcs:", "sms:")

# Otherwise the first number of each country reads a file, on the event loop.
phonenumbers.PhoneMetadata.load_all()


def e164(typed: str) -> str:
    """`+97688001122` for a number with its country code, however it is spaced; empty where it is none.

    A number has to be possible, not known: new ranges come into use before any table has them.
    """
    typed = typed.strip()
    if not typed.startswith("+"):
        return ""
    try:
        number = phonenumbers.parse(typed)
    except phonenumbers.NumberParseException:
        return ""
    # Not `is_possible_number`: it takes numbers without their area code, too.
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if number.extension or not possible:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def from_twilio(address: str) -> str:
    """A webhook's address without `whatsapp:` and the like: E.164, or a short code or sender id as it is."""
    bare = address.strip()
    for prefix in _OF_PHONES:
        bare = bare.removeprefix(prefix)
    return e164(bare) or bare
