"""Driving the macrospin of an FI region by the transport solution, re-solved as m moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..case.schema import Case, Dynamics
from ..errors import CaseError
from ..magnets.macrospin import Macrospin, Trajectory, integrate, relax
from ..magnets.vectors import cross
from ..units import LENGTH, Array

__all__ = ["QuasiStaticTorque", "macrospin", "magnet_name", "run_dynamics"]


_DEFAULT_OUTPUTS = 400


def magnet_name(case: Case) -> str:
    """Return the FI region that moves."""
    assert case.dynamics is not None
    if case.dynamics.region is not None:
        return case.dynamics.region
    return next(name for name, region in case.regions.items() if region.kind == "FI")


def macrospin(case: Case, layer_thickness: float | None) -> Macrospin:
    """Return the magnet of a completed case.

    Args:
        case: Completed case with [dynamics].
        layer_thickness: Thickness of the region in the structure [nm], if it has one.

    Raises:
        CaseError: If the magnet lacks a parameter.
    """
    name = magnet_name(case)
    path = f"regions.{name}.magnet"
    magnet = case.regions[name].magnet
    if magnet is None:
        raise CaseError(path, "the region that moves needs a [magnet] table or a material")
    for key in ("saturation_magnetization", "damping"):
        if getattr(magnet, key) is None:
            raise CaseError(f"{path}.{key}", "the region that moves needs it")
    thickness = magnet.thickness
    if thickness is None:
        if layer_thickness is None:
            raise CaseError(f"{path}.thickness", "the region that moves needs it")
        thickness = layer_thickness * LENGTH
    factors = {"none": [0.0, 0.0, 0.0], "thin_film": [0.0, 0.0, 1.0]}
    n = magnet.demagnetization
    axis = np.array(magnet.axis)
    assert magnet.saturation_magnetization is not None
    assert magnet.damping is not None
    return Macrospin(
        saturation=magnet.saturation_magnetization,
        damping=magnet.damping,
        thickness=thickness,
        field=np.array(case.drive.magnetic_field or [0.0, 0.0, 0.0]),
        anisotropy=magnet.anisotropy or 0.0,
        axis=axis / np.linalg.norm(axis),
        demagnetization=np.array(n if isinstance(n, list) else factors[n]),
        g_factor=magnet.g_factor,
    )


@dataclass
class QuasiStaticTorque:
    """The interface torque as a function of m, with transport following quasi-statically.

    With a tolerance, transport is solved at the start of a step only and the flux turns rigidly
    with m within it: the torque stays transverse and smooth, and steps stay below the tolerance.

    Args:
        spin: The magnet.
        flux: R J^M of a direction [1/(m^2 s)]; one transport solution per call.
        tolerance: Angle m may turn before transport is solved again [rad]; 0 solves always.
    """

    spin: Macrospin
    flux: Callable[[Array], Array]
    tolerance: float = 0.0
    solutions: int = 0
    _m: Array | None = None
    _flux: Array | None = None

    def __call__(self, m: Array) -> Array:
        """Return the torque on m [1/s], shape (3,)."""
        if self.tolerance == 0.0 or self._m is None or self._flux is None:
            self._solve(m)
        assert self._m is not None
        assert self._flux is not None
        return self.spin.interface_torque(m, _turned(self._flux, self._m, m))

    def renew(self, m: Array, speed: float) -> float:
        """Solve transport for m if it has turned; return the longest step at `speed` [1/s]."""
        if self.tolerance == 0.0:
            return np.inf
        if self._m is None or np.linalg.norm(m - self._m) > 0.5 * self.tolerance:
            self._solve(m)
        return self.tolerance / speed if speed > 0 else np.inf

    def _solve(self, m: Array) -> None:
        self._m, self._flux = m.copy(), self.flux(m)
        self.solutions += 1


def _turned(v: Array, old: Array, new: Array) -> Array:
    """Return v after the smallest turn that brings one unit vector to another, not opposite."""
    axis = cross(old, new)
    return v + cross(axis, v) + cross(axis, cross(axis, v)) / (1 + float(old @ new))


def run_dynamics(
    options: Dynamics,
    spin: Macrospin,
    torque: QuasiStaticTorque,
    start: Array,
    progress: Callable[[float], None] | None = None,
) -> Trajectory:
    """Return the trajectory of a [dynamics] table.

    Raises:
        SolverError: If the integration or the relaxation fails.
    """
    if options.mode == "relax":
        exact = replace(torque, tolerance=0.0)
        path = relax(spin, exact, start, options.relax_torque)
        torque.solutions = exact.solutions
        return path
    interval = options.output_interval or options.duration / _DEFAULT_OUTPUTS
    count = max(1, round(options.duration / interval))
    times = np.linspace(0.0, options.duration, count + 1)
    return integrate(spin, torque, start, times, options.tolerance, progress, torque.renew)
