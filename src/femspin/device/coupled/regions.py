r"""A region whose moments follow a texture: its blocks, its load, its torque, and spin pumping.

**Spin pumping.**  Let the moments of F turn at the rate :math:`\Omega = m\times\dot m`.  In the
frame that turns with them their exchange field is at rest, so the carriers exchange no spin with
them once they are in equilibrium *there*.  In that frame the energy of a spin density
:math:`(\hbar/2)N^a` is lower by :math:`(\hbar/2)N\cdot\Omega`, while the free energy of the
carriers is :math:`N^2/4\nu`; the minimum is at :math:`N_{eq} = \nu\hbar\Omega`.  All of the
exchange therefore acts on the difference,

.. math:: J^{mom} = \int_F(-\Gamma_m + \omega_m\times)\,\nu(\mu - \hbar\,m\times\dot m),
    \qquad J = G\,(\mu - \hbar\,m\times\dot m)/e^2

in a resolved F and at a face with a conductance.  The precession part is what remains of the
equilibrium spin :math:`-\nu\hbar\omega_m m`, which has to follow m: its rate of change is
:math:`\omega_m\times\nu\hbar\Omega` with the sign above.  The same tensor acts from carriers to
moments and back, so the response is reciprocal: with all moments and fields reversed the
pumped flux is the transposed torque response (Onsager).  With noncollinear exchange Omega is
turned into the frame of the carriers, :math:`R^T\Omega`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from ...errors import CaseError
from ...fields.soc import cross_matrix
from ...interface.split import cell_parts
from ...transport.assembly.coefficients import Coefficients
from ...transport.assembly.regions import assemble_region
from ...transport.elements.space import Space
from ...units import ENERGY, HBAR, TIME, Array, Indices

__all__ = ["HBAR_SOLVER", "FollowingRegion"]


HBAR_SOLVER = HBAR / (ENERGY * TIME)
"""The reduced Planck constant in units of the solver [meV ps]."""


@dataclass
class FollowingRegion:
    """The cells of a region with moments that follow a magnet.

    Args:
        space: The scalar space.
        name: The region.
    """

    space: Space
    name: str
    _base: tuple[bytes, Array] | None = None

    @cached_property
    def dofs(self) -> Indices:
        """Scalar dofs of the cells, shape (n, n_local)."""
        return self.space.dofs[self.space.in_region(self.name)]

    @cached_property
    def weights(self) -> Array:
        """Integrals of phi_i over the cells, shape (n, n_local)."""
        cells = self.space.in_region(self.name)
        return np.concatenate([c.vector[:, :, -1] for c in self.space.chunks(cells)])

    @cached_property
    def slots(self) -> Indices:
        """Slots of the matrix pattern that the region adds to, shape (k,)."""
        return np.unique(self.space.pattern.slots(self.space.in_region(self.name)))

    @cached_property
    def masses(self) -> sp.csr_array:
        """Integrals of phi_i phi_m that a cell adds to a slot, shape (k, n)."""
        cells = self.space.in_region(self.name)
        found = np.concatenate([c.matrix[:, :, -1] for c in self.space.chunks(cells)])
        place = np.searchsorted(self.slots, self.space.pattern.slots(cells))
        column = np.broadcast_to(np.arange(len(cells))[:, None], place.shape)
        entries = (found.ravel(), (place.ravel(), column.ravel()))
        return sp.coo_array(entries, shape=(len(self.slots), len(cells))).tocsr()

    def add(self, c: Coefficients, values: Array, load: Array) -> None:
        """Add the region to block values (n_slots, 4, 4) and load (n_dofs, 4).

        Where the response does not depend on the direction of the moments only the reaction
        is assembled anew.
        """
        fast = c.cellwise and c.theta.ndim == 2
        if not fast:
            blocks = assemble_region(self.space, self.name, c)
            values += blocks.values
            load += blocks.load
            return
        values[self.slots] += self._unchanged(c)
        n = len(self.dofs)
        reaction = c.dos * c.reaction[..., 1:, 1:]
        reaction = np.broadcast_to(reaction, (n, 1, 3, 3)).reshape(n, 9)
        values[self.slots, 1:, 1:] += (self.masses @ reaction).reshape(-1, 3, 3)
        load += self._drift_load(c)

    def _unchanged(self, c: Coefficients) -> Array:
        """Return the blocks without reaction, kept while Theta and the gauge field stay."""
        key = c.theta.tobytes() + c.gauge.tobytes() + np.array([c.dos, c.diffusion]).tobytes()
        if self._base is None or self._base[0] != key:
            still = replace(c, relaxation=np.zeros((3, 3)), omega=np.zeros(3), drift=np.zeros((3, 4)))
            blocks = assemble_region(self.space, self.name, still)
            self._base = (key, blocks.values[self.slots])
        return self._base[1]

    def _drift_load(self, c: Coefficients) -> Array:
        """Return the load of the drift, linear in it, shape (n_dofs, 4)."""
        space, axes = self.space, list(self.space.structure.axes)
        theta = c.theta.reshape(3, 4, 3, 4)
        forced = np.einsum("jekz,...kz->...je", theta, c.drift).reshape(-1, 3, 4)
        turned = np.einsum("jea,nje->na", c.rotation, forced)
        rows = np.concatenate([forced[:, axes], turned[:, None]], axis=1)
        load, start = np.zeros((space.n_dofs, 4)), 0
        for chunk in space.chunks(space.in_region(self.name)):
            some = rows if len(rows) == 1 else rows[start : start + len(chunk.cells)]
            start += len(chunk.cells)
            local = chunk.vector @ some
            dofs = space.dofs[chunk.cells].ravel()
            for eta in range(4):
                load[:, eta] += np.bincount(dofs, local[..., eta].ravel(), space.n_dofs)
        return load

    def moments(self, c: Coefficients, mu: Array, pumped: Array | None = None) -> Array:
        """Return the flux that drives the moments of every cell, -int J^mom..., shape (n, 3).

        It is the part ``moments`` of `cell_parts`, with mu - mu_p for mu.

        Args:
            c: Coefficients of the region.
            mu: Potentials [meV], shape (n_dofs, 4).
            pumped: mu_p = hbar R^T (m x dm/dt) of every cell [meV], shape (n, 3).
        """
        if c.along or c.gauge_function is not None:
            self._refuse_pumping(pumped)
            return np.asarray(cell_parts(self.space, c, mu, self.name)["moments"])
        integral = np.einsum("ni,nia->na", self.weights, mu[self.dofs, 1:])
        if pumped is not None:
            integral = integral - self.weights.sum(axis=1)[:, None] * pumped
        return self._exchange(c, integral)

    def pumping_load(self, c: Coefficients, pumped: Array) -> Array:
        """Return the load of spin pumping, int v nu (Gamma_m - omega_m x) mu_p, (n_dofs, 4)."""
        if c.along or c.gauge_function is not None:
            self._refuse_pumping(pumped)
        load = np.zeros((self.space.n_dofs, 4))
        local = -self.weights[:, :, None] * self._exchange(c, pumped)[:, None]
        for a in range(3):
            load[:, a + 1] = np.bincount(self.dofs.ravel(), local[:, :, a].ravel(), self.space.n_dofs)
        return load

    def _exchange(self, c: Coefficients, mu: Array) -> Array:
        """Return nu (omega_m x - Gamma_m) mu of every cell."""
        tensor = c.dos * (cross_matrix(c.moment_omega) - c.moment_relaxation)
        tensor = tensor.reshape(-1, 3, 3) if tensor.ndim == 4 else tensor
        found: Array = np.einsum("...ab,...b->...a", tensor, mu)
        return found

    def _refuse_pumping(self, pumped: Array | None) -> None:
        if pumped is not None and pumped.any():
            raise CaseError(
                "solver.elements",
                f"spin pumping in region {self.name!r} needs"
                ' elements = "plain"; got elements that carry spin',
            )
