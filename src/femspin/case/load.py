"""Case files: TOML text to a validated, frozen case, and back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import CaseError
from .schema import Case

__all__ = ["case_from_table", "dump_case", "load_case", "read_table", "to_toml"]

_PLAIN_MESSAGES = {
    "missing": "this key is needed",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
}


def read_table(path: str | Path) -> dict[str, Any]:
    """Return the raw tables of a TOML file.

    Raises:
        CaseError: If the file cannot be read or is not TOML (with line and column).
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise CaseError("", "no such case file", str(path)) from None
    except IsADirectoryError:
        raise CaseError("", "this is a folder, not a case file", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError("", f"cannot be read: {error}", str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise CaseError("", f"not valid TOML: {error}", str(path)) from None


def load_case(path: str | Path, overrides: Iterable[str] = ()) -> Case:
    """Return the validated case of a TOML file.

    Args:
        path: The case file.
        overrides: ``key.path=value`` texts that replace or add single keys; the value is TOML,
            and text that is not TOML is taken literally (``--set drive.temperature="20 K"``).

    Raises:
        CaseError: With the dotted path, the value and what is allowed.
    """
    table = read_table(path)
    for override in overrides:
        _set(table, override)
    return case_from_table(table, str(path))


def case_from_table(table: Mapping[str, Any], file: str | None = None) -> Case:
    """Return the validated case of nested dictionaries; see `load_case`."""
    try:
        return Case.model_validate(dict(table))
    except ValidationError as error:
        raise _first_problem(error, file) from None


def _first_problem(error: ValidationError, file: str | None) -> CaseError:
    # The tables are checked from the outside in, so the first problem is the most telling.
    problems = error.errors(include_url=False)
    first = problems[0]
    context = first.get("ctx", {})
    value = first.get("input")
    branch = next((k for k, part in enumerate(first["loc"]) if _is_branch(part)), None)
    loc = first["loc"] if branch is None else first["loc"][:branch]
    where = [str(part) for part in loc]
    if "key" in context:
        where += str(context["key"]).split(".")
        last = where[-1]
        value = value.get(last) if isinstance(value, Mapping) else getattr(value, last, None)
    message = _PLAIN_MESSAGES.get(first["type"], _lower(first["msg"]))
    if first["type"] in ("too_short", "too_long"):
        message = f"must have {context.get('min_length') or context.get('max_length')} entries"
    if branch is not None:  # none of the alternatives of a union fits
        message = "must be " + " or ".join(
            dict.fromkeys(
                _BRANCHES.get(str(p["loc"][branch]).split("[")[0], str(p["loc"][branch]))
                for p in problems
                if p["loc"][:branch] == loc
            )
        )
        value = next((p["input"] for p in problems if len(p["loc"]) == len(loc) + 1), None)
    if first["type"] != "missing" and value is not None:
        message += f" (got {_shorten(value)})"
    more = len({p["loc"] for p in problems}) - 1
    if more > 0 and branch is None:
        message += f" [and {more} more problem{'s' if more > 1 else ''}]"
    return CaseError(".".join(where), message, file)


_BRANCHES = {
    "float": "a number",
    "str": "text",
    "list": "a list of the right length",
    "constrained-list": "a list of the right length",
    "literal": "one of the allowed words",
}


def _is_branch(part: Any) -> bool:
    return str(part).split("[")[0] in _BRANCHES


def _lower(message: str) -> str:
    message = message.replace("Input should be", "must be")
    return message[:1].lower() + message[1:] if not message[:2].isupper() else message


def _shorten(value: Any) -> str:
    if hasattr(value, "model_dump"):
        return type(value).__name__
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _set(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise CaseError("--set", f"expected key.path=value (got {override!r})")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    try:
        parts = _key_parts(key.strip())
    except tomllib.TOMLDecodeError:
        raise CaseError("--set", f"{key.strip()!r} is not a dotted key") from None
    node: Any = table
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise CaseError("--set", f"{key}: '{part}' is not an index below {len(node)}")
            index: Any = int(part)
        elif isinstance(node, dict):
            index = part
            if not last:
                node.setdefault(index, {})
        else:
            raise CaseError("--set", f"{key}: '{parts[depth - 1]}' is not a table")
        if last:
            node[index] = value
        else:
            node = node[index]


def _key_parts(key: str) -> list[str]:
    """Split a dotted key by TOML's own rules (names may be quoted)."""
    node: Any = tomllib.loads(f"{key} = 0")
    parts = []
    while isinstance(node, dict):
        (part, node), *_ = node.items()
        parts.append(part)
    return parts


def dump_case(case: Case) -> dict[str, Any]:
    """Return the case as plain tables with every default filled in; it loads to an equal case."""
    return case.model_dump(mode="json", exclude_none=True)


def to_toml(table: Mapping[str, Any], comment: str = "") -> str:
    """Return nested tables as TOML text (strings, numbers, booleans, lists, tables)."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    if lines:
        lines.append("")
    _write_table(table, (), lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    if path and (plain or not table):
        lines += ["", "[" + ".".join(_toml_key(p) for p in path) + "]"]
    lines += [f"{_toml_key(k)} = {_toml_value(v)}" for k, v in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            _write_table(value, (*path, key), lines)


def _toml_key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else json.dumps(key, ensure_ascii=False)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(_toml_value(v) for v in value) + "]"
