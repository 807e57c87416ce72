"""What is typed is never lost; what is sent can be taken back."""

from __future__ import annotations

from playwright.async_api import Route, expect

from tests.e2e.conftest import NewAgent
from tests.e2e.pages import InboxPage, Server


async def opened(server: Server, agent: NewAgent) -> tuple[InboxPage, str]:
    """A browser with a new conversation open, and its subject."""
    inbox = await agent()
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    return inbox, mail.subject


async def test_a_draft_survives_a_reload_and_another_browser_has_it(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    await inbox.write("Dear customer, ")
    await expect(inbox.saved).to_have_text("Draft saved")
    await inbox.page.reload()
    await expect(inbox.text).to_have_text("Dear customer,")
    colleague = await agent()
    await colleague.page.goto(inbox.page.url)
    await expect(colleague.text).to_have_text("Dear customer,")


async def test_text_typed_right_before_a_reload_is_kept_in_the_browser(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    page = inbox.page

    async def refuse(route: Route) -> None:
        if route.request.method == "PUT":
            await route.abort()
        else:
            await route.fallback()

    await page.route("**/draft", refuse)
    await inbox.write("Not saved anywhere else")
    await expect(inbox.saved).to_have_text("Not saved yet, kept in this browser")
    await page.reload()
    await expect(inbox.text).to_have_text("Not saved anywhere else")
    await page.unroute("**/draft", refuse)
    await expect(inbox.saved).to_have_text("Draft saved")
    inbox.errors.clear()  # the refused requests


async def test_what_was_sent_can_be_taken_back_and_is_a_draft_again(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    await inbox.write("Too hasty.")
    await inbox.send()
    await expect(inbox.entry("out", "Too hasty.")).to_be_visible()
    await inbox.toast.get_by_role("button", name="Undo").click()
    await expect(inbox.text).to_have_text("Too hasty.")
    await expect(inbox.entry("out", "Too hasty.")).to_have_count(0)
    await expect(inbox.page.locator("#composer-to")).not_to_have_value("")


async def test_a_refused_answer_stays_in_the_composer_with_the_reason(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    await inbox.write("To whom?")
    await inbox.page.fill("#composer-to", "nobody at all")
    await inbox.page.click("#composer-send")
    await expect(inbox.page.locator("#composer-problem")).to_contain_text("not a complete address")
    await expect(inbox.page.locator("#composer-to")).to_be_focused()
    await expect(inbox.text).to_have_text("To whom?")
    await inbox.page.reload()
    await expect(inbox.text).to_have_text("To whom?")
    inbox.errors.clear()  # the refusal


async def test_sending_without_a_connection_keeps_the_text_and_says_so(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    await inbox.write("Into the void")
    await inbox.page.context.set_offline(True)
    await inbox.page.click("#composer-send")
    await expect(inbox.page.locator("#composer-problem")).to_contain_text("Your text is kept")
    await inbox.page.context.set_offline(False)
    await inbox.send()
    await expect(inbox.entry("out", "Into the void")).to_have_count(1)
    inbox.errors.clear()  # the lost connection


async def test_a_note_is_only_for_colleagues_and_says_so(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    await inbox.write("Watch out.", "note")
    await expect(inbox.page.locator("#composer-send")).to_have_text("Add note")
    await inbox.send()
    await expect(inbox.entry("note", "Watch out.")).to_contain_text("Private note")
    await expect(inbox.entry("out", "Watch out.")).to_have_count(0)


async def test_bold_and_lists_arrive_as_they_were_written(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    page = inbox.page
    await inbox.write("We have ")
    await page.keyboard.press("Control+b")
    await page.keyboard.type("two")
    await page.keyboard.press("Control+b")
    await page.keyboard.type(" sizes")
    await inbox.send()
    await expect(inbox.entry("out", "We have two sizes").locator("b")).to_have_text("two")


async def test_sending_and_resolving_is_one_step(server: Server, agent: NewAgent) -> None:
    inbox, subject = await opened(server, agent)
    await inbox.write("That settles it.")
    await inbox.page.click("#composer-more")
    await inbox.page.click("[data-do=send-resolve]")
    await expect(inbox.page.locator("#thread-head[data-status=resolved]")).to_be_visible()
    await expect(inbox.row(subject)).to_have_count(0)


async def test_a_forwarded_mail_has_its_own_subject_and_text(server: Server, agent: NewAgent) -> None:
    inbox, subject = await opened(server, agent)
    await inbox.page.click(".composer-tab[data-mode=forward]")
    await expect(inbox.page.locator("#composer-subject")).to_have_value(f"Fwd: {subject}")
    await expect(inbox.text).to_contain_text("Do you deliver on Sundays?")
    await inbox.page.fill("#composer-to", "Bob <bob@example.com>")
    await inbox.send()
    await expect(inbox.entry("out", "Do you deliver on Sundays?")).to_contain_text("to Bob")


async def test_changes_can_be_undone(server: Server, agent: NewAgent) -> None:
    inbox, subject = await opened(server, agent)
    await inbox.page.click("[data-do=resolve]")
    await expect(inbox.row(subject)).to_have_count(0)
    await inbox.toast.get_by_role("button", name="Undo").click()
    await expect(inbox.row(subject)).to_have_count(1)
    await expect(inbox.page.locator("#thread-head[data-status=open]")).to_be_visible()


async def test_a_change_that_is_refused_is_taken_back_on_the_page(server: Server, agent: NewAgent) -> None:
    inbox, subject = await opened(server, agent)
    await inbox.page.route("**/status", lambda route: route.abort())
    await inbox.page.click("[data-do=resolve]")
    await expect(inbox.page.locator(".toast-alarm")).to_be_visible()
    await expect(inbox.row(subject)).to_have_count(1)
    await expect(inbox.page.locator(".thread-resolve")).to_have_text("Resolve")
    inbox.errors.clear()  # the refused request


async def test_the_customer_is_edited_in_place(server: Server, agent: NewAgent) -> None:
    inbox, _ = await opened(server, agent)
    await inbox.page.fill("#customer-company", "Felt & Sons")
    await inbox.page.keyboard.press("Enter")
    await expect(inbox.page.locator(".edit-state").nth(1)).to_have_text("Saved")
    await inbox.page.reload()
    await expect(inbox.page.locator("#customer-company")).to_have_value("Felt & Sons")
