"""Bytes to text when the declared charset is missing, unknown or a lie. Never raises."""

from __future__ import annotations

import re

from charset_normalizer import from_bytes

_SAMPLE = 65_536
"""Bytes shown to the charset detector; more costs time and changes nothing."""

_SUPERSETS = {
    # What mailers call by a narrow name and fill from the wider one (as browsers treat them).
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "big5": "cp950",
    "tis-620": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
}
_NOT_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
"""Python codecs that no mail means; some take quadratic time."""

_LATIN = ["cp1252", "cp1250", "cp1254", "cp1257"]
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_C1 = re.compile(rb"[\x80-\x9f]")
_CODE_PAGE = re.compile(r"(?:x-)?(?:cp|win|windows|dos|ibm)[-_ ]?(\d{3,5})")
_UNWANTED = re.compile("[\x00\ud800-\udfff\ufdd0-\ufdef]")
"""NUL (databases refuse it), lone surrogates (not encodable) and the noncharacters `htmltext` marks with."""


def decode(data: bytes, declared: str = "") -> tuple[str, bool]:
    """Text of `data`, and whether the declared charset (ASCII or UTF-8 where none is declared) was right."""
    if data.isascii() and not _shifts(declared):
        return tidy(data.decode("ascii")), True
    name = _CODE_PAGE.sub(r"cp\1", declared.strip().strip("\"'").lower())
    for charset in _candidates(name):
        text = _strict(data, charset)
        if text is not None:
            return tidy(text), charset == _SUPERSETS.get(name, name) or not name
    if name in ("utf-8", "utf8"):
        text = data.decode("utf-8", "replace")
        if text.count("\ufffd") * 20 <= len(text):
            return tidy(text), False
    return tidy(_guess(data)), False


def tidy(text: str) -> str:
    """`text` with newlines as LF and without characters that cannot be stored."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNWANTED.sub("", text) if _UNWANTED.search(text) else text


def _shifts(declared: str) -> bool:
    """Whether pure ASCII bytes may mean something else in this charset."""
    name = declared.lower()
    return "utf-7" in name or "2022" in name or "hz" in name or "utf-16" in name or "utf-32" in name


def _candidates(name: str) -> list[str]:
    wide = _SUPERSETS.get(name, name)
    if name in ("", "us-ascii", "ascii"):
        return ["utf-8"]
    return [wide, "utf-8"] if name == wide else [wide, name, "utf-8"]


def _strict(data: bytes, charset: str) -> str | None:
    if charset.replace("-", "_") in _NOT_CHARSETS:
        return None
    try:
        return data.decode(charset)
    except (LookupError, ValueError):
        return None


def _guess(data: bytes) -> str:
    sample = data[:_SAMPLE]
    try:
        best = from_bytes(sample, cp_isolation=_LATIN if _looks_latin(sample) else None).best()
    except Exception:  # noqa: BLE001 - a detector's failure on odd bytes must not cost the mail
        best = None
    text = None if best is None else _strict(data, best.encoding)
    return data.decode("cp1252", "replace") if text is None else text


def _looks_latin(data: bytes) -> bool:
    """Whether letters beyond ASCII stand alone, as accents do; the detector takes short texts of them for Chinese."""
    runs = _HIGH_RUN.findall(data)
    single = sum(1 for run in runs if len(run) == 1)
    return single * 5 >= len(runs) * 3 and len(_C1.findall(data)) * 3 <= sum(map(len, runs))
