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
) -> Iterator[_Found]:
    """What Babel asks for: (line, function, message, comments) of each. Its arguments beside the file have no say."""
    tree = ast.parse(file.read())
    silent = _not_shown(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, ast.Constant) and node not in silent and _is_sentence(node.value):
            yield node.lineno, "gettext", node.value, []


def _of_call(call: ast.Call) -> Iterator[_Found]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    texts = [argument.value for argument in call.args if _is_text(argument)]  # type: ignore[attr-defined]  # it is one
    if name in ("_", "gettext") and texts:
        yield call.lineno, "gettext", texts[0], []
    elif name == "ngettext" and len(texts) > 1:
        yield call.lineno, "ngettext", (texts[0], texts[1]), []
    for keyword in call.keywords:
        if keyword.arg in _LABELS and _is_text(keyword.value):
            yield call.lineno, "gettext", keyword.value.value, []  # type: ignore[attr-defined]  # it is one
        elif keyword.arg == _PAIRS and isinstance(keyword.value, ast.Tuple | ast.List):
            for pair in keyword.value.elts:
                if isinstance(pair, ast.Tuple) and _is_text(pair.elts[-1]):
                    yield pair.lineno, "gettext", pair.elts[-1].value, []  # type: ignore[attr-defined]  # it is one


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


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""


def _is_sentence(value: object) -> bool:
    return isinstance(value, str) and _SENTENCE.fullmatch(value) is not None
