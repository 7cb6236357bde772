"""Random layered devices with every mechanism, for tests that compare two ways to solve them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Table = dict[str, Any]


def random_stack(rng: np.random.Generator) -> Table:
    """Return the table of a device of one to four layers on the default mesh.

    Metals and ferromagnets on and under insulators; Rashba and Dresselhaus coupling, moments,
    spin Hall, Hall (up to 10) and Larmor angles (up to 50), anisotropic relaxation, polarisation,
    conductances and spin fluxes at outer faces and contacts between layers, each now and then.
    """
    count = int(rng.integers(1, 5))
    regions: Table = {}
    layers = []
    for k in range(count):
        name = f"{'F' if rng.random() < 0.5 or k == 0 else 'N'}{k}"
        regions[name] = _magnet(rng) if name[0] == "F" else _metal(rng)
        layers.append({"region": name, "thickness": f"{10 ** rng.uniform(-0.5, 1.3)!r} nm"})
    interfaces: Table = {}
    if rng.random() < 0.5:
        regions["FI"] = {"kind": "FI"}
        layers.insert(0, {"region": "FI", "thickness": "3 nm"})
        if rng.random() < 0.7:
            interfaces[f"{layers[1]['region']}|FI"] = _conductance(rng)
    elif rng.random() < 0.3:
        interfaces["bottom"] = _conductance(rng)
    if rng.random() < 0.25:
        flux = 10 ** rng.uniform(27, 29) * rng.standard_normal(3)
        interfaces["top"] = {"spin_flux": [f"{x!r} 1/(m^2*s)" for x in flux.tolist()]}
    names = [x["region"] for x in layers if x["region"] != "FI"]
    for low, high in itertools.pairwise(names):
        if rng.random() < 0.15:
            first, second = (high, low) if high[0] == "N" or low[0] == "F" else (low, high)
            interfaces[f"{first}|{second}"] = {
                "contact_spin_conductance": f"{10 ** rng.uniform(13.5, 15)!r} S/m^2",
                "contact_conductance": f"{10 ** rng.uniform(14, 15.5)!r} S/m^2",
            }
    field = rng.standard_normal(3) * [1.0, 1.0, 0.3] * 1e5
    direction = rng.standard_normal(3)
    return {
        "structure": {"layers": layers},
        "regions": regions,
        "interfaces": interfaces,
        "magnetization": {"direction": (direction / np.linalg.norm(direction)).tolist()},
        "drive": {
            "temperature": "100 K",
            "electric_field": [f"{x!r} V/m" for x in field.tolist()],
            "magnetic_field": [f"{x!r} T" for x in rng.uniform(-1, 1, 3).tolist()],
        },
        "solver": {"polarisation_form": "onsager"},
    }


def _metal(rng: np.random.Generator) -> Table:
    region = _conductor(rng, "HM")
    region["spin_diffusion_length"] = f"{10 ** rng.uniform(-0.2, 1)!r} nm"
    if rng.random() < 0.8:
        region["spin_hall_angle"] = float(rng.uniform(-0.3, 0.3))
    if rng.random() < 0.2:
        region["override"] = {"hall_angles": _vector(rng, 10 ** rng.uniform(-1, 1))}
    if rng.random() < 0.3:
        region["soc"] = _spin_orbit(rng)
    return region


def _magnet(rng: np.random.Generator) -> Table:
    region = _conductor(rng, "F")
    if rng.random() < 0.5:
        region["soc"] = _spin_orbit(rng)
    if rng.random() < 0.5:
        region["polarisation"] = float(rng.uniform(-0.6, 0.6))
    if rng.random() < 0.4:
        region["spin_hall_angle"] = float(rng.uniform(-0.2, 0.2))
    if rng.random() < 0.5:
        region["kondo"] = {
            "spin": 2.5,
            "moment_density": "4e27 1/m^3",
            "curie_temperature": "559 K",
            "exchange_energy": f"{10 ** rng.uniform(0, 1.5)!r} meV",
        }
        return region
    rates = rng.standard_normal((3, 3))
    rates = 10 ** rng.uniform(12, 14.5) * (rates @ rates.T + 0.3 * np.eye(3))
    own: Table = {"relaxation": [[f"{x!r} 1/s" for x in row] for row in rates.tolist()]}
    tau = float(region["scattering_time"].split()[0]) * 1e-15
    angle = 10 ** rng.uniform(-2, np.log10(50))
    omega = np.array(_vector(rng, angle / tau))
    own["omega"] = [f"{x!r} 1/s" for x in omega.tolist()]
    if rng.random() < 0.3:
        own["hall_angles"] = _vector(rng, 10 ** rng.uniform(-1, 1))
    if rng.random() < 0.3:
        gauge = 10 ** rng.uniform(7, 8.8) * rng.standard_normal((3, 3))
        own["gauge"] = [[f"{x!r} 1/m" for x in row] for row in gauge.tolist()]
    region["override"] = own
    return region


def _conductor(rng: np.random.Generator, kind: str) -> Table:
    return {
        "kind": kind,
        "dos": f"{10 ** rng.uniform(46, 47.5)!r} 1/(J*m^3)",
        "diffusion_constant": f"{10 ** rng.uniform(-4, -2.5)!r} m^2/s",
        "mass": "1 m_e",
        "scattering_time": f"{10 ** rng.uniform(0, 1)!r} fs",
    }


def _spin_orbit(rng: np.random.Generator) -> Table:
    return {"rashba": f"{rng.uniform(-3e4, 3e4)!r} m/s", "dresselhaus": f"{rng.uniform(-1e4, 1e4)!r} m/s"}


def _conductance(rng: np.random.Generator) -> Table:
    sizes = (10 ** rng.uniform(12, 15, 3)).tolist()
    return {
        "G_s": f"{-0.1 * sizes[0]!r} S/m^2",
        "G_r": f"{sizes[1]!r} S/m^2",
        "G_i": f"{rng.uniform(-1, 1) * sizes[2]!r} S/m^2",
    }


def _vector(rng: np.random.Generator, size: float) -> list[float]:
    direction = rng.standard_normal(3)
    return [float(x) for x in size * direction / np.linalg.norm(direction)]
