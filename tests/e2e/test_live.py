"""What happens elsewhere is seen at once, moves nothing that is read, and is caught up with after a lost connection."""

from __future__ import annotations

from playwright.async_api import expect

from tests.e2e.conftest import NewAgent
from tests.e2e.pages import Server


async def test_two_browsers_see_the_same_at_once(server: Server, agent: NewAgent) -> None:
    first, second = await agent(), await agent()
    await first.show("all")
    await second.show("all")
    mail = await server.mail()
    for inbox in (first, second):
        await expect(inbox.row(mail.subject)).to_be_visible()
        await inbox.open(mail.subject)
    await first.write("She ordered last year, too.", "note")
    await first.send()
    await expect(second.entry("note", "She ordered last year, too.")).to_be_visible()
    await first.page.click("[data-do=resolve]")
    await expect(second.page.locator("#thread-head[data-status=resolved]")).to_be_visible()
    await expect(second.row(mail.subject)).to_have_count(0)


async def test_two_tabs_of_one_browser_share_what_is_heard(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    await inbox.show("all")
    tab = await inbox.page.context.new_page()
    await tab.goto("/inbox/all")
    mail = await server.mail()
    await expect(tab.locator(".row", has_text=mail.subject)).to_be_visible()
    await inbox.page.goto("about:blank")  # the tab that listened for both is gone
    mail = await server.mail()
    await expect(tab.locator(".row", has_text=mail.subject)).to_be_visible()


async def test_a_lost_connection_heals_and_nothing_is_missed(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page = inbox.page
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    await inbox.write("Half a sen")
    await page.context.set_offline(True)
    await expect(page.locator("#connection")).to_be_visible()
    missed = await server.mail()
    await server.mail(f"Re: {mail.subject}", "Are you there?", sender=mail.sender, answers=mail.message_id)
    await page.context.set_offline(False)
    await expect(page.locator("#connection")).to_be_hidden()
    await expect(inbox.row(missed.subject)).to_be_visible()
    await expect(inbox.entry("in", "Are you there?")).to_be_visible()
    await expect(inbox.text).to_have_text("Half a sen")
    inbox.errors = [error for error in inbox.errors if "ERR_INTERNET_DISCONNECTED" not in error]


async def test_a_conversation_that_cannot_be_loaded_says_so_and_can_be_tried_again(
    server: Server, agent: NewAgent
) -> None:
    inbox = await agent()
    mail = await server.mail()
    await inbox.show("all")
    await inbox.page.route("**/pane", lambda route: route.abort())
    await inbox.row(mail.subject).locator(".row-link").click()
    await expect(inbox.page.locator("#open")).to_contain_text("This could not be loaded")
    await inbox.page.unroute_all()
    await inbox.page.click("[data-do=retry]")
    await expect(inbox.entry("in", "Do you deliver on Sundays?")).to_be_visible()
    inbox.errors.clear()  # the refused request


async def test_new_mail_does_not_move_a_list_that_is_read(server: Server, agent: NewAgent) -> None:
    inbox = await agent(viewport={"width": 1280, "height": 420})
    for _ in range(10):
        await server.mail()
    await inbox.show("all")
    scroller = inbox.page.locator("#list-scroll")
    await scroller.evaluate("list => list.scrollTop = 200")
    mail = await server.mail()
    await expect(inbox.page.locator("#news")).to_have_text("1 new")
    assert await scroller.evaluate("list => list.scrollTop") == 200
    assert await inbox.row(mail.subject).count() == 0
    await inbox.page.click("#news button")
    await expect(inbox.row(mail.subject)).to_be_in_viewport()
    await expect(inbox.page.locator("#news")).to_be_hidden()


async def test_new_messages_do_not_move_a_thread_that_is_read(server: Server, agent: NewAgent) -> None:
    inbox = await agent(viewport={"width": 1280, "height": 500})
    mail = await server.mail(text="A long story.\n\n" + "And then.\n\n" * 60)
    await inbox.show("all")
    await inbox.open(mail.subject)
    scroller = inbox.page.locator("#thread-scroll")
    await scroller.evaluate("thread => thread.scrollTop = 40")
    await server.mail(f"Re: {mail.subject}", "The end.", sender=mail.sender, answers=mail.message_id)
    await expect(inbox.page.locator("#thread-news")).to_have_text("1 new")
    assert await scroller.evaluate("thread => thread.scrollTop") == 40
    await inbox.page.click("#thread-news")
    await expect(inbox.entry("in", "The end.")).to_be_in_viewport()


async def test_the_list_goes_on_to_its_end(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    mails = [await server.mail() for _ in range(60)]
    await inbox.show("all")
    assert await inbox.page.locator("#rows > .row").count() == 50
    await inbox.page.locator("#list-scroll").evaluate("list => list.scrollTop = list.scrollHeight")
    await expect(inbox.row(mails[0].subject).first).to_be_attached()
