"""Addresses of every kind: as they are typed, whose they are, and how the form asks for them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestServer

from channels.base import AddressKind
from channels.registry import CHANNELS
from inbox.accounts.model import Role
from inbox.core.errors import Invalid
from inbox.core.mongo import Mongo
from inbox.inboxes.model import InboxForm, address_key, normalise
from inbox.inboxes.service import InboxService
from inbox.inboxes.web import InboxPages
from tests.fixtures.web import Browser, Site
from tests.inboxes.conftest import ADMIN, Room, service_of

SID = "AC" + "0" * 32
BOT = "4321:the-token_of_a_bot"


def sms(name: str = "Texts", address: str = "+976 7700-1122", **more: object) -> InboxForm:
    return InboxForm(name=name, address=address, settings={"account_sid": SID, "auth_token": "a long token", **more})


def bot(name: str = "Bot", address: str = "@Nomad_Bot", **more: object) -> InboxForm:
    return InboxForm(name=name, address=address, settings={"token": BOT, **more})


@pytest.fixture
async def real(room: Room, mongo: Mongo) -> AsyncIterator[InboxService]:
    """The room with the channels there are."""
    service = service_of(mongo, CHANNELS, room.clock)
    yield service
    await service.close()


@pytest.fixture
async def admin(site: Site, real: InboxService) -> Browser:
    server: TestServer = await site.serve(InboxPages(real).routes())
    return await site.signed_in(server, Role.ADMIN)


@pytest.mark.parametrize(
    ("kind", "typed", "wanted"),
    [
        ("email", " Support@X.mn ", "support@x.mn"),
        ("phone", "+976 (7700) 11-22", "+97677001122"),
        ("phone", "00976 7700 1122", "+97677001122"),
        ("phone", "+976\u00a07700\u20131122", "+97677001122"),
        ("phone", "7700 1122", "77001122"),
        ("phone", " Nomad Travel ", "Nomad Travel"),
        ("phone", "Tom-Co", "Tom-Co"),
        ("telegram", "Nomad_Bot", "@nomad_bot"),
        ("telegram", " @Nomad_Bot", "@nomad_bot"),
        ("telegram", "https://t.me/Nomad_Bot/", "@nomad_bot"),
        ("telegram", "123456", "123456"),
        ("telegram", "", ""),
    ],
)
def test_an_address_is_kept_as_it_is_compared(kind: AddressKind, typed: str, wanted: str) -> None:
    assert normalise(kind, typed) == wanted
    assert normalise(kind, wanted) == wanted


def test_mail_addresses_are_unique_at_all_and_others_within_their_channel() -> None:
    assert address_key("email", "email", "a@x.mn") == address_key("other", "email", "a@x.mn")
    assert address_key("sms", "phone", "+1") != address_key("voice", "phone", "+1")
    assert address_key("sms", "phone", "+1") == address_key("sms", "phone", "+1")


async def test_there_are_several_inboxes_of_a_kind_and_none_has_the_number_of_another(real: InboxService) -> None:
    await real.create(ADMIN, "sms", sms())
    second = await real.create(ADMIN, "sms", sms("Second", "+976 7700 3344"))
    with pytest.raises(Invalid) as caught:
        await real.create(ADMIN, "sms", sms("Third", "00976 7700 1122"))
    assert caught.value.fields == {"address": "Another inbox has this address already."}
    with pytest.raises(Invalid):
        await real.update(ADMIN, second.id, sms("Second", "+976 77001122"))
    await real.create(ADMIN, "telegram", bot())
    with pytest.raises(Invalid):
        await real.create(ADMIN, "telegram", bot("Again", "t.me/nomad_bot"))
    assert [inbox.address for inbox in await real.inboxes()] == ["+97677001122", "+97677003344", "@nomad_bot"]


async def test_bots_without_a_name_do_not_stand_in_each_others_way(real: InboxService) -> None:
    await real.create(ADMIN, "telegram", bot("One", ""))
    await real.create(ADMIN, "telegram", bot("Two", ""))
    assert [inbox.address for inbox in await real.inboxes()] == ["", ""]


async def test_mail_never_finds_an_inbox_of_another_kind(real: InboxService) -> None:
    form = InboxForm(name="Texts", address="+97677001122", catch_all=True, settings=sms().settings)
    made = await real.create(ADMIN, "sms", form)
    assert made.catch_all is False
    assert await real.resolve("nobody@x.mn") is None
    assert await real.resolve("+97677001122") is None


async def test_each_kind_is_one_choice_and_mail_its_providers(admin: Browser) -> None:
    page = await admin.see("/settings/inboxes/new")
    links = re.findall(r'href="/settings/inboxes/new\?channel=(\w+)([^"]*)"', page)
    assert [more for name, more in links if name != "email"] == [""] * (len(CHANNELS) - 1)
    assert {name for name, _ in links} == set(CHANNELS)
    assert all(more.startswith("&amp;preset=") for name, more in links if name == "email")


async def test_the_form_asks_for_the_address_in_the_channels_words(admin: Browser) -> None:
    page = await admin.see("/settings/inboxes/new?channel=sms")
    assert '<label for="f-address">Phone number</label>' in page
    assert "With its country code, for example +976 7700 1122." in page
    assert re.search(r'<input type="text"[^>]*name="address"[^>]* required', page, re.DOTALL)
    assert 'name="catch_all"' not in page
    page = await admin.see("/settings/inboxes/new?channel=telegram")
    assert "user name (optional)</label>" in page
    assert not re.search(r'name="address"[^>]* required', page, re.DOTALL)
    page = await admin.see("/settings/inboxes/new?channel=email&preset=gmail")
    assert re.search(r'<input type="email"[^>]*name="address"', page, re.DOTALL)
    assert 'name="catch_all"' in page


async def test_a_number_without_its_country_is_said_in_words(admin: Browser) -> None:
    form = {
        "channel": "sms",
        "name": "Texts",
        "address": "7700 1122",
        "set-account_sid": SID,
        "set-auth_token": "x y z",
    }
    answer = await admin.post("/settings/inboxes/new", form)
    page = await answer.text()
    assert answer.status == 422
    assert re.search(r'id="f-address-error">.*?begin with \+ and the country code', page, re.DOTALL)
    assert "x y z" not in page


async def test_secrets_of_every_kind_stay_out_of_documents_and_pages(
    real: InboxService, admin: Browser, mongo: Mongo
) -> None:
    texts = await real.create(ADMIN, "sms", sms(api_key_sid="SK" + "1" * 32, api_key_secret="a key's secret"))
    chats = await real.create(ADMIN, "telegram", bot(inbound="webhook", webhook_secret="hook-secret"))
    secrets = ("a long token", "a key's secret", "a key&#39;s secret", BOT, "hook-secret")
    for inbox in (texts, chats):
        for path in (f"/settings/inboxes/{inbox.id}", f"/settings/inboxes/{inbox.id}/health", "/settings/inboxes"):
            page = await admin.see(path)
            assert [secret for secret in secrets if secret in page] == []
    for name in await mongo.db.list_collection_names():
        async for document in mongo.collection(name).find():
            assert [secret for secret in secrets if secret in repr(document)] == [], name
