"""Case files: TOML text to a validated, frozen case, and back."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import CaseError, closest
from .messages import dotted, first_problem, one_line
from .names import split_setting
from .paths import replaced, resolved_path
from .schema import Case, Kondo, Magnet, Region, SpinOrbit

__all__ = [
    "case_from_plain",
    "case_from_table",
    "dump_case",
    "load_case",
    "plain_values",
    "read_table",
    "set_key",
]

_LARGEST_FILE = 10_000_000
_DEEPEST = 20
_NO_VALUES = ("kind", "material", "soc", "kondo", "override", "magnet")  # keys of other tables


def read_table(path: str | Path) -> dict[str, Any]:
    """Return the raw tables of a TOML file.

    Raises:
        CaseError: If the file cannot be read or is not TOML (with line and column).
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise CaseError("", "too large for a case file (more than 10 MB)", str(path))
        table = tomllib.loads(data.decode("utf-8-sig"))
    except FileNotFoundError:
        raise CaseError("", "no such case file", str(path)) from None
    except IsADirectoryError:
        raise CaseError("", "this is a folder, not a case file", str(path)) from None
    except OSError as error:
        raise CaseError("", f"cannot be read: {error.strerror}", str(path)) from None
    except UnicodeDecodeError:
        raise CaseError("", "not a case file: it is not UTF-8 text", str(path)) from None
    except (ValueError, RecursionError) as error:
        raise CaseError("", f"not valid TOML: {_reason(error)}", str(path)) from None
    if not table:
        problem = "the case is empty; `femspin template` prints one to start from"
        raise CaseError("", problem, str(path))
    return table


def _reason(error: Exception) -> str:
    if isinstance(error, tomllib.TOMLDecodeError):
        return one_line(str(error))
    # What is left are Python's own limits on text that is TOML.
    return "nested too deeply" if isinstance(error, RecursionError) else "a value out of range"


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
    _refuse_other_files(table, str(path))
    before = dict(table)
    for override in overrides:
        set_key(table, override)
    _refuse_half_regions(before, table)
    return case_from_table(table, str(path))


def _refuse_half_regions(before: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """Refuse a region that --set has made of a misspelt name."""
    old, new = before.get("regions"), table.get("regions")
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return
    for name, region in new.items():
        if name not in old and not (isinstance(region, Mapping) and "kind" in region):
            known = f"the case has {', '.join(map(str, old)) or 'none'}"
            raise CaseError("--set", f"no region {name!r}{closest(name, old, known)}; a new one needs a kind")


def _refuse_other_files(table: Mapping[str, Any], file: str) -> None:
    """Refuse a file of another command, and name it."""
    if "lattice" in table:
        raise CaseError(
            "",
            "a band structure (it has [lattice]), no case of a device; use"
            " `femspin afm-torques`, in Python femspin.bands.study.study",
            file,
        )
    if {"case", "parameters", "data"} <= set(table):
        raise CaseError(
            "",
            "a fit (it has [parameters] and [[data]]), no case; use `femspin fit`, in Python femspin.fit",
            file,
        )


def case_from_table(table: Mapping[str, Any], file: str | None = None) -> Case:
    """Return the validated case of nested dictionaries; see `load_case`.

    Args:
        table: The tables of the case.
        file: The file they come from; relative paths in the case start at its folder.
    """
    return case_from_plain(plain_values(table, (), file), file)


def case_from_plain(table: dict[str, Any], file: str | None = None) -> Case:
    """Return what `case_from_table` does, of a table that holds what `plain_values` returns."""
    try:
        case = Case.model_validate(table)
    except ValidationError as error:
        path, message = first_problem(error, table, Case)
        raise CaseError(path, message, file) from None
    _check_materials(case, file)
    if file is not None:
        case._folder = Path(file).absolute().parent
    return case


def plain_values(value: Any, path: tuple[str, ...], file: str | None) -> Any:
    """Return a value with plain dictionaries, lists and numbers in place of their relatives."""
    if len(path) > _DEEPEST:
        raise CaseError(dotted(path[:3]), f"nested more than {_DEEPEST} levels deep", file)
    if isinstance(value, Mapping):
        return {str(k): plain_values(v, (*path, str(k)), file) for k, v in value.items()}
    if hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain_values(v, (*path, str(k)), file) for k, v in enumerate(value)]
    if isinstance(value, datetime.date | datetime.time):
        raise CaseError(dotted(path), f"no key takes a date or a time (got {value})", file)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise CaseError(dotted(path), "this whole number does not fit into 64 bits", file)
    return value


def _check_materials(case: Case, file: str | None) -> None:
    """Check the values of the case's own materials, whether or not a region uses them."""
    for name, table in case.materials.items():
        for key, entry in table.items():
            value = entry.get("value") if isinstance(entry, Mapping) else entry
            problem = None if value is None else _material_problem(key, value)
            if problem is not None:
                raise CaseError(dotted(("materials", name, key)), problem, file)


def _material_problem(key: str, value: Any) -> str | None:
    """Return what the table that a material value would enter says against it."""
    for model in (Region, SpinOrbit, Kondo, Magnet):
        if key in model.model_fields and key not in _NO_VALUES:
            probe = {key: value, "kind": "F"} if model is Region else {key: value}
            try:
                model.model_validate(probe)
            except ValidationError as error:
                return first_problem(error, probe)[1]
    return None


def set_key(table: dict[str, Any], override: str) -> None:
    """Replace or add one key of raw tables, as ``--set`` does; see `paths.resolved_path`.

    Raises:
        CaseError: If the text is not ``key.path=value``, or the path leads nowhere.
    """
    setting = split_setting(override)
    if setting is None:
        raise CaseError("--set", f"must be key.path=value (got {override!r})")
    key, text = setting
    try:
        parts = resolved_path(key, table, "--set", Case, new_names=True)
    except CaseError as error:
        named = error.problem.startswith(repr(key))
        raise CaseError("--set", error.problem if named else f"{key}: {error.problem}") from None
    table.update(replaced(table, parts, _value(text), Case))


def _value(text: str) -> Any:
    """Return a TOML value, or the text itself where it is none."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()


def dump_case(case: Case) -> dict[str, Any]:
    """Return the case as plain tables with every default filled in; it loads to an equal case."""
    table = case.model_dump(mode="json", exclude_none=True)
    if not case.regions:  # a texture with a mesh of its own
        del table["regions"]
    return table
