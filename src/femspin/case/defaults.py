"""What the schema says of a dotted path: whether there is such a key, and where a list starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, PlainSerializer

from ..errors import CaseError
from .messages import dotted

__all__ = ["Key", "key_at", "start_of_list", "table_problem"]

_COMPUTED = ("override",)  # tables in which a key that is absent is computed, not zero


@dataclass(frozen=True)
class Key:
    """A key of the schema.

    Args:
        annotation: Type of its value.
        default: Its default, None where it has none.
    """

    annotation: Any
    default: Any

    @property
    def tables(self) -> tuple[type[BaseModel], ...]:
        """The tables that may stand there."""
        forms = (form for form, _ in _forms(self.annotation))
        return tuple(f for f in forms if isinstance(f, type) and issubclass(f, BaseModel))


def key_at(parts: Sequence[str], schema: type[BaseModel]) -> Key | None:
    """Return what a case may have at a path, None where there is no such key."""
    found = Key(schema, None)
    for part in parts:
        inner = _inner(found, part)
        if inner is None:
            return None
        found = inner
    return found


def start_of_list(parts: Sequence[str], where: str, schema: type[BaseModel]) -> list[Any] | None:
    """Return the list that stands at a path before one of its entries is set; None for no list.

    Its default, or zeros where a key that is left out means none.

    Args:
        parts: The path of a key that the case leaves out.
        where: Path of the setting that names it, for the message.
        schema: Of the whole case.

    Raises:
        CaseError: If what is left out is no zero.
    """
    key = key_at(parts, schema)
    if key is None:
        return None
    lists = [(form, extra) for form, extra in _forms(key.annotation) if get_origin(form) is list]
    if not lists:
        return None
    if isinstance(key.default, list):
        return [_written(x, get_args(lists[0][0])[0]) for x in key.default]
    zero = _zeros(*lists[0])
    several = len({str(form) for form, _ in _forms(key.annotation)} - {str(type(None))}) > 1
    if zero is None or several or set(parts) & set(_COMPUTED):
        raise CaseError(
            where,
            f"{dotted(parts)} is not in the case, and what is left out is no"
            " zero; write all of it there first",
        )
    return zero


def table_problem(parts: Sequence[str], schema: type[BaseModel]) -> str:
    """Return what is wrong with a path that should name a number but names a table, or nothing."""
    key = key_at(parts, schema)
    if key is None or not key.tables:
        return ""
    return f"is a table; name a number in it, as {', '.join(key.tables[0].model_fields)}"


def _inner(key: Key, part: str) -> Key | None:
    for form, _ in _forms(key.annotation):
        if get_origin(form) is dict:
            return Key(get_args(form)[1], None)
        if get_origin(form) is list:
            return Key(get_args(form)[0], None)
        if isinstance(form, type) and issubclass(form, BaseModel) and part in form.model_fields:
            field = form.model_fields[part]
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            annotation: Any = field.annotation
            for extra in reversed(field.metadata):
                annotation = Annotated[annotation, extra]
            return Key(annotation, default)
    return None


def _forms(annotation: Any, extra: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the alternatives of a type, each with what is annotated to it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *own = get_args(annotation)
        yield from _forms(inner, (*own, *extra))
    elif origin in (Union, UnionType):
        for alternative in get_args(annotation):
            yield from _forms(alternative, extra)
    else:
        yield annotation, extra


def _zeros(form: Any, extra: Sequence[Any]) -> list[Any] | None:
    """Return three zeros, or three rows of them; None for a direction or a list of any length."""
    fixed = any(getattr(x, "min_length", None) == 3 for x in _constraints(extra))
    if not fixed or any(isinstance(x, AfterValidator) for x in extra):
        return None
    item, inner = next(_forms(get_args(form)[0]))
    if get_origin(item) is list:
        row = _zeros(item, inner)
        return None if row is None else [list(row) for _ in range(3)]
    return [_written(0.0, get_args(form)[0])] * 3


def _constraints(extra: Sequence[Any]) -> Iterator[Any]:
    for x in extra:
        yield x
        yield from getattr(x, "metadata", ())


def _written(value: Any, annotation: Any) -> Any:
    """Return a value as it stands in a case file: a quantity with its unit."""
    if isinstance(value, list):
        return [_written(x, get_args(next(_forms(annotation))[0])[0]) for x in value]
    _, extra = next(_forms(annotation))
    written: Any = next((x.func for x in extra if isinstance(x, PlainSerializer)), None)
    return value if written is None else written(value)
