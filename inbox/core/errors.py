"""Domain errors: a small tree with a `code`. Only `inbox/web/middleware.py` knows what HTTP status each becomes."""

from __future__ import annotations

from collections.abc import Mapping


class DomainError(Exception):
    """Something a person can be told. `words` is a gettext msgid, `values` fill its `%(name)s` places."""

    code = "error"

    def __init__(self, words: str, **values: object) -> None:
        super().__init__(words % values if values else words)
        self.words = words
        self.values = values


class NotFound(DomainError):
    """What was asked for is not there, or not for this person to know of."""

    code = "not_found"


class Conflict(DomainError):
    """Somebody else changed it meanwhile, or it is not in a state that allows this."""

    code = "conflict"


class Forbidden(DomainError):
    """This person may not do this."""

    code = "forbidden"


class Unauthenticated(Forbidden):
    """Nobody is signed in."""

    code = "unauthenticated"


class TooMany(DomainError):
    """Too many tries; `after` is seconds until the next is allowed."""

    code = "too_many"

    def __init__(self, words: str, *, after: float = 0, **values: object) -> None:
        super().__init__(words, **values)
        self.after = after


class Invalid(DomainError):
    """What was given cannot be used. `fields` says what is wrong where."""

    code = "invalid"

    def __init__(self, words: str, *, fields: Mapping[str, str] | None = None, **values: object) -> None:
        super().__init__(words, **values)
        self.fields = dict(fields or {})


class Unavailable(DomainError):
    """Something this depends on is away; trying again later may help."""

    code = "unavailable"
