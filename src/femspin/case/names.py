"""Dotted names: their parts, and how they may be spelled."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["AXES", "number_name", "path_parts", "split_setting"]

_PART = r"""(?:"[^"\x00-\x1f]*"|'[^'\x00-\x1f]*'|[^."'#=\[\]{}\x00-\x1f]+)"""
_PATH = re.compile(rf"\s*{_PART}(?:\s*\.\s*{_PART})*\s*")
AXES = "xyz"
"""Components of a vector, by their position."""


def path_parts(name: str) -> tuple[str, ...]:
    """Split a dotted path; parts in quotes may hold dots.  Empty if it is no dotted path."""
    if _PATH.fullmatch(name) is None:
        return ()
    found = (part.strip() for part in re.findall(_PART, name))
    parts = tuple(p[1:-1] if p[:1] in ('"', "'") else p for p in found)
    return parts if all(parts) else ()


def split_setting(text: str) -> tuple[str, str] | None:
    """Return path and value of ``path=value``, None if it does not have this form."""
    match = _PATH.match(text)
    if match is None or not text[match.end() :].startswith("="):
        key, equals, value = text.partition("=")
        return (key.strip(), value) if equals and key.strip() else None
    return match[0].strip(), text[match.end() + 1 :]


def number_name(name: str, known: Iterable[str]) -> str:
    """Return the name of a number, vector or table of the result as the result has it.

    Names may stand in quotes, an interface in either order, and a component of a vector be
    counted from 0.  A name that is not known comes back as it is.

    Args:
        name: Dotted name.
        known: Names of the numbers of the result.
    """
    names, parts = list(known), path_parts(name)
    if not parts or name in names:
        return name
    flipped = tuple("|".join(reversed(p.split("|"))) for p in parts)
    for form in (parts, flipped):
        last = AXES[int(form[-1])] if form[-1] in ("0", "1", "2") else form[-1]
        for candidate in (".".join(form), ".".join((*form[:-1], last))):
            if any(n == candidate or n.startswith(f"{candidate}.") for n in names):
                return candidate
    return name
