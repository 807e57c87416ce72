"""What went wrong, as HTTP and a person's language have it. With the middleware the only place that knows a status."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from aiohttp import web

from inbox.core import errors
from inbox.web.i18n import gettext as _
from inbox.web.pages import render

_STATUS: dict[type[errors.DomainError], int] = {
    errors.DomainError: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}


class Problem(msgspec.Struct, frozen=True):
    """What went wrong, in the person's language."""

    status: int
    code: str
    message: str
    fields: dict[str, str] = {}
    headers: dict[str, str] = {}

    @property
    def title(self) -> str:
        """A heading for it."""
        return {
            400: _("That was not understood"),
            401: _("Please log in"),
            403: _("You may not do this"),
            404: _("There is nothing here"),
            405: _("That was not understood"),
            409: _("This cannot be done now"),
            413: _("This is too large"),
            422: _("Something needs correcting"),
            429: _("A short break, please"),
            503: _("Not available at the moment"),
        }.get(self.status, _("Something went wrong"))


def of_domain(error: errors.DomainError) -> Problem:
    """The problem a domain error is."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    fields = {name: _(words) for name, words in error.fields.items()} if isinstance(error, errors.Invalid) else {}
    headers = {"Retry-After": str(math.ceil(error.after))} if isinstance(error, errors.TooMany) and error.after else {}
    return Problem(status, error.code, _(error.words, **error.values), fields, headers)


def of_http(error: web.HTTPException) -> Problem:
    """The problem aiohttp found."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    if error.status == 404:
        return Problem(404, "not_found", _("The link may be old, or what it showed is gone."))
    if error.status == 413:
        return Problem(413, "too_large", _("This is more than is taken at once. Attach it as a file, or send less."))
    return Problem(error.status, "invalid", _("The request was not understood."), headers=headers)


async def refuse(request: web.Request, template: str, error: errors.DomainError, **context: Any) -> web.Response:
    """A form again, with what is wrong: `message` above it and `errors` by field."""
    problem = of_domain(error)
    told = {"message": problem.message, "errors": problem.fields}
    response = await render(request, template, status=problem.status, **told, **context)
    response.headers.update(problem.headers)
    return response
