"""A MIME tree to what a person reads: text, new words, HTML, attachments. Pure, never raises on purpose."""

from __future__ import annotations

import html as entities
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from channels.base import Attachment
from channels.email import calendar, htmltext, smime, tnef, wording
from channels.email.charsets import decode
from channels.email.files import clean_name, default_name, guess_type
from channels.email.headers import Headers, decode_words
from channels.email.mime import Part, read, read_headers
from channels.email.quotes import reply_text
from channels.email.sanitise import is_tame, marked_text, sanitise_html

MAX_TEXT = 1_000_000
MAX_HTML = 1_000_000
MAX_CLEAN_HTML = 1_500_000
"""Characters that are shown and stored with the message (a MongoDB document holds 16 MB); longer ones are attached."""
_SAME_WORDS = 0.7
_MAX_SIGNED = 3

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_CID = re.compile(r"cid:([^\"'\s>)]+)", re.IGNORECASE)
_WORDS = re.compile(r"\w+")
_METHOD = re.compile(rb"^METHOD:", re.MULTILINE)
_PLAIN_HTML = '<div style="white-space:pre-wrap">{}</div>'
_OTHER_VIEWS = frozenset({"text/x-amp-html", "text/watch-html", "text/enriched", "text/richtext"})
"""Further forms of an alternative that say what its text and HTML say."""
_CALENDAR_TYPES = frozenset({"text/calendar", "application/ics"})
_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_SMIME_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_MAIL_TYPES = frozenset({"message/rfc822", "message/global", "message/news"})


@dataclass(slots=True)
class Body:
    """What a mail says."""

    text: str = ""
    reply_text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    is_calendar: bool = False


@dataclass(slots=True)
class _Segment:
    """One stretch of the body, as text, as HTML, or as both."""

    text: str | None = None
    html: str | None = None


@dataclass(slots=True)
class _File:
    name: str
    media_type: str
    content: bytes
    disposition: str = ""
    content_id: str = ""
    related: bool = False
    spare: bool = False
    """One form of an alternative, which may come as a file of its own as well."""


@dataclass(slots=True)
class _Place:
    """Where in the tree a part stands."""

    alternative: bool = False
    related: bool = False
    root: bool = False
    signed: int = 0


@dataclass(slots=True)
class _Collector:
    warnings: set[str]
    files: list[_File] = field(default_factory=list)
    invitations: list[bytes] = field(default_factory=list)
    spare: list[_Segment] = field(default_factory=list)
    """Bodies out of containers (TNEF), for a mail that has none of its own."""
    bodies: int = 0
    shown: dict[str, int] = field(default_factory=dict)
    """Characters of body text taken so far, by media type."""
    is_calendar: bool = False

    def walk(self, part: Part, place: _Place) -> list[_Segment]:
        """The body segments below `part`; its files are collected on the way."""
        if not part.children:
            return self._leaf(part, place)
        if part.type == "multipart/encrypted":
            self.warnings.add(wording.ENCRYPTED)
        elif part.type == "multipart/signed":
            self.warnings.add(wording.SIGNED)
        if part.type == "multipart/alternative":
            below = _Place(alternative=True, signed=place.signed)
            return _merge_alternatives([self.walk(child, below) for child in part.children])
        below = _Place(related=part.type == "multipart/related", signed=place.signed)
        return _pair_up([segment for child in part.children for segment in self.walk(child, below)])

    def _leaf(self, part: Part, place: _Place) -> list[_Segment]:
        disposition, params = part.disposition()
        disposition = disposition.lower()
        name = clean_name(params.get("filename", "") or part.params.get("name", ""))
        if place.alternative and part.type in _OTHER_VIEWS:
            return []
        content = part.content(self.warnings)
        if self._is_body(part, name, disposition, place):
            self.bodies += 1
            return [self._text(part, content)]
        if (part.type in _TNEF_TYPES or name.lower() == "winmail.dat") and self._unpack(content):
            return []
        if part.type in _CALENDAR_TYPES:
            self._invite(part, content, disposition)
        elif part.type == "application/pgp-encrypted" or (
            part.type in _SMIME_TYPES and not self._open_signed(content, place)
        ):
            self.warnings.add(wording.ENCRYPTED)
        if not name and part.type in _MAIL_TYPES:
            subject = read_headers(content).words("subject") or "message"
            name = clean_name(f"{subject.replace('/', '-')}.eml")
        file = _File(name or default_name(part.type, len(self.files) + 1), part.type, content, disposition)
        file.content_id = _content_id(part.headers)
        file.related = place.related
        file.spare = place.alternative and not name and part.type == "text/calendar"
        self.files.append(file)
        return []

    def attachments(self, referenced: set[str]) -> tuple[Attachment, ...]:
        """The files, without the second copy of an invitation that some calendars send as text and as file."""
        kept = {_squeezed(file.content) for file in self.files if file.media_type in _CALENDAR_TYPES and not file.spare}
        return tuple(
            _attachment(file, referenced)
            for file in self.files
            if not file.spare or _squeezed(file.content) not in kept
        )

    def _is_body(self, part: Part, name: str, disposition: str, place: _Place) -> bool:
        if disposition == "attachment":
            return False
        if part.type not in ("text/plain", "text/html"):
            return place.root and part.main_type == "text" and not name and part.type != "text/calendar"
        # Some mailers name the very text; a second named one is a file.
        return not name or not self.bodies

    def _text(self, part: Part, content: bytes) -> _Segment:
        charset = part.params.get("charset", "").partition(" ")[0]
        is_html = part.type == "text/html"
        if is_html and not charset:
            meta = _META_CHARSET.search(content, 0, 4096)
            charset = meta[1].decode("ascii", "replace") if meta else ""
        text, right = decode(content, charset)
        if not right:
            self.warnings.add(wording.BAD_CHARSET)
        if is_html:
            return _Segment(html=self._limit(text, MAX_HTML, part.type))
        if part.params.get("format", "").lower() == "flowed":
            text = _unflow(text, delete_space=part.params.get("delsp", "").lower() == "yes")
        if text.lstrip().startswith("-----BEGIN PGP MESSAGE-----"):
            self.warnings.add(wording.ENCRYPTED)
        return _Segment(text=self._limit(text, MAX_TEXT, "text/plain"))

    def _limit(self, text: str, limit: int, media_type: str) -> str:
        """As much of the text as still has room beside what was taken before."""
        room = limit - self.shown.get(media_type, 0)
        self.shown[media_type] = limit - max(0, room - len(text))
        if len(text) <= room:
            return text
        self.attach_whole(text, media_type)
        return text[:room]

    def attach_whole(self, text: str, media_type: str) -> None:
        """Keep a text that is too long to be shown."""
        self.warnings.add(wording.LONG_TEXT)
        name = "message.html" if media_type == "text/html" else "message.txt"
        self.files.append(_File(name, media_type, text.encode()))

    def _open_signed(self, content: bytes, place: _Place) -> bool:
        """Show what an opaquely signed mail holds; whether it is one."""
        inner = smime.signed_content(content)
        if inner is None or place.signed >= _MAX_SIGNED:
            return False
        self.warnings.add(wording.SIGNED)
        self.spare += self.walk(read(inner, self.warnings), _Place(root=True, signed=place.signed + 1))
        return True

    def _unpack(self, content: bytes) -> bool:
        unpacked = tnef.unpack(content)
        if unpacked is None:
            self.warnings.add(wording.BAD_TNEF)
            return False
        if unpacked.text or unpacked.html:
            self.spare.append(_Segment(unpacked.text or None, unpacked.html or None))
        for inner in unpacked.files:
            name = clean_name(inner.name)
            name = name or default_name("", len(self.files) + 1)
            self.files.append(_File(name, guess_type(name), inner.content, content_id=inner.content_id))
        return True

    def _invite(self, part: Part, content: bytes, disposition: str) -> None:
        if disposition != "attachment" or "method" in part.params or _METHOD.search(content):
            self.is_calendar = True
            self.invitations.append(content)


def read_body(root: Part, subject: str, warnings: set[str]) -> Body:
    """The body of a whole mail; what is odd about it is added to `warnings`."""
    collector = _Collector(warnings)
    segments = collector.walk(root, _Place(root=True)) or collector.spare
    if not any((segment.text or segment.html or "").strip() for segment in segments):
        segments = collector.spare or segments
    if not any(segment.text or segment.html for segment in segments):
        segments = [*segments, *(_Segment(text=text) for text in _summaries(collector))]
    body = Body(is_calendar=collector.is_calendar)
    if any(segment.html for segment in segments):
        raw_html = "".join(segment.html or "" for segment in segments)
        if not is_tame(raw_html):
            warnings.add(wording.WILD_HTML)
        body.html = "\n".join(filter(None, map(_as_html, segments)))
        if len(body.html) > MAX_CLEAN_HTML:
            collector.attach_whole(raw_html, "text/html")
            body.html = ""
        referenced = {unquote(cid).strip("<>") for cid in _CID.findall(raw_html)}
    else:
        raw_html = ""
        referenced = set()
    _fill_text(body, segments, subject, raw_html)
    body.attachments = collector.attachments(referenced)
    return body


def _fill_text(body: Body, segments: list[_Segment], subject: str, raw_html: str) -> None:
    """Text and new words. Where the text is the mail's own, its HTML is asked only if the text shows no history."""
    marked = "\n".join(filter(None, map(_as_marked_text, segments)))[:MAX_TEXT].rstrip()
    body.text = htmltext.unmark(marked)
    body.reply_text = reply_text(marked, subject)
    own_text = any((segment.text or "").strip() for segment in segments)
    if own_text and body.reply_text == body.text.strip("\n") and htmltext.MARKUP.search(raw_html):
        text = marked_text(raw_html)
        words = reply_text(text, subject)
        if words and len(words) < len(htmltext.unmark(text)):
            body.reply_text = words


def _as_marked_text(segment: _Segment) -> str:
    if segment.text is not None and (segment.text.strip() or not segment.html):
        return segment.text
    return marked_text(segment.html or "")


def _as_html(segment: _Segment) -> str:
    if segment.html is not None:
        return sanitise_html(segment.html)
    return _PLAIN_HTML.format(entities.escape(segment.text, quote=False)) if segment.text else ""


def _summaries(collector: _Collector) -> list[str]:
    for content in collector.invitations:
        summary = calendar.summarise(content)
        if summary is not None:
            return [summary]
    if collector.invitations:
        collector.warnings.add(wording.BAD_CALENDAR)
    return []


def _merge_alternatives(views: list[list[_Segment]]) -> list[_Segment]:
    """One of several forms of the same: the last with HTML (the last is the best, RFC 2046), the first with words."""
    rich = next((view for view in reversed(views) if any(segment.html for segment in view)), None)
    texts = [view for view in views if view and view is not rich and not any(segment.html for segment in view)]
    plain = next((view for view in texts if any((segment.text or "").strip() for segment in view)), None)
    if rich is None or plain is None:
        return rich or plain or (texts[0] if texts else [])
    text = "\n".join(segment.text or "" for segment in plain)
    html = "\n".join(
        segment.html
        if segment.html is not None
        else _PLAIN_HTML.format(entities.escape(segment.text or "", quote=False))
        for segment in rich
    )
    return [_Segment(text, html)]


def _pair_up(segments: list[_Segment]) -> list[_Segment]:
    """Text and HTML of the same words that stand one after the other, as if they were an alternative, made one."""
    found: list[_Segment] = []
    for segment in segments:
        before = found[-1] if found else None
        if (
            before
            and segment.html
            and before.text
            and segment.text is None
            and before.html is None
            and _same(before, segment)
        ):
            found[-1] = _Segment(before.text, segment.html)
        else:
            found.append(segment)
    return found


def _same(plain: _Segment, rich: _Segment) -> bool:
    ours = set(_WORDS.findall((plain.text or "").lower()))
    theirs = set(_WORDS.findall(htmltext.unmark(marked_text(rich.html or "")).lower()))
    return len(ours & theirs) >= _SAME_WORDS * len(ours | theirs)


def _unflow(text: str, *, delete_space: bool) -> str:
    """Paragraphs of format=flowed text (RFC 3676) in one line each."""
    out: list[str] = []
    paragraph: list[str] = []
    depth = 0

    def flush() -> None:
        if paragraph:
            out.append((">" * depth + " " if depth else "") + "".join(paragraph))
            paragraph.clear()

    for line in text.split("\n"):
        quotes = len(line) - len(line.lstrip(">"))
        words = line[quotes:].removeprefix(" ")
        signature = words == "-- "
        if quotes != depth or signature:
            flush()
        depth = quotes
        soft = words.endswith(" ") and not signature
        paragraph.append(words[:-1] if soft and delete_space else words)
        if not soft:
            flush()
    flush()
    return "\n".join(out)


def _squeezed(content: bytes) -> bytes:
    return b"".join(content.split())


def _content_id(headers: Headers) -> str:
    return decode_words(headers.first("content-id")).strip("<> ")


def _attachment(file: _File, referenced: set[str]) -> Attachment:
    shown = bool(file.content_id) and (file.content_id in referenced or (file.related and not file.disposition))
    return Attachment(
        name=file.name,
        media_type=file.media_type,
        size=len(file.content),
        content=file.content,
        content_id=file.content_id,
        inline=shown or file.disposition == "inline",
    )
