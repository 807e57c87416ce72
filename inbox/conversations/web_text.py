"""A message's text on the page: links made of plain text, and the little markup our own editor writes."""

from __future__ import annotations

import re

import nh3
from markupsafe import Markup, escape

from inbox.conversations.model import Message, MessageKind

_LINK = re.compile(
    r"(?P<url>\bhttps?://[^\s<>\"'\u201d\u00bb]+)|(?P<mail>\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+)", re.IGNORECASE
)
_AFTER_LINK = ".,;:!?)]}"
_written_here = nh3.Cleaner(
    tags={"a", "b", "blockquote", "br", "code", "div", "em", "i", "li", "ol", "p", "pre", "s", "strong", "u", "ul"},
    attributes={"a": {"href"}},
    url_schemes={"http", "https", "mailto", "tel"},
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


_chat = nh3.Cleaner(
    tags={"a", "b", "blockquote", "br", "code", "em", "i", "p", "pre", "s", "span", "strong", "u"},
    attributes={"a": {"href"}},
    allowed_classes={"span": {"tg-spoiler"}},
    url_schemes={"http", "https", "mailto", "tel", "tg"},
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def message_text(message: Message, *, is_mail: bool = True) -> Markup:
    """What the writer wrote, safe for our own page: no image or style of a message gets into it.

    A mail's own HTML is a document, shown in a frame; what a chat marks up is a few words in bold.
    """
    if message.html and message.kind is MessageKind.IN and not is_mail:
        return Markup(_chat.clean(message.html))  # noqa: S704 # cleaned to the list above
    written_here = message.kind in (MessageKind.OUT, MessageKind.NOTE)
    if written_here and message.html and not message.full_text:
        return Markup(_written_here.clean(message.html))  # noqa: S704 # cleaned to the list above
    return linked(message.text)


def linked(text: str) -> Markup:
    """Plain text with its addresses as links."""
    parts: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        words = match.group().rstrip(_AFTER_LINK)
        if match["url"] and words.count("(") > words.count(")"):
            words += match.group()[len(words) : len(words) + 1]
        href = words if match["url"] else f"mailto:{words}"
        parts.append(escape(text[end : match.start()]))
        parts.append(
            Markup('<a href="{}" target="_blank" rel="noopener noreferrer nofollow">{}</a>').format(href, words)
        )
        end = match.start() + len(words)
    parts.append(escape(text[end:]))
    return Markup("").join(parts)
