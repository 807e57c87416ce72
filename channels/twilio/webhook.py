"""Webhooks as Twilio calls them: their form, and the signature that says they are Twilio's.

https://www.twilio.com/docs/usage/webhooks/webhooks-security. The signature is computed by the package's own
`RequestValidator`; comparing and the address's variants are done here, because its comparison goes character by
character and its removal of a port breaks addresses with a user name or IPv6.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, urlsplit

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]  # publishes no types

from channels.base import Raw

SIGNATURE = "x-twilio-signature"
BODY_HASH = "bodySHA256"
_FORM_TYPE = "application/x-www-form-urlencoded"
_PORTS = {"https": 443, "http": 80}


class Form(dict[str, list[str]]):
    """A form in which a name may come several times, as `RequestValidator` asks for it."""

    def getall(self, name: str) -> list[str]:
        """Every value of `name`."""
        return self[name]

    def one(self, name: str) -> str:
        """The first value of `name`, without surrounding space; empty where there is none."""
        return self.get(name, [""])[0].strip()


def form_of(raw: Raw) -> Form:
    """What a webhook says: its form, or its query where it came as a GET. Anything else than a form is an empty one."""
    if not raw.body:
        return _form(query_of(raw.url))
    return _form(raw.body.decode("utf-8", "replace")) if _is_form(raw) else Form()


def query_of(url: str) -> str:
    """The query of an address, empty where it has none or is none."""
    split = _split(url)
    return split.query if split else ""


def verify(raw: Raw, auth_token: str) -> bool:
    """Whether Twilio signed this, with the account's auth token, for this very address and content."""
    given = header(raw.headers, SIGNATURE)
    split = _split(raw.url)
    if not given or not auth_token or split is None:
        return False
    try:
        signed = _signed_form(raw, split)
        if signed is None:
            return False
        validator = RequestValidator(auth_token)
        computed = [str(validator.compute_signature(url, signed)).encode() for url in (raw.url, *_variants(split))]
        presented = given.strip().encode()
    except UnicodeError:  # half a surrogate pair, which Twilio cannot have sent
        return False
    right = [hmac.compare_digest(each, presented) for each in computed]
    return any(right)


def header(headers: Mapping[str, str], name: str) -> str:
    """A header by its name in lower case, however it was written."""
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _signed_form(raw: Raw, split: SplitResult) -> Form | None:
    """What is signed besides the address, None where the body cannot be what Twilio sent.

    Of a body that is no form, the address carries the digest, and only the address is signed.
    """
    if not raw.body:
        return Form()
    if _is_form(raw):
        return _form(raw.body.decode())
    given = dict(parse_qsl(split.query)).get(BODY_HASH, "")
    digest = hashlib.sha256(raw.body).hexdigest()
    return Form() if hmac.compare_digest(digest.encode(), given.lower().encode()) else None


def _is_form(raw: Raw) -> bool:
    media_type = header(raw.headers, "content-type").partition(";")[0].strip().lower()
    return media_type in ("", _FORM_TYPE)


@lru_cache(maxsize=16)
def _form(text: str) -> Form:
    """Kept for a moment: a webhook is read when it is verified, when it is taken in and when it is answered. Nobody
    writes into a form."""
    form = Form()
    for name, value in parse_qsl(text, keep_blank_values=True):
        form.setdefault(name, []).append(value)
    return form


def _split(url: str) -> SplitResult | None:
    try:
        split = urlsplit(url)
        _ = split.port  # raises here, not later
    except ValueError:
        return None
    return split


def _variants(split: SplitResult) -> tuple[str, str]:
    """The address without its port and with it: Twilio signs the one or the other."""
    credentials, at, host = split.netloc.rpartition("@")
    port = split.port
    bare = host[: -len(str(port)) - 1] if port is not None and host.endswith(f":{port}") else host
    with_port = f"{bare}:{port or _PORTS.get(split.scheme, 80)}"
    return (
        split._replace(netloc=credentials + at + bare).geturl(),
        split._replace(netloc=credentials + at + with_port).geturl(),
    )
