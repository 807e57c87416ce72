"""Names of IMAP folders: modified UTF-7 (RFC 3501 section 5.1.3), and which of them hold what was sent."""

from __future__ import annotations

import base64
import binascii
import re

_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e]+|&|[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([^-]*)-")
_PATH = re.compile(r"[/.\\]")
_SENT = frozenset(
    {
        *("sent", "sent items", "sent mail", "sent messages", "anfonwyd", "eitemau a anfonwyd"),
        *("gesendet", "gesendete elemente", "gesendete objekte", "gesendete nachrichten"),
        *("envoyés", "messages envoyés", "éléments envoyés", "enviados", "elementos enviados", "mensajes enviados"),
        *("itens enviados", "inviati", "inviata", "posta inviata", "elementi inviati", "verzonden", "verzonden items"),
        *("skickat", "skickade objekt", "sendt", "sendte elementer", "sendt post", "lähetetyt"),
        *("wysłane", "elementy wysłane", "odeslaná pošta", "odeslané"),
        *("отправленные", "отправлено", "надіслані", "отправленные элементы", "илгээсэн", "илгээсэн зүйлс"),
        *("gönderilmiş öğeler", "gönderilenler", "göndərilmiş", "göndərilənlər", "yuborilgan", "yuborilganlar"),
        *("已发送", "已发送邮件", "寄件備份", "送信済み", "送信済みアイテム", "보낸 편지함", "보낸메일함"),
    }
)


def encode(name: str) -> str:
    """A folder's name as the server wants it: `Илгээсэн` becomes `&BBgEOwQzBE0EOQRBBE0EPQ-`."""
    return "".join(_encode_run(run) for run in _PLAIN.findall(name))


def decode(name: str) -> str:
    """A server's folder name as a person reads it; what is not valid is left as it is."""
    return _SHIFTED.sub(_decode_run, name)


def is_sent(name: str) -> bool:
    """Whether a folder holds what was sent, by its name as mail programs and providers give it."""
    return _PATH.split(name)[-1].strip().casefold() in _SENT


def _encode_run(run: str) -> str:
    if run == "&":
        return "&-"
    if " " <= run[0] <= "~":
        return run
    shifted = base64.b64encode(run.encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
    return f"&{shifted.decode()}-"


def _decode_run(match: re.Match[str]) -> str:
    shifted = match[1].replace(",", "/")
    if not shifted:
        return "&"
    try:
        return base64.b64decode(shifted + "=" * (-len(shifted) % 4), validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return match[0]
