r"""Uniform slabs as two-port maps, stable at any thickness.

In a slab whose coefficients depend on z nowhere, :math:`x = (\mu^a, J^{za})` obeys
:math:`x' = A x + b` and the charge potential follows from
:math:`\partial_z \mu^0 = g\cdot x + g_0`, because :math:`J^{z0}` is constant and nothing
depends on :math:`\mu^0` itself.  :math:`\exp(A L)` overflows in thick slabs and mixes growing
with decaying solutions.  The map used here takes what enters the slab,

.. math:: (\mu_\text{bottom}, J_\text{top}, 1) \mapsto
          (J_\text{bottom}, \mu_\text{top}, \dots),

so all its entries stay bounded: transmissions decay, reflections tend to the surface
admittance and impedance.  A short slab comes from a Taylor series, longer ones from joining
two equal halves again and again.  Small admittances of thin or nearly conserving slabs keep
their relative accuracy, which a map between potentials and fluxes would lose.

Rows of a map: J_bottom (3), mu_top (3), rise of mu^0 (1), integrals over z of mu (3), J (3)
and mu^0 - mu^0_bottom (1).  Columns: mu_bottom (3), J_top (3), drive (1).

All maps are in units of the slab: potential meV, length ``length``, flux ``flux``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...dual import as_array, value_of
from ...fields.region import RegionFields
from ...fields.soc import covariant_rotation, cross_matrix
from ...units import ENERGY, AnyArray
from .case import FIELD_SHAPES

__all__ = ["LocalLaws", "SlabOperators", "join", "local_laws", "middle_state", "slab_maps", "slab_operators"]


FLUX_BOTTOM, MU_TOP, RISE = slice(0, 3), slice(3, 6), 6
MU_INTEGRAL, FLUX_INTEGRAL, CHARGE_INTEGRAL = slice(7, 10), slice(10, 13), 13
MU_BOTTOM, FLUX_TOP, DRIVE = slice(0, 3), slice(3, 6), 6

UNITY = np.eye(3)
UNITY.setflags(write=False)

TAYLOR_DEGREE = 18  # 1/19! = 8e-18, for sub-slabs of unit norm


@dataclass(frozen=True)
class LocalLaws:
    """What holds at a point of uniform layers; all may have leading axes.

    Args:
        system: (mu, j)' = system @ (mu, j, 1) with j = J^z / (nu D), mu in meV and length in m,
            shape (..., 8, 9).
        in_plane: In-plane flux J^{p eta} = in_plane @ (mu^eta, J^{z eta}, 1) in SI,
            shape (..., 8, 9), rows x0, x1, .. y3.
        conductance: nu D [1/(J m s)], shape (...).
    """

    system: AnyArray
    in_plane: AnyArray
    conductance: AnyArray


@dataclass(frozen=True)
class SlabOperators:
    """The local laws of slabs, each in its own units; leading axes as of the laws, such as (n,).

    Args:
        generator: d/dz of (mu^a, J^{za}, mu^0, 1), shape (..., 8, 8) [1/length].
        norm: Size of the generator's spin block, shape (...) [1/length].
        length: Unit of length, about the shortest decay length, shape (...) [m].
        flux: Unit of flux nu D meV / length, shape (...) [1/(m^2 s)].
        in_plane: See `LocalLaws`.
    """

    generator: AnyArray
    norm: AnyArray
    length: AnyArray
    flux: AnyArray
    in_plane: AnyArray


def local_laws(fields: RegionFields, frequency: ArrayLike = 0.0) -> LocalLaws:
    r"""Return the laws of uniform layers, whose coefficients may have leading axes.

    With :math:`f = s - \nu D(\partial + T)\mu` and :math:`J = \Theta f`, elimination of
    :math:`f^z` leaves, with :math:`\Theta_{pz}` the block (in-plane, z) and
    :math:`S = \Theta_{pp} - \Theta_{pz}\Theta_{zz}^{-1}\Theta_{zp}`,

    .. math::
        \mu' &= -(T_z + \Theta_{zz}^{-1}\Theta_{zp}T_p)\mu
               - \Theta_{zz}^{-1} J^z/\nu D
               + (s_z + \Theta_{zz}^{-1}\Theta_{zp}s_p)/\nu D \\
        J^{z\prime} &= -\nu(\Gamma - [\omega\times] + i W)\mu - T_z J^z - T_p\cdot J^p, \qquad
        J^p = S (s_p - \nu D T_p\mu) + \Theta_{pz}\Theta_{zz}^{-1} J^z .

    Args:
        fields: Coefficients of the layers.
        frequency: Angular frequency W of exp(+iWt) [rad/s], felt by spins only.
    """
    arrays = [as_array(getattr(fields, name)) for name in FIELD_SHAPES]
    rate = as_array(frequency if np.any(frequency) else 0.0)
    inner = FIELD_SHAPES.values()
    leading = [x.shape[: x.ndim - len(shape)] for x, shape in zip(arrays, inner, strict=True)]
    lead = np.broadcast_shapes(*set(leading), rate.shape)
    if set(leading) != {lead}:
        arrays = [np.broadcast_to(x, (*lead, *shape)) for x, shape in zip(arrays, inner, strict=True)]
    dos, diffusion, gauge, omega, relaxation, theta, drift = arrays
    conductance = dos * diffusion
    loss: AnyArray = relaxation - cross_matrix(omega)
    if rate.any():
        loss = loss + 1j * rate[..., None, None] * UNITY
    loss = loss / diffusion[..., None, None]
    drift = drift / (conductance * ENERGY)[..., None, None]
    system, in_plane = _scaled_laws(theta, covariant_rotation(gauge), drift, loss)
    in_plane[..., :4] *= conductance[..., None, None]
    in_plane[..., 8] *= (conductance * ENERGY)[..., None]
    return LocalLaws(system, in_plane, conductance)


def _scaled_laws(
    response: AnyArray, turn: AnyArray, drift: AnyArray, loss: AnyArray
) -> tuple[AnyArray, AnyArray]:
    """Return `LocalLaws` of j = J / (nu D); arrays have one shape (..., 4 or 12, ...) of leading axes.

    Unit of length m, of potential that of `drift` times m; `loss` has shape (..., 3, 3).
    """
    lead = response.shape[:-2]
    planes, normal = slice(0, 8), slice(8, 12)
    turn_p, turn_z = turn[..., :2, :, :].reshape(*lead, 8, 4), turn[..., 2, :, :]
    gather = np.concatenate([turn[..., 0, :, :], turn[..., 1, :, :]], axis=-1)
    drift_p, drift_z = drift[..., :2, :].reshape(*lead, 8, 1), drift[..., 2, :, None]
    inverse = np.linalg.inv(response[..., normal, normal])
    deflect = inverse @ response[..., normal, planes]
    carry = response[..., planes, normal] @ inverse
    schur = response[..., planes, planes] - carry @ response[..., normal, planes]
    in_plane = np.concatenate([-schur @ turn_p, carry, schur @ drift_p], axis=-1)
    potential = [-turn_z - deflect @ turn_p, -inverse, drift_z + deflect @ drift_p]
    lost = np.zeros_like(loss, shape=(*lead, 4, 9))
    lost[..., 1:, 1:4] = loss
    flux = -gather @ in_plane
    flux[..., 4:8] -= turn_z
    return np.concatenate([np.concatenate(potential, axis=-1), flux - lost], axis=-2), in_plane


def slab_operators(
    laws: LocalLaws, thickness: AnyArray, charge_flux: AnyArray | float = 0.0
) -> SlabOperators:
    """Return the operators of slabs in their own units; those of dual laws are a choice and stay.

    Args:
        laws: Of the slabs.
        thickness: Their thickness [m], shape (...).
        charge_flux: J^{z0} [1/(m^2 s)], the same in all slabs of a stack.
    """
    length = _natural_length(value_of(laws.system), value_of(thickness))
    flux = laws.conductance * ENERGY / length
    generator = _scaled_generator(laws.system, length, charge_flux / flux)
    norm = np.abs(value_of(generator)[..., :6, :6]).sum(axis=-2).max(axis=-1)
    return SlabOperators(generator, norm, length, flux, laws.in_plane)


def _natural_length(system: AnyArray, thickness: AnyArray) -> AnyArray:
    """Return the length in which the spin block is balanced, at most the thickness [m]."""
    decay = np.sqrt(np.abs(system[..., 5:8, 1:4]).max(axis=(-1, -2)))
    found: AnyArray = 1.0 / np.maximum(decay, 1.0 / thickness)
    return found


def _scaled_generator(system: AnyArray, length: AnyArray, charge_flux: AnyArray) -> AnyArray:
    """Return d/dz of (mu^a, J^{za}, mu^0, 1) in slab units, shape (..., 8, 8)."""
    unit = length[..., None, None]
    scaled = system.copy()
    scaled[..., :4, :4] *= unit
    scaled[..., :4, 8:] *= unit
    scaled[..., 4:, :4] *= unit**2
    scaled[..., 4:, 4:8] *= unit
    scaled[..., 4:, 8:] *= unit**2
    drive = scaled[..., 8] + scaled[..., 4] * charge_flux[..., None]
    rows, spin = np.array([1, 2, 3, 5, 6, 7, 0]), np.array([1, 2, 3, 5, 6, 7])
    generator = np.zeros_like(drive, shape=(*drive.shape[:-1], 8, 8))
    generator[..., :7, :6] = scaled[..., rows[:, None], spin]
    generator[..., :7, 7] = drive[..., rows]
    return generator


def slab_maps(generator: AnyArray, norm: AnyArray, thickness: AnyArray) -> AnyArray:
    """Return the two-port maps of m slabs, shape (m, 14, 7).

    Args:
        generator: Generators as in `SlabOperators`, shape (m, 8, 8).
        norm: Their norms, shape (m,).
        thickness: Thickness in units of each slab, shape (m,); zero is allowed.
    """
    doublings = np.ceil(np.log2(np.maximum(norm * value_of(thickness), 1.0))).astype(int)
    height = thickness / 2.0**doublings
    result = _short_map(generator, height)
    for done in range(doublings.max(initial=0)):
        # Slabs of unit norm at the start: halving them further would amplify round-off.
        busy = np.flatnonzero(doublings > done)
        half = result[busy]
        result[busy] = join(half, half, height[busy])
        height[busy] *= 2
    return result


def _short_map(generator: AnyArray, height: AnyArray) -> AnyArray:
    """Return the map of slabs whose norm times height is at most one, by Taylor series."""
    step = generator * height[:, None, None]
    identity = np.eye(8)
    series = identity + step / TAYLOR_DEGREE
    for k in range(TAYLOR_DEGREE - 1, 1, -1):
        series = step @ series
        series /= k
        series += identity
    transfer = identity + step @ series  # exp(step)
    inputs = np.zeros_like(step, shape=(len(step), 8, 7))  # state at the bottom for each input
    inputs[:, 0:3, MU_BOTTOM] = UNITY
    inputs[:, 7, DRIVE] = 1.0
    right = np.zeros_like(step, shape=(len(step), 3, 7))
    right[:, :, MU_BOTTOM] = -transfer[:, 3:6, 0:3]
    right[:, :, FLUX_TOP] = UNITY
    right[:, :, DRIVE] = -transfer[:, 3:6, 7]
    inputs[:, 3:6] = np.linalg.solve(transfer[:, 3:6, 3:6], right)
    outputs = np.concatenate([transfer[:, [0, 1, 2, 6]], series[:, :7] * height[:, None, None]], axis=1)
    return np.concatenate([inputs[:, 3:6], outputs @ inputs], axis=1)


def join(lower: AnyArray, upper: AnyArray, height: AnyArray) -> AnyArray:
    """Return the map of two slabs on top of each other, shape (m, 14, 7).

    Args:
        lower: Map of the lower slabs, shape (m, 14, 7).
        upper: Map of the upper slabs, same shape and units.
        height: Thickness of the upper slabs, shape (m,).
    """
    middle = middle_state(lower, upper)
    mu, flux = middle[:, :3], middle[:, 3:]
    below = lower[:, :, FLUX_TOP] @ flux
    below[:, :, MU_BOTTOM] += lower[:, :, MU_BOTTOM]
    below[:, :, DRIVE] += lower[:, :, DRIVE]
    above = upper[:, :, MU_BOTTOM] @ mu
    above[:, :, FLUX_TOP] += upper[:, :, FLUX_TOP]
    above[:, :, DRIVE] += upper[:, :, DRIVE]
    result = below + above
    result[:, FLUX_BOTTOM] = below[:, FLUX_BOTTOM]
    result[:, MU_TOP] = above[:, MU_TOP]
    result[:, CHARGE_INTEGRAL] += height[:, None] * below[:, RISE]
    found: AnyArray = result
    return found


def middle_state(lower: AnyArray, upper: AnyArray) -> AnyArray:
    """Return (mu, J) between two slabs for unit inputs of the pair, shape (m, 6, 7).

    The reflections sum to (1 - impedance * admittance)^-1, regular because the product of a
    passive impedance and a passive admittance never reaches one.
    """
    impedance, admittance = lower[:, MU_TOP, FLUX_TOP], upper[:, FLUX_BOTTOM, MU_BOTTOM]
    right = impedance @ upper[:, FLUX_BOTTOM]
    matrix = UNITY - right[:, :, MU_BOTTOM]
    right[:, :, MU_BOTTOM] = lower[:, MU_TOP, MU_BOTTOM]
    right[:, :, DRIVE] += lower[:, MU_TOP, DRIVE]
    mu = np.linalg.solve(matrix, right)
    flux = admittance @ mu
    flux[:, :, FLUX_TOP] += upper[:, FLUX_BOTTOM, FLUX_TOP]
    flux[:, :, DRIVE] += upper[:, FLUX_BOTTOM, DRIVE]
    return np.concatenate([mu, flux], axis=1)
