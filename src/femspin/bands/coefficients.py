r"""Spin-transfer torque coefficients of an antiferromagnetic band structure.

.. math:: \dot n = -\frac{v_0}{2N}\,p_n\,(j_p\cdot\nabla)n,\qquad
          \dot m = -\frac{v_0}{2N}\,p_m\,(j_p\cdot\nabla)m

with the electron number current :math:`j_p = -j_c/e`; dimensionless, +1 for two separate
ferromagnets with electrons in the lower band.  Three models differ in what is averaged:

* ``complete``: all diagrams of order tau, checked against the Boltzmann equation of the 4x4
  density matrix (errata C), the default;
* ``paper_corrected``: the diagrams of the paper, algebra and signs corrected (errata B1-B8);
* ``paper_printed``: the formulas as printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..errors import CaseError, closest
from ..units import E_CHARGE, HBAR, Array
from .critical import band_edges
from .fermi_sums import FermiSums, fermi_sums
from .lattice import TwoSublattice

__all__ = ["COEFFICIENTS", "MODELS", "Coefficients", "TorqueModel", "conductivity", "torque_coefficients"]

TorqueModel = Literal["complete", "paper_corrected", "paper_printed"]

MODELS: tuple[TorqueModel, ...] = get_args(TorqueModel)
"""The three models."""

COEFFICIENTS = ("p_n", "p_m", "p_st", "P_m", "P_n", "P_m_na", "P_n_na")
"""Names of the coefficients of every model."""

_SMALLEST_V2 = 1e-12

# Kernels and signs of every coefficient.
_RECIPES: dict[TorqueModel, dict[str, tuple[tuple[str, int], ...]]] = {
    "complete": {
        "p_n": (("p_n_complete", 1),),
        "p_m": (("p_m_complete", 1),),
        "p_st": (("p_n_complete", 1),),
        "P_m": (("p_m_complete", 1),),
        "P_n": (("P_n_complete", 1),),
        "P_m_na": (("p_n_complete", 1),),
        "P_n_na": (("P_n_na_complete", 1),),
    },
    "paper_corrected": {
        "p_n": (("P_n_na_corrected", 1), ("P_n_corrected", -1)),
        "p_m": (("P_m_corrected", 1),),
        "p_st": (("P_m_na_corrected", 1),),
        "P_m": (("P_m_corrected", 1),),
        "P_n": (("P_n_corrected", 1),),
        "P_m_na": (("P_m_na_corrected", 1),),
        "P_n_na": (("P_n_na_corrected", 1),),
    },
    "paper_printed": {
        "p_n": (("P_n_na_printed", 1), ("P_n_printed", -1)),
        "p_m": (("P_m_printed", -1),),
        "p_st": (("P_m_na_printed", 1),),
        "P_m": (("P_m_printed", 1),),
        "P_n": (("P_n_printed", 1),),
        "P_m_na": (("P_m_na_printed", 1),),
        "P_n_na": (("P_n_na_printed", 1),),
    },
}


@dataclass(frozen=True)
class Coefficients:
    """Torque coefficients of one state of one lattice.

    Args:
        lattice: The lattice.
        mu: Chemical potential, in the unit of the hopping.
        kT: Temperature in the same unit.
        sums: Fermi-surface averages.
        tensors: By model and name; first index the direction of the gradient, second that of
            the current, shape (d, d).
        errors: Estimates of their absolute errors, likewise.
        p_m_balance: What p_m would be if the moments took all that the spin current of the same
            electrons brings, and the error estimate, shape (2, d, d).  The one lifetime relaxes
            the spin of the electrons too, so p_m differs from it.
    """

    lattice: TwoSublattice
    mu: float
    kT: float
    sums: FermiSums
    tensors: dict[str, dict[str, Array]]
    errors: dict[str, dict[str, Array]]
    p_m_balance: Array

    @property
    def v2(self) -> float:
        """Mean square velocity <(d eps)^2>, averaged over the directions."""
        return float(np.trace(self.sums.values["v2"])) / self.lattice.dimension

    @property
    def isotropic(self) -> bool:
        """Whether all tensors are multiples of the unit tensor, within their errors or 1e-9."""
        unit = np.eye(self.lattice.dimension)
        for model, tensors in self.tensors.items():
            for name, p in tensors.items():
                rest = abs(p - unit * np.trace(p) / len(p))
                if np.any(rest > self.errors[model][name] + 1e-9 * (1 + abs(p).max())):
                    return False
        return True

    def value(self, name: str, model: TorqueModel = "complete") -> float:
        """Return a coefficient averaged over directions, tr p / d."""
        p = self._of(self.tensors, name, model)
        return float(np.trace(p)) / len(p)

    def error(self, name: str, model: TorqueModel = "complete") -> float:
        """Return the estimate of the absolute error of `value`."""
        p = self._of(self.errors, name, model)
        return float(np.trace(p)) / len(p)

    def _of(self, table: dict[str, dict[str, Array]], name: str, model: str) -> Array:
        for what, word, known in (("model", model, MODELS), ("coefficient", name, COEFFICIENTS)):
            if word not in known:
                raise CaseError(
                    what, f"must be one of {', '.join(known)}{closest(word, known)} (got {word!r})"
                )
        return table[model][name]


def torque_coefficients(
    lattice: TwoSublattice, mu: float, kT: float = 0.0, tolerance: float = 1e-9
) -> Coefficients:
    r"""Return the torque coefficients of all three models.

    .. math:: p_n = \frac{\langle s(\mathcal J/\Delta)^3[(\partial T)^2 - |\partial\eta|^2]\rangle}
                         {\langle(\partial\epsilon)^2\rangle},\quad
              p_m = \frac{\langle(\mathcal J/\Delta)^3[s(\partial T)^2 + \partial T\partial\Delta
                    - s\,\mathrm{Re}\,\eta^*\partial^2\eta]\rangle}
                         {\langle(\partial\epsilon)^2\rangle}

    (``complete``, errata C); the others are (S6.24), (S6.52), (S7.23), (S7.30), with
    p_n = P_n^na - P_n, p_m = P_m, or -P_m with the printed sign of (14a) (errata B1), and
    p_st = P_m^na.  In the complete model p_st = p_n.

    Args:
        lattice: The lattice.
        mu: Chemical potential, in the unit of the hopping.
        kT: Temperature in the same unit; 0 for a sharp Fermi surface.
        tolerance: See `femspin.bands.fermi_sums.fermi_sums`.

    Raises:
        CaseError: If mu lies in the gap or outside the bands, so that nothing conducts.
        SolverError: At zero temperature, if mu is a van Hove energy to within round-off.
    """
    if not (np.isfinite(mu) and np.isfinite(kT) and kT >= 0):
        raise CaseError("chemical_potential", f"mu and k_B T >= 0 must be finite (got {mu}, {kT})")
    sums = fermi_sums(lattice, mu, kT, tolerance)
    _check_conducts(lattice, mu, kT, sums)
    inverse = np.linalg.inv(sums.values["v2"])
    tensors: dict[str, dict[str, Array]] = {}
    errors: dict[str, dict[str, Array]] = {}

    def ratio(terms: tuple[tuple[str, int], ...]) -> tuple[Array, Array]:
        K = sum((c * sums.values[k] for k, c in terms), np.zeros_like(inverse))
        dK = sum((sums.errors[k] for k, _ in terms), np.zeros_like(inverse))
        p = K @ inverse
        return p, (dK + abs(p) @ sums.errors["v2"]) @ abs(inverse)

    for model, recipe in _RECIPES.items():
        tensors[model], errors[model] = {}, {}
        for name, terms in recipe.items():
            tensors[model][name], errors[model][name] = ratio(terms)
    balance = np.stack(ratio((("p_m_spin_current", 1),)))
    return Coefficients(lattice, mu, kT, sums, tensors, errors, balance)


def _check_conducts(lattice: TwoSublattice, mu: float, kT: float, sums: FermiSums) -> None:
    scale = max(abs(t) for t in (*lattice.inter_amplitudes, *lattice.intra_amplitudes))
    v2 = sums.values["v2"]
    mean = float(np.trace(v2)) / len(v2)
    # A sharp Fermi surface conducts however small it is; thermal tails are cut off below.
    if mean <= (_SMALLEST_V2 * scale if kT > 0 else 0):
        (a, b), (c, d) = band_edges(lattice)
        distance = min(abs(mu - x) for x in (a, b, c, d))
        if a <= mu <= b or c <= mu <= d:
            where = f"lies within {max(distance, 1e-16):.1g} of a band edge"
        else:
            where = "lies in the gap" if b < mu < c else "lies outside the bands"
        why = f", {distance / kT:.4g} k_B T from the nearest band" if kT > 0 else ""
        raise CaseError(
            "chemical_potential",
            f"{mu:.15g} {where}{why}: no state conducts; the bands are"
            f" {a:.9g} to {b:.9g} and {c:.9g} to {d:.9g}, in the unit of the hopping",
        )
    if np.linalg.eigvalsh(v2)[0] < 1e-12 * np.trace(v2):
        raise CaseError("lattice", "conducts in some directions only; describe it in fewer dimensions")


def conductivity(v2: Array | float, tau: float, energy: float, length: float, dimension: int) -> Array:
    r"""Return :math:`\sigma_c = 2e^2\tau\langle(\partial\epsilon)^2\rangle/\hbar^2` [S m^(2-d)].

    Eq. (S6.23) with the double degeneracy of the bands, errata B12.

    Args:
        v2: <(d eps)^2> in units of the hopping and the lattice constant.
        tau: Lifetime [s].
        energy: Unit of energy t [J].
        length: Unit of length a [m].
        dimension: d.
    """
    unit = energy * length ** (2 - dimension)
    result: Array = 2 * E_CHARGE**2 * tau / HBAR**2 * unit * np.asarray(v2)
    return result
