"""HTML that people write in our own editor: replies, notes, signatures. What arrives from outside is not for here."""

from __future__ import annotations

import re
from html import escape, unescape

import nh3

_TAGS = {
    "a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "hr", "i", "img", "li", "ol", "p", "pre", "s",
    "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
_STYLES = {"background-color", "color", "font-family", "font-size", "font-style", "font-weight", "text-align"}
_ATTRIBUTES = {
    "*": {"style"},
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
_TAG = re.compile(rf"</?(?:{'|'.join(_TAGS)})(?=[\s/>])", re.IGNORECASE)
_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    filter_style_properties=_STYLES,
    url_schemes={"http", "https", "mailto", "tel", "cid"},
)


def clean(html: str) -> str:
    """What our editor can make and nothing else: no script, form, frame or foreign style survives."""
    return _cleaner.clean(html).strip()


def from_field(text: str) -> str:
    """What somebody typed into a plain field, as HTML: lines stay lines, unless they wrote HTML themselves."""
    return clean(text if _TAG.search(text) else "<br>".join(escape(line) for line in text.splitlines()))


def to_field(html: str) -> str:
    """HTML for a plain field: as lines of text where it is no more than that."""
    lines = re.sub(r"<br\s*/?>", "\n", html)
    return html if _TAG.search(lines) else unescape(lines)
