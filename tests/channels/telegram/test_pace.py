"""Rate limits: never more than a limit allows in any stretch of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from channels.telegram.pace import Limit, Limits, Pace, TokenBucket


@given(
    rate=st.sampled_from([0.25, 0.5, 1.0, 4.0]),
    burst=st.integers(1, 5),
    steps=st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 8.0]), st.integers(1, 3)), max_size=30),
)
def test_no_stretch_of_time_has_more_than_its_share(rate: float, burst: int, steps: list[tuple[float, int]]) -> None:
    bucket, now = TokenBucket(Limit(rate, burst), 0.0), 0.0
    sent: list[tuple[float, int]] = []
    for pause, count in steps:
        now += pause
        now += bucket.wait(count, now)
        bucket.take(count, now)
        sent.append((now, count))
    for first, (start, _) in enumerate(sent):
        for last in range(first, len(sent)):
            counts = [count for _, count in sent[first : last + 1]]
            # An album may be larger than the burst: it goes whole, and what follows waits for it.
            allowed = burst + rate * (sent[last][0] - start) + max(0, counts[-1] - burst)
            assert sum(counts) <= allowed + 1e-6


@given(st.lists(st.floats(0, 10), max_size=20))
def test_a_wait_is_no_longer_than_needed(pauses: list[float]) -> None:
    bucket, now = TokenBucket(Limit(2.0, 3), 0.0), 0.0
    for pause in pauses:
        now += pause
        wait = bucket.wait(1, now)
        assert wait <= 0.5 + 1e-9
        now += wait
        bucket.take(1, now)


def test_chats_do_not_wait_for_each_other_but_all_share_one_limit() -> None:
    pace = Pace(Limits(everybody=Limit(30, 30), chat=Limit(1, 1)))
    assert [pace.reserve(chat, 1, 0.0, group=False) for chat in range(30)] == [0.0] * 30
    assert pace.reserve(31, 1, 0.0, group=False) > 0
    assert pace.reserve(0, 1, 0.5, group=False) == 0.5


def test_a_group_has_twenty_a_minute() -> None:
    pace, now = Pace(Limits()), 0.0
    for _ in range(20):
        now += pace.reserve(-5, 1, now, group=True)
    wait = pace.reserve(-5, 10, now + 1, group=True)
    assert now == 19
    assert wait > 1


def test_what_would_wait_too_long_is_not_counted() -> None:
    pace = Pace(Limits(chat=Limit(0.01, 1)))
    assert pace.reserve(1, 1, 0.0, group=False, most=5) == 0.0
    assert [pace.reserve(1, 1, 0.0, group=False, most=5) for _ in range(3)] == [100.0, 100.0, 100.0]
    assert pace.reserve(1, 1, 100.0, group=False, most=5) == 0.0
