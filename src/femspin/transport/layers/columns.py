"""The states in one stack or in many, from their local laws, faces and contacts.

Every array may have leading axes, such as one of stacks; the last of them is that of the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...dual import as_array, value_of
from ...units import E_CHARGE, ENERGY, AnyArray
from .batch import ContactBatch, FaceBatch
from .chain import Factor, factor_chain, solve_chain
from .slab import (
    CHARGE_INTEGRAL,
    DRIVE,
    FLUX_INTEGRAL,
    FLUX_TOP,
    MU_BOTTOM,
    MU_INTEGRAL,
    RISE,
    UNITY,
    LocalLaws,
    SlabOperators,
    slab_maps,
    slab_operators,
)

__all__ = ["Columns", "LayerSystem", "solve_columns"]


@dataclass(frozen=True)
class LayerSystem:
    """What determines the states in the layers.

    Args:
        laws: Of the layers, leading axes (..., n).
        thickness: Of the layers [m], shape (..., n).
        charge_flux: J^{z0} through the stack [1/(m^2 s)], shape (...).
        bottom: Condition on the bottom face.
        top: Condition on the top face.
        contacts: By interface between two layers; others are ideal.
    """

    laws: LocalLaws
    thickness: AnyArray
    charge_flux: AnyArray | float
    bottom: FaceBatch
    top: FaceBatch
    contacts: Mapping[int, ContactBatch]


@dataclass(frozen=True)
class Columns:
    """States under m drives at once: column 0 is the case, the others probe its top face.

    Args:
        drive: Scale of the drive, shape (m,).
        operators: Local laws of the layers.
        lower: State at the bottom of each layer, shape (..., n, 8, m).
        upper: State at the top.
        integral: Integral of the state.
        mismatch: Continuity error relative to the terms that balance, shape (...).
        errors: Why a stack has no solution, by its place.
    """

    drive: AnyArray
    operators: SlabOperators
    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    mismatch: AnyArray
    errors: Mapping[int, str]


def solve_columns(
    given: LayerSystem,
    probe: bool = False,
    find_maps: Callable[[AnyArray, AnyArray, AnyArray], AnyArray] = slab_maps,
    factor: Factor = factor_chain,
) -> Columns:
    """Return the states in the layers.

    Args:
        given: What determines them.
        probe: Whether to solve also for mu^a(top) = 1 meV along x, y, z undriven.
        find_maps: What returns the maps of slabs, as `slab_maps`.
        factor: What solves the joined system, as `factor_chain`.

    Raises:
        SolverError: By `factor_chain`, if the spin potential is not determined.
    """
    drive = np.array([1.0, 0.0, 0.0, 0.0]) if probe else np.ones(1)
    thickness, charge_flux = given.thickness, as_array(given.charge_flux)
    operators = slab_operators(given.laws, thickness, charge_flux[..., None])
    height, shape = thickness / operators.length, thickness.shape
    maps = find_maps(operators.generator.reshape(-1, 8, 8), operators.norm.ravel(), height.ravel())
    maps = maps.reshape(*shape, 14, 7)
    unit = np.exp(np.mean(np.log(value_of(operators.flux)), axis=-1))
    ratio = (operators.flux / unit[..., None])[..., None, None]
    bottom, top = _condition(given.bottom, 1, unit), _condition(given.top, -1, unit)
    low, high = bottom[1][..., None] * drive, top[1][..., None] * drive
    if probe:
        high[..., 1:] = UNITY
    elements = _with_contacts(given.contacts, _in_common_units(maps, ratio), unit)
    chain = solve_chain(elements, (bottom[0], low), (top[0], high), drive, factor)

    node = np.arange(shape[-1])
    for k in given.contacts:
        node[k:] += 1
    below, above = chain.nodes[..., node, :, :], chain.nodes[..., node + 1, :, :]
    driven = np.ones((*shape, 1, 1)) * drive
    out = maps @ np.concatenate([below[..., :3, :], above[..., 3:, :] / ratio, driven], axis=-2)
    jump = _charge_jumps(given.contacts, charge_flux, shape[-1])[..., None] * drive
    charge = _charge_potential(out[..., RISE, :], jump)
    mu0 = out[..., CHARGE_INTEGRAL, :] + height[..., None] * charge[0]
    means = mu0, out[..., MU_INTEGRAL, :], out[..., FLUX_INTEGRAL, :]
    flux0 = charge_flux[..., None, None, None] * driven
    length = operators.length[..., None, None]
    integral = _states(
        means, ENERGY * length, operators.flux[..., None, None] * length, thickness[..., None, None] * flux0
    )
    lower, upper = (
        _states((mu0, spins[..., :3, :], spins[..., 3:, :]), ENERGY, unit[..., None, None, None], flux0)
        for mu0, spins in zip(charge, (below, above), strict=True)
    )
    return Columns(drive, operators, lower, upper, integral, chain.mismatch, chain.errors)


def _states(
    parts: Sequence[AnyArray], energy: AnyArray | float, flux: AnyArray, charge_flux: AnyArray
) -> AnyArray:
    """Return (mu, J) in SI, shape (..., 8, m), of mu^0, mu^a and J^{za} in units of their own."""
    mu0, mu, spins = parts
    return np.concatenate([energy * mu0[..., None, :], energy * mu, charge_flux, flux * spins], axis=-2)


_FIXED = np.eye(3, 6)


def _condition(face: FaceBatch, inward: int, unit: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return rows (..., 3, 6) and values (..., 3) of ``rows @ (mu, J) = values``, in meV and `unit`."""
    fixed, value, conductance = (as_array(x) for x in (face.fixed, face.value, face.conductance))
    slope = -inward * conductance * (ENERGY / E_CHARGE**2 / unit)[..., None, None]
    law = np.zeros_like(slope, shape=(*unit.shape, 3, 6))
    law[..., :3], law[..., 3:] = slope, UNITY
    values = np.where(fixed[..., None], value / ENERGY, inward * value / unit[..., None])
    return np.where(fixed[..., None, None], _FIXED, law), values


def _in_common_units(maps: AnyArray, ratio: AnyArray) -> AnyArray:
    """Return the first six rows of maps with fluxes in one unit, `ratio` times finer."""
    rows: AnyArray = maps[..., :6, :].copy()
    rows[..., :3, MU_BOTTOM] *= ratio
    rows[..., :3, DRIVE:] *= ratio
    rows[..., 3:, FLUX_TOP] /= ratio
    return rows


def _with_contacts(contacts: Mapping[int, ContactBatch], elements: AnyArray, unit: AnyArray) -> AnyArray:
    """Return the elements with one of zero thickness inserted at each contact."""
    if not contacts:
        return elements
    scale = (unit / ENERGY)[..., None, None]
    drops = np.stack([as_array(c.resistance) * scale for c in contacts.values()], axis=-3)
    rows = np.zeros_like(drops, shape=(*unit.shape, len(contacts), 6, 7))
    rows[..., :3, FLUX_TOP] = rows[..., 3:, MU_BOTTOM] = UNITY
    rows[..., 3:, FLUX_TOP] = -drops
    return np.insert(elements, list(contacts), rows, axis=-3)


def _charge_jumps(contacts: Mapping[int, ContactBatch], charge_flux: AnyArray, count: int) -> AnyArray:
    """Return the drop of mu^0 at the interface below each layer [meV], shape (..., n)."""
    jump = np.zeros(count)
    for k, contact in contacts.items():
        drop = charge_flux * as_array(contact.charge) / ENERGY
        jump = jump + (np.arange(count) == k) * drop[..., None]
    return jump


def _charge_potential(rise: AnyArray, jump: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return mu^0 [meV] at the bottom and top of each layer, shape (..., n, m)."""
    lower = -np.cumsum((rise - jump)[..., ::-1, :], axis=-2)[..., ::-1, :] - jump
    return lower, lower + rise
