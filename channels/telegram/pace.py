"""How fast a bot may send. Pure: the time comes in as an argument, in seconds of any steady clock.

https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from __future__ import annotations

import msgspec

_CHATS = 10_000


class Limit(msgspec.Struct, frozen=True):
    """So many messages a second in the long run, and so many at once."""

    rate: float
    burst: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the API's own advice says."""

    everybody: Limit = Limit(30, 30)
    chat: Limit = Limit(1, 1)
    group: Limit = Limit(20 / 60, 20)


class TokenBucket:
    """Fills with `rate` tokens a second up to `burst`; what is taken beyond that is owed."""

    def __init__(self, limit: Limit, now: float) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._at = now

    def wait(self, count: int, now: float) -> float:
        """Seconds until `count` messages may be sent; more than the burst may be once it is full."""
        needed = min(count, self._limit.burst) - self._level(now)
        return max(0.0, needed / self._limit.rate)

    def take(self, count: int, now: float) -> None:
        """Count them as sent, whether there was room or not."""
        self._tokens = self._level(now) - count
        self._at = max(now, self._at)

    def is_full(self, now: float) -> bool:
        """Whether it remembers nothing."""
        return self._level(now) >= self._limit.burst

    def _level(self, now: float) -> float:
        return min(float(self._limit.burst), self._tokens + max(0.0, now - self._at) * self._limit.rate)


class Pace:
    """All limits of one bot."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._everybody: TokenBucket | None = None
        self._chats: dict[int | str, list[TokenBucket]] = {}
        self._held: dict[int | str, float] = {}

    def reserve(self, chat: int | str, count: int, now: float, *, group: bool, most: float | None = None) -> float:
        """Seconds to wait before sending `count` messages to `chat`, which are counted as sent then.

        Where that would be more than `most`, nothing is counted.
        """
        buckets = self._buckets(chat, now, group=group)
        wait = max(self._held_for(chat, now), *(bucket.wait(count, now) for bucket in buckets))
        if most is None or wait <= most:
            for bucket in buckets:
                bucket.take(count, now)
        return wait

    def hold(self, chat: int | str, seconds: float, now: float) -> None:
        """Send nothing to `chat` for so long: the API said so."""
        self._held = {each: until for each, until in self._held.items() if until > now}
        self._held[chat] = max(now + seconds, self._held.get(chat, 0))

    def _held_for(self, chat: int | str, now: float) -> float:
        return max(0.0, self._held.get(chat, now) - now)

    def _buckets(self, chat: int | str, now: float, *, group: bool) -> list[TokenBucket]:
        if self._everybody is None:
            self._everybody = TokenBucket(self._limits.everybody, now)
        if chat not in self._chats:
            if len(self._chats) >= _CHATS:
                self._chats = {
                    each: kept for each, kept in self._chats.items() if not all(one.is_full(now) for one in kept)
                }
            limits = (self._limits.chat, self._limits.group) if group else (self._limits.chat,)
            self._chats[chat] = [TokenBucket(limit, now) for limit in limits]
        return [self._everybody, *self._chats[chat]]
