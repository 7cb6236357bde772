"""Reference cases as case tables: the numbers of an independent program, see data/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data"
CASES: dict[str, dict[str, Any]] = {
    c["id"]: c for c in json.loads((DATA / "transport_cases.json").read_text())["cases"]
}
PAPER = {"polarisation_form": "paper"}  # of the reference program
STEADY = [key for key, case in CASES.items() if "z" in case["outputs"]]


def vector(values: Any, unit: str) -> list[str]:
    return [f"{float(v)!r} {unit}" for v in values]


def tensor(values: Any, unit: str) -> list[list[str]]:
    return [vector(row, unit) for row in values]


def region_table(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the case region of a reference layer, by raw coefficients."""
    return {
        "kind": "F",  # the reference needs no spin diffusion length in its metals
        "dos": f"{layer['nu']!r} 1/(J*m**3)",
        "diffusion_constant": f"{layer['D']!r} m**2/s",
        "theta_mode": layer["mode"],
        "override": {
            "electric_field": vector(layer["E"], "V/m"),
            "gauge": tensor(layer["a"], "1/m"),
            "omega": vector(layer["omega"], "1/s"),
            "relaxation": tensor(layer["rate"], "1/s"),
            "hall_angles": [float(t) for t in layer["th0"]],
            "larmor_angles": [float(t) for t in layer["thL"]],
            "spin_hall_angles": [[float(t) for t in row] for row in layer["thS"]],
            "polarisation": [float(p) for p in layer["P"]],
        },
    }


def face_table(face: dict[str, Any]) -> dict[str, Any] | None:
    if face["type"] == "mu":
        return {"spin_potential": vector(face["value"], "J")}
    if face["type"] == "robin":
        table: dict[str, Any] = {"conductance": tensor(face["G"], "S/m**2")}
        if "JE" in face:
            table["drift_flux"] = vector(face["JE"], "1/(m**2*s)")
        return table
    assert face["type"] == "insulating"
    return None


def case_table(case: dict[str, Any], **structure: Any) -> dict[str, Any]:
    """Return the case table of a steady reference stack."""
    inputs = case["inputs"]
    layers = [{"region": x["name"], "thickness": f"{x['L']!r} m"} for x in inputs["layers"]]
    regions = {x["name"]: region_table(x) for x in inputs["layers"]}
    for name in regions:
        regions[name]["kind"] = "HM" if name == "HM" else "F"
    faces = {side: face_table(inputs[side]) for side in ("bottom", "top")}
    return {
        "structure": {"layers": layers, **structure},
        "regions": regions,
        "interfaces": {side: table for side, table in faces.items() if table is not None},
        "solver": dict(PAPER),
    }


def largest_part(decomposition: dict[str, Any]) -> float:
    return max(float(np.abs(decomposition[k]).max()) for k in ("M", "L", "S", "A", "E", "sum"))
