"""Values of the case file that have no unit: vectors, directions, names, choices."""

from __future__ import annotations

from math import hypot
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ..errors import closest
from .quantity import Length

__all__ = [
    "INSULATORS",
    "Dimension",
    "Direction",
    "ExpectedNumber",
    "Extent",
    "FileName",
    "Order",
    "ReadTable",
    "Table",
    "Vector",
    "check_insulator",
    "check_region_name",
    "check_relaxation",
    "matrix",
    "not_negative",
    "own_defaults",
    "refuse",
    "vector",
]

INSULATORS = ("FI", "I")
"""Kinds of regions that carry no transport: magnetic and plain insulators."""

_LONGEST_NAME = 100
_NOT_IN_NAMES = '|:./\\<>"?*'  # of interfaces, paths, and files on any system
_THINNEST, _WIDEST = 1e-11, 1e-3
_SHORTEST, _LONGEST = 1e-6, 1e6


def not_negative(value: float) -> float:
    """Return a number that is not negative, or refuse it."""
    if value < 0:
        raise PydanticCustomError("out_of_range", "must be >= 0")
    return value


def refuse(key: str, message: str, **context: Any) -> PydanticCustomError:
    """Return a validation error that points at `key` of the table being validated."""
    return PydanticCustomError("case", message, {"key": key, **context})


class Table(BaseModel):
    """A table of the case file: frozen, without unknown keys, nothing converted.

    Pydantic prepares it when it is first needed, inner tables within the outer ones alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    allowed = f"allowed: {', '.join(cls.model_fields)}"
                    hint = closest(str(key), cls.model_fields, allowed)
                    raise PydanticCustomError(
                        "unknown_key", "unknown key{hint}", {"key": str(key), "hint": hint}
                    )
        return data


def own_defaults(table: type[Table], **options: Any) -> Any:
    """Return the default of a table that may be left out: one with its defaults, made when needed."""

    def show(schema: dict[str, Any]) -> None:
        schema["default"] = table().model_dump(mode="json")

    return Field(default_factory=table, json_schema_extra=show, **options)


class ExpectedNumber(Table):
    """A number that the result must have, within ``atol + rtol |value|``."""

    value: float = Field(description="of the result")
    rtol: Annotated[float, Field(ge=0)] | None = Field(default=None, description="default: 1e-6")
    atol: Annotated[float, Field(ge=0)] | None = Field(default=None, description="default: 0")


class ReadTable(Table):
    """The tables of a whole file, which know where the file lies."""

    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Where relative paths start: the folder of the file, None if there is none."""
        return self._folder

    def __eq__(self, other: object) -> bool:
        """Return whether all tables are equal, wherever they were read from."""
        return type(self) is type(other) and vars(self) == vars(other)


def vector(item: Any) -> Any:
    """Return the type of a list of three."""
    return Annotated[list[item], Field(min_length=3, max_length=3)]


def matrix(item: Any) -> Any:
    """Return the type of three rows of three."""
    return vector(vector(item))


def check_insulator(region: BaseModel, kind: str) -> None:
    """Refuse keys of transport in an insulator, and moments in a plain one."""
    allowed = {"FI": ["material", "magnet"], "I": ["material"]}[kind]
    for key in sorted(region.model_fields_set - {"kind", *allowed}):
        if getattr(region, key) == type(region).model_fields[key].default:
            continue
        raise refuse(
            key,
            "{k} carries no {what}; allowed: {a}",
            a=", ".join(allowed),
            k="an FI region" if kind == "FI" else "a plain insulator",
            what="moments" if key == "magnet" else "transport",
        )


def check_relaxation(rows: Any) -> None:
    """Refuse a relaxation tensor [1/s] that creates spin; None is none."""
    if rows is None:
        return
    tensor = np.array(rows)
    rates = np.linalg.eigvalsh(0.5 * (tensor + tensor.T))
    if rates[0] < -1e-12 * np.abs(rates).max():
        raise refuse(
            "relaxation",
            "creates spin: the smallest eigenvalue of its symmetric part must be >= 0 (got {x} 1/s)",
            x=f"{rates[0]:.6g}",
        )


def check_region_name(name: str) -> None:
    """Refuse a region name that could not be part of the name of an interface or a file."""
    fits = 0 < len(name.encode()) <= _LONGEST_NAME and name.isprintable()
    if not fits or set(name) & set(_NOT_IN_NAMES):
        raise refuse(
            "regions",
            "a region name is printable, at most {most} bytes long and without {signs} (got {n})",
            most=_LONGEST_NAME,
            signs=" ".join(_NOT_IN_NAMES),
            n=repr(name),
        )


def _direction(value: list[float]) -> list[float]:
    if not any(value):
        raise PydanticCustomError("zero", "must not be the zero vector")
    if not _SHORTEST <= hypot(*value) <= _LONGEST:
        raise PydanticCustomError(
            "length",
            "must have a length of {low} to {high}; only its direction counts",
            {"low": f"{_SHORTEST:g}", "high": f"{_LONGEST:g}"},
        )
    return value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):  # Python takes true for 1
        raise PydanticCustomError("int_type", "must be a whole number")
    return value


def _file_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise PydanticCustomError("file_name", "must be the name of a file or folder")
    return text


def _extent(length: float) -> float:
    if not _THINNEST <= length <= _WIDEST:
        raise PydanticCustomError(
            "out_of_range",
            "must be between {low} and {high} m",
            {"low": f"{_THINNEST:g}", "high": f"{_WIDEST:g}"},
        )
    return length


Vector = Annotated[list[float], Field(min_length=3, max_length=3)]
Direction = Annotated[Vector, AfterValidator(_direction)]
Extent = Annotated[Length, AfterValidator(_extent)]
FileName = Annotated[str, AfterValidator(_file_name)]
Dimension = Annotated[Literal[1, 2, 3], BeforeValidator(_no_boolean)]
Order = Annotated[Literal[1, 2], BeforeValidator(_no_boolean)]
