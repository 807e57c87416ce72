"""HTML from outside (or from an editor) to HTML that is safe to show, and to plain text. Pure, never raises."""

from __future__ import annotations

import html as entities
import re
from urllib.parse import unquote

import nh3

from channels.email import htmltext
from channels.email.charsets import tidy

MAX_OPEN_TAGS = 250
"""Deeper nesting makes the sanitiser's time grow with the square of it; honest mail stays below a hundred."""
MAX_REFERENCES = 20_000
"""So do character references (`&amp;`) within one text."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STYLES = _names(
    """background-color border border-bottom border-bottom-color border-bottom-left-radius border-bottom-right-radius
    border-bottom-style border-bottom-width border-collapse border-color border-left border-left-color border-left-style
    border-left-width border-radius border-right border-right-color border-right-style border-right-width border-spacing
    border-style border-top border-top-color border-top-left-radius border-top-right-radius border-top-style
    border-top-width border-width caption-side clear color direction display empty-cells float font font-family
    font-size
    font-style font-variant font-weight height letter-spacing line-height list-style-position list-style-type margin
    margin-bottom margin-left margin-right margin-top max-height max-width min-height min-width overflow-wrap padding
    padding-bottom padding-left padding-right padding-top table-layout text-align text-decoration text-indent
    text-transform unicode-bidi vertical-align white-space width word-break word-spacing word-wrap"""
)
_BLOCK = {"align", "dir", "lang", "style", "title"}
_CELL = _BLOCK | {"abbr", "bgcolor", "colspan", "headers", "height", "nowrap", "rowspan", "scope", "valign", "width"}
_ATTRIBUTES = {
    "*": {"dir", "lang", "style", "title"},
    "a": {"href", "name"},
    "blockquote": {"class", "type"},
    "caption": _BLOCK,
    "col": {"align", "span", "style", "valign", "width"},
    "colgroup": {"align", "span", "style", "valign", "width"},
    "div": _BLOCK | {"class"},
    "font": {"color", "face", "size"},
    "h1": _BLOCK,
    "h2": _BLOCK,
    "h3": _BLOCK,
    "h4": _BLOCK,
    "h5": _BLOCK,
    "h6": _BLOCK,
    "hr": {"align", "color", "size", "style", "width"},
    "img": {"align", "alt", "border", "height", "hspace", "src", "style", "title", "vspace", "width"},
    "li": {"type", "value"},
    "ol": {"reversed", "start", "type"},
    "p": _BLOCK,
    "table": _BLOCK | {"bgcolor", "border", "cellpadding", "cellspacing", "height", "role", "summary", "width"},
    "tbody": {"align", "valign"},
    "td": _CELL,
    "tfoot": {"align", "valign"},
    "th": _CELL,
    "thead": {"align", "valign"},
    "tr": {"align", "bgcolor", "height", "style", "valign"},
    "ul": {"type"},
}
_TAGS = (_ATTRIBUTES.keys() - {"*"}) | _names(
    """abbr acronym address article aside b bdi bdo big br center cite code dd del details dfn dl dt em figcaption
    figure footer header i ins kbd main mark nav pre q rp rt ruby s samp section small span strike strong sub summary
    sup tt u var wbr"""
)
_EMPTIED = {
    "applet", "audio", "button", "canvas", "embed", "frameset", "iframe", "math", "noembed", "noframes", "object",
    "script", "select", "style", "svg", "template", "textarea", "title", "video", "xmp",
}  # fmt: skip
_QUOTE_CLASSES = frozenset(
    {
        *("gmail_quote", "gmail_attr", "gmail_signature", "moz-cite-prefix", "moz-signature", "yahoo_quoted"),
        *("protonmail_quote", "tutanota_quote"),
    }
)
"""Kept, because they tell a page which part of a mail is history that it may fold."""

_LINK = re.compile(r"\s*(?:https?:|mailto:|tel:)", re.IGNORECASE)
_IMAGE = re.compile(r"\s*(?:https?:|cid:|data:image/(?:png|jpe?g|gif|webp|bmp|avif)[;,])", re.IGNORECASE)
_WILD_STYLE = re.compile(r"url|expression|javascript|import|binding|behavio|var\(|attr\(|[\\<>@]|/\*", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_NEVER_OPEN = _names(
    """area base br col dd dt embed hr img input li link meta option p param source td th tr track wbr"""
)
_MARKUP = re.compile(r"<[^<>]*>")
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|nbsp);")


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        if _WILD_STYLE.search(value):
            return ";".join(part for part in value.split(";") if not _WILD_STYLE.search(part))
        return value
    if name == "class":
        return " ".join(each for each in value.split() if each in _QUOTE_CLASSES) or None
    if name == "href":
        return value if _LINK.match(value) else None
    if name == "src":
        if value.lstrip()[:4].lower() == "cid:":
            # As the part's Content-ID is written, so that who looks for it need not know how URLs are.
            return f"cid:{unquote(value.strip()[4:])}"
        return value if _IMAGE.match(value) else None
    return value


_CLEANER = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags=_EMPTIED,
    attributes=_ATTRIBUTES,
    attribute_filter=_filter_attribute,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    url_relative="deny",
    filter_style_properties=set(_STYLES),
)
_OUTLINER = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags=_EMPTIED,
    attributes={tag: {"id", "class", "style", "type"} for tag in ("blockquote", "div", "span", "p", "table", "hr")},
    link_rel=None,
)
"""What the text conversion needs to see, and nothing else."""


def is_tame(html: str) -> bool:
    """Whether the HTML can be laid out in reasonable time."""
    if html.count("&") > MAX_REFERENCES and _spell_out(html).count("&") > MAX_REFERENCES:
        return False
    if html.count("<") - html.count("</") <= MAX_OPEN_TAGS:
        return True
    depth = 0
    for closing, tag in _TAG.findall(html):
        if tag.lower() not in _NEVER_OPEN:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > MAX_OPEN_TAGS:
                return False
    return True


def sanitise_html(html: str) -> str:
    """`html` without anything that runs, fetches style, submits or escapes its frame.

    Images stay as `cid:`, raster `data:` or remote links. What is nested beyond reason comes back as its text.
    """
    html = tidy(html)
    if not is_tame(html):
        return f"<div>{entities.escape(_strip(html), quote=False)}</div>"
    return _CLEANER.clean(_spell_out(html))


def html_to_text(html: str) -> str:
    """The text a person would read, quoted passages with `> ` before their lines."""
    return htmltext.unmark(marked_text(html))


def marked_text(html: str) -> str:
    """As `html_to_text`, with the marks of `htmltext` where a mail client says that history or a signature begins."""
    html = tidy(html)
    if not is_tame(html):
        return _strip(html)
    return htmltext.render(_OUTLINER.clean(_spell_out(html)))


def _spell_out(html: str) -> str:
    """References to harmless letters as those letters, where there are many (whole mails are written so)."""
    if html.count("&") <= MAX_REFERENCES:
        return html
    return tidy(_REFERENCE.sub(lambda match: _letter(match[0]), html))


def _letter(reference: str) -> str:
    letter = entities.unescape(reference)
    return reference if letter in "<>&\"'" else letter


def _strip(html: str) -> str:
    return tidy(entities.unescape(_MARKUP.sub(" ", html))).strip()
