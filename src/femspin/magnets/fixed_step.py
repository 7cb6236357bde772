r"""How far a step that is kept whatever happens is off: its error, and whether it is stable.

The error of a step is found by doubling: one step against two of half the length differ by
:math:`(1-2^{-p})` of it at order p.  The errors of all steps together bound the error of the
run; of free precession they are that of its phase.  An explicit step multiplies a small motion
:math:`e^{\lambda t}` by R(z), :math:`z = \lambda h`: where |R| > 1 a motion that should decay
grows.  Under thermal noise Heun's method gives such a motion the variance

.. math:: \frac{-2\,\mathrm{Re}\,z\,|1+z/2|^2}{1-|R(z)|^2}

in units of that of the exact motion; the midpoint rule gives the exact one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.linalg as la
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from ..errors import CaseError, SolverError
from ..units import Array
from .antiferromagnet import Rotor
from .explicit import Heun, RungeKutta
from .ferromagnet import Texture
from .midpoint import Midpoint
from .run import relax_texture
from .small_motion import motion_operator, small_motion

__all__ = ["FixedStep", "judged"]

Complex = NDArray[np.complex128]

_ORDER = {"Heun": 2, "Midpoint": 2, "RungeKutta": 5, "Rotor": 2}
# 1/k! of R(z), and 1/600 of Dormand and Prince's six stages.
_STABILITY = {"Heun": (1, 1, 1 / 2), "RungeKutta": (1, 1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 600)}
_MOST_GROWN = 2.3  # exponent of numerical growth beyond which a run is refused: a factor of 10
_MOST_TURNED = 0.5  # error [rad] of one step beyond which a run is refused
_TOLD = 0.05  # error [rad] of a run, or of a thermal step, that is worth a warning
_TOLD_VARIANCE = 0.02
_SMALL = 120  # unknowns up to which all small motions are looked at, else the fastest
_FASTEST = 6
_FREE = 1e-9  # Re over |lambda| of a motion that neither grows nor decays
_MOST_HALVINGS = 60
_MOST_STEPS = 2000  # in search of the state at rest
_QUIET = 1e-4  # torque [T] at which a state is at rest here


@dataclass
class FixedStep:
    """What a fixed step does to a run, seen at some of its steps.

    Args:
        scheme: `Heun`, `RungeKutta`, `Midpoint` or `Rotor` with a fixed step.
        total: Sum of the errors of all steps so far [rad].
        largest: Largest error of a step [rad].
        grown: Exponent by which small motions have grown that should have decayed.
        variance: Relative error of the variance of thermal motions about rest.
        sum: Of the errors of the steps that were looked at [rad].
        looks: How many.
    """

    scheme: Any
    total: float = 0.0
    largest: float = 0.0
    grown: float = 0.0
    variance: float = 0.0
    sum: float = 0.0
    looks: int = 0
    _texture: Any = field(init=False, repr=False)
    _at_rest: Complex | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._texture = self.scheme.texture
        if self.thermal:
            self._texture = replace(self._texture, thermal=None)

    @property
    def name(self) -> str:
        """Name of the scheme."""
        return type(self.scheme).__name__

    @property
    def thermal(self) -> bool:
        """Whether there is a thermal field."""
        return getattr(self.scheme.texture, "thermal", None) is not None

    @property
    def error(self) -> float:
        """Error of the run [rad]; under noise that of one step, as errors do not add up there."""
        return self.sum / max(1, self.looks) if self.thermal else self.total

    def look(self, state: tuple[Array, ...], time: float, step: float, steps: int) -> None:
        """Look at one step, in place of several alike.

        Args:
            state: m, or n and m.
            time: [ps].
            step: Length of a step [ps].
            steps: How many steps it stands for.

        Raises:
            CaseError: If the step is unstable or does not resolve the motion.
        """
        miss = self._miss(state, time, step)
        self.looks, self.sum = self.looks + 1, self.sum + miss
        self.total, self.largest = self.total + miss * steps, max(self.largest, miss)
        if miss > _MOST_TURNED:
            raise CaseError(
                "texture.step",
                f"a step of {step:.4g} ps does not resolve the motion:"
                f" its error is about {miss:.2g} rad at {time:.4g} ps; use a shorter"
                f" one{_ADAPTIVE if not self.thermal else ''}",
            )
        if self.name in _STABILITY:
            self._follow_growth(state[0], step, steps)

    def _miss(self, state: tuple[Array, ...], time: float, step: float) -> float:
        """Return the error of one step [rad], largest of all nodes."""
        order, end = _ORDER[self.name], time + step
        if self.name == "Rotor":
            n, m = state
            whole = Rotor(self._texture, step).advance(n, m, time, end)[0]
            halves = Rotor(self._texture, step / 2).advance(n, m, time, end)[0]
        else:
            whole, _ = self._alike(step).advance(state[0], time, end)
            half = self._alike(step / 2)
            halves, clock = state[0], time
            while clock < end:
                halves, clock = half.advance(halves, clock, end)
        difference = float(np.linalg.norm(whole - halves, axis=1).max())
        return difference / (1 - 0.5**order)

    def _alike(self, step: float) -> Any:
        if self.name == "RungeKutta":
            return RungeKutta(self._texture, 1.0, step, fixed=True)
        return Heun(self._texture, step) if self.name == "Heun" else Midpoint(self._texture, step)

    def _follow_growth(self, m: Array, step: float, steps: int) -> None:
        """Add up how small motions about the state at rest near m grow that should decay."""
        if self._at_rest is None:
            rest = _rest(self._texture, m)
            self._at_rest = np.zeros(0, complex) if rest is None else _eigenvalues(self._texture, rest)
        rates: Complex = self._at_rest
        z: Complex = step * rates
        size = np.abs(_amplified(self.name, z))
        steady = z.real <= _FREE * np.abs(z)
        growth = float(np.log(size[steady].max(initial=1e-300)))
        if self.thermal:
            self.variance = _variance_error(z, size)
        self.grown += max(0.0, growth) * steps
        if self.grown > _MOST_GROWN:
            raise CaseError(
                "texture.step",
                f"a step of {step:.4g} ps is unstable with"
                f" {_SCHEMES[self.name]}: about rest, motions that should decay grow"
                f" by a factor of {np.exp(growth):.4g} per step; a step below"
                f" {_limit(self.name, rates, step):.2g} ps is stable, and"
                ' scheme = "midpoint" at any step',
            )

    def warning(self) -> str:
        """Return a sentence about an error that matters, empty without."""
        longest = self.scheme.step
        if self.thermal and self.variance > _TOLD_VARIANCE:
            return (
                f"texture.step: {longest:.4g} ps make thermal fluctuations about"
                f" {100 * self.variance:.2g} % too large (at most {100 * _TOLD_VARIANCE:g} %"
                " pass in silence), as a temperature higher by as much would; use a shorter"
                ' one or texture.scheme = "midpoint"'
            )
        if self.error <= _TOLD:
            return ""
        if self.thermal:
            return (
                f"texture.step: {longest:.4g} ps are long for the motion: the error of one"
                f" step is about {self.error:.2g} rad (at most {_TOLD:g} pass in silence); use"
                " a shorter one"
            )
        other = _ADAPTIVE if self.name != "Rotor" else ""
        return (
            f"texture.step: the steps of {longest:.4g} ps add up to an estimated error of"
            f" {self.error:.2g} rad in the course of the run (at most {_TOLD:g} pass in"
            " silence); shorter ones bring it down as"
            f" step^{_ORDER[self.name]}{other}"
        )

    def state(self) -> Array:
        """Return what a resumed run needs."""
        return np.array([self.total, self.largest, self.grown, self.variance, self.sum, float(self.looks)])

    def restore(self, state: Array) -> None:
        """Take up a saved state."""
        *sums, looks = state.tolist()
        self.total, self.largest, self.grown, self.variance, self.sum = sums
        self.looks = int(looks)


_ADAPTIVE = ", or leave texture.step out for steps that follow texture.tolerance"
_SCHEMES = {"Heun": "Heun's method", "RungeKutta": "the Runge-Kutta method"}


def judged(scheme: Any) -> FixedStep | None:
    """Return a judge of a scheme that keeps its step, None of one that adapts it."""
    if isinstance(scheme, Heun | Rotor):
        return FixedStep(scheme)
    if isinstance(scheme, RungeKutta):
        return FixedStep(scheme) if scheme.fixed else None
    return FixedStep(scheme) if scheme.tolerance is None else None


def _amplified(name: str, z: Complex) -> Complex:
    return np.asarray(np.polynomial.polynomial.polyval(z, _STABILITY[name]))


def _limit(name: str, values: Complex, step: float) -> float:
    """Return a stable step [ps] below one that is not."""
    decaying = values[values.real < -_FREE * np.abs(values)]
    for _ in range(_MOST_HALVINGS):
        if np.abs(_amplified(name, step * decaying)).max(initial=0.0) <= 1.0:
            break
        step *= 0.9
    return step


def _variance_error(z: Complex, size: Array) -> float:
    """Return the mean relative error of the variances of decaying motions by Heun's method."""
    decaying = (z.real < -_FREE * np.abs(z)) & (size < 1)
    if not decaying.any():
        return 0.0
    z, size = z[decaying], size[decaying]
    ratio = -2 * z.real * np.abs(1 + z / 2) ** 2 / (1 - size**2)
    return float(np.mean(ratio) - 1)


def _rest(texture: Texture, m: Array) -> Array | None:
    """Return the state at rest under the drives of time 0 near m, None without one."""
    try:
        return relax_texture(texture, m, _QUIET, _MOST_STEPS)
    except SolverError:
        return None


def _eigenvalues(texture: Texture, m: Array) -> Complex:
    """Return rates [1/ps] of small motions about m: all, or on larger meshes the fastest."""
    if 2 * len(m) <= _SMALL:
        _, inertia, motion = small_motion(texture, m)
        dense = motion.toarray() if hasattr(motion, "toarray") else np.asarray(motion)
        return np.asarray(la.eigvals(np.linalg.solve(inertia.toarray(), dense)))
    whole: Callable[[Complex], Complex] = motion_operator(texture, m)[1]
    size = 2 * len(m)
    operator = LinearOperator((size, size), matvec=whole, dtype=complex)
    try:
        return np.asarray(
            eigs(
                operator,
                _FASTEST,
                which="LM",
                return_eigenvectors=False,
                tol=1e-3,
                maxiter=200,
                v0=np.ones(size, complex),
            )
        )
    except ArpackError as error:
        return np.asarray(getattr(error, "eigenvalues", np.zeros(0, complex)))
