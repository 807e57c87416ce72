"""Fetching by IMAP from a real Dovecot: nothing lost, nothing repeated, whatever the line does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from channels.base import Known, Raw, Refused, Unreachable
from channels.email.imap import Timing
from tests.fakes.certificates import Certificates
from tests.fakes.dovecot import Dovecot, Mailbox
from tests.fakes.faulty_proxy import FaultyProxy

Make = Callable[..., Any]


def mail(number: int) -> bytes:
    return b"Subject: mail %d\r\n\r\nbody\r\n" % number


def numbers(raws: list[Raw]) -> list[int]:
    return [int(raw.body.split()[2]) for raw in raws]


def fill(mailbox: Mailbox, *wanted: int, folder: str = "INBOX") -> None:
    for number in wanted:
        mailbox.deliver(mail(number), folder)


async def test_all_mail_comes_in_order_with_its_source(mailbox: Mailbox, poller: Make, take: Make) -> None:
    fill(mailbox, *range(45))
    raws, cursor = await take(poller(mailbox), {})
    assert numbers(raws) == list(range(45))
    validity = cursor["folders"]["INBOX"]["uidvalidity"]
    assert raws[6].url == f"imap:INBOX;uidvalidity={validity};uid=7"
    assert cursor == {"folders": {"INBOX": {"uidvalidity": validity, "uid": 45}}}


async def test_new_mail_is_pushed_by_idle(mailbox: Mailbox, poller: Make, take: Make) -> None:
    polling = poller(mailbox, timing=Timing(timeout=10, idle=1000)).poll({})
    assert (await anext(polling))[0] == []
    async with asyncio.timeout(10):
        waiting = asyncio.create_task(anext(polling))
        fill(mailbox, 1)
        assert numbers((await waiting)[0]) == [1]
    await polling.aclose()


async def test_mail_that_comes_while_others_are_fetched_is_not_left_for_later(mailbox: Mailbox, poller: Make) -> None:
    fill(mailbox, *range(30))
    polling = poller(mailbox, timing=Timing(timeout=10, idle=1000)).poll({})
    taken = numbers((await anext(polling))[0])
    fill(mailbox, 30)
    async with asyncio.timeout(10):
        while len(taken) < 31:
            taken += numbers((await anext(polling))[0])
    assert taken == list(range(31))
    await polling.aclose()


async def test_where_idle_is_missing_the_folder_is_polled(mailbox: Mailbox, poller: Make) -> None:
    async with FaultyProxy(mailbox.server.port) as proxy:
        proxy.rewrite = lambda data: data.replace(b" IDLE", b"")
        polling = poller(mailbox, port=proxy.port, timing=Timing(timeout=10, idle=1000, poll=0.02)).poll({})
        assert (await anext(polling))[0] == []
        fill(mailbox, 1)
        async with asyncio.timeout(10):
            while not (raws := (await anext(polling))[0]):
                pass
        assert numbers(raws) == [1]
        await polling.aclose()


async def test_idle_is_renewed_before_the_server_ends_it(mailbox: Mailbox, poller: Make) -> None:
    polling = poller(mailbox, timing=Timing(timeout=10, idle=0.02)).poll({})
    for _ in range(4):
        assert (await anext(polling))[0] == []
    fill(mailbox, 1)
    async with asyncio.timeout(10):
        while not (raws := (await anext(polling))[0]):
            pass
    assert numbers(raws) == [1]
    await polling.aclose()


async def test_a_saved_cursor_repeats_nothing_and_loses_nothing(mailbox: Mailbox, poller: Make, take: Make) -> None:
    fill(mailbox, *range(50))
    first, cursor = await take(poller(mailbox), {}, 1)
    assert numbers(first) == list(range(20))
    rest, cursor = await take(poller(mailbox), cursor)
    assert numbers(rest) == list(range(20, 50))
    assert await take(poller(mailbox), cursor) == ([], cursor)


async def test_what_was_not_committed_comes_again(mailbox: Mailbox, poller: Make, take: Make) -> None:
    fill(mailbox, 1, 2)
    await take(poller(mailbox), {}, 1)
    assert numbers((await take(poller(mailbox), {}))[0]) == [1, 2]


async def test_a_recreated_folder_is_read_from_its_beginning(mailbox: Mailbox, poller: Make, take: Make) -> None:
    mailbox.create("Shop")
    fill(mailbox, 1, 2, 3, folder="Shop")
    raws, cursor = await take(poller(mailbox, imap_folders="Shop"), {})
    assert numbers(raws) == [1, 2, 3]
    mailbox.delete("Shop")
    await asyncio.sleep(1.1)  # Dovecot makes UIDVALIDITY from the time in seconds
    mailbox.create("Shop")
    fill(mailbox, 4, 5, folder="Shop")
    raws, after = await take(poller(mailbox, imap_folders="Shop"), cursor)
    assert numbers(raws) == [4, 5]
    assert after["folders"]["Shop"]["uidvalidity"] != cursor["folders"]["Shop"]["uidvalidity"]


async def test_mails_expunged_before_they_are_fetched_hold_up_nothing(mailbox: Mailbox, poller: Make) -> None:
    fill(mailbox, *range(40))
    polling = poller(mailbox).poll({})
    raws, cursor = await anext(polling)
    taken = numbers(raws)
    mailbox.expunge("1:3,25:30,40")
    async for raws, after in polling:
        taken += numbers(raws)
        cursor = after
        if not raws:
            break
    assert taken == [*range(24), *range(30, 39)]
    assert cursor["folders"]["INBOX"]["uid"] == 40
    await polling.aclose()


async def test_mail_that_somebody_read_already_is_taken_and_no_flag_changes(
    mailbox: Mailbox, poller: Make, take: Make
) -> None:
    fill(mailbox, 1, 2)
    mailbox.flag("1", r"\Seen \Flagged")
    before = mailbox.flags()
    raws, _ = await take(poller(mailbox), {})
    assert numbers(raws) == [1, 2]
    assert mailbox.flags() == before
    assert r"\Seen" in before[0]
    assert r"\Seen" not in before[1]


async def test_several_folders_are_read_and_named_in_any_script(mailbox: Mailbox, poller: Make, take: Make) -> None:
    mailbox.create("&BBcEMARFBDgEMAQ7BDMEMA-")
    fill(mailbox, 1)
    fill(mailbox, 2, folder="&BBcEMARFBDgEMAQ7BDMEMA-")
    each = poller(mailbox, imap_folders="INBOX, Захиалга", timing=Timing(timeout=10, others=0.02, idle=1000))
    polling = each.poll({})
    taken: dict[str, int] = {}
    fresh = False
    async with asyncio.timeout(10):
        async for raws, _cursor in polling:
            taken |= {raw.url.split(";")[0]: numbers([raw])[0] for raw in raws}
            if not raws and not fresh:
                fill(mailbox, 3, folder="&BBcEMARFBDgEMAQ7BDMEMA-")
                fresh = True
            if 3 in taken.values():
                break
    assert taken == {"imap:INBOX": 1, "imap:Захиалга": 3}
    await polling.aclose()


async def test_a_server_that_was_away_is_caught_up_with(
    dovecot: Dovecot, mailbox: Mailbox, poller: Make, take: Make
) -> None:
    fill(mailbox, 0)
    polling = poller(mailbox).poll({})
    _, cursor = await anext(polling)
    assert (await anext(polling))[0] == []
    waiting = asyncio.create_task(anext(polling))
    await asyncio.to_thread(dovecot.stop)
    with pytest.raises(Unreachable):
        await waiting
    with pytest.raises(Unreachable):
        await take(poller(mailbox), cursor)
    fill(mailbox, *range(1, 301))
    await asyncio.to_thread(dovecot.start)
    raws, _ = await take(poller(mailbox), cursor)
    assert numbers(raws) == list(range(1, 301))


@pytest.mark.parametrize("cut_after", [700, 3_000, 9_000])
async def test_a_connection_cut_anywhere_loses_and_repeats_nothing(
    mailbox: Mailbox, poller: Make, cut_after: int
) -> None:
    fill(mailbox, *range(60))
    taken: list[int] = []
    cursor: Any = {}
    async with FaultyProxy(mailbox.server.port) as proxy:
        proxy.cut_after = cut_after
        while len(taken) < 60:
            try:
                async for raws, after in poller(mailbox, port=proxy.port).poll(cursor):
                    taken += numbers(raws)
                    cursor = after
                    if len(taken) == 60:
                        break
            except Unreachable:
                proxy.cut_after = proxy.cut_after * 2  # each try gets further, as on a bad line
    assert taken == list(range(60))


async def test_a_half_open_connection_is_noticed_while_waiting(mailbox: Mailbox, poller: Make) -> None:
    async with FaultyProxy(mailbox.server.port) as proxy:
        polling = poller(mailbox, port=proxy.port, timing=Timing(timeout=0.5, idle=0.05)).poll({})
        await anext(polling)
        proxy.freeze()
        with pytest.raises(Unreachable, match=r"did not answer within 0\.5 s"):
            await asyncio.wait_for(anext(polling), 10)


async def test_a_half_open_connection_is_noticed_while_fetching(mailbox: Mailbox, poller: Make) -> None:
    fill(mailbox, *range(30))
    async with FaultyProxy(mailbox.server.port) as proxy:
        polling = poller(mailbox, port=proxy.port, timing=Timing(timeout=0.5)).poll({})
        await anext(polling)
        proxy.freeze()
        raws, cursor = await asyncio.wait_for(anext(polling), 10)
        assert raws == []
        assert cursor["folders"]["INBOX"]["uid"] == 20
        with pytest.raises(Unreachable):
            await anext(polling)


async def test_a_mail_of_25_mb_comes_whole(mailbox: Mailbox, poller: Make, take: Make) -> None:
    big = b"Subject: mail 1\r\n\r\n" + b"0123456789abcdef (](\r\n" * (25 * 2**20 // 22)
    mailbox.deliver(mail(0))
    mailbox.deliver(big)
    mailbox.deliver(mail(2))
    batches: list[list[int]] = []
    polling = poller(mailbox).poll({})
    async for raws, _ in polling:
        if not raws:
            break
        batches.append(numbers(raws))
        if len(raws[0].body) > 100:
            assert raws[0].body == big
    assert batches == [[0], [1], [2]]
    await polling.aclose()


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_tls_is_spoken_and_the_certificate_is_checked(
    mailbox: Mailbox, poller: Make, take: Make, security: str
) -> None:
    fill(mailbox, 1)
    port = mailbox.server.tls_port if security == "tls" else mailbox.server.port
    raws, _ = await take(poller(mailbox, port=port, imap_security=security), {})
    assert numbers(raws) == [1]
    stranger = poller(mailbox, port=port, imap_security=security)
    stranger._context = Certificates().client_context()
    with pytest.raises(Refused, match=r"certificate .* is not trusted"):
        await take(stranger, {})


async def test_a_wrong_password_is_refused_with_the_servers_words(mailbox: Mailbox, poller: Make, take: Make) -> None:
    with pytest.raises(Refused, match="did not accept") as caught:
        await take(poller(mailbox, imap_password='wrong "\\'), {})
    assert caught.value.code == "AUTHENTICATIONFAILED"


async def test_a_missing_folder_is_named(mailbox: Mailbox, poller: Make, take: Make) -> None:
    with pytest.raises(Refused, match="has no folder “Sales”"):
        await take(poller(mailbox, imap_folders="INBOX,Sales"), {})


async def test_the_check_says_what_works_and_what_the_server_has(mailbox: Mailbox, poller: Make) -> None:
    mailbox.create("Shop")
    steps = await poller(mailbox, imap_folders="INBOX,Sales").check()
    assert [(step.name, step.ok) for step in steps] == [
        ("Read mail", True),
        ("Folder INBOX", True),
        ("Folder Sales", False),
    ]
    assert "INBOX, Shop" in steps[2].words
    steps = await poller(mailbox, imap_password="wrong").check()
    assert [(step.name, step.ok) for step in steps] == [("Read mail", False)]


async def test_a_new_inbox_may_begin_with_new_mail(mailbox: Mailbox, poller: Make, take: Make) -> None:
    fill(mailbox, 1, 2)
    raws, cursor = await take(poller(mailbox, start="new"), {})
    assert raws == []
    fill(mailbox, 3)
    raws, cursor = await take(poller(mailbox, start="new"), cursor)
    assert numbers(raws) == [3]
    found = [raws async for _, raws in poller(mailbox, start="new").reconcile(cursor, knows())]
    assert [numbers(some) for some in found] == [[3]], "the mail from before was never wanted"


async def test_what_the_host_never_stored_is_found_and_fetched(mailbox: Mailbox, poller: Make, take: Make) -> None:
    fill(mailbox, *range(30))
    raws, cursor = await take(poller(mailbox), {}, 1)
    lost = [raw.url for raw in raws if numbers([raw])[0] in (3, 5)]
    stored = [raw.url for raw in raws if raw.url not in lost]
    mailbox.expunge("2")
    found = [pair async for pair in poller(mailbox).reconcile(cursor, knows(*stored))]
    assert [place for places, _ in found for place in places] == lost
    assert [numbers(some)[0] for _, some in found] == [3, 5]
    assert [pair async for pair in poller(mailbox).reconcile(cursor, knows(*stored, *lost))] == []
    assert [pair async for pair in poller(mailbox).reconcile({}, knows())] == []


def knows(*stored: str) -> Known:
    async def known(places: Sequence[str]) -> set[str]:
        return set(places).intersection(stored)

    return known


async def test_closing_ends_a_poll_that_waits(mailbox: Mailbox, poller: Make) -> None:
    each = poller(mailbox, timing=Timing(timeout=10, idle=1000))
    polling = each.poll({})
    await anext(polling)
    waiting = asyncio.create_task(anext(polling, None))
    await asyncio.sleep(0)
    await each.close()
    assert await asyncio.wait_for(waiting, 10) is None
