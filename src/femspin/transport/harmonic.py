r"""Response to a drive that oscillates as :math:`e^{iWt}`: complex amplitudes.

Linear transport driven at the angular frequency W answers at W; W1 gains
:math:`+iW\nu\,v^a\mu^a` on the spin components.  Charge follows without delay.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..errors import SolverError
from ..fields.region import RegionFields
from ..units import RATE, AnyArray
from .assembly.boundary import FluxLaw
from .assembly.coefficients import Coefficients
from .linear.refinement import refine
from .linear.solve import DirectSolver, LinearReport
from .storage import StorageSystem, split_precision, storage_system
from .system import TransportProblem

__all__ = ["HarmonicState", "solve_harmonic", "solve_harmonics"]


@dataclass(frozen=True)
class HarmonicState:
    """Complex amplitudes of exp(+iWt) for sources of real amplitude.

    Args:
        angular_frequency: W [1/ps].
        mu: Potentials [meV], complex, shape (n_dofs, 4).
        mu_low: What mu lacks of the extended-precision solution, shape (n_dofs, 4).
        coefficients: By conducting region, in solver units.
        laws: Flux laws of the faces.
        report: What the linear solver did.
    """

    angular_frequency: float
    mu: AnyArray
    mu_low: AnyArray
    coefficients: Mapping[str, Coefficients]
    laws: Mapping[str, FluxLaw]
    report: LinearReport

    @property
    def mu_dot(self) -> AnyArray:
        """The time derivative iW mu [meV/ps], shape (n_dofs, 4)."""
        return 1j * self.angular_frequency * self.mu


def solve_harmonic(
    problem: TransportProblem,
    fields: Mapping[str, RegionFields],
    laws: Mapping[str, FluxLaw] | None,
    angular_frequency: float,
) -> HarmonicState:
    r"""Return the complex amplitude of the potentials at one angular frequency.

    .. math:: (K + iW M)\,\mu = b ,

    by a complex sparse LU factorisation with iterative refinement on the cell-wise residual.

    Args:
        problem: Mesh and conditions; electrodes, prescribed potentials and fluxes are real
            amplitudes.
        fields: By region name; the drift is a real amplitude.
        laws: Flux law of every flux face of the boundary.
        angular_frequency: W of exp(+iWt) [rad/s], of either sign; 0 gives the steady solution.

    Raises:
        SolverError: If the system is singular or the residual stays above the tolerance.
    """
    return solve_harmonics(problem, fields, laws, [angular_frequency])[0]


def solve_harmonics(
    problem: TransportProblem,
    fields: Mapping[str, RegionFields],
    laws: Mapping[str, FluxLaw] | None,
    angular_frequencies: Sequence[float],
) -> tuple[HarmonicState, ...]:
    """Return the amplitudes at several angular frequencies [rad/s]; see `solve_harmonic`."""
    system = storage_system(problem, fields, laws)
    return tuple(_amplitude(problem, system, w / RATE) for w in angular_frequencies)


def _amplitude(problem: TransportProblem, system: StorageSystem, w: float) -> HarmonicState:
    """Return the state at the angular frequency `w` [1/ps]."""
    if not np.isfinite(w):
        raise SolverError(f"the angular frequency must be finite, got {w!r}")
    began = time.perf_counter()
    matrix = sp.csr_array(system.stiffness + 1j * w * system.mass)
    solver = DirectSolver(matrix, problem.space.dimension)

    def expand(x: AnyArray) -> AnyArray:
        return np.asarray(system.constraint.expand(x)).reshape(-1, 4)

    def residual(x: AnyArray) -> AnyArray:
        full = expand(x)
        return system.residual(*split_precision(full), (1j * w * full).astype(complex))

    start = np.zeros(matrix.shape[0], np.clongdouble)
    x, relative = refine(solver, residual, start, problem.options.tolerance, charge=system.constraint.charge)
    mu, low = split_precision(expand(x))
    report = LinearReport(solver.method, len(x), solver.iterations, relative, time.perf_counter() - began)
    return HarmonicState(w, mu, low, system.coefficients, system.laws, report)
