"""Slabs with the derivative of their operators and maps, the product rule through `slab`.

Units of length and the number of doublings are choices that do not change a map in SI; they are
held, so that the derivative is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...fields.region import RegionFields
from ...fields.soc import covariant_rotation, cross_matrix
from ...units import ENERGY, AnyArray
from .dual import Dual, concatenate, constant, inverse, solve, zeros
from .slab import (
    CHARGE_INTEGRAL,
    DRIVE,
    FLUX_BOTTOM,
    FLUX_TOP,
    MU_BOTTOM,
    MU_TOP,
    RISE,
    TAYLOR_DEGREE,
    SlabOperators,
)

__all__ = ["SlabChange", "changed_slabs"]

_SPIN = np.array([1, 2, 3])


@dataclass(frozen=True)
class SlabChange:
    """Derivatives of m slabs.

    Args:
        maps: Of the two-port maps, in the units of the slabs, shape (m, 14, 7).
        flux: Of the unit of flux [1/(m^2 s)], shape (m,).
        height: Of the thickness in units of the slab, shape (m,).
        in_plane: Of the in-plane laws in SI, shape (m, 8, 9).
    """

    maps: AnyArray
    flux: AnyArray
    height: AnyArray
    in_plane: AnyArray


def changed_slabs(
    fields: Sequence[RegionFields],
    changes: Sequence[RegionFields],
    thickness: tuple[AnyArray, AnyArray],
    frequency: tuple[float, AnyArray],
    charge_flux: tuple[float, AnyArray],
    units: SlabOperators,
) -> SlabChange:
    """Return the derivatives of m uniform slabs.

    Args:
        fields: Coefficients of the slabs.
        changes: Their derivatives, see `femspin.device.coefficients.FieldDerivatives`.
        thickness: Thickness [m] and its derivative, shape (m,) each.
        frequency: Angular frequency [rad/s] and its derivative in each slab, shape (m,).
        charge_flux: J^{z0} [1/(m^2 s)] and its derivative in each slab, shape (m,).
        units: Operators of the slabs, of which the unit of length and the norm are taken.
    """
    diffusion = _stacked(fields, changes, "diffusion")
    conductance = _stacked(fields, changes, "dos") * diffusion
    loss = _loss(fields, changes, frequency) / diffusion[:, None, None]
    drift = _stacked(fields, changes, "drift") / (conductance * ENERGY)[:, None, None]
    gauge = _stacked(fields, changes, "gauge")
    turn = Dual(covariant_rotation(gauge.value), covariant_rotation(gauge.change))
    theta = _stacked(fields, changes, "theta")
    system, in_plane = local_system(theta, turn, drift, loss)
    flux = conductance * ENERGY / units.length
    current = Dual(np.full(len(fields), charge_flux[0]), charge_flux[1]) / flux
    generator = scaled_generator(system, units.length, current)
    height = Dual(*thickness) / units.length
    in_plane[:, :, :4] = in_plane[:, :, :4] * conductance[:, None, None]
    in_plane[:, :, 8] = in_plane[:, :, 8] * (conductance * ENERGY)[:, None]
    maps = _slab_maps(generator, units.norm, height)
    return SlabChange(maps.change, flux.change, height.change, in_plane.change)


def _stacked(fields: Sequence[RegionFields], changes: Sequence[RegionFields], key: str) -> Dual:
    value = np.array([getattr(f, key) for f in fields], float)
    return Dual(value, np.array([getattr(f, key) for f in changes], float))


def _loss(
    fields: Sequence[RegionFields], changes: Sequence[RegionFields], frequency: tuple[float, AnyArray]
) -> Dual:
    """Return Gamma - [omega x] + i W on charge and spin [1/s], shape (m, 4, 4)."""
    waves = bool(frequency[0]) or bool(np.any(frequency[1]))
    loss = zeros((len(fields), 4, 4), complex if waves else float)
    omega = _stacked(fields, changes, "omega")
    turn = Dual(cross_matrix(omega.value), cross_matrix(omega.change))
    loss[:, 1:, 1:] = _stacked(fields, changes, "relaxation") - turn
    if waves:
        loss.value[:, _SPIN, _SPIN] += 1j * frequency[0]
        loss.change[:, _SPIN, _SPIN] += 1j * frequency[1][:, None]
    return loss


def local_system(response: Dual, turn: Dual, drift: Dual, loss: Dual) -> tuple[Dual, Dual]:
    """Return the local laws as `slab._local_system` does."""
    n = len(response.value)
    planes, normal = slice(0, 8), slice(8, 12)
    turn_p, turn_z = _reshape(turn[:, :2], (n, 8, 4)), turn[:, 2]
    gather = concatenate([turn[:, 0], turn[:, 1]], axis=2)
    drift_p, drift_z = _reshape(drift[:, :2], (n, 8, 1)), drift[:, 2, :, None]
    inverted = inverse(response[:, normal, normal])
    deflect = inverted @ response[:, normal, planes]
    carry = response[:, planes, normal] @ inverted
    schur = response[:, planes, planes] - carry @ response[:, normal, planes]
    in_plane = concatenate([-(schur @ turn_p), carry, schur @ drift_p], axis=2)
    system = zeros((n, 8, 9), loss.value.dtype)
    system[:, :4, :4] = -turn_z - deflect @ turn_p
    system[:, :4, 4:8] = -inverted
    system[:, :4, 8:] = drift_z + deflect @ drift_p
    system[:, 4:] = -(gather @ in_plane)
    system[:, 4:, :4] = system[:, 4:, :4] - loss
    system[:, 4:, 4:8] = system[:, 4:, 4:8] - turn_z
    return system, in_plane


def _reshape(x: Dual, shape: tuple[int, ...]) -> Dual:
    return Dual(x.value.reshape(shape), x.change.reshape(shape))


def scaled_generator(system: Dual, length: AnyArray, charge_flux: Dual) -> Dual:
    """Return the generators in slab units as `slab._scaled_generator` does."""
    power = np.ones((8, 9))
    power[:4, 4:8], power[4:, :4], power[4:, 8:] = 0.0, 2.0, 2.0
    scaled = system * length[:, None, None] ** power
    scaled[:, :, 8] = scaled[:, :, 8] + scaled[:, :, 4] * charge_flux[:, None]
    generator = zeros((len(length), 8, 8), system.value.dtype)
    rows, columns = np.array([1, 2, 3, 5, 6, 7, 0]), np.array([1, 2, 3, 5, 6, 7, 8])
    generator[:, :7, [0, 1, 2, 3, 4, 5, 7]] = scaled[:, rows[:, None], columns]
    return generator


def _slab_maps(generator: Dual, norm: AnyArray, thickness: Dual) -> Dual:
    """Return the two-port maps as `slab.slab_maps` does."""
    doublings = np.ceil(np.log2(np.maximum(norm * thickness.value, 1.0))).astype(int)
    height = thickness / 2.0**doublings
    result = _short_map(generator, height)
    for done in range(doublings.max(initial=0)):
        busy = np.flatnonzero(doublings > done)
        half = result[busy]
        result[busy] = _join(half, half, height[busy])
        height[busy] = height[busy] * 2.0
    return result


def _short_map(generator: Dual, height: Dual) -> Dual:
    """Return the map of short slabs by Taylor series."""
    step = generator * height[:, None, None]
    identity = np.eye(8)
    series = step / TAYLOR_DEGREE + identity
    for k in range(TAYLOR_DEGREE - 1, 1, -1):
        series = (step @ series) / k + identity
    transfer = step @ series + identity
    n, dtype = len(step.value), step.value.dtype
    inputs, right = zeros((n, 8, 7), dtype), zeros((n, 3, 7), dtype)
    inputs[:, 0:3, MU_BOTTOM] = constant(np.eye(3))
    inputs[:, 7, DRIVE] = constant(np.ones(()))
    right[:, :, MU_BOTTOM] = -transfer[:, 3:6, 0:3]
    right[:, :, FLUX_TOP] = constant(np.eye(3))
    right[:, :, DRIVE] = -transfer[:, 3:6, 7]
    inputs[:, 3:6] = solve(transfer[:, 3:6, 3:6], right)
    integrals = series[:, :7] * height[:, None, None]
    outputs = concatenate([transfer[:, [0, 1, 2, 6]], integrals], axis=1)
    return concatenate([inputs[:, 3:6], outputs @ inputs], axis=1)


def _join(lower: Dual, upper: Dual, height: Dual) -> Dual:
    """Return the map of two slabs on top of each other as `slab.join` does."""
    mu, flux = _middle(lower, upper)
    below, above = lower[:, :, FLUX_TOP] @ flux, upper[:, :, MU_BOTTOM] @ mu
    for part, own, port in ((below, lower, MU_BOTTOM), (above, upper, FLUX_TOP)):
        part[:, :, port] = part[:, :, port] + own[:, :, port]
        part[:, :, DRIVE] = part[:, :, DRIVE] + own[:, :, DRIVE]
    result = below + above
    result[:, FLUX_BOTTOM] = below[:, FLUX_BOTTOM]
    result[:, MU_TOP] = above[:, MU_TOP]
    rise = height[:, None] * below[:, RISE]
    result[:, CHARGE_INTEGRAL] = result[:, CHARGE_INTEGRAL] + rise
    return result


def _middle(lower: Dual, upper: Dual) -> tuple[Dual, Dual]:
    """Return mu and J between two slabs for unit inputs, shape (m, 3, 7) each."""
    impedance, admittance = lower[:, MU_TOP, FLUX_TOP], upper[:, FLUX_BOTTOM, MU_BOTTOM]
    right = impedance @ upper[:, FLUX_BOTTOM]
    matrix = -right[:, :, MU_BOTTOM] + np.eye(3)
    right[:, :, MU_BOTTOM] = lower[:, MU_TOP, MU_BOTTOM]
    right[:, :, DRIVE] = right[:, :, DRIVE] + lower[:, MU_TOP, DRIVE]
    mu = solve(matrix, right)
    flux = admittance @ mu
    flux[:, :, FLUX_TOP] = flux[:, :, FLUX_TOP] + upper[:, FLUX_BOTTOM, FLUX_TOP]
    flux[:, :, DRIVE] = flux[:, :, DRIVE] + upper[:, FLUX_BOTTOM, DRIVE]
    return mu, flux
