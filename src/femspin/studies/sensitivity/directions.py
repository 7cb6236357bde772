r"""What one parameter of a case moves in the discrete problem, before the equations answer.

The residual :math:`r = b - K\mu` of a region is linear in the small tensors of its weak form.
With the element moments of mu summed up once, :math:`\partial r/\partial p` at fixed mu costs a
few products of small matrices per parameter; on covariant elements, whose frames follow the
gauge field, it is an extrapolated difference over the regions that change.  The coefficients
themselves come from `femspin.device.coefficients.dual_coefficients`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...case.parameters import without_repetition
from ...device.build import changed_device
from ...device.coefficients import FieldDerivatives, Parameter, extrapolated_derivative, with_parameters
from ...device.model import Device, Transport
from ...device.observables.mesh import MeshSaid
from ...device.observables.quantity import flat_numbers
from ...device.observables.said import DISCRETISED, observables
from ...device.steady import transport_of
from ...dual import Dual, change_of, mapped
from ...fields.region import RegionFields
from ...transport.assembly.coefficients import Coefficients, block_tensors, coefficients
from ...transport.assembly.regions import apply_region
from ...transport.elements.space import Space
from ...units import Array

__all__ = ["Direction", "WeakMoments", "direction", "numbers_along", "weak_moments"]


_ARRAYS = (
    "dos",
    "diffusion",
    "gauge",
    "omega",
    "relaxation",
    "theta",
    "drift",
    "rotation",
    "moment_relaxation",
    "moment_omega",
)
_LEVELS = 5
_STEP = 3e-3  # relative change along a direction: truncation and round-off are both about 1e-12
_ROUGH, _ROUND_OFF, _ENOUGH = 1e-4, 1e-10, 1e-9
_SMALL = 1e-8  # of the charge potential: a spin potential below it sets no scale


@dataclass(frozen=True)
class WeakMoments:
    """Element moments of mu, summed over the cells of a region with uniform coefficients.

    Args:
        matrix: What every row of `BlockTensors.matrix` acts on, shape (n_rows, n_dofs, 4).
        vector: What every row of `BlockTensors.vector` multiplies, shape (dim + 1, n_dofs).
    """

    matrix: Array
    vector: Array


@dataclass(frozen=True)
class Direction:
    """The derivative of a discrete problem by one parameter, at fixed unknowns.

    Args:
        parameter: Which.
        fields: Derivatives of the coefficients of the meshed regions that change, in SI.
        faces: Whether conditions on faces change, too.
        residual: Of b - K mu of the unknowns, shape (n_free,).
        prescribed: Of the prescribed potentials [meV], shape (n_dofs, 4).
    """

    parameter: Parameter
    fields: Mapping[str, RegionFields]
    faces: bool
    residual: Array
    prescribed: Array

    @property
    def inert(self) -> bool:
        """Whether the parameter enters nothing at all."""
        return not (self.fields or self.faces)


def weak_moments(device: Device, transport: Transport) -> dict[str, WeakMoments]:
    """Return the moments of a solution in every region with uniform coefficients."""
    state = transport.state
    return {
        name: _moments(device.space, name, state.mu, state.mu_low)
        for name, c in state.coefficients.items()
        if c.uniform
    }


def _moments(space: Space, name: str, mu: Array, mu_low: Array) -> WeakMoments:
    d, n = space.dimension, space.dofs.shape[1]
    rows = d * d + 2 * d + 1
    # As in `apply_region`: derivatives act on the difference from the mean of the cell.
    kills = np.r_[0 : d * d, d * d + d : d * d + 2 * d]
    keeps = np.r_[d * d : d * d + d, d * d + 2 * d]
    matrix, vector = np.zeros((space.n_dofs, rows, 4)), np.zeros((space.n_dofs, d + 1))
    for chunk in space.chunks(space.in_region(name)):
        dofs = space.dofs[chunk.cells]
        local, low = mu[dofs], mu_low[dofs]
        deviation = (local - local.mean(axis=1, keepdims=True)) + low
        integrals = chunk.matrix.reshape(-1, n, n, rows)
        out = np.empty((len(dofs), n, rows, 4))
        for which, values in ((kills, deviation), (keeps, local + low)):
            out[:, :, which] = np.einsum("eimk,emz->eikz", integrals[..., which], values, optimize=True)
        np.add.at(matrix, dofs, out)
        np.add.at(vector, dofs, chunk.vector)
    return WeakMoments(np.ascontiguousarray(matrix.swapaxes(0, 1)), vector.T.copy())


def direction(
    device: Device, transport: Transport, found: FieldDerivatives, moments: Mapping[str, WeakMoments]
) -> Direction:
    """Return what a parameter changes at fixed unknowns.

    Args:
        device: The problem.
        transport: Its solution.
        found: Derivatives of the coefficients by the parameter.
        moments: From `weak_moments`.
    """
    parameter = found.parameter
    changed = {name: found.fields[name] for name in device.conductors if _changes(found.fields[name])}
    residual = np.zeros((device.space.n_dofs, 4))
    for name, slope in changed.items():
        residual -= _region_change(device, transport, name, slope, parameter.scale, moments)
    free = device.problem.constraint.gather(residual.ravel())
    prescribed = np.zeros((device.space.n_dofs, 4))
    faces = bool(device.reduced) or parameter.path.startswith(("interfaces", "drive.electrodes"))
    if faces:
        own, prescribed = _face_change(device, transport, parameter)
        free = free + own
    return Direction(parameter, changed, faces, free, prescribed)


def _changes(slope: RegionFields) -> bool:
    return any(np.any(getattr(slope, key)) for key in _ARRAYS)


def _region_change(
    device: Device,
    transport: Transport,
    name: str,
    slope: RegionFields,
    scale: float,
    moments: Mapping[str, WeakMoments],
) -> Array:
    """Return the derivative of K mu - b of a region at fixed mu, shape (n_dofs, 4)."""
    space, axes = device.space, device.space.structure.axes
    if name in moments:
        changing = mapped(lambda v, d: Dual(v, d[None]), transport.fields[name], slope)
        tensors = block_tensors(coefficients(changing), axes)
        matrix, vector = change_of(tensors.matrix)[0], change_of(tensors.vector)[0]
        own: Array = np.einsum("kez,knz->ne", matrix.reshape(-1, 4, 4), moments[name].matrix, optimize=True)
        own -= moments[name].vector.T @ vector
        return own
    state, at = transport.state, _along(device, transport, name, slope)
    (change,), _ = extrapolated_derivative(
        lambda t: [apply_region(space, name, at(t), state.mu, state.mu_low)], 0.0, scale, _LEVELS
    )
    return change


def _along(
    device: Device, transport: Transport, name: str, slope: RegionFields
) -> Callable[[float], Coefficients]:
    """Return the coefficients of a region along their derivative, on the same elements.

    The elements stay of the kind they are: a choice has no derivative.
    """
    base = transport.fields[name]
    carried = transport.state.coefficients[name].along

    def at(t: float) -> Coefficients:
        return coefficients(_moved(base, slope, t), carried)

    return at


def _moved(f: RegionFields, slope: RegionFields, t: float) -> RegionFields:
    """Return f + t slope."""
    values: dict[str, Any] = {k: getattr(f, k) + t * getattr(slope, k) for k in _ARRAYS}
    m = f.m if f.m is None or slope.m is None else f.m + t * slope.m
    return replace(f, **values, m=m)


def _face_change(device: Device, transport: Transport, parameter: Parameter) -> tuple[Array, Array]:
    """Return the derivatives of the residual by conditions on faces, and of what they prescribe.

    Prescribed potentials enter the residual through the regions beside them.
    """
    state, shape = transport.state, transport.state.mu.shape

    def at(x: float) -> list[Array]:
        other = _other(device, parameter, x)
        laws = other.laws(transport.m)
        residual = other.problem.residual({}, laws, state.mu, state.mu_low)
        return [residual, other.problem.constraint.fixed]

    (own, fixed), _ = extrapolated_derivative(at, parameter.value, parameter.scale, _LEVELS)
    if fixed.any():
        moved, problem = fixed.reshape(shape), device.problem
        low = np.zeros(shape)
        own = own + problem.residual(state.coefficients, state.laws, moved, low)
        own = own - problem.residual(state.coefficients, state.laws, low, low)
    return own, fixed.reshape(shape)


def _other(device: Device, parameter: Parameter, x: float) -> Device:
    case = with_parameters(without_repetition(device.case), {parameter.path: x})
    return changed_device(device, case)


def numbers_along(
    device: Device, transport: Transport, change: Direction, mu: Array, values: Mapping[str, float]
) -> Array:
    """Return the derivatives of numbers of the result along a direction, shape (n,).

    Central differences of fourth order along straight lines of coefficients and potentials; the
    numbers are polynomials and quotients of them.

    Args:
        device: The problem.
        transport: Its solution.
        change: How the parameter moves the coefficients.
        mu: How it moves mu [meV per unit of the parameter], shape (n_dofs, 4).
        values: The numbers by their names in `Solution.values`.
    """
    names, size = list(values), np.abs(np.array(list(values.values())))
    step = _STEP / max(1 / change.parameter.scale, _rate(transport, change, mu))

    def at(t: float) -> Array:
        return _numbers_at(device, transport, change, mu, names, t)

    near, far = at(step) - at(-step), at(2 * step) - at(-2 * step)
    found: Array = (8 * near - far) / (12 * step)
    # The two differ by the square of the step, unless a number turns over on a smaller scale.
    rough = np.abs(far - 2 * near) > _ROUGH * np.abs(near) + _ROUND_OFF * size
    if rough.any():
        better, _ = extrapolated_derivative(
            lambda t: [np.array(v) for v in at(t)[rough]], 0.0, 16 * step, 12, _ENOUGH
        )
        found[rough] = better
    return found


def _rate(transport: Transport, change: Direction, mu: Array) -> float:
    """Return the largest relative change per unit of what numbers are divided by, and of spin.

    Without a prescribed field it is the gradient of mu^0 that drives the currents.
    """
    old, new = np.abs(transport.state.mu), np.abs(mu)
    charge = old[:, 0].max()
    pairs = [(max(old[:, 1:].max(), _SMALL * charge), new[:, 1:].max())]
    if not any(np.any(f.drift) for f in transport.fields.values()):
        pairs.append((charge, new[:, 0].max()))
    for name, slope in change.fields.items():
        for key in ("dos", "diffusion", "theta", "drift"):
            size = np.abs(getattr(transport.fields[name], key)).max()
            pairs.append((size, np.abs(getattr(slope, key)).max()))
    return max((float(b / a) for a, b in pairs if a > 0), default=0.0)


def _numbers_at(
    device: Device, transport: Transport, change: Direction, mu: Array, names: Sequence[str], t: float
) -> Array:
    parameter, state = change.parameter, transport.state
    other = _other(device, parameter, parameter.value + t) if change.faces else device
    fields, scaled = dict(transport.fields), dict(state.coefficients)
    for name, slope in change.fields.items():
        fields[name] = _moved(transport.fields[name], slope, t)
        scaled[name] = _along(device, transport, name, slope)(t)
    # Rounding mu to doubles would cost as much flux as it does in `TransportProblem.solve`.
    full = state.mu.astype(np.longdouble) + state.mu_low + t * mu.astype(np.longdouble)
    rounded = full.astype(float)
    moved = replace(
        state,
        mu=rounded,
        mu_low=(full - rounded).astype(float),
        coefficients=scaled,
        laws=other.laws(transport.m),
    )
    found = _needed(other, replace(transport, fields=fields, state=moved), names)
    return np.array([found.get(name, np.nan) for name in names])


def _needed(device: Device, transport: Transport, names: Sequence[str]) -> dict[str, float]:
    """Return the numbers of the tables that some names are in."""
    groups = [g for g in DISCRETISED if any(name.startswith(f"{g}.") for name in names)]
    crossing = {"interfaces", "torques"}.intersection(groups) or "observables" in str(groups)
    if crossing or device.reduced:
        transport = transport_of(device, transport.m, transport.fields, transport.state)
    return flat_numbers(observables(MeshSaid(device, transport), groups))
