"""Clean, well-formed HTML (the sanitiser's output) to plain text, with marks where mail clients put history. Pure.

Not inscriptis: it pads table cells to equal width (120 KB of mail became 200 MB of blanks), loses all text beyond 256
levels of nesting, shows no quotes, and takes several times as long on a newsletter.
"""

from __future__ import annotations

import html as entities
import re

CUT = "\ufdd0"
"""All that follows is history."""
HISTORY = "\ufdd1"
HISTORY_END = "\ufdd2"
SIGNATURE = "\ufdd3"
SIGNATURE_END = "\ufdd4"
MAX_INDENT = 20
"""Levels of quotes and lists that are shown: each line carries them, so deep ones would multiply a mail's size."""
MARKS = frozenset((CUT, HISTORY, HISTORY_END, SIGNATURE, SIGNATURE_END))

MARKUP = re.compile(
    r"divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION|mail-editor-reference-message-container|reply-intro|yahoo_quoted"
    r"|tutanota_quote|protonmail_(?:quote|signature)|zmail_extra|moz-cite-prefix|moz-signature|gmail_(?:attr|quote|sig)"
    r"|AppleMailSignature|[\"'](?:x_)?Signature[\"']|ms-outlook-mobile-signature|<blockquote",
    re.IGNORECASE,
)
"""Whether a mail's HTML says anywhere what is history or signature (a quick look before the long one)."""

_MARK_LINE = re.compile(f"(?:^> ?)*[{''.join(sorted(MARKS))}]\n?", re.MULTILINE)
_CUT_ID = re.compile(
    r"(?:x_)*(?:divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION|mail-editor-reference-message-container)"
)
_HISTORY_CLASS = re.compile(
    r"(?:^|[\s_])(?:gmail_attr|moz-cite-prefix|yahoo_quoted\w*|tutanota_quote|protonmail_quote|zmail_extra)(?:\s|$)"
)
_SIGNATURE_CLASS = re.compile(
    r"(?:^|[\s_])(?:gmail_signature|moz-signature|protonmail_signature_block|ms-outlook-mobile-signature)(?:\s|$)"
)
_SIGNATURE_ID = re.compile(
    r"(?:x_)*(?:AppleMailSignature|Signature|ms-outlook-mobile-signature|lineBreakAtBeginningOfSignature)"
)
_INDENT_ONLY = re.compile(r"border(?:-left)?:\s*(?:none|0)")

_TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:\s+[^\s=>]+(?:="[^"]*")?)*)\s*/?>|([^<]+)|<')
_ATTRIBUTE = re.compile(r'([^\s=]+)="([^"]*)"')
_BLANKS = re.compile(r"[ \t\n\r\f\xa0]+")
_MANY_BREAKS = re.compile(r"\n{3,}")
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre"})
_BLOCKS = _PARAGRAPHS | {
    *(
        "address",
        "article",
        "aside",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dt",
        "figcaption",
        "figure",
        "footer",
    ),
    *("header", "hr", "li", "main", "nav", "section", "summary", "table", "tbody", "tfoot", "thead", "tr"),
}


def render(html: str) -> str:
    """Plain text of clean HTML; a mark stands on a line of its own."""
    page = _Page()
    for closing, tag, attributes, text in _TOKEN.findall(html):
        if text:
            page.write(entities.unescape(text) if "&" in text else text)
        elif not tag:
            page.write("<")
        elif closing:
            page.close(tag)
        else:
            page.open(tag, dict(_ATTRIBUTE.findall(attributes)) if attributes else {})
    return page.finish()


def unmark(text: str) -> str:
    """`text` without marks."""
    return _MARK_LINE.sub("", text).strip("\n") if any(mark in text for mark in MARKS) else text


class _Page:
    """Lines as they fill; `_gap` is how many line breaks the next text needs before it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._gap = 0
        self._quotes = 0
        self._pre = 0
        self._lists: list[int | None] = []
        self._open: list[tuple[str, str, bool]] = []

    def write(self, text: str) -> None:
        if self._pre:
            for number, line in enumerate(text.split("\n")):
                if number:
                    self._end_line()
                if line:
                    self._put(line)
            return
        text = _BLANKS.sub(" ", text)
        if text == " " and (self._gap or not self._line):
            return
        if not self._line or self._gap:
            text = text.lstrip(" ")
        elif text[0] == " " and self._line[-1].endswith(" "):
            text = text[1:]
        if text:
            self._put(text)

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "br":
            self._settle()
            self._end_line()
            return
        if tag in ("td", "th"):
            if self._line and not self._gap:
                self._line.append("  ")
            return
        if tag in _BLOCKS:
            self._break(2 if tag in _PARAGRAPHS and not (self._lists and tag in ("ul", "ol")) else 1)
        mark, end = _marks(tag, attributes)
        if mark:
            self._mark(mark)
        quote = tag == "blockquote" and not _INDENT_ONLY.search(attributes.get("style", ""))
        if tag == "blockquote" or tag in ("div", "span", "p", "table", "pre"):
            self._open.append((tag, end, quote))
        if quote:
            self._settle()
            self._quotes += 1
        elif tag == "pre":
            self._pre += 1
        elif tag in ("ul", "ol"):
            self._lists.append(None if tag == "ul" else 0)
        elif tag == "li":
            self._bullet()

    def close(self, tag: str) -> None:
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if tag in _BLOCKS:
            self._break(2 if tag in _PARAGRAPHS and not self._lists else 1)
        if self._open and self._open[-1][0] == tag:
            _, end, quote = self._open.pop()
            if quote:
                self._flush()
                self._quotes -= 1
            if tag == "pre":
                self._pre -= 1
            if end:
                self._mark(end)

    def finish(self) -> str:
        self._flush()
        return _MANY_BREAKS.sub("\n\n", "\n".join(self._lines)).strip("\n")

    def _put(self, text: str) -> None:
        self._settle()
        self._line.append(text)

    def _break(self, lines: int) -> None:
        if self._line or self._lines:
            self._gap = max(self._gap, lines)

    def _flush(self) -> None:
        if self._line:
            self._end_line()
            self._gap = max(0, self._gap - 1)

    def _settle(self) -> None:
        """Carry out the breaks that were asked for."""
        if self._gap:
            self._flush()
            if self._gap and self._lines and self._lines[-1].strip("> "):
                self._end_line()
            self._gap = 0

    def _end_line(self) -> None:
        text = "".join(self._line).rstrip()
        self._line.clear()
        self._lines.append(("> " * min(self._quotes, MAX_INDENT) + text).rstrip() if self._quotes else text)

    def _mark(self, mark: str) -> None:
        self._flush()
        self._lines.append(mark)

    def _bullet(self) -> None:
        indent = "  " * max(0, min(len(self._lists), MAX_INDENT) - 1)
        number = self._lists[-1] if self._lists else None
        if number is None:
            self._put(f"{indent}- ")
        else:
            self._lists[-1] = number + 1
            self._put(f"{indent}{number + 1}. ")


def _marks(tag: str, attributes: dict[str, str]) -> tuple[str, str]:
    """The marks before and after an element."""
    name = attributes.get("id", "")
    kind = attributes.get("class", "")
    if name and _CUT_ID.fullmatch(name):
        return CUT, ""
    if (kind and _HISTORY_CLASS.search(kind)) or "yahoo_quoted" in name:
        return HISTORY, HISTORY_END
    if (kind and _SIGNATURE_CLASS.search(kind)) or (name and _SIGNATURE_ID.fullmatch(name)):
        return SIGNATURE, SIGNATURE_END
    return "", ""
