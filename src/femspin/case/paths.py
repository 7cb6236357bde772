"""Dotted paths: how a value of a case, or a number of a result, is named everywhere.

`--set`, [scan.axes], [parameters] of a fit, texture.threshold.vary and the parameters of
sensitivities name a value of the case; [expected], scan.columns, scan.plot.y, the results of a
fit and the outputs of sensitivities a number of the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ..errors import CaseError, closest
from .defaults import start_of_list
from .messages import dotted
from .names import AXES, path_parts

__all__ = ["replaced", "resolved_path"]

# Tables whose keys are names: a path through an unknown name is a slip, not a new entry.
_NAMED = {("regions",): "region", ("materials",): "material", ("drive", "electrodes"): "electrode"}


def resolved_path(
    name: str, tables: Mapping[str, Any], where: str, schema: type[BaseModel], new_names: bool = False
) -> tuple[str, ...]:
    """Return the parts of a dotted path as the tables of a case have them.

    An entry of a list is named by its position, counted from 0, a layer also by its region, a
    component of a vector also by x, y or z; an interface by its regions in either order.  A
    vector that the case leaves out starts from its default, or from zero.

    Args:
        name: The path.
        tables: Of the case, raw or as `dump_case` returns them.
        where: Path of the setting that holds `name`, for messages.
        schema: Of the whole case, which knows what stands where the case says nothing.
        new_names: Whether regions, materials and electrodes that are not there may be added.

    Raises:
        CaseError: If it leads through a name or a position that the case lacks.
    """
    given = path_parts(name)
    if not given:
        raise CaseError(
            where,
            f"{name!r} is not a dotted path like drive.temperature; names with"
            " dots or other signs stand in quotes",
        )
    parts: list[str] = []
    node: Any = tables
    for part in given:
        found: Any = None
        if isinstance(node, Mapping):
            what = _NAMED.get(tuple(parts))
            if what is not None and part not in node and not new_names:
                raise CaseError(
                    where,
                    f"no {what} {part!r}"
                    + closest(part, node, f"the case has {', '.join(map(str, node)) or 'none'}"),
                )
            flipped = "|".join(reversed(part.split("|")))
            if parts == ["interfaces"] and part not in node and flipped in node:
                part = flipped
            found = node.get(part)
            if found is None:
                found = _left_out([*parts, part], where, schema) if len(parts) + 1 < len(given) else {}
        elif isinstance(node, list):
            part = _position(part, node, where, dotted(parts))
            found = node[int(part)]
        elif node is not None:
            raise CaseError(where, f"{dotted(parts)} is no table")
        parts.append(part)
        node = found
    return tuple(parts)


def _left_out(parts: Sequence[str], where: str, schema: type[BaseModel]) -> Any:
    """Return what a path goes on through where the case has nothing: a list, or a table."""
    found = start_of_list(parts, where, schema)
    return {} if found is None else found


def _position(part: str, entries: Sequence[Any], where: str, path: str) -> str:
    """Return the position in a list that a number, a region or a letter stands for."""
    regions = [e.get("region", "") if isinstance(e, Mapping) else "" for e in entries]
    if part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(entries):
        return str(int(part))
    same = [str(k) for k, region in enumerate(regions) if region == part]
    if len(same) == 1:
        return same[0]
    if len(same) > 1:
        raise CaseError(
            where, f"{path} has {part!r} {len(same)} times; say which, by its position: {', '.join(same)}"
        )
    if len(entries) == len(AXES) and not any(regions) and part in tuple(AXES):
        return str(AXES.index(part))
    allowed = f"0 to {len(entries) - 1}" if entries else "it is empty"
    allowed += "".join(f" or {r!r}" for r in dict.fromkeys(regions) if r)
    raise CaseError(where, f"{part!r} is no entry of the list {path}; {allowed}")


def replaced(tables: Any, parts: Sequence[str], value: Any, schema: type[BaseModel]) -> Any:
    """Return the tables of a case with the value at a path replaced, or set where it is absent.

    What does not change is shared.

    Args:
        tables: Of the case.
        parts: The path, see `resolved_path`.
        value: What stands there then.
        schema: Of the whole case.
    """
    return _replaced(tables, parts, 0, value, schema)


def _replaced(node: Any, parts: Sequence[str], depth: int, value: Any, schema: type[BaseModel]) -> Any:
    if depth == len(parts):
        return value
    if node is None:
        node = _left_out(parts[:depth], dotted(parts), schema)
    if isinstance(node, list):
        k = int(parts[depth])
        return [*node[:k], _replaced(node[k], parts, depth + 1, value, schema), *node[k + 1 :]]
    inner = _replaced(node.get(parts[depth]), parts, depth + 1, value, schema)
    return {**node, parts[depth]: inner}
