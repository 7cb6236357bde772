"""TOML text of plain tables, which the standard library only reads."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from .messages import one_line

__all__ = ["to_toml", "toml_key", "toml_value"]


def to_toml(table: Mapping[str, Any], comment: str = "") -> str:
    """Return nested tables as TOML text (strings, numbers, booleans, lists, tables)."""
    lines = [f"# {one_line(line)}".rstrip() for line in comment.splitlines()]
    if lines:
        lines.append("")
    _write_table(table, (), lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    if path and (plain or not table):
        lines += ["", "[" + ".".join(toml_key(p) for p in path) + "]"]
    lines += [f"{toml_key(k)} = {toml_value(v)}" for k, v in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            _write_table(value, (*path, key), lines)


def toml_key(key: str) -> str:
    """Return a key, in quotes where it needs them."""
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else _toml_text(key)


def _toml_text(text: str) -> str:
    # JSON text is TOML text but for the one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """Return a value as it stands on the right of an equals sign."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = (f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return "[" + ", ".join(toml_value(v) for v in value) + "]"
