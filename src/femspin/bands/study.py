"""A band case worked out: the coefficients of its state, and scans around it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CaseError, SolverError
from ..units import E_CHARGE
from .case import BandCase, scaled_lattice
from .coefficients import COEFFICIENTS, MODELS, Coefficients, conductivity, torque_coefficients
from .critical import critical_energies
from .filling import chemical_potential
from .torques import TorqueVelocities, exchange_time, torque_velocities

__all__ = ["SCANS", "BandStudy", "ScanPoint", "spin_balance_warning", "study", "study_csv", "study_table"]

SCANS = ("chemical_potential", "t_prime", "exchange")
"""Names of the scans; a scan is over mu/t, t'/t or J/t."""

_COARSEST = {1: 1e-6, 2: 1e-6, 3: 1e-4}  # no picture shows more


@dataclass(frozen=True)
class ScanPoint:
    """One point of a scan.

    Args:
        scan: Name of the scan.
        value: mu/t, t'/t or J/t.
        coefficients: What was found, or None where nothing conducts or no Fermi line exists.
        problem: Why there is none.
    """

    scan: str
    value: float
    coefficients: Coefficients | None
    problem: str = ""


@dataclass(frozen=True)
class BandStudy:
    """Results of a band case.

    Args:
        case: The case.
        coefficients: Of its state.
        velocities: u_n, u_m, u_st, tau_sd, beta, if the case has a [torque].
        points: Of all scans.
    """

    case: BandCase
    coefficients: Coefficients
    velocities: TorqueVelocities | None
    points: tuple[ScanPoint, ...]

    def scan(self, name: str) -> tuple[ScanPoint, ...]:
        """Return the points of one scan."""
        return tuple(p for p in self.points if p.scan == name)


def study(case: BandCase, progress: Callable[[float], None] | None = None) -> BandStudy:
    """Return the coefficients of a case, and those of its scans.

    Args:
        case: The case.
        progress: Called with the share of the work that is done.

    Raises:
        CaseError: If nothing conducts in the state of the case.
    """
    lattice = scaled_lattice(case)
    if case.filling is not None:
        mu = chemical_potential(lattice, case.filling, case.kT)
    else:
        assert case.chemical_potential is not None
        mu = case.chemical_potential / case.lattice.t
    here = torque_coefficients(lattice, mu, case.kT, case.tolerance)
    velocities = None
    if case.torque is not None:
        velocities = torque_velocities(
            here,
            case.torque.current_density,
            case.torque.spin_density,
            case.lattice.t,
            case.model,
            case.spin_relaxation_time,
        )
    wanted = list(_wanted(case))
    points = []
    for k, (name, value) in enumerate(wanted):
        points.append(_point(case, name, value, mu))
        if progress is not None:
            progress((k + 1) / len(wanted))
    return BandStudy(case, here, velocities, tuple(points))


def _wanted(case: BandCase) -> Iterator[tuple[str, float]]:
    if case.scan is None:
        return
    if case.scan.chemical_potential is not None:
        for energy in case.scan.chemical_potential.values:
            yield "chemical_potential", energy / case.lattice.t
    for name in ("t_prime", "exchange"):
        numbers = getattr(case.scan, name)
        for value in numbers.values if numbers is not None else ():
            yield name, value


def _point(case: BandCase, name: str, value: float, mu: float) -> ScanPoint:
    """Return one point of a scan; a filling is kept, a chemical potential too."""
    changed = {name: value} if name != "chemical_potential" else {}
    try:
        lattice = scaled_lattice(case, **changed)
        if name == "chemical_potential":
            mu = value
        elif case.filling is not None:
            mu = chemical_potential(lattice, case.filling, case.kT)
        tolerance = max(case.tolerance, _COARSEST[lattice.dimension])
        found = torque_coefficients(lattice, mu, case.kT, tolerance)
    except (CaseError, SolverError) as error:
        return ScanPoint(name, value, None, str(error))
    return ScanPoint(name, value, found)


def study_table(result: BandStudy) -> dict[str, Any]:
    """Return the results as plain data: dimensionless coefficients, SI where a unit is named."""
    case, here = result.case, result.coefficients
    lattice = here.lattice
    table: dict[str, Any] = {
        "title": case.title,
        "chemical_potential_eV": here.mu * case.lattice.t / E_CHARGE,
        "mu_over_t": here.mu,
        "kT_over_t": here.kT,
        "exchange_over_t": lattice.exchange,
        "tau_sd_s": exchange_time(lattice.exchange * case.lattice.t),
        "spin_relaxation_time_s": case.spin_relaxation_time,
        "van_hove_over_t": {"lower": critical_energies(lattice, 1), "upper": critical_energies(lattice, -1)},
        "method": here.sums.method,
        "isotropic": here.isotropic,
        "v2": {"value": here.v2, "error": _trace(here.sums.errors["v2"])},
        "dos": {"value": here.sums.dos, "error": here.sums.dos_error},
        "conductivity": _conductivity(case, here),
        "coefficients": {model: _one_model(here, model) for model in MODELS},
        "spin_balance": _spin_balance(here),
        "warnings": [spin_balance_warning(here)],
    }
    if result.velocities is not None:
        v = result.velocities
        table["torque"] = {
            "model": case.model,
            "u_n": v.u_n,
            "u_m": v.u_m,
            "u_st": v.u_st,
            "tau_sd_s": v.tau_sd,
            "beta": v.beta,
            "unit": "m/s",
        }
    table["scan_points"] = len(result.points)
    table["scan_points_without_result"] = sum(p.coefficients is None for p in result.points)
    return table


def _spin_balance(found: Coefficients) -> dict[str, Any]:
    value, error = found.p_m_balance
    return {
        "p_m_complete": found.value("p_m"),
        "p_m_of_spin_current": {
            "value": _trace(value),
            "error": _trace(error),
            "tensor": value,
            "tensor_error": error,
        },
        "conserved": False,
    }


def spin_balance_warning(found: Coefficients) -> str:
    """Return what the one lifetime means for p_m, with the numbers of a state."""
    return (
        "p_m: the one lifetime relaxes the spin of electrons too, so spin is not conserved:"
        f" the moments take p_m = {found.value('p_m'):.4g} (complete), while the spin current"
        f" brings {_trace(found.p_m_balance[0]):.4g}; with scattering that conserves spin p_m"
        " is another number (docs/afm-torques.md, Spin balance)"
    )


def _trace(tensor: Any) -> float:
    return float(np.trace(tensor)) / len(tensor)


def _one_model(found: Coefficients, model: Any) -> dict[str, Any]:
    return {
        name: {
            "value": found.value(name, model),
            "error": found.error(name, model),
            "tensor": found.tensors[model][name],
            "tensor_error": found.errors[model][name],
        }
        for name in COEFFICIENTS
    }


def _conductivity(case: BandCase, found: Coefficients) -> dict[str, Any]:
    d = found.lattice.dimension
    sigma = conductivity(found.sums.values["v2"], case.lifetime, case.lattice.t, case.lattice.constant, d)
    if case.lattice.thickness is not None:
        return {"value": _trace(sigma) / case.lattice.thickness, "unit": "S/m"}
    return {"value": _trace(sigma), "unit": {1: "S m", 2: "S", 3: "S/m"}[d]}


def study_csv(result: BandStudy) -> str:
    """Return one row per point and model: the state, coefficients and their error estimates."""
    d = result.coefficients.lattice.dimension
    parts = [f"{a}{b}" for a in "xyz"[:d] for b in "xyz"[:d]]
    heads = [
        "scan",
        "value",
        "mu_over_t",
        "kT_over_t",
        "exchange_over_t",
        "method",
        "v2",
        "v2_error",
        "dos",
        "dos_error",
        "model",
    ]
    for name in COEFFICIENTS:
        heads += [name, f"{name}_error", *(f"{name}_{p}" for p in parts if d > 1)]
    heads += ["p_m_of_spin_current", "p_m_of_spin_current_error"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*heads, "problem"])
    rows = [ScanPoint("state", float("nan"), result.coefficients), *result.points]
    for point in rows:
        for model in MODELS:
            writer.writerow(_row(point, model, len(heads)))
    return text.getvalue()


def _row(point: ScanPoint, model: Any, columns: int) -> list[str]:
    value = "" if np.isnan(point.value) else repr(point.value)
    found = point.coefficients
    if found is None:
        cells = [point.scan, value, *[""] * 8, model]
        return [*cells, *[""] * (columns - len(cells)), point.problem]
    sums = found.sums
    numbers = [found.mu, found.kT, found.lattice.exchange]
    cells = [point.scan, value, *map(repr, map(float, numbers)), sums.method]
    state = (found.v2, _trace(sums.errors["v2"]), sums.dos, sums.dos_error)
    cells += [*(repr(float(x)) for x in state), model]
    for name in COEFFICIENTS:
        cells += [repr(found.value(name, model)), repr(found.error(name, model))]
        if found.lattice.dimension > 1:
            cells += [repr(float(x)) for x in found.tensors[model][name].ravel()]
    cells += [repr(_trace(x)) for x in found.p_m_balance]
    return [*cells, ""]
