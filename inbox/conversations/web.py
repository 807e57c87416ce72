"""The inbox in the browser: every page, partial and action of conversations, put together."""

from __future__ import annotations

from inbox.accounts.service import AccountService
from inbox.conversations.drafts import DraftService
from inbox.conversations.replies import ReplyService
from inbox.conversations.service import ConversationService
from inbox.conversations.web_compose import ComposePages
from inbox.conversations.web_files import FilePages
from inbox.conversations.web_list import ListPages
from inbox.conversations.web_parts import Parts
from inbox.conversations.web_thread import ThreadPages
from inbox.customers.service import CustomerService
from inbox.inboxes.service import InboxService
from inbox.web.routes import Route


class ConversationPages:
    """The pages of conversations. `door` is where the mail door listens, as host and port for a person to use."""

    def __init__(
        self,
        conversations: ConversationService,
        drafts: DraftService,
        replies: ReplyService,
        inboxes: InboxService,
        accounts: AccountService,
        customers: CustomerService,
        door: tuple[str, int],
    ) -> None:
        parts = Parts(conversations, drafts, replies, inboxes, accounts, customers)
        thread = ThreadPages(parts)
        self._pages = (ListPages(parts, thread, door), thread, ComposePages(parts), FilePages(parts))

    def routes(self) -> list[Route]:
        """Every route of this room."""
        return [route for pages in self._pages for route in pages.routes()]
