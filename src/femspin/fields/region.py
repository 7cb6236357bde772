"""The coefficients of the transport equation in one region."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..dual import as_array, zeros_for
from ..units import E_CHARGE, Array
from .kondo import MomentState

__all__ = ["RegionFields"]


@dataclass(frozen=True, eq=False)
class RegionFields:
    """Everything W1 needs to know about one conducting region, in SI.

    Constant there; what follows a texture has leading axes, such as (cells, points).  Equal only
    to itself: what follows from it alone can be remembered.

    Args:
        name: Region name.
        dos: Density of states per spin nu [1/(J m^3)].
        diffusion: Diffusion constant D [m^2/s].
        gauge: a^{ib} [1/m], shape (3, 3) = (space, spin).
        omega: Precession e Phi / hbar [rad/s], shape (3,).
        relaxation: Gamma_ab [1/s], shape (3, 3).
        theta: Response J = Theta f, shape (12, 12), index 4 i + eta.
        drift: Drift force s^{j eta} [1/(m^2 s)], shape (3, 4).
        rotation: R between carriers and moments, shape (3, 3).
        moment_relaxation: The part of Gamma that hands spin to the moments [1/s], (3, 3).
        moment_omega: The part of omega that is exchange with the moments [rad/s], (3,).
        moments: Thermal state of the moments, if the region carries any.
        m: Direction of the moments as the carriers see them, shape (3,), if any.
        ordered: Whether they are part of the magnetization; else (a paramagnet) they follow the
            field, and what they take up is no torque on it.
    """

    name: str
    dos: float
    diffusion: float
    gauge: Array = field(default_factory=lambda: np.zeros((3, 3)))
    omega: Array = field(default_factory=lambda: np.zeros(3))
    relaxation: Array = field(default_factory=lambda: np.zeros((3, 3)))
    theta: Array = field(default_factory=lambda: np.eye(12))
    drift: Array = field(default_factory=lambda: np.zeros((3, 4)))
    rotation: Array = field(default_factory=lambda: np.eye(3))
    moment_relaxation: Array = field(default_factory=lambda: np.zeros((3, 3)))
    moment_omega: Array = field(default_factory=lambda: np.zeros(3))
    moments: MomentState | None = None
    m: Array | None = None
    ordered: bool = True

    @property
    def conductivity(self) -> float:
        """sigma_c = 2 e^2 nu D, which the equations take (Drude) [S/m] (errata E25)."""
        return 2 * E_CHARGE**2 * self.dos * self.diffusion

    @property
    def has_moments(self) -> bool:
        """Whether the carriers hand spin to local moments, by relaxation or by exchange."""
        return bool(self.moment_relaxation.any() or self.moment_omega.any())

    @property
    def measured_conductivity(self) -> float:
        """Inverse of the bulk resistivity, averaged over the directions of the current [S/m].

        Spin Hall deflections of the uniform current are in it, spin potentials are not.
        """
        charge = self.theta.reshape(3, 4, 3, 4)[:, 0, :, 0]
        found: float = 3 * self.conductivity / np.trace(np.linalg.inv(charge))
        return found

    def with_drift(self, electric_field: Array, polarisation: Array) -> RegionFields:
        """Return a copy driven by a uniform field: s^{j0} = sigma_c E^j / q, s^{ja} = P^a s^{j0}.

        Args:
            electric_field: E [V/m], shape (3,).
            polarisation: P^a, shape (..., 3).

        References:
            Errata E24, E28.
        """
        charge = -self.conductivity / E_CHARGE * as_array(electric_field, float)
        drift = zeros_for((*polarisation.shape[:-1], 3, 4), charge, polarisation)
        drift[..., 0] = charge
        drift[..., 1:] = charge[:, None] * polarisation[..., None, :]
        return replace(self, drift=drift)
