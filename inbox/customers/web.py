"""What the browser may change of a customer."""

from __future__ import annotations

import msgspec
from aiohttp import web

from inbox.accounts.model import Permission
from inbox.customers.service import CustomerService
from inbox.web.pages import agent, body, json
from inbox.web.routes import Route


class CustomerEdit(msgspec.Struct, frozen=True):
    """The fields to change; null leaves one as it is."""

    name: str | None = None
    company: str | None = None
    note: str | None = None


class CustomerPages:
    """The customer beside a conversation, edited in place."""

    def __init__(self, customers: CustomerService) -> None:
        self._customers = customers

    def routes(self) -> list[Route]:
        """The routes of customers."""
        return [Route("PATCH", "/customers/{id}", self.edit, Permission.CUSTOMER_EDIT)]

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """Change what is given."""
        change = await body(request, CustomerEdit)
        customer = await self._customers.edit(
            agent(request).actor,
            request.match_info["id"],
            name=change.name,
            company=change.company,
            note=change.note,
        )
        return json({"name": customer.name, "company": customer.company, "note": customer.note})
