"""Nothing in a mail's HTML runs, submits or styles its way out; words, tables and pictures stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.email.sanitise import html_to_text, sanitise_html

LINK = 'target="_blank" rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("html", "clean"),
    [
        ("<p onclick=x>a</p>", "<p>a</p>"),
        ("<script>alert(1)</script>a", "a"),
        ("<scr<script>ipt>alert(1)</script>", "ipt&gt;alert(1)"),
        ("<style>p{}</style><title>t</title>a", "a"),
        ("<svg><script>1</script><circle/></svg>a", "a"),
        ("<math><mtext>1</mtext></math>a", "a"),
        ("<form action=x>a<input><textarea>b</textarea><select><option>c</select></form>", "a"),
        ("<iframe src=x></iframe><object data=x></object><embed src=x>a", "a"),
        ("<meta http-equiv=refresh content=0><base href=x><link rel=stylesheet href=x>a", "a"),
        ("<!-- a --><!--[if mso]>b<![endif]-->c", "c"),
        ("<o:p>kept</o:p>", "kept"),
        ('<a href="javascript:alert(1)">a</a>', f"<a {LINK}>a</a>"),
        ('<a href="https://x.example/?a=1&b=2">a</a>', f'<a href="https://x.example/?a=1&amp;b=2" {LINK}>a</a>'),
        ('<a href="mailto:a@x.example">a</a>', f'<a href="mailto:a@x.example" {LINK}>a</a>'),
        ("<img src=CID:a%40x>", '<img src="cid:a@x">'),
        ("<img src=cid:a@x>", '<img src="cid:a@x">'),
        ("<img src=https://x.example/p.gif onerror=1>", '<img src="https://x.example/p.gif">'),
        ("<img src=data:image/png;base64,AAAA>", '<img src="data:image/png;base64,AAAA">'),
        ("<img src=data:image/svg+xml,x>", "<img>"),
        ("<img srcset='x 1x' lowsrc=x src=/x.png>", "<img>"),
        ("<td background=x>a</td>", "a"),
        (
            "<table width=1><tr><td bgcolor=red>a",
            '<table width="1"><tbody><tr><td bgcolor="red">a</td></tr></tbody></table>',
        ),
        ("<p style='color:red;position:fixed;background:url(x)'>a</p>", '<p style="color:red">a</p>'),
        ("<p style='width:expression(1);height:2px'>a</p>", '<p style="height:2px">a</p>'),
        ("<p style='color:u\\72l(x);margin:0'>a</p>", '<p style="margin:0">a</p>'),
        ("<div id=top class='gmail_quote modal'>a</div>", '<div class="gmail_quote">a</div>'),
        ("<video src=x></video><audio src=x></audio>a", "a"),
    ],
)
def test_html_is_cleaned(html: str, clean: str) -> None:
    assert sanitise_html(html) == clean


@pytest.mark.parametrize(
    "scheme",
    [
        "javascript:1",
        "java\tscript:1",
        "&#106;avascript:1",
        " javascript:1",
        "data:text/html,1",
        "vbscript:1",
        "file:///x",
        "cid:x",
        "/x",
        "//x.example",
        "blob:1",
    ],
)
def test_links_lead_only_to_the_web_and_to_people(scheme: str) -> None:
    assert "href" not in sanitise_html(f'<a href="{scheme}">a</a>')


def test_a_hostile_page_keeps_only_its_words(shown: Callable[[str], dict[str, Any]]) -> None:
    mail = shown("html_only_hostile")
    html = mail["html"].lower()
    for bad in (
        "script",
        "onload",
        "onerror",
        "form",
        "iframe",
        "svg",
        "object",
        "meta",
        "base",
        "url(",
        "position",
        "evil.example",
    ):
        assert bad not in html
    assert mail["text"] == "Real words\n\none two three"


@given(st.text(alphabet=st.sampled_from("<>&\"'/= abcpsvgtdimhrefx:;()\n\x00"), max_size=200))
def test_cleaned_html_is_clean(text: str) -> None:
    once = sanitise_html(text)
    assert sanitise_html(once) == once
    assert "<script" not in once
    html_to_text(text)


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000,
        "<table>" * 240 + "<p>x</p>" * 50_000,
        "<div>" * 240 + "<p>x" * 100_000,
        "&" * 1_000_000,
        "&amp;" * 300_000,
        "<b><p>" * 90_000,
        "<ul>" * 240 + "<li>x" * 50_000,
        "<blockquote>" * 240 + "x<br>" * 50_000,
        "<" * 1_000_000,
        "<p " + "a=b " * 200_000,
        "<table><tr><td>" + "x" * 100_000 + "</td></tr>" + "<tr><td>a</td></tr>" * 2000,
    ],
    ids=lambda html: html[:16],
)
def test_html_bombs_do_not_grow(html: str) -> None:
    # Without the limits these take minutes, which is what the run's time-out sees, and gigabytes.
    clean, text = sanitise_html(html), html_to_text(html)
    assert len(clean) <= 8 * len(html)
    assert len(text) <= 20 * len(html)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div>Two<br>Three</div>", "One\nTwo\nThree"),
        ("<p>a <b> b</b>  c&nbsp;d</p>", "a b c d"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>c", "> a\n>\n> > b\n\nc"),
        ("<ol><li>a<li>b<ul><li>c</ul></ol>", "1. a\n2. b\n  - c"),
        ("<pre>  a\n b</pre>", "  a\n b"),
        ("<h1>T</h1>x<hr>y", "T\n\nx\ny"),
        ("1 &lt; 2 &amp;&amp; 3 > 2", "1 < 2 && 3 > 2"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a  b\nc"),
        ("<style>x</style><p>a</p><script>y</script>", "a"),
        ("", ""),
    ],
)
def test_html_becomes_text(html: str, text: str) -> None:
    assert html_to_text(html) == text
