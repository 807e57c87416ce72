"""Signatures: Twilio's documented vectors and those of its own libraries' tests, and everything forged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Raw
from channels.twilio.webhook import verify

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
BODY = b'{"property": "value", "boolean": true}'
BODY_URL = f"{URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
BODY_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="


def form(body: bytes = FORM, url: str = URL, signature: str = SIGNATURE, name: str = "X-Twilio-Signature") -> Raw:
    headers = {name: signature, "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    return Raw(body=body, url=url, headers=headers)


def json(body: bytes = BODY, url: str = BODY_URL, signature: str = BODY_SIGNATURE) -> Raw:
    return Raw(body=body, url=url, headers={"x-twilio-signature": signature, "content-type": "application/json"})


def test_the_documented_example() -> None:
    assert verify(form(), TOKEN)


def test_the_order_of_a_form_does_not_matter() -> None:
    assert verify(form(b"&".join(reversed(FORM.split(b"&")))), TOKEN)


@pytest.mark.parametrize("name", ["x-twilio-signature", "X-TWILIO-SIGNATURE", "X-Twilio-signature"])
def test_a_headers_case_does_not_matter(name: str) -> None:
    assert verify(form(name=name), TOKEN)


def test_names_that_come_several_times_are_sorted_and_counted_once() -> None:
    body = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234"
    assert verify(form(body, signature="IK+Dwps556ElfBT0I3Rgjkr1wJU="), TOKEN)


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        # Signed without the port, called with it; and the other way round.
        ("https://mycompany.com:443/myapp.php?foo=1&bar=2", SIGNATURE),
        ("https://mycompany.com:1234/myapp.php?foo=1&bar=2", SIGNATURE),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com/myapp.php?foo=1&bar=2", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        # The case of a host is signed as it is written.
        ("https://MyCompany.com/myapp.php?foo=1&bar=2", "g9IN/x4Cft2g517EjYvEvM/W7LU="),
        ("https://MyCompany.com:1234/myapp.php?foo=1&bar=2", "PCqOZm8cnu/L6+u5i5fuEd+Iac4="),
    ],
)
def test_twilio_signs_with_the_port_or_without(url: str, signature: str) -> None:
    assert verify(form(url=url, signature=signature), TOKEN)


def test_an_address_with_a_user_name_and_a_port() -> None:
    with_port = "https://user:pass@mycompany.com:1234/myapp.php?foo=1&bar=2"
    without = "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2"
    signature = "CukzLTc1tT5dXEDIHm/tKBanW10="
    assert verify(form(url=without, signature=signature), TOKEN)
    assert verify(form(url=with_port, signature=signature), TOKEN)


def test_a_body_that_is_no_form_is_signed_by_its_digest() -> None:
    assert verify(json(), TOKEN)
    assert not verify(json(body=BODY + b" "), TOKEN), "the body was changed"
    assert not verify(json(url=BODY_URL.replace("0a1f", "0a1e")), TOKEN), "the address was changed"
    assert not verify(json(url=URL, signature="zYQTYrRWXE7LtzbG4PfP7/bkkGo="), TOKEN), "no digest: anybody's body"


@pytest.mark.parametrize(
    "raw",
    [
        form(FORM + b"&Digits=1"),
        form(FORM.replace(b"1234", b"9999")),
        form(url=f"{URL}&x=1"),
        form(url=URL.replace("mycompany", "other")),
        form(signature=""),
        form(signature="FAIL"),
        form(signature="Ж" * 28),
        form(signature=SIGNATURE[:-1]),
        form(b"a=\xff"),
        form(url="https://mycompany.com:99999/"),
        form(url="https://[broken/"),
        Raw(body=FORM, url=URL),
    ],
)
def test_what_twilio_did_not_sign_is_refused(raw: Raw) -> None:
    assert not verify(raw, TOKEN)


def test_another_accounts_token_signs_nothing() -> None:
    assert not verify(form(), "54321")
    assert not verify(form(), ""), "a forgotten token opens no door"


@given(st.binary(max_size=200), st.text(max_size=60), st.dictionaries(st.text(max_size=20), st.text(max_size=30)))
def test_nothing_random_is_right_or_raises(body: bytes, url: str, headers: dict[str, str]) -> None:
    assert not verify(Raw(body=body, url=url, headers={**headers, "X-Twilio-Signature": "abc"}), TOKEN)
