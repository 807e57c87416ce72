"""What the writer of a mail wrote, without the history and the signature that clients add. Pure.

When in doubt, words are kept: a quote shown once too often costs an agent a glance, a lost sentence costs a customer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from channels.email import phrases
from channels.email.htmltext import CUT, HISTORY, HISTORY_END, MARKS, SIGNATURE, SIGNATURE_END

MAX_ATTRIBUTION_LINES = 4
MAX_ATTRIBUTION = 400
MAX_RULE = 100
MAX_SEARCHED = 5000
"""Lines that are searched for unmarked history; a hostile mail of a million lines must not take minutes."""
MAX_SIGNATURE_LINES = 20
"""Longer than that, what follows `--` is no signature."""

_QUOTED = re.compile(r" ?>(?!From )")
_ADDRESS = re.compile(r"[^\s<>@\"()]{1,64}@[^\s<>@\"()]{1,255}")
_TIME = re.compile(r"\b\d{1,2}\s?[:.hH時时시]\s?\d{2}|\d{1,2}\s?(?:[ap]\.?m\b|Uhr\b)", re.IGNORECASE)
_DATE = re.compile(r"\b\d{1,4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,4}\b|\b(?:19|20)\d\d\b|[年년]")
_ENDS = re.compile(r"[:：]\s*[*_]?\s*$")
_KEY = re.compile(r"[\s*_]*([^\W\d_][\w .'’()/-]{0,24}?)[\s*_]*[:：][\s*_]*(.*)")
_RULE = re.compile(r"\s*[_\-=—–*]{10,}\s*")
_LABELLED_RULE = re.compile(
    r"[\s*>]*(-{2,}|_{2,}|={2,}|—{1,}|\*{3,})\s*([^-_=—*\n][^\n]{2,60}?)\s*(?:-{2,}|_{2,}|={2,}|—{1,}|\*{3,})\s*"
)
_REPLY_PREFIX = re.compile(r"(?:\s*(?:\[[^\]]*\]|[^\s:：]{1,8})\s*[:：])*\s*")
_SIGNATURE_LINE = re.compile(r"--[ \xa0]?")


@dataclass(slots=True)
class _Text:
    lines: list[str]
    subject: str
    forward: bool
    """The subject says that the mail is forwarded: what follows a header block is then what it is about."""


def reply_text(text: str, subject: str = "") -> str:
    """The new words of a mail. `text` may hold the marks of `htmltext`; quoted lines begin with `>`.

    Empty where the mail certainly has only quote and signature; where that is not certain, the whole text.
    """
    mail = _Text(text.split("\n"), subject, bool(phrases.FORWARD_SUBJECT.match(subject)))
    end = _history_start(mail)
    kept, sure = _without_quotes(mail.lines[:end])
    words = _assemble(kept)
    if not words and end < len(mail.lines):
        # Nothing stands above the history: then the writer's words, if any, are in it.
        kept, sure = _without_quotes(mail.lines)
        words = _assemble(kept)
    if words or sure:
        return words
    return "\n".join(line for line in mail.lines if line not in MARKS).strip("\n")


def _history_start(mail: _Text) -> int:
    """Index of the line where unquoted history begins, the number of lines where there is none."""
    lines = mail.lines
    for at, line in enumerate(lines[:MAX_SEARCHED]):
        if not line or line.isspace() or _QUOTED.match(line):
            continue
        if line == CUT:
            if not mail.forward:
                return at
            continue
        if _is_forward(lines, at):
            return len(lines)
        if _is_history(mail, at):
            return len(lines) if mail.forward else at
    return len(lines)


def _is_forward(lines: list[str], at: int) -> bool:
    line = lines[at]
    if len(line) > MAX_RULE:
        return False
    introduces = _LABELLED_RULE.fullmatch(line) or (_ENDS.search(line) and _header_keys(lines, at + 1))
    return bool(introduces and phrases.FORWARDED.search(line))


def _is_history(mail: _Text, at: int) -> bool:
    lines, line = mail.lines, mail.lines[at]
    rule = _LABELLED_RULE.fullmatch(line) if len(line) <= MAX_RULE else None
    if rule and phrases.ORIGINAL.search(rule[2]):
        return True
    if rule or _RULE.fullmatch(line):
        return _is_header_block(mail, at + 1)
    key = _KEY.match(line)
    if (
        key
        and (not at or phrases.FROM.fullmatch(key[1]) or not _KEY.match(lines[at - 1]))
        and _is_header_block(mail, at)
    ):
        return True
    return _is_bare_attribution(lines, at)


def _header_keys(lines: list[str], at: int) -> list[tuple[str, str]]:
    """The run of `Key: value` lines at `at`, blank and continuation lines between them allowed."""
    found: list[tuple[str, str]] = []
    misses = 0
    for line in lines[at : at + 16]:
        match = _KEY.fullmatch(line)
        if match:
            found.append((match[1].strip(), match[2].strip()))
            misses = 0
        elif line.strip():
            misses += 1
            if not found or misses > 1:
                break
    return found


def _is_header_block(mail: _Text, at: int) -> bool:
    """Outlook's `From: Sent: To: Subject:` in any language: by its words, or because it repeats the mail's subject."""
    keys = _header_keys(mail.lines, at)
    if len(keys) < 3:
        return False
    addressed = any("@" in value for _, value in keys)
    dated = any(phrases.SENT.fullmatch(key) and re.search(r"\d", value) for key, value in keys[:4])
    titled = any(phrases.SUBJECT.fullmatch(key) for key, _ in keys)
    if phrases.FROM.fullmatch(keys[0][0]) and dated and (titled or addressed):
        return True
    subject = _bare_subject(mail.subject)
    repeats = len(subject) >= 4 and any(_bare_subject(value) == subject for _, value in keys[1:])
    return repeats and any(_TIME.search(value) for _, value in keys[:4])


def _bare_subject(subject: str) -> str:
    return " ".join(_REPLY_PREFIX.sub("", subject, count=1).casefold().split())


def _is_bare_attribution(lines: list[str], at: int) -> bool:
    """A paragraph `On DATE, NAME <ADDRESS> wrote:` whose quote bears no marks; what follows is history."""
    if at and lines[at - 1].strip() and lines[at - 1] not in MARKS:
        return False
    end = at
    while end < min(len(lines), at + MAX_ATTRIBUTION_LINES) and not _ENDS.search(lines[end]):
        if not lines[end].strip() or _QUOTED.match(lines[end]):
            return False
        end += 1
    if not _attributes(" ".join(lines[at : end + 1]), sure=True):
        return False
    following = next((line for line in lines[end + 1 : end + 9] if line.strip()), "")
    # A quote with marks is taken out by itself, and what is written below it stays.
    return bool(following) and not _QUOTED.match(following) and following not in MARKS


def _attributes(line: str, *, sure: bool) -> bool:
    """Whether a line introduces a quote: in any language by an address and a time, else by a word for `wrote`."""
    if len(line) > MAX_ATTRIBUTION:
        return False
    ends = bool(_ENDS.search(line))
    if not ends and sure:
        return False
    address = bool(_ADDRESS.search(line))
    time, date = bool(_TIME.search(line)), bool(_DATE.search(line))
    if address and time and date:
        return True
    if sure:
        return (time or date) and bool(phrases.WROTE.search(line))
    return ends and ((time and date) or address or bool(phrases.WROTE.search(line)))


def _without_quotes(lines: list[str]) -> tuple[list[list[str]], bool]:
    """The stretches of text between quotes, and whether a quote was found whose introduction proves it one."""
    stretches: list[list[str]] = [[]]
    sure = False
    hidden = 0
    for at, line in enumerate(lines):
        if line in MARKS:
            hidden = _marked(line, hidden, stretches)
            sure = sure or line == HISTORY
        elif hidden:
            continue
        elif _QUOTED.match(line):
            if stretches[-1]:
                if not (at and _QUOTED.match(lines[at - 1])):
                    sure = _drop_attribution(stretches[-1]) or sure
                stretches.append([])
        else:
            stretches[-1].append(line)
    return _unsigned(stretches, sure)


def _marked(mark: str, hidden: int, stretches: list[list[str]]) -> int:
    if mark in (HISTORY, SIGNATURE):
        stretches.append([])
        return hidden + 1
    if mark in (HISTORY_END, SIGNATURE_END):
        return max(0, hidden - 1)
    return hidden


def _unsigned(stretches: list[list[str]], sure: bool) -> tuple[list[list[str]], bool]:
    kept: list[list[str]] = []
    for stretch in stretches:
        cut = _signature_start(stretch)
        sure = sure or cut < len(stretch)
        kept.append(stretch[:cut])
    return kept, sure


def _drop_attribution(stretch: list[str]) -> bool:
    """Take the introduction of a quote off the end of the text before it; whether there was one."""
    end = len(stretch)
    while end and not stretch[end - 1].strip():
        end -= 1
    weak = 0
    for count in range(1, MAX_ATTRIBUTION_LINES + 1):
        if count > end or not stretch[end - count].strip():
            break
        joined = " ".join(line.strip() for line in stretch[end - count : end])
        if _attributes(joined, sure=True):
            start = end - count
            if (
                start
                and stretch[start - 1].strip()
                and phrases.OPENS.match(stretch[start - 1])
                and not phrases.OPENS.match(stretch[start])
            ):
                start -= 1
            del stretch[start:]
            return True
        if not weak and _attributes(joined, sure=False):
            weak = count
    if weak:
        del stretch[end - weak :]
    return bool(weak)


def _signature_start(stretch: list[str]) -> int:
    """Index where the signature begins: after `-- ` (RFC 3676), or at a phone's advertisement of itself."""
    end = len(stretch)
    for at, line in enumerate(stretch):
        if _SIGNATURE_LINE.fullmatch(line):
            below = sum(1 for each in stretch[at + 1 :] if each.strip())
            if below <= MAX_SIGNATURE_LINES:
                end = at
                break
    while True:
        last = end
        while last and (not stretch[last - 1].strip() or _RULE.fullmatch(stretch[last - 1])):
            last -= 1
        if last and len(stretch[last - 1]) <= 120 and phrases.MOBILE.fullmatch(stretch[last - 1]):
            end = last - 1
        else:
            return end


def _assemble(stretches: list[list[str]]) -> str:
    texts = ("\n".join(stretch).strip("\n") for stretch in stretches)
    return "\n\n".join(text.rstrip() for text in texts if text.strip())
