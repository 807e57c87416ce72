"""HTML of messages: frames fetch nothing unasked, inline pictures find their files, quotes quote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Address
from inbox.conversations import rendering
from inbox.conversations.composing import recipients, reply_subject
from inbox.conversations.model import FileRef, Message, MessageKind
from inbox.conversations.outgoing import EXCERPT, MOST_REFERENCES, excerpt, reply_references
from inbox.core.clock import utcnow
from inbox.inboxes.model import Inbox

FILE = FileRef(id="01f", name="a.png", media_type="image/png", size=3, content_id="pic@x", inline=True)
INBOX = Inbox(id="i", channel="c", name="Shop", created_at=utcnow(), address="hello@shop.mn")


def message(**fields: object) -> Message:
    base: dict[str, object] = {
        "id": "m",
        "conversation_id": "c",
        "inbox_id": "i",
        "kind": MessageKind.IN,
        "at": utcnow(),
    }
    return Message(**(base | fields))  # type: ignore[arg-type]  # the fields are the test's affair


def address(value: str) -> Address:
    return Address(kind="email", value=value)


@pytest.mark.parametrize(
    "source", ["https://track.example/p.gif", "//track.example/p.gif", "HTTP://track.example/p.gif", " https://x/y"]
)
def test_remote_pictures_are_left_out_until_asked_for(source: str) -> None:
    shown = message(html=f'<p>Hi</p><img alt="x" src="{source}"><img src="cid:pic@x">', attachments=(FILE,))
    hidden = rendering.frame_document(shown, images=False)
    assert "track.example" not in hidden
    assert source not in hidden
    assert 'src="/files/m/01f/inline"' in hidden
    assert source in rendering.frame_document(shown, images=True)
    assert rendering.has_remote_images(shown.html)
    assert not rendering.has_remote_images('<img src="cid:pic@x">')


def test_pasted_pictures_become_parts_of_the_message_and_come_back_by_undo() -> None:
    written = '<p>See</p><img src="/files/c:a/01f/a.png" alt="">'
    sent = rendering.link_inline_files(written, [FILE])
    assert 'src="cid:pic@x"' in sent
    assert "/files/" not in sent
    assert 'src="/files/c:a/01f/inline"' in rendering.show_inline_files(sent, "c:a", [FILE])
    assert rendering.link_inline_files('<img src="/files/c:a/999/a.png">', [FILE]) == '<img src="/files/c:a/999/a.png">'


def test_a_reply_quotes_what_it_answers() -> None:
    text, html = rendering.quoted(message(text="One\nTwo", html="<b>One</b>"), "On Saturday <Bat> wrote:")
    assert text == "\n\nOn Saturday <Bat> wrote:\n> One\n> Two"
    assert "On Saturday &lt;Bat&gt; wrote:" in html
    assert "<b>One</b>" in html


@given(st.text(max_size=2000))
def test_plain_text_never_becomes_markup(text: str) -> None:
    html = rendering.to_html(text)
    assert "<" not in html.replace("<br>\n", "")


@given(st.text(max_size=5000))
def test_an_excerpt_is_one_short_line(text: str) -> None:
    line = excerpt(text)
    assert len(line) <= EXCERPT
    assert "\n" not in line


def test_text_of_the_editor_keeps_its_lines() -> None:
    assert rendering.to_text("<div>One</div><div>Two&nbsp;<b>three</b></div>") == "One\nTwo three"
    assert rendering.to_text("") == ""
    assert rendering.is_blank("<div><br></div>")
    assert not rendering.is_blank('<img src="x">')


def test_an_answer_to_all_leaves_our_own_address_out() -> None:
    asked = message(
        sender=address("bat@x.mn"),
        to=(address("hello@shop.mn"), address("dorj@x.mn"), address("bat@x.mn")),
        cc=(address("sara@x.mn"), address("dorj@x.mn")),
    )
    to, cc = recipients("reply_all", asked, INBOX)
    assert [one.value for one in to] == ["bat@x.mn"]
    assert [one.value for one in cc] == ["dorj@x.mn", "sara@x.mn"]
    assert recipients("reply", asked, INBOX) == (to, ())
    assert recipients("forward", asked, INBOX) == ((), ())
    replied = message(sender=address("no-reply@x.mn"), reply_to=(address("bat@x.mn"),))
    assert recipients("reply", replied, INBOX)[0] == (address("bat@x.mn"),)


def test_subjects_do_not_pile_up_prefixes() -> None:
    assert reply_subject("reply", "Hello") == "Re: Hello"
    assert reply_subject("reply", "RE: Hello") == "RE: Hello"
    assert reply_subject("forward", "Re: Hello") == "Fwd: Re: Hello"


def test_references_keep_the_first_and_the_latest() -> None:
    long = tuple(f"{n}@x" for n in range(200))
    in_reply_to, references = reply_references(message(message_ref="last@x", references=long))
    assert in_reply_to == "last@x"
    assert len(references) == MOST_REFERENCES
    assert (references[0], references[-1]) == ("0@x", "last@x")
    assert reply_references(message()) == ("", ())
