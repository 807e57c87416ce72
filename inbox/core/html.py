"""HTML that people write in our own editor: replies, notes, signatures. What arrives from outside is not for here."""

from __future__ import annotations

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
_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    filter_style_properties=_STYLES,
    url_schemes={"http", "https", "mailto", "tel", "cid"},
)


def clean(html: str) -> str:
    """What our editor can make and nothing else: no script, form, frame or foreign style survives."""
    return _cleaner.clean(html).strip()
