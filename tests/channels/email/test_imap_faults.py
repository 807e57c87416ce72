"""What a good IMAP server never does: refuse tokens, keep mails back, break in the middle of one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Raw, Refused, Unreachable
from channels.email.imap import BATCH_BYTES, BATCH_MAILS, Timing, batches
from channels.email.imap_session import fetched_bodies, listed_folders
from tests.fakes.imap_server import FakeImap
from tests.fakes.ports import FakePorts

Make = Callable[..., Any]


def uids(raws: list[Raw]) -> list[int]:
    return [int(raw.url.rpartition("=")[2]) for raw in raws]


def with_mails(server: FakeImap, count: int) -> None:
    server.mails = {uid: b"Subject: %d\r\n\r\nbody\r\n" % uid for uid in range(1, count + 1)}


async def test_a_refused_token_is_renewed_once(poller: Make, take: Make) -> None:
    async with FakeImap(token="fresh") as server:
        with_mails(server, 1)
        ports = FakePorts("stale", "fresh")
        raws, _ = await take(poller(port=server.port, auth="oauth", ports=ports), {})
        assert uids(raws) == [1]
        assert ports.renewals == 1


async def test_a_token_refused_twice_needs_a_person(poller: Make, take: Make) -> None:
    async with FakeImap(token="another") as server:
        ports = FakePorts("stale", "stale as well")
        with pytest.raises(Refused, match="did not accept the access token"):
            await take(poller(port=server.port, auth="oauth", ports=ports), {})
        assert ports.renewals == 1


async def test_a_dead_sign_in_needs_a_person(poller: Make, take: Make) -> None:
    async with FakeImap(token="any") as server:
        with pytest.raises(Refused, match="sign in again"):
            await take(poller(port=server.port, auth="oauth"), {})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("NO [AUTHENTICATIONFAILED] no", Refused),
        ("NO LOGIN failed.", Refused),
        ("NO [UNAVAILABLE] backend down", Unreachable),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", Unreachable),
        ("NO [ALERT] Application-specific password required (Failure)", Refused),
        ("BAD temporary trouble, try again", Unreachable),
    ],
)
async def test_a_busy_server_is_told_from_a_wrong_password(
    poller: Make, take: Make, answer: str, error: type[Exception]
) -> None:
    async with FakeImap() as server:
        server.login_answer = answer
        with pytest.raises(error):
            await take(poller(port=server.port), {})


async def test_a_password_is_never_sent_where_the_server_forbids_it(poller: Make, take: Make) -> None:
    async with FakeImap(capabilities="IMAP4rev1 LOGINDISABLED STARTTLS") as server:
        with pytest.raises(Refused, match="takes no password without encryption"):
            await take(poller(port=server.port), {})
        assert not [command for command in server.commands if command.startswith("LOGIN ")]


async def test_starttls_that_is_not_offered_is_not_skipped(poller: Make, take: Make) -> None:
    async with FakeImap() as server:
        with pytest.raises(Refused, match="does not offer STARTTLS"):
            await take(poller(port=server.port, imap_security="starttls"), {})


@pytest.mark.parametrize("fault", ["no", "nil"])
async def test_a_mail_the_server_keeps_back_holds_up_no_other(poller: Make, take: Make, fault: str) -> None:
    async with FakeImap() as server:
        with_mails(server, 25)
        server.faults = {7: fault}
        raws, cursor = await take(poller(port=server.port), {})
        assert uids(raws) == [uid for uid in range(1, 26) if uid != 7]
        assert cursor["folders"]["INBOX"]["missing"] == [7]
        assert cursor["folders"]["INBOX"]["uid"] == 25


async def test_a_mail_that_was_kept_back_comes_when_the_server_has_recovered(poller: Make, take: Make) -> None:
    async with FakeImap() as server:
        with_mails(server, 5)
        server.faults = {2: "nil", 4: "no"}
        _, cursor = await take(poller(port=server.port), {})
        server.faults = {4: "no"}
        raws, cursor = await take(poller(port=server.port, timing=Timing(timeout=5, retry_missing=0)), cursor, 1)
        assert uids(raws) == [2]
        server.faults = {}
        raws, cursor = await take(poller(port=server.port, timing=Timing(timeout=5, retry_missing=0)), cursor, 1)
        assert uids(raws) == [4]
        assert "missing" not in cursor["folders"]["INBOX"]


async def test_a_mail_that_is_deleted_while_it_is_missing_is_forgotten(poller: Make) -> None:
    async with FakeImap() as server:
        with_mails(server, 3)
        server.faults = {2: "no"}
        polling = poller(port=server.port, timing=Timing(timeout=5, poll=0.01, retry_missing=0)).poll({})
        cursor = (await anext(polling))[1]
        assert cursor["folders"]["INBOX"]["missing"] == [2]
        del server.mails[2]
        async for raws, after in polling:
            assert uids(raws) == []
            cursor = after
            if "missing" not in cursor["folders"]["INBOX"]:
                break
        await polling.aclose()


@pytest.mark.parametrize("fault", ["cut", "hang", "short"])
async def test_a_mail_that_breaks_the_connection_is_put_aside_and_all_others_come(poller: Make, fault: str) -> None:
    async with FakeImap() as server:
        with_mails(server, 9)
        server.faults = {4: fault}
        taken: list[int] = []
        cursor: Any = {}
        for _start in range(10):
            try:
                # A new poller each time: only the committed cursor may know what happened.
                async for raws, after in poller(port=server.port, timing=Timing(timeout=0.2)).poll(cursor):
                    taken += uids(raws)
                    cursor = after
                    if cursor["folders"]["INBOX"]["uid"] == 9:
                        break
            except Unreachable:
                continue
            break
        assert taken == [1, 2, 3, 5, 6, 7, 8, 9]
        assert cursor["folders"]["INBOX"]["missing"] == [4]


async def test_a_star_that_names_the_last_mail_again_repeats_nothing(poller: Make, take: Make) -> None:
    async with FakeImap() as server:
        with_mails(server, 3)
        server.says_uidnext = False
        _, cursor = await take(poller(port=server.port), {})
        raws, _ = await take(poller(port=server.port), cursor)
        assert raws == []


async def test_thousands_of_lines_at_once_are_no_burden(poller: Make, take: Make) -> None:
    async with FakeImap() as server:
        with_mails(server, 1)
        server.noise = b"* 1 EXPUNGE\r\n" * 5000
        raws, _ = await take(poller(port=server.port), {})
        assert uids(raws) == [1]


@given(
    sizes=st.lists(st.integers(0, 3 * BATCH_BYTES), max_size=60),
    alone=st.integers(0, 70),
)
def test_batches_keep_order_and_bounds(sizes: list[int], alone: int) -> None:
    wanted = list(range(1, len(sizes) + 1))
    of = dict(zip(wanted, sizes, strict=True))
    made = list(batches(wanted, of, alone))
    assert [uid for batch in made for uid in batch] == wanted
    for batch in made:
        assert len(batch) <= BATCH_MAILS
        assert len(batch) == 1 or sum(of[uid] for uid in batch) <= BATCH_BYTES
        assert len(batch) == 1 or batch[0] > alone
    for batch, following in pairwise(made):
        full = len(batch) == BATCH_MAILS or sum(of[uid] for uid in [*batch, following[0]]) > BATCH_BYTES
        assert full or batch[-1] <= alone


def test_fetch_answers_are_read_in_all_their_forms() -> None:
    lines: list[bytes | bytearray] = [
        b"1 FETCH (UID 5 BODY[] {3}",
        bytearray(b"abc"),
        b")",
        b"2 FETCH (FLAGS (\\Seen))",
        b"3 FETCH (BODY[] {4}",
        bytearray(b"a)(b"),
        b" UID 8)",
        b'4 FETCH (UID 9 BODY[] "say \\"hi\\"")',
        b"5 FETCH (UID 10 BODY[] NIL)",
        b"Fetch completed",
    ]
    assert fetched_bodies(lines) == {5: b"abc", 8: b"a)(b", 9: b'say "hi"'}


def test_folder_lists_are_read_in_all_their_forms() -> None:
    lines: list[bytes | bytearray] = [
        b'(\\HasNoChildren) "." INBOX',
        b'(\\HasChildren) "/" "Sent (old)"',
        b'(\\Noselect) "/" "[Gmail]"',
        b"() NIL {4}",
        bytearray(b'a"b"'),
        b"",
        b'() "/" "&BBcEMARFBDgEMAQ7BDMEMA-"',
        b"List completed.",
    ]
    assert listed_folders(lines) == ["INBOX", "Sent (old)", 'a"b"', "Захиалга"]
