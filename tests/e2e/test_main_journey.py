"""A customer's mail arrives, an agent answers it in the browser, the customer gets the answer."""

from __future__ import annotations

import email
import email.policy
import re

from playwright.async_api import FilePayload, Page, expect

from tests.e2e.conftest import NewAgent
from tests.e2e.pages import Server


async def caught(page: Page, subject: str) -> email.message.EmailMessage:
    """The newest caught mail with a subject, as it was sent."""
    link = page.locator(".rows a", has_text=subject).first
    while not await link.count():
        await page.wait_for_timeout(200)
        await page.goto("/catcher")
    href = await link.get_attribute("href")
    raw = await (await page.context.request.get(f"{href}/raw")).body()
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, email.message.EmailMessage)
    return parsed


async def test_a_mail_is_seen_answered_and_the_answer_arrives_threaded(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page = inbox.page
    await inbox.show("all")
    mail = await server.mail(text="Do you deliver on Sundays?")
    await expect(inbox.row(mail.subject)).to_be_visible()
    await expect(page).to_have_title(re.compile(r"^\(\d+\) "))

    await inbox.open(mail.subject)
    await expect(inbox.entry("in", "Do you deliver on Sundays?")).to_be_visible()
    await inbox.write("Yes, from ten to two.")
    await inbox.send()
    await expect(inbox.entry("out", "Yes, from ten to two.")).to_be_visible()
    await expect(inbox.entry("out", "Yes, from ten to two.").locator(".delivery")).to_contain_text(
        "Sent", timeout=15_000
    )

    other = await page.context.new_page()
    await other.goto("/catcher")
    answer = await caught(other, f"Re: {mail.subject}")
    assert answer["In-Reply-To"] == mail.message_id
    assert mail.message_id in answer["References"]
    body = answer.get_body(("plain",))
    assert body is not None
    assert "Yes, from ten to two." in body.get_content()
    assert "> Do you deliver on Sundays?" in body.get_content()
    await other.close()

    await server.mail(f"Re: {mail.subject}", "Thank you!", sender=mail.sender, answers=answer["Message-ID"])
    await expect(inbox.entry("in", "Thank you!")).to_be_visible()
    await expect(inbox.row(mail.subject)).to_have_count(1)


async def test_who_answers_first_owns_the_conversation(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    mail = await server.mail()
    await inbox.show("unassigned")
    await inbox.open(mail.subject)
    await inbox.write("I take care of it.")
    await inbox.send()
    await expect(inbox.page.locator(".thread-assign")).to_contain_text("Ada Lovelace")
    await inbox.show("mine")
    await expect(inbox.row(mail.subject)).to_be_visible()


async def test_every_place_has_an_address_that_opens_it(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    mail = await server.mail()
    await inbox.show("all")
    await inbox.open(mail.subject)
    address = inbox.page.url
    await inbox.page.click("#views [data-path='/inbox/mine']")
    await expect(inbox.page.locator("#list h2").first).to_have_text("Mine")
    await inbox.page.go_back()
    await expect(inbox.page).to_have_url(address)
    await expect(inbox.row(mail.subject)).to_be_visible()

    colleague = await agent()
    await colleague.page.goto(address)
    await expect(colleague.page.locator("#subject")).to_have_text(mail.subject)
    await colleague.page.go_back()


async def test_the_first_steps_tick_themselves(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    await server.mail()
    await inbox.show("all")
    steps = inbox.page.locator(".first-steps")
    if await steps.count():  # the other tests of this worker have not answered anything yet
        await expect(steps.locator(".step").nth(1)).to_have_class("step is-done")
    else:
        await expect(inbox.page.locator("#nothing")).to_contain_text("No conversation open")


async def test_files_go_both_ways(server: Server, agent: NewAgent) -> None:
    inbox = await agent()
    page = inbox.page
    mail = await server.mail(files=[("Захиалга.pdf", "application/pdf", b"%PDF-1.7 order")])
    await inbox.show("all")
    await inbox.open(mail.subject)
    async with page.expect_download() as download:
        await page.click(".entry-in .file")
    assert (await download.value).suggested_filename == "Захиалга.pdf"

    await inbox.write("Here is the offer.")
    offer = FilePayload(name="offer.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7 offer")
    await page.set_input_files("#composer-file", [offer])
    await expect(page.locator("#composer-files .file-name")).to_have_text("offer.pdf")
    await inbox.send()
    await expect(inbox.entry("out", "Here is the offer.").locator(".file-name")).to_have_text("offer.pdf")
    other = await page.context.new_page()
    await other.goto("/catcher")
    answer = await caught(other, f"Re: {mail.subject}")
    (part,) = answer.iter_attachments()
    assert part.get_filename() == "offer.pdf"
    assert part.get_content() == b"%PDF-1.7 offer"
