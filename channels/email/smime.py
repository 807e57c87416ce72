"""The content of an opaquely signed S/MIME mail (RFC 8551 section 3.5.2); its signature is not checked. Pure.

`cryptography` decrypts and verifies nothing of this kind and shows no content, so the few fields on the way to it are
walked here: ContentInfo > SignedData > EncapsulatedContentInfo > eContent (RFC 5652), in DER or BER.
"""

from __future__ import annotations

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_MAX_DEPTH = 8
_OID, _OCTETS, _OCTETS_IN_PIECES, _SEQUENCE, _EXPLICIT = 0x06, 0x04, 0x24, 0x30, 0xA0


def signed_content(data: bytes) -> bytes | None:
    """The MIME entity that was signed; None where the data is no signed-data or is damaged."""
    try:
        info = _children(data, *_value(data, 0))
        if data[info[0][1] : info[0][2]] != _SIGNED_DATA:
            return None
        signed = _children(data, *_inner(data, info[1]))
        # version, digestAlgorithms, encapContentInfo
        return _octets(data, _children(data, *_inner(data, _children(data, signed[2][1], signed[2][2])[1])), 0)
    except (IndexError, ValueError):
        return None


Element = tuple[int, int, int]
"""(tag, start of the value, end of the value)"""


def _inner(data: bytes, element: Element) -> tuple[int, int]:
    """The value of what an explicit tag wraps."""
    if element[0] != _EXPLICIT:
        raise ValueError("not wrapped")
    return _value(data, element[1]) if data[element[1]] == _SEQUENCE else (element[1], element[2])


def _value(data: bytes, at: int) -> tuple[int, int]:
    _, start, end, _ = _element(data, at, len(data), 0)
    return start, end


def _children(data: bytes, start: int, end: int) -> list[Element]:
    found: list[Element] = []
    while start < end and data[start : start + 2] != b"\0\0":
        tag, inner, inner_end, start = _element(data, start, end, 0)
        found.append((tag, inner, inner_end))
    return found


def _element(data: bytes, at: int, end: int, depth: int) -> tuple[int, int, int, int]:
    """Tag, start and end of the value, and where the next element begins."""
    tag, length = data[at], data[at + 1]
    start = at + 2
    if length == 0x80:  # indefinite: up to the end-of-contents octets
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        inner = start
        while data[inner : inner + 2] != b"\0\0":
            if inner >= end:
                raise ValueError("cut off")
            inner = _element(data, inner, end, depth + 1)[3]
        return tag, start, inner, inner + 2
    if length > 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > end:
        raise ValueError("cut off")
    return tag, start, start + length, start + length


def _octets(data: bytes, elements: list[Element], depth: int) -> bytes:
    """An OCTET STRING, whole or in pieces."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    parts: list[bytes] = []
    for tag, start, end in elements:
        if tag == _OCTETS:
            parts.append(data[start:end])
        elif tag == _OCTETS_IN_PIECES:
            parts.append(_octets(data, _children(data, start, end), depth + 1))
        else:
            raise ValueError("not octets")
    return b"".join(parts)
