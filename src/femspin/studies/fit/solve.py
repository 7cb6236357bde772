"""The least-squares fit, its standard errors, and what the data do not determine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import chi2 as chi2_distribution

from ...errors import CaseError, SolverError
from ...units import Array
from .model import FitModel, FreeParameter

__all__ = ["UNDETERMINED", "FitResult", "Mirror", "fit_model", "undetermined"]


UNDETERMINED = 1e-6
"""Smallest accepted singular value of the Jacobian, relative to the largest, in columns of
length one; the Jacobian itself is good to about 1e-10."""

_STEPS = 200
_ENOUGH = 1e-10  # relative change of chi2, of the unknowns, and gradient
_EDGE = 1e-6  # how near to a bound, relative to the range or size, is at it


_AS_WELL = 4.0  # chi2 above the best, in units of its scatter: two standard errors
_HOPELESS = 4.0  # chi2 that a linear step cannot reach, in units of what is enough
_MOST_SIGNS = 3  # parameters of which all combinations of signs are tried
_ROUND_OFF = 1e-18  # of a squared residual over sigma
_IMPROBABLE = 1e-6  # probability of chi2 below which a fit is doubted


@dataclass(frozen=True)
class Mirror:
    """Other signs of some parameters with which the data are described as well, or better.

    Args:
        names: The parameters whose signs are turned, all at once.
        values: Of all parameters, in SI, shape (p,).
        chi2: Sum of squared residuals over sigma there.
    """

    names: tuple[str, ...]
    values: Array
    chi2: float


@dataclass(frozen=True)
class FitResult:
    """What a fit found, in SI.

    Args:
        model: The model.
        values: Of all parameters, shape (p,).
        covariance: Of all parameters, shape (p, p); zero for those at a bound.
        predicted: Model of every row, shape (n,).
        chi2: Sum of squared residuals over sigma.
        dof: Rows minus parameters that are not at a bound.
        absolute: Whether errors rest on the given sigmas; otherwise they are scaled by the
            reduced chi2.
        at_bound: Names of the parameters at a bound.
        steps: Evaluations of the model.
        message: Why the iteration ended.
        mirrors: Other signs that the data do not rule out.
    """

    model: FitModel
    values: Array
    covariance: Array
    predicted: Array
    chi2: float
    dof: int
    absolute: bool
    at_bound: tuple[str, ...]
    steps: int
    message: str
    mirrors: tuple[Mirror, ...] = ()

    @property
    def errors(self) -> Array:
        """Standard errors, shape (p,); NaN for a parameter at a bound."""
        found = np.sqrt(np.diag(self.covariance))
        return np.where([p.name in self.at_bound for p in self.model.parameters], np.nan, found)

    @property
    def correlation(self) -> Array:
        """Correlation matrix, shape (p, p); NaN for a parameter at a bound."""
        return np.asarray(self.covariance / np.outer(self.errors, self.errors), float)

    @property
    def reduced(self) -> float | None:
        """chi2 over degrees of freedom; None without any."""
        return self.chi2 / self.dof if self.dof > 0 else None

    @property
    def probability(self) -> float | None:
        """Probability of a chi2 this large or larger; None if the sigmas are not known."""
        if not self.absolute or self.dof <= 0:
            return None
        return float(chi2_distribution.sf(self.chi2, self.dof))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the best values may not be the ones that are sought, as sentences."""
        found = []
        if self.probability is not None and self.probability < _IMPROBABLE:
            found.append(
                f"chi2 of {self.chi2:.4g} with {self.dof} degrees of freedom has a probability of"
                f" {self.probability:.1g}: the model does not describe the data within sigma, or the"
                " search ended in a minimum beside the best one; try other start values"
            )
        for name in self.at_bound:
            found.append(
                f"{name} is at its bound: nothing is known of it but the side; give it another start,"
                " other bounds, or leave it out"
            )
        return tuple(found)

    @property
    def residuals(self) -> Array:
        """(data - model) / sigma, shape (n,)."""
        return (self.model.y - self.predicted) / self.model.sigma

    def set_chi2(self, k: int) -> float:
        """Return the share of data set k in chi2."""
        return float(np.sum(self.residuals[self.model.rows(k)] ** 2))


@dataclass(frozen=True)
class _Scaled:
    """The fit in dimensionless unknowns: x / size, or its logarithm.

    All are of order one at the start, so that the first steps are: the radius in which a step may
    end begins with their size.
    """

    model: FitModel

    def inside(self, x: Array) -> Array:
        """Return the unknowns of parameter values."""
        pairs = zip(self.model.parameters, x, strict=True)
        return np.array([_forward(p, v) for p, v in pairs])

    def outside(self, u: Array) -> Array:
        """Return the parameter values of unknowns."""
        pairs = zip(self.model.parameters, u, strict=True)
        found = [(float(np.exp(v)) if p.log else v) * p.size for p, v in pairs]
        low, high = ([getattr(p, k) for p in self.model.parameters] for k in ("low", "high"))
        return np.clip(found, low, high)

    def slopes(self, u: Array) -> Array:
        """Return dx/du."""
        x = self.outside(u)
        return np.array([v if p.log else p.size for p, v in zip(self.model.parameters, x, strict=True)])

    def residuals(self, u: Array) -> Array:
        """Return (model - data) / sigma."""
        return (self.model.values(self.outside(u).tolist()) - self.model.y) / self.model.sigma

    def jacobian(self, u: Array) -> Array:
        """Return the derivatives of the residuals."""
        slopes = self.model.jacobian(self.outside(u).tolist())
        return slopes * self.slopes(u) / self.model.sigma[:, None]


def _forward(p: FreeParameter, x: float) -> float:
    if p.log:
        return float(np.log(x / p.size)) if x > 0 else -np.inf
    return x / p.size


def fit_model(model: FitModel) -> FitResult:
    """Return the parameters that describe the data best, in the sense of least squares.

    Trust-region reflective steps within the bounds with the exact Jacobian, in units of the
    starting values or in logarithms.

    Raises:
        CaseError: If the data do not determine the parameters; names those or the combination.
        SolverError: If the iteration does not converge or a stack cannot be solved.
    """
    scaled, p = _Scaled(model), model.parameters
    _enough_rows(model)
    start = scaled.inside(np.array([q.start for q in p]))
    first = scaled.jacobian(start)
    _refuse_undetermined(p, first, "at the start values")
    found = _searched(scaled, start, lambda u: first if np.array_equal(u, start) else scaled.jacobian(u))
    if found.status <= 0:
        raise SolverError(
            f"the fit did not converge in {_STEPS} steps; other start values, bounds or log = true may help"
        )
    values = scaled.outside(found.x)
    edge = _at_bound(p, values)
    free = np.array([q.name not in edge for q in p])
    jacobian = found.jac
    inner = tuple(q for q in p if q.name not in edge)
    _refuse_undetermined(inner, jacobian[:, free], "at the best values")
    dof = len(model.y) - int(free.sum())
    chi2 = float(found.fun @ found.fun)
    covariance = np.zeros((len(p), len(p)))
    covariance[np.ix_(free, free)] = _covariance(jacobian[:, free])
    covariance *= np.multiply.outer(scaled.slopes(found.x), scaled.slopes(found.x))
    if not model.absolute:
        covariance *= chi2 / dof
    predicted = model.y + found.fun * model.sigma
    return FitResult(
        model,
        values,
        covariance,
        predicted,
        chi2,
        dof,
        model.absolute,
        edge,
        int(found.nfev),
        str(found.message),
        _mirrors(scaled, values, free, chi2, dof),
    )


def _mirrors(
    scaled: _Scaled, values: Array, free: NDArray[np.bool_], chi2: float, dof: int
) -> tuple[Mirror, ...]:
    """Return the signs that the data do not determine: fits that begin at turned signs."""
    model, p = scaled.model, scaled.model.parameters
    signed = [
        k for k, q in enumerate(p) if free[k] and not q.log and values[k] != 0 and q.low < -values[k] < q.high
    ]
    scatter = 1.0 if model.absolute else chi2 / max(dof, 1)
    enough = chi2 + _AS_WELL * scatter + _ROUND_OFF * len(model.y)
    found: list[tuple[set[int], Mirror]] = []
    for turned in _combinations(signed):
        if any(other <= turned for other, _ in found):
            continue
        signs = np.array([-1.0 if k in turned else 1.0 for k in range(len(p))])
        try:
            u, size = _refitted(scaled, scaled.inside(signs * values), free, enough)
        except SolverError:  # no solution with these signs
            continue
        other = scaled.outside(u)
        if size <= enough and (np.sign(other[signed]) == np.sign(signs * values)[signed]).all():
            found.append((turned, Mirror(tuple(p[k].name for k in sorted(turned)), other, size)))
    return tuple(mirror for _, mirror in found)


def _refitted(scaled: _Scaled, u: Array, free: NDArray[np.bool_], enough: float) -> tuple[Array, float]:
    """Return unknowns near u that describe the data best, and chi2; u itself if it will do."""
    residuals = scaled.residuals(u)
    size = float(residuals @ residuals)
    if size <= enough:
        return u, size
    q, _ = np.linalg.qr(scaled.jacobian(u)[:, free])
    if size - float(np.sum((q.T @ residuals) ** 2)) > _HOPELESS * enough:
        return u, size
    again = _searched(scaled, u, scaled.jacobian)
    return again.x, float(again.fun @ again.fun)


def _searched(scaled: _Scaled, start: Array, jacobian: Callable[[Array], Array]) -> Any:
    """Return what least squares within the bounds find from a start, in unknowns."""
    p = scaled.model.parameters
    low, high = (scaled.inside(np.array([getattr(q, k) for q in p])) for k in ("low", "high"))
    return least_squares(
        scaled.residuals,
        start,
        jacobian,
        (low, high),
        "trf",
        ftol=_ENOUGH,
        xtol=_ENOUGH,
        gtol=_ENOUGH,
        max_nfev=_STEPS,
    )


def _combinations(signed: list[int]) -> list[set[int]]:
    """Return which signs are turned together: few at first, all combinations of few."""
    if len(signed) <= _MOST_SIGNS:
        sizes = range(1, len(signed) + 1)
        return [set(c) for n in sizes for c in combinations(signed, n)]
    return [set(c) for n in (1, 2, len(signed)) for c in combinations(signed, n)]


def _enough_rows(model: FitModel) -> None:
    rows, unknowns = len(model.y), len(model.parameters)
    if rows < unknowns:
        raise CaseError("parameters", f"{unknowns} parameters, but only {rows} rows of data")
    if rows == unknowns and not model.absolute:
        raise CaseError(
            "data", f"{rows} rows determine {unknowns} parameters, but no errors; give sigma or more rows"
        )


def _at_bound(parameters: tuple[FreeParameter, ...], values: Array) -> tuple[str, ...]:
    found = []
    for p, x in zip(parameters, values, strict=True):
        span = p.high - p.low if np.isfinite(p.high - p.low) else p.size
        if min(x - p.low, p.high - x) <= _EDGE * span:
            found.append(p.name)
    return tuple(found)


def _covariance(jacobian: Array) -> Array:
    """Return (J^T J)^-1 through the singular values of J with columns of length one."""
    length = np.linalg.norm(jacobian, axis=0)
    _, s, v = np.linalg.svd(jacobian / length, full_matrices=False)
    half = v.T / s
    return np.asarray(half @ half.T / np.outer(length, length), float)


def undetermined(
    parameters: tuple[FreeParameter, ...], jacobian: Array
) -> tuple[str, ...] | dict[str, float] | None:
    """Return what a Jacobian does not determine, or None.

    Args:
        parameters: The unknowns.
        jacobian: Derivatives of weighted residuals by relative changes, shape (n, p).

    Returns:
        Names no row depends on, or else relative changes by name that leave all rows unchanged,
        the first of them +1.
    """
    length = np.linalg.norm(jacobian, axis=0)
    mute = length <= 1e-9 * length.max(initial=0.0)
    if mute.any() or not length.size:
        return tuple(p.name for p, m in zip(parameters, mute, strict=True) if m) or None
    _, s, v = np.linalg.svd(jacobian / length, full_matrices=False)
    if s[-1] > UNDETERMINED * s[0]:
        return None
    change = v[-1] / length
    large = np.flatnonzero(np.abs(change) > 1e-3 * np.abs(change).max())
    return {parameters[k].name: float(change[k] / change[large[0]]) for k in large}


def _refuse_undetermined(parameters: tuple[FreeParameter, ...], jacobian: Array, when: str) -> None:
    found = undetermined(parameters, jacobian)
    if found is None:
        return
    if isinstance(found, tuple):
        raise CaseError(
            "parameters",
            f"no data depend on {' and '.join(found)} {when}; fix or leave out, or start elsewhere",
        )
    logs = {p.name for p in parameters if p.log}
    names, signs = " and ".join(found), " : ".join(f"{c:+.3g}" for c in found.values())
    kind = "relative change" if logs >= set(found) else "change in units of the start values"
    raise CaseError(
        "parameters",
        f"the data do not determine {names} separately {when}: a {kind} of {signs}"
        " leaves all residuals unchanged; fix one of them or add data that tell them apart",
    )
