"""Finds the words to translate in Python, for Babel (see babel.cfg): what goes through gettext, and every sentence.

Errors of services, problems of fields and the labels of a channel's settings are plain English where they are written
and are translated where they are shown. Rather than marking each, whole sentences and labels are taken as they are; a
sentence that nobody sees costs a translator a line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import IO, Any

_Found = tuple[int, str, str | tuple[str, ...], list[str]]

_SENTENCE = re.compile(r"[A-ZÖ0-9%][^`]* [^`]*[.?!…:]")
_LABELS = frozenset({"label", "help", "group", "words", "title"})
_PAIRS = "choices"


def extract(
    file: IO[bytes],
    keywords: object,
    comment_tags: Collection[str],
    options: dict[str, Any],
) -> list[_Found]:
    """What Babel asks for: (line, function, message, comments) of each. Its arguments beside the file have no say."""
    return [found for found in _all(ast.parse(file.read())) if any(found[2])]


def _all(tree: ast.Module) -> Iterator[_Found]:
    silent = _not_shown(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        elif node not in silent and _SENTENCE.fullmatch(text := _text(node)):
            yield node.lineno, "gettext", text, []  # type: ignore[attr-defined]  # every text has a line


def _of_call(call: ast.Call) -> Iterator[_Found]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    texts = [_text(argument) for argument in call.args]
    if name in ("_", "gettext") and texts:
        yield call.lineno, "gettext", texts[0], []
    elif name == "ngettext" and len(texts) > 1:
        yield call.lineno, "ngettext", (texts[0], texts[1]), []
    for keyword in call.keywords:
        if keyword.arg in _LABELS:
            yield keyword.value.lineno, "gettext", _text(keyword.value), []
        elif keyword.arg == _PAIRS and isinstance(keyword.value, ast.Tuple | ast.List):
            for pair in keyword.value.elts:
                if isinstance(pair, ast.Tuple) and pair.elts:
                    yield pair.lineno, "gettext", _text(pair.elts[-1]), []


def _not_shown(tree: ast.Module) -> set[ast.AST]:
    """Docstrings, what is logged, and what is told to programmers."""
    silent: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(node.value)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.startswith("log.") or name in ("ValueError", "TypeError", "RuntimeError"):
                silent.update(ast.walk(node))
    return silent


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
