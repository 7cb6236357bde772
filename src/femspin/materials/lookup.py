"""Find materials in the database that comes with femspin, or among those of a case."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ..errors import CaseError, closest
from .records import Material, MaterialValue, material_from_table

__all__ = ["estimates", "find_material", "load_database"]

_NONE: Mapping[str, Material] = MappingProxyType({})


@cache
def load_database() -> Mapping[str, Material]:
    """Return the materials of ``database.toml`` by name; read once, not to be changed."""
    text = (files("femspin.materials") / "database.toml").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            name: material_from_table(name, table, f"database.{name}")
            for name, table in tomllib.loads(text).items()
        }
    )


def find_material(name: str, extra: Mapping[str, Material] = _NONE, path: str = "material") -> Material:
    """Return the material of that name.

    Args:
        name: Name as in the database, e.g. ``"Pt"`` or ``"EuS/Pt"``.
        extra: Materials of the case; they come before those of the database.
        path: Dotted path of the name in the case, for the message.

    Raises:
        CaseError: No material has that name.
    """
    known = {**load_database(), **extra}
    if name not in known:
        problem = f"unknown material '{name}'{closest(name, known, 'known: ' + ', '.join(known))}"
        raise CaseError(path, problem)
    return known[name]


def estimates(material: Material, used_keys: Iterable[str]) -> tuple[MaterialValue, ...]:
    """Return those used values that are only estimates, in the order of the keys.

    Args:
        material: The record.
        used_keys: Keys taken from it; keys it does not carry are passed over.
    """
    used = (material.values[key] for key in used_keys if key in material.values)
    return tuple(value for value in used if value.status == "estimate")
