"""Driving the macrospin of an FI region by the transport solution, re-solved as m moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..case.schema import Case, Dynamics
from ..errors import CaseError
from ..fields.kondo import rotation
from ..units import LENGTH
from .llg import Macrospin, Trajectory, integrate, relax

__all__ = ["QuasiStaticTorque", "macrospin", "magnet_name", "run_dynamics"]

Array = NDArray[np.float64]

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
    """The interface torque as a function of m, re-solving transport when m has moved.

    Between solutions the torque turns rigidly with m, so that it stays transverse.

    Args:
        spin: The magnet.
        flux: R J^M of a direction [1/(m^2 s)]; one transport solution per call.
        tolerance: Angle m may turn before transport is solved again [rad].
    """

    spin: Macrospin
    flux: Callable[[Array], Array]
    tolerance: float = 0.0
    solutions: int = 0
    _m: Array | None = None
    _flux: Array | None = None

    def __call__(self, m: Array) -> Array:
        """Return the torque on m [1/s], shape (3,)."""
        if self._m is None or self._flux is None or np.linalg.norm(m - self._m) > self.tolerance:
            self._m, self._flux = m.copy(), self.flux(m)
            self.solutions += 1
            return self.spin.interface_torque(m, self._flux)
        turn = np.cross(self._m, m)
        sine = float(np.linalg.norm(turn))
        angle = np.arctan2(sine, float(self._m @ m))
        moved = rotation(turn * (angle / sine)) @ self._flux if sine > 0 else self._flux
        return self.spin.interface_torque(m, moved)


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
        return relax(spin, torque, start, options.relax_torque)
    interval = options.output_interval or options.duration / _DEFAULT_OUTPUTS
    count = max(1, round(options.duration / interval))
    times = np.linspace(0.0, options.duration, count + 1)
    return integrate(spin, torque, start, times, options.tolerance, progress)
