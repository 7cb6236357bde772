"""Material records: values with their sources, and how they are read from a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from pydantic_core import PydanticCustomError

from ..case.quantity import parse_quantity
from ..errors import CaseError, closest

__all__ = ["MATERIAL_KEYS", "Material", "MaterialValue", "Status", "material_from_table"]

Status = Literal["read", "derived", "estimate", "case"]
"""How a value is known: read in its source, derived, estimated, or given by the case."""

MATERIAL_KEYS: Mapping[str, str] = {
    "conductivity": "S/m",
    "resistivity": "ohm*m",
    "diffusion_constant": "m^2/s",
    "dos": "1/(J*m^3)",
    "spin_diffusion_length": "m",
    "spin_hall_angle": "",
    "polarisation": "",
    "mass": "kg",
    "scattering_time": "s",
    "rashba": "eV*angstrom",
    "saturation_magnetization": "A/m",
    "exchange_stiffness": "J/m",
    "damping": "",
    "anisotropy": "J/m^3",
    "dmi": "J/m^2",
    "spin": "",
    "moment_density": "1/m^3",
    "curie_temperature": "K",
    "exchange_energy": "J",
}
"""Every key a material may carry and the dimension of its value, as a unit."""

_TEXTS = ("description", "notes")


@dataclass(frozen=True)
class MaterialValue:
    """One value of a material, as written: a text with its unit or a plain number.

    Args:
        key: What it is; one of `MATERIAL_KEYS`.
        value: E.g. ``"7e6 S/m"``, or ``0.19`` where the quantity has no unit.
        source: Where the value comes from.
        status: How well it is known.
    """

    key: str
    value: str | float
    source: str
    status: Status


@dataclass(frozen=True)
class Material:
    """What is known of one material or interface.

    Args:
        name: Name in case files.
        description: One line.
        values: Values by key; a missing key is not known.
        notes: Further findings that no key describes, each with its source.
    """

    name: str
    description: str = ""
    values: Mapping[str, MaterialValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def material_from_table(name: str, table: Mapping[str, Any], path: str) -> Material:
    """Return the material that a table describes.

    A value is either bare (``"7e6 S/m"``, ``0.19``), which counts as an estimate without
    source, or a table ``{value = "7e6 S/m", source = "doi:..."}``; its status is ``"case"``
    unless it says otherwise, so that records copied from the database keep theirs.

    Args:
        name: Name of the material.
        table: Keys of `MATERIAL_KEYS`, and optionally ``description`` and ``notes``.
        path: Dotted path of the table, for messages.

    Raises:
        CaseError: A key is unknown, or a value is not of one of the two forms.
    """
    if not isinstance(table, Mapping):
        raise CaseError(path, f"must be a table of material values, got {table!r}")
    allowed = (*MATERIAL_KEYS, *_TEXTS)
    for key in table:
        if key not in allowed:
            problem = f"unknown key '{key}'{closest(key, allowed, 'known: ' + ', '.join(allowed))}"
            raise CaseError(f"{path}.{key}", problem)
    description, notes = table.get("description", ""), table.get("notes", [])
    if not isinstance(description, str):
        raise CaseError(f"{path}.description", f"must be a text, got {description!r}")
    if not isinstance(notes, list | tuple) or not all(isinstance(note, str) for note in notes):
        raise CaseError(f"{path}.notes", f"must be a list of texts, got {notes!r}")
    values = {key: _value(key, entry, f"{path}.{key}") for key, entry in table.items() if key not in _TEXTS}
    return Material(name, description, _with_conductivity(values, path), tuple(notes))


def _with_conductivity(values: dict[str, MaterialValue], path: str) -> dict[str, MaterialValue]:
    """Return the values with a conductivity in place of a resistivity."""
    given = values.get("resistivity")
    if given is None:
        return values
    if "conductivity" in values:
        raise CaseError(f"{path}.resistivity", "give either conductivity or resistivity, its inverse")
    try:
        conductivity = 1 / parse_quantity(given.value, "ohm*m", "20 uohm*cm")
    except (PydanticCustomError, ZeroDivisionError) as error:
        problem = error.message() if isinstance(error, PydanticCustomError) else "must be > 0"
        raise CaseError(f"{path}.resistivity", f"{problem} (got {given.value!r})") from None
    source = f"{given.source} (resistivity {given.value})"
    found = MaterialValue("conductivity", f"{conductivity!r} S/m", source, given.status)
    return {
        "conductivity" if k == "resistivity" else k: found if v is given else v for k, v in values.items()
    }


def _value(key: str, entry: Any, path: str) -> MaterialValue:
    """Return one value from its bare form or its table."""
    if not isinstance(entry, Mapping):
        return MaterialValue(key, _plain(entry, path), "no source given", "estimate")
    parts = ("value", "source", "status")
    for part in entry:
        if part not in parts:
            problem = f"unknown key '{part}'{closest(part, parts, 'known: ' + ', '.join(parts))}"
            raise CaseError(f"{path}.{part}", problem)
    for part in ("value", "source"):
        if part not in entry:
            raise CaseError(path, f"{part} is missing; a table needs a value and its source")
    source, status = entry["source"], entry.get("status", "case")
    if not isinstance(source, str) or not source.strip():
        raise CaseError(f"{path}.source", f"must be a text, got {source!r}")
    if status not in get_args(Status):
        known = ", ".join(get_args(Status))
        raise CaseError(f"{path}.status", f"must be one of {known}, got {status!r}")
    plain = _plain(entry["value"], f"{path}.value")
    return MaterialValue(key, plain, source, cast(Status, status))


def _plain(value: Any, path: str) -> str | float:
    """Return a number or a text as it is; the case schema gives it its unit."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        problem = f"must be a number or a text with a unit such as '7e6 S/m', got {value!r}"
        raise CaseError(path, problem)
    return value
