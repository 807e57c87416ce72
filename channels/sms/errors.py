"""What Twilio's messaging error codes mean, in words that say what to do. Words are gettext msgids.

https://www.twilio.com/docs/api/errors; the WhatsApp ones also https://www.twilio.com/docs/whatsapp/api/error-code-mapping.
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.twilio import errors as shared

OPTED_OUT = frozenset({"21610"})
"""The recipient wrote STOP: Twilio refuses to send to him."""

RECIPIENT_GONE = frozenset({"21211", "21214", "21217", "21614", "21635", "30005", "30006"})
"""No text message ever reaches this number. Numbers without WhatsApp are not meant: SMS may reach them."""

SETTINGS = frozenset({*shared.ACCOUNT, "21603", "21659", "21660", "21701", "21702", "21703", "21705", "63007"})
"""The sender is set up wrongly: no message leaves before a person has acted."""

BUSY = frozenset({*shared.BUSY, "21611", "63018", "63038"})
"""Refused for the moment only."""

_WORDS: Mapping[str, str] = {
    **shared.ACCOUNT,
    **shared.BUSY,
    "12300": "Twilio could not read our answer to its webhook. Please report this.",
    "21211": "This is not a phone number that can be written to. Please check it on the customer's card.",
    "21214": "This number cannot be reached. Please check it on the customer's card.",
    "21217": "This does not look like a phone number. Please check it on the customer's card.",
    "21266": "The sender and the recipient are the same number.",
    "21408": "The Twilio account may not send to this country. Please allow it in Twilio (Messaging, Geo permissions).",
    "21602": "The message has no text.",
    "21603": "The sender is missing. Please give a number or a messaging service in the settings.",
    "21604": "The message has no recipient.",
    "21605": "The text is too long for one message.",
    "21606": "The sender's number cannot send to this number. Please use one that can send SMS there.",
    "21608": "This is a trial account, which can only write to numbers that were verified in Twilio first.",
    "21609": "Twilio cannot use the address of our webhook. Please check the public address of this server.",
    "21610": "The customer replied STOP and gets no more messages from this number until he writes START.",
    "21611": "Too many messages wait at Twilio for this sender. They are sent as soon as it takes more.",
    "21612": "Twilio has no way from this sender to this number. Please try another sender.",
    "21614": "This number cannot get text messages, it may be a landline. Please call or write in another way.",
    "21617": "The text is longer than 1,600 characters. Please shorten it.",
    "21619": "The message has no text.",
    "21620": "Twilio could not use a file of this message.",
    "21635": "This is a landline, which cannot get text messages.",
    "21655": "The WhatsApp template is not known to Twilio.",
    "21656": "The values for the WhatsApp template do not fit it.",
    "21659": "The sender's number does not belong to this Twilio account. Please check the settings.",
    "21660": "The sender's number belongs to another Twilio account. Please check the settings.",
    "21701": "Twilio does not know this messaging service. Please check its SID in the settings.",
    "21702": "The messaging service cannot be used. Please check it in Twilio.",
    "21703": "The messaging service has no sender. Please add a number to it in Twilio.",
    "21704": "No number of the messaging service can send this. Please add one that can.",
    "21705": "Twilio does not know this messaging service. Please check its SID in the settings.",
    "30001": "Too many messages waited at Twilio for this sender. Please send it again later.",
    "30003": "The phone is switched off or out of reach, or it cannot get this. Please try again later.",
    "30004": "The message was blocked: the customer or his operator does not take messages from this sender.",
    "30005": "This number does not exist or is out of service. Please check it on the customer's card.",
    "30006": "This is a landline, or its operator cannot be reached by text message. Please try another way.",
    "30007": "The operator took the message for spam. Please write it differently: fewer links and no shortened ones.",
    "30008": "The operator gave no reason. Please try again, and ask Twilio if it stays so.",
    "30009": "A part of the message was lost on the way. Please send it again.",
    "30010": "The message costs more than the highest price that was set for it.",
    "30011": "Pictures cannot be sent to this number.",
    "30017": "The operator's network is overloaded. Please try again later.",
    "30018": "The recipient's country wants the sender registered first. Please register it in Twilio.",
    "30019": "The file is too large for the recipient's operator.",
    "30022": "The operator's limit for this sender is reached. Please try again later.",
    "30023": "The operator's limit for today is reached. Please try again tomorrow.",
    "30024": "The sender id is not registered in this country. Please register it in Twilio.",
    "30027": "The operator's limit for this campaign is reached. Please try again tomorrow.",
    "30032": "The toll-free number is not verified yet. Please verify it in Twilio.",
    "30034": "In the USA a number has to be registered (A2P 10DLC) before it may send. Please register it in Twilio.",
    "30035": "The number is being set up at the operator. Please try again in some days.",
    "30036": "The message waited longer than it was allowed to. Please send it again.",
    "30038": "The message held a one-time code, which this operator blocks.",
    "30039": "Two systems kept answering each other, and Twilio stopped it.",
    "30410": "The operator took too long. The message may have arrived all the same.",
    "30454": "The number is switched off for sending. Please look at it in Twilio.",
    "30485": "This number takes no messages from this sender. Please try another way.",
    "30500": "Twilio had a fault of its own. Please send it again.",
    "63001": "WhatsApp did not accept Twilio's login for this sender. Please look at the sender in Twilio.",
    "63003": "There is no WhatsApp at this number. Please write by SMS or in another way.",
    "63005": "WhatsApp did not accept the content of this message.",
    "63007": "This number is not a WhatsApp sender of the Twilio account. Please check the settings.",
    "63010": "WhatsApp had a fault of its own. Please send it again later.",
    "63012": "WhatsApp had a fault of its own. Please send it again later.",
    "63013": "WhatsApp refused the message because it breaks its rules.",
    "63014": "The customer blocked this sender on WhatsApp, or does not want such messages.",
    "63015": "The customer has not joined the WhatsApp sandbox yet. He has to send its join word first.",
    "63016": "More than 24 hours have passed since the customer wrote on WhatsApp: only an approved template "
    "may be sent until he writes again.",
    "63017": "WhatsApp takes no more from this sender for the moment.",
    "63018": "WhatsApp takes no more from this sender for the moment. Please try again later.",
    "63019": "WhatsApp could not fetch the file.",
    "63020": "The WhatsApp business account is not set up yet. Please finish it in Meta's business manager.",
    "63021": "WhatsApp cannot take this kind of content.",
    "63024": "WhatsApp cannot reach this number. Please check it on the customer's card.",
    "63025": "A file of this name is there already.",
    "63027": "The WhatsApp template does not exist in this language.",
    "63028": "The values given do not fit the WhatsApp template.",
    "63030": "WhatsApp does not know a value of this message.",
    "63031": "The sender and the recipient are the same number.",
    "63032": "WhatsApp does not let this customer get such messages for the moment.",
    "63033": "The customer blocked this sender on WhatsApp.",
    "63036": "There is no such way to reach this number. Please try SMS.",
    "63038": "The account's limit of messages a day is reached. Please ask Twilio to raise it.",
    "63049": "Meta did not deliver this marketing message, to keep the number of such messages low for the customer.",
    "63051": "The WhatsApp sender is switched off. Please look at it in Twilio.",
    "63112": "Meta has locked the WhatsApp business account. Please look at it in Meta's business manager.",
}


def known(code: str) -> bool:
    """Whether a code is one of those explained here."""
    return code in _WORDS


def explain(code: str, fallback: str = "") -> str:
    """What a code means; the provider's own words for one that is not known here."""
    known = _WORDS.get(code)
    if known is not None:
        return known
    if fallback:
        return fallback
    return f"Twilio error {code}" if code else ""
