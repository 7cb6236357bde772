r"""Derivatives of every reported number by every scalar of a case.

The discrete problem :math:`r(\mu, p) = b - K\mu = 0` makes an output Q(mu, p) depend on a
parameter p twice, so that

.. math:: \frac{dQ}{dp} = \frac{\partial Q}{\partial p} + z\cdot\frac{\partial r}{\partial p},
    \qquad K^T z = \frac{\partial Q}{\partial\mu} .

Currents, parts, voltages are affine in mu and get an adjoint z each, whatever the number of
parameters.  Efficiencies and other quotients are differentiated along the tangent
:math:`K\,d\mu = \partial r/\partial p` instead.  Both reuse the factorisation of the solution.
The partial derivatives at fixed mu run through the microscopic theory, which holds root finders;
they are central differences extrapolated to step zero (`extrapolated_derivative`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chain_rule import (
    Parameter,
    extrapolated_derivative,
    find_parameter,
    scalar_parameters,
    with_parameters,
)
from .errors import CaseError, closest
from .interface.functionals import (
    Functional,
    current_functionals,
    electrode_functionals,
    interface_functionals,
)
from .interface.report import Share
from .pipeline import Device, Transport, changed_device, transport_of
from .results.solution import discretised_numbers, flat_numbers
from .transport.adjoint import adjoint_solutions, tangent_solutions
from .transport.space import prolongation

__all__ = ["Sensitivities", "device_functionals", "sensitivities"]

Array = NDArray[np.float64]

_LEVELS = 5


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of outputs by parameters, in SI.

    Args:
        outputs: Dotted names as in `Solution.values`.
        values: Of the outputs, shape (n_outputs,).
        parameters: By which they are differentiated.
        derivatives: dQ/dp, shape (n_outputs, n_parameters).
        errors: Estimated errors of the extrapolated differences, relative to the largest
            derivative times parameter of the output, shape (n_parameters,).
    """

    outputs: tuple[str, ...]
    values: Array
    parameters: tuple[Parameter, ...]
    derivatives: Array
    errors: Array

    @property
    def elasticities(self) -> Array:
        """(p/Q) dQ/dp, shape (n_outputs, n_parameters); for p = 0 its scale stands for p."""
        scale = np.array([p.value if p.value != 0 else p.scale for p in self.parameters])
        with np.errstate(divide="ignore", invalid="ignore"):
            relative: Array = self.derivatives * scale / self.values[:, None]
        return relative


def device_functionals(
    device: Device, transport: Transport, coarse: Device | None = None
) -> dict[str, Functional]:
    """Return every output of a solution that is affine in mu, by its name in the result.

    Args:
        device: The problem.
        transport: Its solution.
        coarse: The same device with elements of a lower order, whose test functions then weigh
            the residual at faces: the currents as the lower order defines them, with adjoints
            that are smooth up to the face.
    """
    space, state = device.space, transport.state
    share, traces = _lifted(device, coarse)
    found: list[Functional] = []
    for name in transport.interfaces:
        face = device.structure.interfaces.get(name)
        if face is None or not {face.first, face.second} & set(device.conductors):
            continue  # of a reduced layer: its flux law is no residual
        split = device.kinds[face.second] == "F"
        found += interface_functionals(space, state, share, face, device.conductors, split)
    for name in device.conductors:
        found += current_functionals(space, state, name)
    electrodes = device.problem.boundary.electrodes
    found += electrode_functionals(space, state, electrodes, traces)
    return {f.path: f for f in found}


def _lifted(
    device: Device, coarse: Device | None
) -> tuple[Mapping[str, Share], dict[str, Array] | None]:
    """Return the shares and electrode traces, those of a lower order interpolated."""
    if coarse is None:
        return device.share, None
    lift = prolongation(coarse.space, device.space)
    share = {
        name: replace(
            device.share[name],
            weights={face: lift @ w for face, w in s.weights.items()},
            electrode=lift @ s.electrode,
        )
        for name, s in coarse.share.items()
    }
    traces = {}
    for face in coarse.problem.boundary.electrodes:
        one = np.zeros(coarse.space.n_dofs)
        one[face.dofs] = 1.0
        traces[face.name] = lift @ one
    return share, traces


def sensitivities(
    device: Device,
    transport: Transport,
    outputs: Sequence[str],
    parameters: Sequence[str] | None = None,
) -> Sensitivities:
    """Return the derivatives of outputs by parameters of the case, at fixed mesh.

    Thicknesses of meshed layers are no parameters here; the stack solver has them.

    Args:
        device: The problem; not with method ``stack``.
        transport: Its solution.
        outputs: Names as in `Solution.values`, of numbers that depend on the solution.
        parameters: Dotted paths; default every scalar of the case.

    Raises:
        CaseError: If a name is unknown.
        SolverError: If an adjoint solve fails.
    """
    known = flat_numbers(discretised_numbers(device, transport))
    for name in outputs:
        if name not in known:
            raise CaseError(name, f"the result has no such number{closest(name, known)}")
    chosen = _parameters(device, parameters)
    affine = device_functionals(device, transport)
    direct = [name for name in outputs if name in affine]
    derived = [name for name in outputs if name not in affine]
    adjoints = adjoint_solutions(
        device.problem, transport.state, [affine[name].weights for name in direct]
    )
    gather = device.problem.constraint.gather
    reduced = np.array([gather(_first_of_unknown(device, z)) for z in adjoints])
    table = np.empty((len(outputs), len(chosen)))
    errors = np.empty(len(chosen))
    place = {name: k for k, name in enumerate(outputs)}
    for j, parameter in enumerate(chosen):
        slope, errors[j] = _partial(device, transport, parameter, direct)
        if direct:
            rows = [place[name] for name in direct]
            table[rows, j] = slope[1] + reduced @ slope[0]
        if derived:
            mu = tangent_solutions(device.problem, transport.state, [slope[0]])[0]
            rows = [place[name] for name in derived]
            table[rows, j] = _partial(device, transport, parameter, derived, mu)[0][1]
    values = np.array([known[name] for name in outputs])
    return Sensitivities(tuple(outputs), values, chosen, table, errors)


def _parameters(device: Device, paths: Sequence[str] | None) -> tuple[Parameter, ...]:
    if paths is not None:
        return tuple(find_parameter(device.case, path) for path in paths)
    return tuple(
        p for p in scalar_parameters(device.case)
        if p.kind != "thickness"
        and not (p.path.startswith("structure"))
    )  # fmt: skip


def _first_of_unknown(device: Device, z: Array) -> Array:
    """Return z with one dof of every unknown kept, so that gathering returns the unknowns."""
    unknown = device.problem.constraint.unknown
    flat, kept = z.ravel(), np.zeros(z.size)
    _, first = np.unique(unknown, return_index=True)
    first = first[unknown[first] >= 0]
    kept[first] = flat[first]
    return kept


def _partial(
    device: Device,
    transport: Transport,
    parameter: Parameter,
    names: Sequence[str],
    tangent: Array | None = None,
) -> tuple[list[Array], float]:
    """Return the derivatives of the residual and of some numbers by a parameter.

    At fixed unknowns, or along the tangent of mu, where the residual is left out.
    """
    faces = not parameter.path.startswith("regions") or bool(device.reduced)
    state = transport.state

    def at(x: float) -> list[Array]:
        case = with_parameters(device.case, {parameter.path: x})
        other = changed_device(device, case, faces)
        fields = other.fields(transport.m)
        # What prescribes potentials moves them at fixed unknowns.
        moved = (other.problem.constraint.fixed - device.problem.constraint.fixed).reshape(-1, 4)
        mu = state.mu + moved
        if tangent is not None:
            mu = mu + (x - parameter.value) * tangent
        laws = other.laws(transport.m)
        scaled = other.problem.scaled(fields)
        changed = replace(state, mu=mu, coefficients=scaled, laws=laws)
        found = discretised_numbers(other, transport_of(other, transport.m, fields, changed))
        flat = flat_numbers(found)
        numbers = np.array([flat[name] for name in names])
        if tangent is not None:
            return [np.zeros(0), numbers]
        return [other.problem.residual(scaled, laws, mu, state.mu_low), numbers]

    return extrapolated_derivative(at, parameter.value, parameter.scale, _LEVELS)


def table_rows(found: Sensitivities, output: int) -> list[Mapping[str, Any]]:
    """Return the parameters of one output by falling size of the elasticity."""
    relative = found.elasticities[output]
    order = np.argsort(-np.abs(np.nan_to_num(relative)))
    return [
        {
            "parameter": found.parameters[j].path,
            "value": found.parameters[j].value,
            "unit": found.parameters[j].unit,
            "derivative": float(found.derivatives[output, j]),
            "elasticity": float(relative[j]),
        }
        for j in order
    ]
