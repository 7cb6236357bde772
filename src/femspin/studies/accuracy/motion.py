"""Errors of the motion of a macrospin: by mesh and elements, by steps, by torques held for a while.

Running a motion again on a better mesh would cost more than the run.  The torques along its path
tell how they depend on the direction; a polynomial of them moves a magnet in no time.  Moved by it
with and without the error of the torque, which some directions along the path tell, and with the
run's own steps and with finer ones, the magnet ends where these errors take it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ...case.schema import Dynamics
from ...device.model import Device, Transport
from ...device.motion import QuasiStaticTorque, macrospin, magnet_name, run_dynamics
from ...device.neighbours import magnet_thickness
from ...device.observables.fluxes import driving_flux
from ...device.observables.mesh import discretised_numbers
from ...device.steady import solve_transport
from ...magnets.macrospin import Macrospin, Trajectory
from ...units import HBAR, LENGTH, Array
from .error_bars import ErrorBars, enriched, without_accidents

__all__ = ["motion_error_bars"]

Flux = Callable[[Array], Array]

# Directions along the path at which the torque is compared with that of the next order.
_COMPARED = 8
# Orders of the polynomials of the torque and of its error.
_TORQUE, _ERROR = 3, 1
# Singular values of a fit below this share do not count: a path is a line on a sphere.
_INDEPENDENT = 1e-4
# Tolerance of the finer steps over that of the run; error over what changes, and the reserve.
_FINER, _SPARED = 0.01, 1.5


def motion_error_bars(
    device: Device, transport: Transport, trajectory: Trajectory, bars: ErrorBars
) -> ErrorBars:
    """Return error bars with those of the motion added.

    Args:
        device: The problem, with [dynamics].
        transport: Its solution at the end.
        trajectory: The motion.
        bars: Errors of the solution at this end.

    Raises:
        SolverError: If a solve of another order, or a motion, fails.
    """
    options, magnet = device.case.dynamics, magnet_name(device.case)
    assert options is not None
    spin = macrospin(device.case, magnet_thickness(device, magnet) / LENGTH)
    per_flux = spin.gamma * HBAR / (2 * spin.saturation * spin.thickness)
    flux = _polynomial(trajectory.m, trajectory.torque / per_flux, _TORQUE)
    chosen = np.unique(np.linspace(0, len(trajectory.m) - 1, _COMPARED).round().astype(int))
    missing = _missing_flux(device, magnet, trajectory.m[chosen])
    lacking = _polynomial(trajectory.m[chosen], missing, _ERROR)
    shifts = _shifts(options, spin, trajectory.m[0], flux, lacking)
    end = trajectory.m[-1]
    moved = end + _SPARED * sum(shifts, np.zeros(3))
    moved /= np.linalg.norm(moved)
    error = without_accidents(_SPARED * np.abs(shifts).sum(axis=0))
    turned = solve_transport(device, moved, rough=True)
    other = discretised_numbers(device, turned)
    table = _added(bars.table, bars.values, other)
    torque = per_flux * (driving_flux(device, turned, magnet) - driving_flux(device, transport, magnet))
    table["dynamics"] = {
        "final": error,
        "final_torque": without_accidents(np.abs(torque) + _SPARED * per_flux * np.abs(missing[-1])),
        "final_energy": float(np.abs(_slope(spin, end)) @ error),
    }
    return replace(bars, table=table)


def _missing_flux(device: Device, magnet: str, directions: Array) -> Array:
    """Return what elements of the next order add to R J^M [1/(m^2 s)], shape (n, 3)."""
    finer, found = enriched(device), []
    for m in directions:
        values = [driving_flux(d, solve_transport(d, m, rough=True), magnet) for d in (finer, device)]
        found.append(values[0] - values[1])
    return np.array(found)


def _shifts(options: Dynamics, spin: Macrospin, start: Array, flux: Flux, lacking: Flux) -> Array:
    """Return where the error of the torque and the steps of the run take m, shape (2, 3)."""
    tight = {key: _FINER * getattr(options, key) for key in ("tolerance", "relax_torque")}
    finer = options.model_copy(update={**tight, "output_interval": options.duration})
    own = options.model_copy(update={"output_interval": options.duration})

    def ends(how: Dynamics, torque: Flux, tolerance: float = 0.0) -> Array:
        path = run_dynamics(how, spin, QuasiStaticTorque(spin, torque, tolerance), start)
        return np.asarray(path.m[-1])

    exact = ends(finer, flux)
    better = ends(finer, lambda m: flux(m) + lacking(m))
    return np.array([better - exact, ends(own, flux, options.transport_tolerance) - exact])


def _polynomial(m: Array, values: Array, order: int) -> Flux:
    """Return the polynomial in the components of m through values along a path, shape (3,)."""
    powers = [k for n in range(order + 1) for k in combinations_with_replacement(range(3), n)]

    def terms(x: Array) -> Array:
        return np.stack([np.prod(x[..., list(k)], axis=-1) for k in powers], axis=-1)

    weights = np.linalg.lstsq(terms(m), values, rcond=_INDEPENDENT)[0]
    return lambda x: np.asarray(terms(x) @ weights)


def _slope(spin: Macrospin, m: Array) -> Array:
    """Return the derivative of the energy density by m [J/m^3], shape (3,)."""
    return np.asarray(-spin.saturation * spin.effective_field(m))


def _added(errors: Any, values: Any, other: Any) -> Any:
    """Return nested errors with the changes from values to others added."""
    if isinstance(errors, Mapping):
        return {k: _added(v, values[k], other.get(k)) for k, v in errors.items()}
    if errors is None or other is None:
        return errors
    total = np.asarray(errors) + without_accidents(np.abs(np.asarray(other) - np.asarray(values)))
    return total if total.shape else float(total)
