"""Coefficients in solver units (nm, ps, meV), and the small tensors of the block kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...dual import zeros_for
from ...fields.region import RegionFields
from ...fields.soc import covariant_rotation, cross_matrix
from ...units import DIFFUSION, DOS, FLUX, LENGTH, RATE, Array
from .frames import GaugeFunction

__all__ = ["BlockTensors", "Coefficients", "block_tensors", "coefficients", "same_coefficients"]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of W1 in one region.

    Constant there, or with two leading axes (cells of the region, quadrature points or 1).

    Args:
        dos: nu [1/(meV nm^3)].
        diffusion: D [nm^2/ps].
        theta: Theta, shape (12, 12).
        rotation: T_j [1/nm], shape (3, 4, 4).
        gauge: a^{ib} [1/nm], shape (3, 3).
        relaxation: Gamma [1/ps], shape (3, 3).
        omega: Precession [1/ps], shape (3,).
        drift: s^{j eta} [1/(nm^2 ps)], shape (3, 4).
        moment_relaxation: Part of Gamma that hands spin to the moments [1/ps], (3, 3).
        moment_omega: Exchange part of omega [1/ps], shape (3,).
        along: Physical directions along which the elements carry spin (`frames`); none for the
            standard elements.
        gauge_function: A gauge field that varies in space, instead of `gauge`.
    """

    dos: float
    diffusion: float
    theta: Array
    rotation: Array
    gauge: Array
    relaxation: Array
    omega: Array
    drift: Array
    moment_relaxation: Array
    moment_omega: Array
    along: tuple[int, ...] = ()
    gauge_function: GaugeFunction | None = None

    @property
    def reaction(self) -> Array:
        """Gamma - omega x on the spin components [1/ps], (..., 4, 4); charge is conserved."""
        spin = self.relaxation - cross_matrix(self.omega)
        matrix = zeros_for((*spin.shape[:-2], 4, 4), spin)
        matrix[..., 1:, 1:] = spin
        return matrix

    @property
    def uniform(self) -> bool:
        """Whether standard elements with the same tensors in every cell are meant."""
        return self.constant and not self.along and self.gauge_function is None

    @cached_property
    def constant(self) -> bool:
        """Whether the tensors are the same in every cell, apart from a gauge function."""
        return all(
            v.ndim == 2 for v in (self.theta, self.gauge, self.drift, self.relaxation, self.omega[None])
        )

    @cached_property
    def kept_tensors(self) -> dict[tuple[int, ...], BlockTensors]:
        """Tensors of a uniform region by mesh axes, kept by `block_tensors`."""
        return {}

    @property
    def cellwise(self) -> bool:
        """Whether standard elements with one set of tensors in every cell are meant."""
        if self.uniform or self.along or self.gauge_function is not None or self.gauge.ndim > 2:
            return False
        values = (self.theta, self.drift, self.relaxation, self.omega[..., None])
        return all(v.ndim == 2 or v.shape[1] == 1 for v in values)

    @property
    def storage(self) -> Coefficients:
        """Coefficients of nu v^a mu^a, on the same elements: what multiplies d_t mu."""
        return replace(
            self,
            diffusion=0.0,
            theta=np.eye(12),
            drift=np.zeros((3, 4)),
            relaxation=np.eye(3),
            omega=np.zeros(3),
            moment_relaxation=np.zeros((3, 3)),
            moment_omega=np.zeros(3),
        )

    def at(self, name: str, place: slice) -> Array:
        """Return a tensor at some cells of the region: unchanged where it is constant."""
        value: Array = getattr(self, name)
        fixed = 1 if name in ("omega", "moment_omega") else 2
        return value if value.ndim == fixed else value[place]


def same_coefficients(one: Coefficients, two: Coefficients) -> bool:
    """Return whether two uniform regions have the same matrix and load."""
    names = ("theta", "gauge", "relaxation", "omega", "drift")
    return (
        one.uniform
        and two.uniform
        and (one.dos, one.diffusion) == (two.dos, two.diffusion)
        and all(np.array_equal(getattr(one, n), getattr(two, n)) for n in names)
    )


@dataclass(frozen=True)
class BlockTensors:
    """The 4 x 4 tensors that multiply the element moments, and those of the load.

    With one set per cell both have the cells as a leading axis.

    Args:
        matrix: In the order of `Moments.matrix`, shape (dim^2 + 2 dim + 1, 16).
        vector: In the order of `Moments.vector`, shape (dim + 1, 4).
    """

    matrix: Array
    vector: Array


def coefficients(fields: RegionFields, along: tuple[int, ...] = ()) -> Coefficients:
    """Return the fields of a region in solver units; the only conversion on the way in.

    Args:
        fields: In SI.
        along: Physical directions along which the elements carry spin.
    """
    gauge = fields.gauge * LENGTH
    return Coefficients(
        dos=fields.dos / DOS,
        diffusion=fields.diffusion / DIFFUSION,
        theta=fields.theta,
        rotation=covariant_rotation(gauge),
        gauge=gauge,
        relaxation=fields.relaxation / RATE,
        omega=fields.omega / RATE,
        drift=fields.drift / FLUX,
        moment_relaxation=fields.moment_relaxation / RATE,
        moment_omega=fields.moment_omega / RATE,
        along=along,
    )


def block_tensors(c: Coefficients, axes: tuple[int, ...], place: slice = slice(None)) -> BlockTensors:
    """Return the tensors of W1: expand (D_j v) Theta (D_k mu) with D_j = d_j + T_j.

    Args:
        c: Coefficients of a region, uniform or cellwise.
        axes: Physical direction of each mesh coordinate; T acts in all three directions.
        place: Cells of the region, where they differ.
    """
    if not c.uniform:
        return _tensors(c, axes, place)
    if axes not in c.kept_tensors:
        c.kept_tensors[axes] = _tensors(c, axes, place)
    return c.kept_tensors[axes]


def _tensors(c: Coefficients, axes: tuple[int, ...], place: slice) -> BlockTensors:
    theta = _of_cells(c.at("theta", place), 2)
    theta = theta.reshape(*theta.shape[:-2], 3, 4, 3, 4)
    reaction = _of_cells(c.at("reaction", place), 2)
    drift = _of_cells(c.at("drift", place), 2)
    stiffness = c.dos * c.diffusion * theta
    right = np.einsum("...jekz,kzb->...jeb", stiffness, c.rotation)
    left = np.einsum("jea,...jekb->...akb", c.rotation, stiffness)
    both = np.einsum("jea,...jeb->...ab", c.rotation, right)
    rows = np.array(axes)
    d = len(rows)
    inner = np.moveaxis(stiffness[..., rows, :, :, :][..., rows, :], -3, -2)
    local = both + c.dos * reaction
    matrix = _joined(
        inner.reshape(*inner.shape[:-4], d * d, 16),
        right[..., rows, :, :].reshape(*right.shape[:-3], d, 16),
        np.moveaxis(left[..., rows, :], -3, -2).reshape(*left.shape[:-3], d, 16),
        local.reshape(*local.shape[:-2], 1, 16),
    )
    forced = np.einsum("...jekz,...kz->...je", theta, drift)
    turned = np.einsum("jea,...je->...a", c.rotation, forced)
    return BlockTensors(matrix, _joined(forced[..., rows, :], turned[..., None, :]))


def _of_cells(value: Array, axes: int) -> Array:
    """Return a tensor without the axis of quadrature points, of which there is one."""
    return value if value.ndim == axes else value[:, 0]


def _joined(*parts: Array) -> Array:
    """Return arrays (..., k, n) of some or no cells joined along k."""
    leading = np.broadcast_shapes(*(p.shape[:-2] for p in parts))
    return np.concatenate([np.broadcast_to(p, (*leading, *p.shape[-2:])) for p in parts], axis=-2)
