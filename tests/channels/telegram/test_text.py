"""Formatted text: to HTML and back, and long texts in pieces."""

from __future__ import annotations

import re
import unicodedata

import nh3
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.telegram.markup import from_html
from channels.telegram.split import breaks_character, split
from channels.telegram.text import Entity, Formatted, to_html, utf16_length

KINDS = ("bold", "italic", "underline", "strikethrough", "spoiler", "text_link", "code", "pre", "blockquote")
EVERY_KIND = (
    *KINDS,
    *("expandable_blockquote", "url", "email", "phone_number", "mention", "text_mention", "custom_emoji", "hashtag"),
)
FAMILY = "👨\u200d👩\u200d👧"
letters = st.text(st.sampled_from("ab Ж👋é\n<&>\"'\u0301🇲🇳\u200d️\t"), max_size=60) | st.text(max_size=40)
any_entity = st.builds(
    Entity,
    type=st.sampled_from(EVERY_KIND) | st.text(max_size=5),
    offset=st.integers(-3, 80),
    length=st.integers(-3, 80),
    url=st.sampled_from(["https://x.mn/?a=1&b=2", "javascript:alert(1)", '"><script>', "tg://x"]) | st.text(max_size=9),
    language=st.sampled_from(["python", '"><b>']) | st.text(max_size=4),
    custom_emoji_id=st.sampled_from(["55", '"']),
    user_id=st.integers(-1, 9),
)
CLEANER = nh3.Cleaner(
    tags={"a", "b", "i", "u", "s", "code", "pre", "blockquote", "span", "tg-emoji", "br"},
    attributes={
        "a": {"href"},
        "blockquote": {"expandable"},
        "code": {"class"},
        "span": {"class"},
        "tg-emoji": {"emoji-id"},
    },
    url_schemes={"http", "https", "mailto", "tel", "tg"},
    link_rel=None,
)


@given(text=letters, entities=st.lists(any_entity, max_size=6))
@example(text="ab", entities=[Entity(type="bold", offset=0, length=2), Entity(type="italic", offset=1, length=9)])
@example(text="ab", entities=[Entity(type="url", offset=0, length=length) for length in (1, 2)])
def test_html_of_any_entities_is_safe_and_well_formed(text: str, entities: list[Entity]) -> None:
    html = to_html(text, entities)
    opened: list[str] = []
    for closing, tag in re.findall(r"<(/?)([a-z-]+)[^<>]*>", html):
        if closing:
            assert opened.pop() == tag
        elif tag != "br":
            opened.append(tag)
    assert opened == []
    assert set(re.findall(r"<([a-z-]+)", html)) <= CLEANER_TAGS
    assert all(
        link.startswith(("http", "mailto:", "tel:", "tg://user")) for link in re.findall(r'href="([^"]*)"', html)
    )
    if html:
        assert len(re.findall("<", CLEANER.clean(html))) == len(re.findall("<", html)), "a sanitiser takes nothing away"


CLEANER_TAGS = {"a", "b", "i", "u", "s", "code", "pre", "blockquote", "span", "tg-emoji", "br"}


@st.composite
def lawful(draw: st.DrawFn) -> Formatted:
    """Words in lines, some of them special: what both forms can say."""
    text, entities = "", []
    words = st.text(st.sampled_from("abЖ👋é<&>\"'#"), min_size=1, max_size=6)
    for _ in range(draw(st.integers(1, 8))):
        word = draw(words)
        kind = draw(st.sampled_from(("", *KINDS)))
        before = text
        if kind in ("pre", "blockquote") and before:
            before = before.rstrip(" \n") + "\n\n"
        offset = utf16_length(before)
        text = before + word + ("\n\n" if kind in ("pre", "blockquote") else draw(st.sampled_from(" \n")))
        if kind:
            url = "https://x.mn/?a=1&b=2" if kind == "text_link" else ""
            entities.append(Entity(type=kind, offset=offset, length=utf16_length(word), url=url))
    return Formatted(text.rstrip(), tuple(entities))


@given(lawful())
def test_html_and_back_is_the_same_text(message: Formatted) -> None:
    again = from_html(message.html or to_plain_html(message.text))
    assert re.sub(r"\n+", "\n", again.text) == re.sub(r"\n+", "\n", message.text)

    def covered(each: Formatted) -> list[tuple[str, str, str]]:
        units = each.text.encode("utf-16-le")
        return [
            (entity.type, units[2 * entity.offset : 2 * entity.end].decode("utf-16-le"), entity.url)
            for entity in each.entities
        ]

    assert covered(again) == covered(message)


def to_plain_html(text: str) -> str:
    return to_html(text + " x", [Entity(type="bold", offset=utf16_length(text) + 1, length=1)]).replace(" <b>x</b>", "")


@pytest.mark.parametrize(
    ("html", "text", "entities"),
    [
        ("<p>One</p><p>two<br>three</p>", "One\n\ntwo\nthree", []),
        ("<div>one</div><div>two</div><div><br></div><div>three</div>", "one\ntwo\n\nthree", []),
        ("<ul><li>a</li><li>b <b>c</b></li></ul>", "• a\n• b c", [("bold", "c")]),
        ("<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>", "1. a\n  • b\n2. c", []),
        ("a<b> b </b>c", "a b c", [("bold", "b")]),
        ("<b><p>x</p></b><p>y</p>", "x\n\ny", [("bold", "x")]),
        ("<h2>Title</h2>text", "Title\n\ntext", [("bold", "Title")]),
        ("<strong><em>x</em></strong>", "x", [("bold", "x"), ("italic", "x")]),
        ("<code><kbd>x</kbd></code>", "x", [("code", "x")]),
        ("<code>a <b>b</b></code>", "a b", [("code", "a b")]),
        ("<pre>a\n  b\n</pre>", "a\n  b", [("pre", "a\n  b")]),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>c", "a\n\nb\n\nc", [("blockquote", "a\n\nb")]),
        ('<a href="https://x.mn">here</a>', "here", [("text_link", "here")]),
        ('<a href="mailto:a@x.mn">write</a>, <a href="tel:+976">+976</a>', "write (a@x.mn), +976", []),
        ('<a href="javascript:alert(1)">here</a>', "here", []),
        ("a &amp; b&lt;c<script>alert(1)</script><style>p{}</style>", "a & b<c", []),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc", []),
        ("<p> </p><p>&nbsp;</p>", "", []),
        ("👋 <b>👋👋</b>", "👋 👋👋", [("bold", "👋👋")]),
    ],
)
def test_what_the_editor_writes(html: str, text: str, entities: list[tuple[str, str]]) -> None:
    got = from_html(html)
    units = got.text.encode("utf-16-le")
    assert got.text == text
    assert [(each.type, units[2 * each.offset : 2 * each.end].decode("utf-16-le")) for each in got.entities] == entities


@given(
    st.text()
    | st.text(st.sampled_from("<>/ab &;\"='!-\n👋"))
    | st.lists(
        st.sampled_from(
            [
                "<b>",
                "</b>",
                "<pre>",
                "</ul>",
                "<li>",
                "x ",
                "<ol>",
                "<a href=tel:1>",
                "</a>",
                "</pre>",
                "<br>",
                "<code>",
            ]
        )
    ).map("".join)
)
def test_any_html_is_read(html: str) -> None:
    got = from_html(html)
    size = utf16_length(got.text)
    for each in got.entities:
        assert 0 <= each.offset < each.end <= size


def test_more_formatting_than_anybody_writes_is_no_burden() -> None:
    got = from_html("<i>a</i>b" * 20_000)
    assert len(got.text) == 40_000
    assert len(got.entities) == 2000


@given(text=letters, entities=st.lists(any_entity, max_size=5), limit=st.integers(8, 40), first=st.integers(8, 40))
@example(text="abc " * 20, entities=[Entity(type="bold", offset=0, length=80)], limit=10, first=5)
def test_pieces_carry_all_text_within_the_limit(text: str, entities: list[Entity], limit: int, first: int) -> None:
    pieces = split(Formatted(text, tuple(entities)), limit, first)
    assert "".join("".join(each.text.split()) for each in pieces) == "".join(text.split())
    for number, each in enumerate(pieces):
        size = utf16_length(each.text)
        assert 0 < size <= (limit if number else first)
        assert each.text == each.text.strip()
        for entity in each.entities:
            assert 0 <= entity.offset < entity.end <= size


@given(words=st.lists(st.text("abЖ👋", min_size=1, max_size=9), min_size=1, max_size=30), limit=st.integers(20, 40))
def test_a_whole_text_in_bold_stays_bold_in_every_piece(words: list[str], limit: int) -> None:
    text = " ".join(words)
    pieces = split(Formatted(text, (Entity(type="bold", offset=0, length=utf16_length(text)),)), limit)
    assert " ".join(each.text for each in pieces) == text, "words that fit are not cut"
    for each in pieces:
        assert [(entity.offset, entity.end) for entity in each.entities] == [(0, utf16_length(each.text))]


CHARACTERS = ["e\u0301", FAMILY, "🇲🇳", "👍🏽", "❤️", "a", "한"]


@given(st.lists(st.sampled_from(CHARACTERS), min_size=5, max_size=40), st.integers(8, 30))
def test_characters_of_several_parts_stay_whole(characters: list[str], limit: int) -> None:
    text = "".join(characters)
    for each in split(Formatted(text), limit):
        assert not unicodedata.combining(each.text[0])
        assert each.text[0] not in "\u200d\ufe0f🏽"
        assert each.text[-1] != "\u200d"
        assert len(re.findall("[🇦-🇿]", each.text)) % 2 == 0


def test_the_best_place_to_cut_is_taken() -> None:
    paragraphs = "One two three. Four five.\n\nSix seven\neight nine ten"
    assert [each.text for each in split(Formatted(paragraphs), 40)] == [
        "One two three. Four five.",
        "Six seven\neight nine ten",
    ]
    assert [each.text for each in split(Formatted("One two three. Four five six"), 22)] == [
        "One two three.",
        "Four five six",
    ]
    assert [each.text for each in split(Formatted("x" * 25), 10)] == ["x" * 10, "x" * 10, "x" * 5]


def test_a_link_goes_into_the_next_piece_as_a_whole() -> None:
    link = Entity(type="text_link", offset=13, length=12, url="https://x.mn")
    first, second = split(Formatted("aaaa aaaa aa our new shop bbbb", (link,)), 20)
    assert (first.text, first.entities) == ("aaaa aaaa aa", ())
    assert second.text == "our new shop bbbb"
    assert [(each.offset, each.length) for each in second.entities] == [(0, 12)]


def test_nothing_but_space_is_no_piece() -> None:
    assert split(Formatted(" \n \t"), 10) == []


@pytest.mark.parametrize("text", [FAMILY, "🇲🇳", "e\u0301", "👍🏽", "\r\n", "각"])
def test_one_character_is_not_torn(text: str) -> None:
    assert all(breaks_character(text, at) for at in range(1, len(text)))
