"""What is wrong with a case, in one line a physicist can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..errors import closest

__all__ = ["dotted", "first_problem", "one_line", "one_per_kind", "shown"]

_MESSAGES = {
    "missing": "is missing",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
}
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_MISMATCHES = ("float_type", "string_type", "list_type", "literal_error", "model_type")
_ALTERNATIVES = {
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list",
    "model_type": "a table",
}
_LONGEST_VALUE = 60
_ABSENT = object()
_ANY_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")

Path = tuple[str, ...]


@dataclass(frozen=True)
class _Problem:
    """One problem, at home in the tables of the case.

    Args:
        path: Keys that lead to it.
        value: What the case has there, or `_ABSENT`.
        kind: The validator's name for it.
        message: The validator's own words.
        context: Numbers and words of the message.
        union: Path of the value whose alternatives were all tried, if it has any.
    """

    path: Path
    value: Any
    kind: str
    message: str
    context: dict[str, Any]
    union: Path | None


def first_problem(
    error: ValidationError, table: dict[str, Any], model: type[BaseModel] | None = None
) -> tuple[str, str]:
    """Return dotted path and message of the first problem, and how many others there are.

    Tables are checked from the outside in, so the first problem is the most telling.

    Args:
        error: What the validator says.
        table: What was validated.
        model: Of the whole file; tells where a key belongs that stands below the wrong head.
    """
    found = [_locate(dict(entry), table) for entry in error.errors(include_url=False)]
    first = found[0]
    if first.union is None:
        message = _message(first)
        if first.kind == "unknown_key" and model is not None:
            message += _belongs_above(first.path, model)
    else:
        group = [p for p in found if p.union == first.union]
        first, message = _closest_alternative(group)
    others = len({p.union or p.path for p in found}) - 1
    if others > 0:
        message += f" [and {others} more problem{'s' if others > 1 else ''}]"
    return dotted(first.path), one_line(message)


def _belongs_above(path: Path, model: type[BaseModel]) -> str:
    """Return a hint if a table above the one with an unknown key has this key."""
    *inner, key = path
    node: Any = model
    above: list[Path] = []
    for k, part in enumerate(inner):
        if isinstance(node, type) and issubclass(node, BaseModel):
            if key in node.model_fields:
                above.append(tuple(inner[:k]))
            field = node.model_fields.get(part)
            node = None if field is None else _table_type(field.annotation)
        else:
            node = None if node is None else node[0]
    if not above:
        return ""
    owner = f"[{dotted(above[-1])}]" if above[-1] else "the top level"
    below = [p for p in inner if not p.isdecimal()]
    return (
        f"; {key} is a key of {owner}: put it above [{dotted(below)}], as a line of TOML"
        " belongs to the last head above it"
    )


def _table_type(annotation: Any) -> Any:
    """Return the table that an annotation means, or a list of one for many by name or position."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = next((t for t in map(_table_type, get_args(annotation)) if t is not None), None)
    many = get_origin(annotation) in (dict, list)
    return [found] if many and found is not None else found


def _locate(entry: dict[str, Any], table: Any) -> _Problem:
    """Return a problem with its place in the tables."""
    context = dict(entry.get("ctx", {}))
    keys: list[Any] = list(entry["loc"])
    if "key" in context:
        keys += [context["key"]] if entry["type"] == "unknown_key" else context["key"].split(".")
    may_lack_the_last = "key" in context or entry["type"] == "missing"
    node: Any = table
    path: Path = ()
    union: Path | None = None
    for left, key in zip(reversed(range(len(keys))), keys, strict=True):
        found = _step(node, key)
        if found is _ABSENT and not (left == 0 and may_lack_the_last):
            union = path  # the validator inserts its name of an alternative here
            continue
        node, path = found, (*path, str(key))
    return _Problem(path, node, entry["type"], entry["msg"], context, union)


def _step(node: Any, key: Any) -> Any:
    if isinstance(node, dict):
        return node.get(key, _ABSENT)
    if isinstance(node, list) and str(key).isdecimal() and int(key) < len(node):
        return node[int(key)]
    return _ABSENT


def _closest_alternative(group: Sequence[_Problem]) -> tuple[_Problem, str]:
    """Return what to say where several forms are allowed and none fits."""
    for problem in group:  # the form that was meant is the one whose inside is wrong
        if problem.path != problem.union or problem.kind not in _MISMATCHES:
            return problem, _message(problem)
    forms = [_ALTERNATIVES.get(p.kind, p.context.get("expected", "")) for p in group]
    return group[0], f"must be {' or '.join(forms)}" + _got(group[0].value)


def _message(problem: _Problem) -> str:
    kind, value, context = problem.kind, problem.value, problem.context
    bounds = [f"must be {sign} {context[k]:.15g}" for k, sign in _BOUNDS.items() if k in context]
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        hint = closest(value, words) if isinstance(value, str) else ""
        message = f"must be {context['expected']}{hint}"
    elif kind in ("too_short", "too_long"):
        size = context.get("min_length", context.get("max_length"))
        message = f"must have {size} entries" if size != 1 else "must not be empty"
    elif kind in ("float_type", "int_type") and isinstance(value, str):
        message = f"{_MESSAGES[kind]} without unit or quotes"
    else:
        message = _MESSAGES.get(kind) or (bounds[0] if bounds else problem.message)
    return message + _got(value, structured=kind not in ("case", "unknown_key"))


def _got(value: Any, structured: bool = True) -> str:
    """Return the value as a remark; tables only where a plain value was expected."""
    if value is _ABSENT or value is None:
        return ""
    if isinstance(value, dict):
        return " (got a table)" if structured else ""
    return f" (got {shown(value)})"


def shown(value: Any) -> str:
    """Return a value much as it stands in the case file, shortened."""
    text = repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def dotted(path: Sequence[str]) -> str:
    """Return a dotted path; names that would make it ambiguous stand in quotes."""
    plain = (p and "." not in p and p.isprintable() for p in path)
    parts = (p if ok else json.dumps(p) for p, ok in zip(path, plain, strict=True))
    return ".".join(parts)


def one_per_kind(warnings: Iterable[Sequence[str]]) -> dict[str, int]:
    """Return one sentence per kind of warning, and of how many points it is true.

    Sentences that differ in their numbers are of one kind; the first one stands for all.

    Args:
        warnings: Sentences of every point.
    """
    texts: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for sentences in warnings:
        for kind in dict.fromkeys(map(_kind_of, sentences)):
            counts[kind] = counts.get(kind, 0) + 1
        for text in sentences:
            known = texts.setdefault(_kind_of(text), [])
            if text not in known:
                known.append(text)
    return {
        known[0] + (" (numbers of the first such point)" if len(known) > 1 else ""): counts[kind]
        for kind, known in texts.items()
    }


def _kind_of(warning: str) -> str:
    return _ANY_NUMBER.sub("#", warning)


def one_line(text: str) -> str:
    """Return text with everything that is not printable escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
