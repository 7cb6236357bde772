"""Meshes, magnets and reference numbers shared by the tests of textures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skfem

from femspin.bands import torque_coefficients
from femspin.bands.critical import critical_energies
from femspin.magnets.magnet import Antiferromagnet, Ferromagnet
from femspin.magnets.space import TextureSpace, mesh_space
from femspin.units import HBAR, MU_B

DATA: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "texture_refs.json").read_text())
CASES: dict[str, Any] = DATA["cases"]
PROBLEMS: dict[str, Any] = DATA["standard_problems"]
GAMMA = 1.76085963e11  # of the reference program [rad/(s T)]


@contextmanager
def band_structures_once() -> Iterator[None]:
    """Work out torque coefficients and van Hove energies of every band structure once."""
    with pytest.MonkeyPatch.context() as patch:
        for function in (torque_coefficients, critical_energies):
            patch.setattr(f"femspin.bands.study.{function.__name__}", cache(function))
        patch.setattr("femspin.bands.plots.critical_energies", cache(critical_energies))
        yield


def g_of(gamma: float) -> float:
    return gamma * HBAR / MU_B


def afm(**changes: Any) -> Antiferromagnet:
    """Return the antiferromagnet of the reference cases."""
    base = {
        "sublattice_saturation": 4.25e5,
        "homogeneous_exchange": 1.7e8,
        "exchange_stiffness": 5e-12,
        "anisotropy": 4.25e4,
        "damping": 5e-3,
        "g_factor": g_of(GAMMA),
    }
    return Antiferromagnet(**(base | changes))


def fm(**changes: Any) -> Ferromagnet:
    """Return the ferromagnet of the reference cases."""
    base = {
        "saturation": 8e5,
        "exchange_stiffness": 1.3e-11,
        "anisotropy": 4e5,
        "damping": 0.02,
        "g_factor": g_of(GAMMA),
    }
    return Ferromagnet(**(base | changes))


def line(width: float, extent: float, cell: float) -> TextureSpace:
    """Return a line along x about 0, extent and cell in units of the wall width [m]."""
    count = round(extent / cell)
    x = (np.arange(count + 1) - count / 2) * cell * width * 1e9
    return mesh_space(skfem.MeshLine(x))


def point() -> TextureSpace:
    """Return the smallest mesh: two equal nodes that move as one macrospin."""
    return mesh_space(skfem.MeshLine(np.array([0.0, 1.0])))


def meshes() -> dict[str, Any]:
    """Return one small mesh of every kind, in nm."""
    x, y, z = np.linspace(0, 6, 5), np.linspace(0, 4, 4), np.linspace(0, 3, 3)
    return {
        "line": skfem.MeshLine(x),
        "tri": skfem.MeshTri.init_tensor(x, y),
        "quad": skfem.MeshQuad.init_tensor(x, y),
        "tet": skfem.MeshTet.init_tensor(x, y, z),
        "hex": skfem.MeshHex.init_tensor(x, y, z),
    }


def richardson(coarse: float, fine: float, order: int = 2) -> tuple[float, float]:
    """Return the limit of a sequence of an order from h and h/2, and the error left of it.

    The next error is of an order higher by two: a sixteenth of the correction between the meshes
    at most, where the meshes resolve the wall.
    """
    return fine + (fine - coarse) / (2**order - 1), abs(fine - coarse) / 16
