"""What a solution says of layers, faces and points: of one stack, or of many by a leading axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ...dual import as_array
from ...units import ENERGY, AnyArray
from .balance import FluxSplit, layer_sources
from .batch import StackBatch
from .case import StackCase
from .slab import FLUX_TOP, MU_BOTTOM, RISE, SlabOperators, middle_state, slab_maps

__all__ = ["LayerStates"]


@dataclass(frozen=True)
class LayerStates:
    """Potentials and fluxes in n layers, exact to round-off; (...) is empty or many stacks.

    States hold mu^eta [J] and then J^{z eta} [1/(m^2 s)], eta = charge, x, y, z; they are
    complex if any frequency is not zero.

    Args:
        lower: State at the bottom of each layer, shape (..., n, 8).
        upper: State at the top of each layer, shape (..., n, 8).
        integral: Integral of the state over each layer [J m, 1/(m s)], shape (..., n, 8).
        operators: Local laws of the layers, leading axes (..., n).
        mismatch: Continuity error relative to the terms that balance, shape (...).
    """

    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    operators: SlabOperators
    mismatch: Any

    @property
    def _given(self) -> StackCase | StackBatch:
        """What was solved."""
        raise NotImplementedError

    def _state(self, z: ArrayLike, side: int) -> AnyArray:
        """Return (mu, J) at z, shape (..., 8)."""
        raise NotImplementedError

    def potential(self, z: ArrayLike, side: int = 1) -> AnyArray:
        """Return mu^eta [J] at z [m], shape (..., 4).

        Args:
            z: Positions within the stack, of any shape; within many stacks (m,) for all of them
                or (..., m).
            side: At an interface, +1 takes the layer above and -1 the layer below; they
                differ only at a contact.
        """
        return self._state(z, side)[..., :4]

    def flux(self, z: ArrayLike) -> AnyArray:
        """Return J^{z eta} [1/(m^2 s)] at z [m], shape (..., 4); z as in `potential`."""
        return self._state(z, 1)[..., 4:]

    def interface_potential(self, k: int, side: int = 1) -> AnyArray:
        """Return mu^eta [J] at interface k, in the layer above (+1) or below (-1), shape (..., 4)."""
        return self._interface(k, side)[..., :4]

    def interface_flux(self, k: int) -> AnyArray:
        """Return J^{z eta} [1/(m^2 s)] through interface k, shape (..., 4)."""
        return self._interface(k, 1)[..., 4:]

    def integrals(self, k: int) -> tuple[AnyArray, AnyArray]:
        """Return the integrals over layer k of mu^eta [J m] and J^{z eta} [1/(m s)], (..., 4) each."""
        return self.integral[..., k, :4], self.integral[..., k, 4:]

    def in_plane_current(self, k: int) -> AnyArray:
        """Return the integral over layer k of J^{p eta}, p = x, y [1/(m s)], shape (..., 2, 4)."""
        laws, thickness = self.operators.in_plane[..., k, :, :], as_array(self._given.layers[k].thickness)
        with np.errstate(all="ignore"):  # stacks without a solution: NaN
            flow = (laws[..., :8] @ self.integral[..., k, :, None])[..., 0]
            flow = flow + laws[..., 8] * thickness[..., None]
        found: AnyArray = flow.reshape(*flow.shape[:-1], 2, 4)
        return found

    def split(self, k: int, face: Literal["top", "bottom"] = "top") -> FluxSplit:
        """Return the causes of the spin flux that leaves layer k through one of its faces.

        For the top face the parts, of shape (..., 3), add up to J^{za}, for the bottom face to
        -J^{za}, the flux that leaves downwards.
        """
        if face not in ("top", "bottom"):
            raise ValueError(f"face must be top or bottom, got {face!r}")
        layer, lower, upper = self._given.layers[k], self.lower[..., k, :], self.upper[..., k, :]
        with np.errstate(all="ignore"):  # stacks without a solution: NaN
            return layer_sources(
                layer.fields,
                layer.thickness,
                self.integral[..., k, 1:4],
                upper[..., :4] - lower[..., :4],
                lower[..., 5:] if face == "top" else -upper[..., 5:],
                self._given.frequency,
            )

    def _interface(self, k: int, side: int) -> AnyArray:
        """Return (mu, J) at interface k, shape (..., 8)."""
        count = self.lower.shape[-2]
        if not 0 <= k <= count:
            raise ValueError(f"interface must be 0 to {count}, got {k}")
        above = k < count and (side > 0 or k == 0)
        return self.lower[..., k, :] if above else self.upper[..., k - 1, :]

    def _between(self, rows: tuple[AnyArray, ...], where: AnyArray, side: Any, edges: AnyArray) -> AnyArray:
        """Return (mu, J) at points, shape (M, 8): two maps meet at each.

        Args:
            rows: Place of the stack of each point, shape (M,); nothing if there is but one stack.
            where: Positions [m], shape (M,).
            side: At an interface, +1 takes the layer above and -1 the layer below.
            edges: Interfaces of the stack of each point [m], shape (M, n + 1).
        """
        slack = 1e-12 * (edges[:, -1] - edges[:, 0])
        outside = (where < edges[:, 0] - slack) | (where > edges[:, -1] + slack)
        for low, *_, high in edges[outside]:
            raise ValueError(f"z must lie within the stack, from {low:.6g} to {high:.6g} m")
        shifted = where + np.copysign(slack, side)
        k = np.clip((edges <= shifted[:, None]).sum(axis=1) - 1, 0, self.lower.shape[-2] - 1)
        at, every, ops = (*rows, k), np.arange(len(k)), self.operators
        flux, start, end = ops.flux[at], self.lower[at], self.upper[at]
        heights = np.concatenate([where - edges[every, k], edges[every, k + 1] - where])
        generator, norm, length = (
            np.concatenate([x[at], x[at]]) for x in (ops.generator, ops.norm, ops.length)
        )
        lower, upper = np.split(slab_maps(generator, norm, np.clip(heights, 0.0, None) / length), 2)
        inputs = np.ones((len(k), 7, 1), self.lower.dtype)
        inputs[:, MU_BOTTOM, 0] = start[:, 1:4] / ENERGY
        inputs[:, FLUX_TOP, 0] = end[:, 5:] / flux[:, None]
        middle = middle_state(lower, upper) @ inputs
        inputs[:, MU_BOTTOM] = middle[:, :3]
        rise = (upper[:, RISE, None] @ inputs)[:, 0, 0]
        state = np.empty((len(k), 8), self.lower.dtype)
        state[:, 0] = end[:, 0] - ENERGY * rise
        state[:, 1:4] = ENERGY * middle[:, :3, 0]
        state[:, 4] = end[:, 4]
        state[:, 5:] = flux[:, None] * middle[:, 3:, 0]
        return state
