r"""Derivatives of every reported number by every scalar of a case.

The discrete problem :math:`r(\mu, p) = b - K\mu = 0` makes an output Q(mu, p) depend on a
parameter p twice, so that

.. math:: \frac{dQ}{dp} = \frac{\partial Q}{\partial p} + z\cdot\frac{\partial r}{\partial p},
    \qquad K^T z = \frac{\partial Q}{\partial\mu} .

Currents, parts, voltages are affine in mu and get an adjoint z each, whatever the number of
parameters.  Efficiencies and other quotients are differentiated along the tangent
:math:`K\,d\mu = \partial r/\partial p` instead.  Both reuse the factorisation of the solution;
the partial derivatives come from `femspin.studies.sensitivity.directions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np

from ...case.names import number_name
from ...case.parameters import by_region
from ...device.coefficients import (
    Parameter,
    dual_coefficients,
    find_parameter,
    is_smooth,
    scalar_parameters,
    slope_of,
)
from ...device.functionals import device_functionals
from ...device.generic import generic_transport
from ...device.model import Device, Transport
from ...device.observables.mesh import discretised_numbers
from ...device.observables.quantity import Quantity, flat_numbers, quantities
from ...errors import CaseError, closest
from ...transport.adjoint import adjoint_solutions, tangent_solutions
from ...units import Array, Progress
from .directions import Direction, direction, numbers_along, weak_moments

__all__ = [
    "Sensitivities",
    "choose_outputs",
    "choose_parameters",
    "default_outputs",
    "is_output",
    "possible_outputs",
    "sensitivities",
    "table_rows",
]

Method = Literal["auto", "adjoint", "tangent"]

_NEGLIGIBLE = 1e-6  # of the largest output of its group
_NO_OUTPUTS = ("area", "balance_residual")
_EFFICIENCIES = ("efficiency_damping_like", "efficiency_field_like")


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of outputs by parameters, in SI.

    Args:
        quantities: The outputs.
        parameters: By which they are differentiated.
        derivatives: dQ/dp, shape (n_outputs, n_parameters); NaN where the coefficients have no
            smooth derivative.
        errors: Of the derivatives of the coefficients, shape (n_parameters,): none (0), or
            infinite where there is no smooth derivative.
    """

    quantities: tuple[Quantity, ...]
    parameters: tuple[Parameter, ...]
    derivatives: Array
    errors: Array

    @property
    def outputs(self) -> tuple[str, ...]:
        """Dotted names of the outputs as in `Solution.values`."""
        return tuple(q.path for q in self.quantities)

    @property
    def values(self) -> Array:
        """The outputs in SI, shape (n_outputs,)."""
        return np.array([q.value for q in self.quantities])

    @property
    def elasticities(self) -> Array:
        """(p/Q) dQ/dp, shape (n_outputs, n_parameters); for p = 0 its scale stands for p."""
        scale = np.array([p.value if p.value != 0 else p.scale for p in self.parameters])
        with np.errstate(divide="ignore", invalid="ignore"):
            relative: Array = self.derivatives * scale / self.values[:, None]
        return relative


def sensitivities(
    device: Device,
    transport: Transport,
    outputs: Sequence[str],
    parameters: Sequence[str] | None = None,
    method: Method = "auto",
    progress: Progress | None = None,
) -> Sensitivities:
    """Return the derivatives of outputs by parameters of the case, at fixed mesh.

    Thicknesses of meshed layers are no parameters here; `femspin.studies.sensitivity.layers` has them.

    Args:
        device: The problem; not with method ``stack``.
        transport: Its solution.
        outputs: Names as in `Solution.values`, of numbers that depend on the solution.
        parameters: Dotted paths or patterns; default every scalar of the case.
        method: ``adjoint`` solves once per output that is affine in mu, ``tangent`` once per
            parameter; ``auto`` does what takes fewer solves.
        progress: Called with the fraction of parameters that are done.

    Raises:
        CaseError: If a name is unknown.
        SolverError: If an adjoint or tangent solve fails.
    """
    known = quantities(discretised_numbers(device, transport))
    for name in outputs:
        if name not in known:
            raise CaseError(name, f"the result has no such number{closest(name, known)}")
    chosen = choose_parameters(device.case, parameters)
    chosen_outputs = tuple(known[name] for name in dict.fromkeys(outputs))
    wanted = {q.path: q.value for q in chosen_outputs}
    rows = _rows(device, transport, wanted, len(chosen), method)
    moments = weak_moments(device, transport)
    table, errors = np.full((len(wanted), len(chosen)), np.nan), np.full(len(chosen), np.inf)
    every = dual_coefficients(device.case, chosen, transport.m)
    for j in np.flatnonzero(is_smooth(every)).tolist():
        change = direction(device, transport, slope_of(every, chosen[j], j), moments)
        table[:, j], errors[j] = rows.derivatives(change), 0.0
        if progress is not None:
            progress((j + 1) / len(chosen))
    return Sensitivities(chosen_outputs, chosen, table, errors)


@dataclass(frozen=True)
class _Rows:
    """Outputs of one solution with the adjoints of those that have one.

    Args:
        device: The problem.
        transport: Its solution.
        outputs: Their values by name.
        adjoints: Of some of them, shape (n_free,) each: weights of the residual.
    """

    device: Device
    transport: Transport
    outputs: Mapping[str, float]
    adjoints: Mapping[str, Array]

    def derivatives(self, change: Direction) -> Array:
        """Return the derivatives of all outputs by one parameter, shape (n_outputs,)."""
        found = dict.fromkeys(self.outputs, 0.0)
        if not change.inert:
            direct = list(self.adjoints)
            explicit = self._along(change, change.prescribed, direct)
            for name, value in zip(direct, explicit, strict=True):
                found[name] = float(value + self.adjoints[name] @ change.residual)
            derived = [name for name in self.outputs if name not in self.adjoints]
            if derived:
                mu = change.prescribed + self._tangent(change)
                found |= zip(derived, self._along(change, mu, derived).tolist(), strict=True)
        return np.array([found[name] for name in self.outputs])

    def _along(self, change: Direction, mu: Array, names: list[str]) -> Array:
        if not names:
            return np.zeros(0)
        values = {name: self.outputs[name] for name in names}
        return numbers_along(self.device, self.transport, change, mu, values)

    def _tangent(self, change: Direction) -> Array:
        problem, state = self.device.problem, self.transport.state
        return tangent_solutions(problem, state, [change.residual])[0]


def _rows(
    device: Device, transport: Transport, outputs: Mapping[str, float], parameters: int, method: Method
) -> _Rows:
    """Return the outputs, with adjoints where these save solves."""
    affine = {} if method == "tangent" else device_functionals(device, transport)
    direct = [name for name in outputs if name in affine]
    if method == "auto" and (len(direct) < len(outputs) or len(direct) > parameters):
        direct = []  # the tangents are needed anyway, or are fewer
    weights = [affine[name].weights for name in direct]
    gather = device.problem.constraint.gather
    adjoints = {
        name: gather(_first_of_unknown(device, z))
        for name, z in zip(direct, adjoint_solutions(device.problem, transport.state, weights), strict=True)
    }
    return _Rows(device, transport, outputs, adjoints)


def _first_of_unknown(device: Device, z: Array) -> Array:
    """Return z with one dof of every unknown kept, so that gathering returns the unknowns."""
    unknown = device.problem.constraint.unknown
    flat, kept = z.ravel(), np.zeros(z.size)
    _, first = np.unique(unknown, return_index=True)
    first = first[unknown[first] >= 0]
    kept[first] = flat[first]
    return kept


def choose_parameters(case: Any, paths: Sequence[str] | None = None) -> tuple[Parameter, ...]:
    """Return the parameters of a completed case that a derivative exists for.

    Args:
        case: Completed; with the method ``stack``, thicknesses count.
        paths: Dotted paths, or patterns such as ``regions.Pt.*``; default all.

    Raises:
        CaseError: If a path is no parameter, names the closest one; or if it is the thickness
            of a layer that has a mesh.
    """
    known = scalar_parameters(case)
    fixed = {p.path for p in known if p.kind == "thickness" and _meshed(case, p.path)}
    if paths is None:
        return tuple(p for p in known if p.path not in fixed)
    found: dict[str, Parameter] = {}
    for path in paths:
        if any(mark in path for mark in "*?"):
            every = [
                p for p in known if fnmatchcase(p.path, path) or fnmatchcase(by_region(case, p.path), path)
            ]
            if not every:
                raise CaseError("--parameters", f"no parameter matches {path!r}")
            matches = [p for p in every if p.path not in fixed] or every
        else:
            matches = [find_parameter(case, path)]
        found |= {p.path: p for p in matches}
    for path in sorted(fixed & set(found)):
        raise CaseError(
            path,
            "the thickness of a meshed layer is no parameter of finite elements; in one"
            ' dimension solver.method = "stack" differentiates by it',
        )
    return tuple(found.values())


def _meshed(case: Any, path: str) -> bool:
    """Return whether the layer at a path has a mesh that its thickness would change."""
    layer = case.structure.layers[int(path.split(".")[2])]
    return bool(case.solver.method != "stack" and case.regions[layer.region].model == "resolved")


def possible_outputs(device: Device) -> tuple[str, ...]:
    """Return the names of all numbers that a solution can have, without solving."""
    transport = generic_transport(device)
    return tuple(filter(is_output, flat_numbers(discretised_numbers(device, transport))))


def is_output(name: str) -> bool:
    """Return whether a number is a result: neither a measure of the mesh nor a residual."""
    return name.rpartition(".")[2] not in _NO_OUTPUTS


def choose_outputs(wanted: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the names that are meant by names, patterns and vectors.

    Args:
        wanted: Dotted names, patterns such as ``interfaces.*.spin_current.y``, or the name of a
            vector or table.
        known: All names.

    Raises:
        CaseError: If one means nothing; names the closest.
    """
    names, found = tuple(known), []
    for name in wanted:
        spelled = number_name(name, names)
        matches = [n for n in names if n == spelled or n.startswith(f"{spelled}.") or fnmatchcase(n, name)]
        if not matches:
            what = "matches no number" if any(c in name for c in "*?") else "is no number"
            raise CaseError("--outputs", f"{name!r} {what} of the result{closest(name, names)}")
        found += matches
    return tuple(dict.fromkeys(found))


def default_outputs(values: Mapping[str, float]) -> tuple[str, ...]:
    """Return the spin currents and torque efficiencies that are not negligible.

    A spin current counts from 1e-6 of the largest component at all interfaces on, an
    efficiency from 1e-6 of the largest of all magnets.
    """
    spin = {k: v for k, v in values.items() if k.startswith("interfaces.") and ".spin_current." in k}
    torque = {k: v for k, v in values.items() if k.startswith("torques.") and k.endswith(_EFFICIENCIES)}
    found: list[str] = []
    for group in (spin, torque):
        largest = max((abs(v) for v in group.values()), default=0.0)
        found += [k for k, v in group.items() if abs(v) > _NEGLIGIBLE * largest]
    return tuple(found)


def table_rows(found: Sensitivities, output: int) -> list[Mapping[str, Any]]:
    """Return the parameters of one output by falling size of the elasticity.

    Where the output is zero, by the size of the derivative times the parameter.
    """
    relative = found.elasticities[output]
    sizes = relative if found.values[output] != 0 else relative * 0
    order = np.argsort(-np.abs(np.nan_to_num(sizes, posinf=0.0, neginf=0.0)), kind="stable")
    return [
        {
            "parameter": found.parameters[j].path,
            "value": found.parameters[j].value,
            "unit": found.parameters[j].spelled,
            "scale": found.parameters[j].scale,
            "derivative": float(found.derivatives[output, j]),
            "elasticity": float(relative[j]),
        }
        for j in order
    ]
