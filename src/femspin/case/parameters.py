"""The scalars of a case: which of them can be varied continuously, and how to set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..dual import Dual
from ..errors import CaseError, closest
from .defaults import key_at, table_problem
from .load import dump_case
from .messages import dotted
from .names import path_parts
from .paths import resolved_path
from .scan import number_and_unit
from .schema import Case
from .values import INSULATORS

__all__ = [
    "Parameter",
    "by_region",
    "find_parameter",
    "parameter_value",
    "scalar_parameters",
    "with_parameters",
    "without_repetition",
]

# What a parameter that is zero may be compared with, by its SI unit.
_ZERO_SCALES = {
    "": 0.1,
    "J": 1.6e-22,
    "T": 0.1,
    "V/m": 1e5,
    "m/s": 1e4,
    "1/m": 1e8,
    "1/s": 1e12,
    "S/m**2": 1e13,
    "1/(m**2*s)": 1e28,
    "J*m**3": 1e-49,
    "V": 1e-3,
    "A": 1e-6,
}


@dataclass(frozen=True)
class Parameter:
    """One differentiable scalar of a completed case.

    Args:
        path: Dotted path in the case, e.g. ``regions.Pt.spin_hall_angle``; positions in lists
            are numbers.
        value: Its value in SI.
        unit: SI unit as the case file writes it, or an empty text.
        kind: material, spin_orbit, exchange, override, interface, drive, electrode, thickness,
            temperature or field.
        scale: A size to compare changes with: |value|, or if that is zero the largest entry of
            the same vector or matrix, or else a typical size of the unit.
    """

    path: str
    value: float
    unit: str
    kind: str
    scale: float

    @property
    def spelled(self) -> str:
        """The unit as texts show it: m^2 for m**2."""
        return self.unit.replace("**", "^")


def scalar_parameters(case: Case) -> tuple[Parameter, ...]:
    """Return every scalar of a completed case that the coefficients can be differentiated by.

    Listed are the scalars that are set, also where they are zero.  Left out are what is not
    continuous (spins, choices, cells), what does not enter transport (the tables of a magnet,
    layers of insulators), the magnetization direction, a conductivity beside both dos and
    diffusion_constant, and the lower half of a symmetric strain.

    Args:
        case: A case without open materials, see `femspin.materials.parameters.complete_case`.
    """
    table = dump_case(without_repetition(case))
    found: list[Parameter] = []
    for name, region in table["regions"].items():
        if region["kind"] not in INSULATORS:
            found += _walk(region, ("regions", name))
    for name, entry in table["interfaces"].items():
        found += _walk(entry, ("interfaces", name))
    found += _walk(table["drive"], ("drive",))
    layers = table.get("structure", {}).get("layers", [])
    for k, layer in enumerate(layers):
        if table["regions"][layer["region"]]["kind"] not in INSULATORS:
            inner = {"thickness": layer["thickness"]}
            found += _walk(inner, ("structure", "layers", str(k)))
    return tuple(found)


def _walk(node: Any, parts: tuple[str, ...], size: float = 0.0) -> list[Parameter]:
    """Return the parameters below a node; `size` is the largest entry of the list it is in."""
    if isinstance(node, Mapping):
        return [
            p
            for key, value in node.items()
            if key not in ("spin", "kind")
            for p in _walk(value, (*parts, key))
        ]
    if isinstance(node, list):
        size = _largest(node) if size == 0.0 else size
        return [
            p
            for k, value in enumerate(node)
            if not _repeated(parts, k)
            for p in _walk(value, (*parts, str(k)), size)
        ]
    pair = number_and_unit(node)
    if pair is None:
        return []
    value, unit = pair
    scale = abs(value) or size or _ZERO_SCALES.get(unit, 1.0)
    return [Parameter(dotted(parts), value, unit, _kind(parts), scale)]


def _largest(node: Any) -> float:
    if isinstance(node, list):
        return max((_largest(x) for x in node), default=0.0)
    pair = number_and_unit(node)
    return abs(pair[0]) if pair is not None else 0.0


def _repeated(parts: tuple[str, ...], k: int) -> bool:
    """Return whether an entry of a strain repeats another one or has no effect."""
    return len(parts) == 5 and parts[2:4] == ("soc", "strain") and k <= int(parts[4])


def _kind(parts: tuple[str, ...]) -> str:
    if parts[0] == "drive":
        return {"temperature": "temperature", "magnetic_field": "field", "electrodes": "electrode"}.get(
            parts[1], "drive"
        )
    if parts[0] == "regions":
        return {"soc": "spin_orbit", "kondo": "exchange"}.get(parts[2], _own(parts[2]))
    return "thickness" if parts[0] == "structure" else "interface"


def _own(key: str) -> str:
    return "override" if key == "override" else "material"


def find_parameter(case: Case, path: str) -> Parameter:
    """Return the parameter of a completed case at a dotted path.

    A layer may be named by its region: ``structure.layers.Pt.thickness``; see
    `femspin.case.paths.resolved_path`.

    Raises:
        CaseError: If there is none; names the closest one.
    """
    known, table = {p.path: p for p in scalar_parameters(case)}, dump_case(case)
    parts = list(resolved_path(path, table, path, Case))
    if len(parts) == 6 and parts[3] == "strain" and parts[4] > parts[5]:
        parts[4:] = parts[:3:-1]
    found = known.get(dotted(parts))
    if found is None and parts[-1] == "resistivity":
        raise CaseError(path, "the conductivity is what is varied; name it instead")
    if found is None:
        raise CaseError(path, _no_parameter(parts, table, known))
    return found


def _no_parameter(parts: Sequence[str], table: Mapping[str, Any], known: Iterable[str]) -> str:
    """Return why a path leads to no parameter, and what is nearest to it."""
    own = dotted(parts)
    inner = [name for name in known if name.startswith(f"{own}.")]
    if inner:
        return f"stands for several numbers; name one of them: {', '.join(inner[:6])}"
    if problem := table_problem(parts, Case):
        return problem
    if key_at(parts, Case) is not None and _is_absent(table, parts):
        return "is not set in the case; give it the value there at which it is to be varied"
    # The slip is most often in the last word, and long heads in common make all names alike.
    head = dotted(parts[:-1]) + "."
    beside = [name for name in known if name.startswith(head)]
    near = closest(parts[-1], (name[len(head) :] for name in beside))
    if near:
        near = closest(own, [head + near.split("'")[1]])
    return f"is no number of the case that can be varied continuously{near or closest(own, known)}"


def _is_absent(node: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            return True
    return False


def by_region(case: Case, path: str) -> str:
    """Return the path of a parameter with the region in place of the number of a layer.

    The path itself where no layer is meant, or several layers have the region.
    """
    parts, stack = path.split("."), case.structure
    if parts[:2] != ["structure", "layers"] or stack is None:
        return path
    region = stack.layers[int(parts[2])].region
    if sum(layer.region == region for layer in stack.layers) > 1:
        return path
    return ".".join([*parts[:2], region, *parts[3:]])


def parameter_value(case: Case, path: str) -> float:
    """Return the value of a parameter of a completed case, in SI; see `find_parameter`."""
    return find_parameter(case, path).value


def with_parameters(case: Case, values: Mapping[str, Any]) -> Case:
    """Return a completed case with other values of some parameters, in SI.

    The values are not checked against the bounds of the case file; the symmetric partner of a
    strain is set, too.

    Args:
        case: A completed case.
        values: By path as in `Parameter.path`; dual numbers stay what they are.

    Raises:
        CaseError: If the case has no number there.
    """
    for path, value in values.items():
        parts = path_parts(path)
        try:
            number = value if isinstance(value, Dual) else float(value)
            case = _put(case, parts, number)
            if len(parts) == 6 and parts[3] == "strain":
                case = _put(case, (*parts[:4], parts[5], parts[4]), number)
        except (AttributeError, KeyError, ValueError, IndexError, TypeError):
            found = find_parameter(case, path).path  # says what is wrong, where all of it is
            raise CaseError(path, f"is called {found} here") from None
    return case


def _put(node: Any, parts: Sequence[str], value: Any) -> Any:
    """Return a copy of nested tables with one number replaced; the rest is shared."""
    if not parts:
        if isinstance(node, list | Mapping | BaseModel):
            raise TypeError("several numbers")
        return value
    first, rest = parts[0], parts[1:]
    if isinstance(node, list):
        k = int(first)
        return [*node[:k], _put(node[k], rest, value), *node[k + 1 :]]
    if isinstance(node, Mapping):
        return {**node, first: _put(node[first], rest, value)}
    return node.model_copy(update={first: _put(getattr(node, first), rest, value)})


def without_repetition(case: Case) -> Case:
    """Return the case without conductivities that repeat dos and diffusion constant."""
    regions = {
        name: region.model_copy(update={"conductivity": None})
        if region.dos is not None and region.diffusion_constant is not None
        else region
        for name, region in case.regions.items()
    }
    return case.model_copy(update={"regions": regions})
