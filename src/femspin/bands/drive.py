"""Torque coefficients of a current in an antiferromagnet from its band structure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..case.input_files import UnreadableError, read_regular
from ..case.texture_drives import CurrentDrive
from ..errors import CaseError
from ..units import Array
from .case import load_band_case
from .study import study
from .torques import drift_velocity as band_velocity
from .torques import exchange_time

__all__ = ["BandTorque", "band_torque"]


_KEY = "texture.current.band_structure"
_LARGEST_FILE = 1_000_000_000
_TAU_S = "spin_relaxation_time_s"


@dataclass(frozen=True)
class BandTorque:
    """Coefficients of one model of a band structure.

    Args:
        p_n: Drift coefficient of n, tensor (gradient, current), shape (d, d).
        p_m: Of m.
        p_st: Of the staggered torque of a changing current.
        tau_sd: hbar/2J [s].
        spin_relaxation_time: tau_s [s], None if unknown.
    """

    p_n: Array
    p_m: Array
    p_st: Array
    tau_sd: float
    spin_relaxation_time: float | None

    def velocities(self, density: Array, s: float) -> tuple[Array, Array, Array]:
        """Return u_n, u_m and u_st [m/s], shape (3,), of a current density [A/m^2].

        Args:
            density: Conventional, shape (3,).
            s: Angular-momentum density [J s/m^3].

        Raises:
            CaseError: If the current flows in a direction that the lattice lacks.
        """
        d = len(self.p_n)
        if np.any(density[d:]):
            raise CaseError(
                "texture.current.density",
                f"the band structure has {d} dimensions; the current must flow within {'xyz'[:d]}",
            )
        found = []
        for p in (self.p_n, self.p_m, self.p_st):
            u = np.zeros(3)
            u[:d] = band_velocity(p, density[:d], s)
            found.append(u)
        return found[0], found[1], found[2]


def band_torque(drive: CurrentDrive, folder: Path | None) -> BandTorque:
    """Return the coefficients that a current names, computed or read.

    A `.toml` is a case of ``femspin afm-torques`` and is worked out without its scans; a `.json`
    is the `coefficients.json` of its result, beside which `result.json` gives the exchange time;
    the spin relaxation time is in it.

    Args:
        drive: A current with `band_structure`.
        folder: Where relative paths start.

    Raises:
        CaseError: If the file cannot be read or nothing conducts.
    """
    assert drive.band_structure is not None
    path = Path(drive.band_structure)
    path = path if path.is_absolute() or folder is None else folder / path
    if path.suffix == ".json":
        return _read(path, drive)
    try:
        case = load_band_case(path).model_copy(update={"scan": None, "torque": None})
        found = study(case).coefficients
    except CaseError as error:
        raise CaseError(_KEY, str(error)) from None
    table = found.tensors[drive.model]
    tau_sd = exchange_time(case.exchange.total)
    relaxation = drive.spin_relaxation_time or case.spin_relaxation_time
    return BandTorque(table["p_n"], table["p_m"], table["p_st"], drive.tau_sd or tau_sd, relaxation)


def _read(path: Path, drive: CurrentDrive) -> BandTorque:
    table = _json(path)
    try:
        state = table["state"][drive.model]
        p_n, p_m, p_st = (np.array(state[n]["tensor"], float) for n in ("p_n", "p_m", "p_st"))
    except (KeyError, TypeError, ValueError):
        raise CaseError(
            _KEY, f"{path} is not a coefficients.json of femspin afm-torques with this model"
        ) from None
    tau_sd = drive.tau_sd
    if tau_sd is None:
        beside = path.with_name("result.json")
        found = _json(beside).get("tau_sd_s") if beside.is_file() else None
        if not isinstance(found, float):
            raise CaseError("texture.current.tau_sd", f"is needed: no result.json with it beside {path}")
        tau_sd = found
    return BandTorque(p_n, p_m, p_st, tau_sd, _relaxation(table, path, drive))


def _relaxation(table: dict[str, Any], path: Path, drive: CurrentDrive) -> float | None:
    """Return tau_s [s] of the case or else of the band structure; None if that has none.

    Raises:
        CaseError: If neither says it and beta is not given: beta = 0 would be a guess.
    """
    if drive.spin_relaxation_time is not None or drive.beta is not None:
        return drive.spin_relaxation_time
    if _TAU_S not in table:
        raise CaseError(
            "texture.current.spin_relaxation_time",
            f"is needed, or beta: {path} comes from an older version that did not write it",
        )
    found = table[_TAU_S]
    if found is not None and not (isinstance(found, int | float) and found > 0):
        raise CaseError(_KEY, f"{path}: {_TAU_S} must be a positive number, got {found!r}")
    return None if found is None else float(found)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(path, _LARGEST_FILE).decode())
    except FileNotFoundError:
        raise CaseError(_KEY, f"{str(path)!r} cannot be read: no such file") from None
    except UnreadableError as error:
        raise CaseError(_KEY, f"{str(path)!r} {error}") from None
    except (ValueError, RecursionError):
        raise CaseError(_KEY, f"{str(path)!r} is not JSON text") from None
    if not isinstance(found, dict):
        raise CaseError(_KEY, f"{path} is not a coefficients.json")
    return found
