"""HTML of messages: what a reply looks like outside, and the document a sandboxed frame shows. Pure."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Mapping, Sequence

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from inbox.conversations.model import FileRef, Message

_PARSER = ParserConfig(css=CSS_PROFILES["strict"], display_links=False)
_SOURCE = re.compile(r"""(<img\b[^>]*?\bsrc=)(["'])(.*?)\2""", re.IGNORECASE | re.DOTALL)
_FILE_URL = re.compile(r"^/files/[^/]+/([0-9a-z]+)/")
_REMOTE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
_FRAME_STYLE = """
:root { color-scheme: light; }
body { margin: 0; padding: 0; font: 14px/1.45 Inter, system-ui, sans-serif; color: #1d2025; background: #fff;
  overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
table { max-width: 100%; }
pre { white-space: pre-wrap; }
blockquote { margin: 0 0 0 4px; padding-left: 12px; border-left: 2px solid #d5d9e0; color: #5b6270; }
"""


def to_text(html: str) -> str:
    """The plain text of what was written in the editor."""
    if not html.strip():
        return ""
    lines = get_text(f"<body>{html}</body>", _PARSER).replace("\xa0", " ").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip()


def to_html(text: str) -> str:
    """Plain text as HTML with its line breaks."""
    return entities.escape(text).replace("\n", "<br>\n")


def is_blank(html: str) -> bool:
    """Whether nothing was written: no text and no picture."""
    return "<img" not in html and not to_text(html).strip()


def link_inline_files(html: str, files: Sequence[FileRef]) -> str:
    """Pictures pasted into the editor (our own file links) become `cid:` links to the message's parts."""
    known = {file.id: file.content_id for file in files if file.content_id}

    def replace(match: re.Match[str]) -> str:
        url = _FILE_URL.match(match[3])
        content_id = known.get(url[1]) if url else None
        return f"{match[1]}{match[2]}cid:{content_id}{match[2]}" if content_id else match[0]

    return _SOURCE.sub(replace, html)


def show_inline_files(html: str, owner: str, files: Sequence[FileRef]) -> str:
    """`cid:` links become links to the stored files; one without its file shows nothing."""
    known = {file.content_id: file for file in files if file.content_id}

    def replace(match: re.Match[str]) -> str:
        if not match[3].lower().startswith("cid:"):
            return match[0]
        file = known.get(entities.unescape(match[3][4:]))
        target = f"/files/{owner}/{file.id}/inline" if file else ""
        return f"{match[1]}{match[2]}{target}{match[2]}"

    return _SOURCE.sub(replace, html)


def has_remote_images(html: str) -> bool:
    """Whether showing the message would fetch something from outside."""
    return any(_REMOTE.match(match[3]) for match in _SOURCE.finditer(html))


def frame_document(message: Message, *, images: bool) -> str:
    """The whole document of the sandboxed frame; remote pictures are left out unless asked for."""
    body = message.html or f"<div>{to_html(message.full_text or message.text)}</div>"
    body = show_inline_files(body, message.id, message.attachments)
    if not images:
        body = _SOURCE.sub(lambda m: f"{m[1]}{m[2]}{m[2]}" if _REMOTE.match(m[3]) else m[0], body)
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f"<style>{_FRAME_STYLE}</style></head><body>{body}</body></html>"
    )


def quoted(answered: Message, headline: str) -> tuple[str, str]:
    """(text, html) of the history below a reply: the headline ("On ..., ... wrote:") and the answered message."""
    original = answered.full_text or answered.text
    lines = "\n".join(f"> {line}".rstrip() for line in original.splitlines())
    inner = answered.html or to_html(original)
    html = (
        f'<br><div class="gmail_quote"><div class="gmail_attr">{entities.escape(headline)}</div>'
        f'<blockquote class="gmail_quote" type="cite">{inner}</blockquote></div>'
    )
    return f"\n\n{headline}\n{lines}", html


def forwarded(original: Message, labels: Mapping[str, str]) -> str:
    """The HTML a forwarded message begins with in the editor: a head of label: value lines, then the original."""
    head = "".join(f"<div><b>{entities.escape(k)}</b> {entities.escape(v)}</div>" for k, v in labels.items() if v)
    inner = original.html or to_html(original.full_text or original.text)
    return f"<p><br></p><div>----------</div>{head}<br><div>{inner}</div>"
