"""What type checkers know of the public names, without running anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import femspin

ROOT = Path(__file__).parents[1]
SCRIPT = """
import femspin

case = femspin.Case(
    regions={"Pt": femspin.Region(kind="HM", material="Pt")},
    structure=femspin.Stack(layers=[femspin.Layer(region="Pt", thickness="5 nm")]),
)
"""
TYPES = {
    "femspin.load_case('a.toml')": "Case",
    "femspin.case_from_table({})": "Case",
    "case.with_values({'drive.temperature': '10 K'})": "Case",
    "femspin.simulate(case)": "Solution | TextureResult | ScanResult",
    "femspin.sweep(case)": "ScanResult",
    "femspin.fit('a.toml')": "FitResult",
    "femspin.sensitivities(case)": "Sensitivities",
    "femspin.magnetoresistance(case)": "SmrAmplitudes",
    "femspin.conductances(case)": "dict[str, tuple[ConductanceTable, tuple[ValidityWarning, ...]]]",
    "femspin.build_device(case)": "Device",
    "femspin.solve(femspin.build_device(case))": "Solution",
    "femspin.materials.find_material('Pt')": "Material",
    "femspin.CaseError('a', 'b')": "CaseError",
}


def short(name: str) -> str:
    return re.sub(r"\b(?:[a-z_]+\.|builtins\.)+(?=[A-Za-z])", "", name)


def script(folder: Path) -> Path:
    file = folder / "asks.py"
    file.write_text(SCRIPT + "".join(f"reveal_type({expression})\n" for expression in TYPES))
    return file


@pytest.mark.slow
def test_mypy_knows_the_type_of_every_public_name(tmp_path):
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        "--config-file",
        "",
        str(script(tmp_path)),
    ]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False).stdout
    found = [short(x) for x in re.findall(r'Revealed type is "(.*)"', said)]
    assert found == list(TYPES.values()), said


@pytest.mark.slow
@pytest.mark.skipif(find_spec("basedpyright") is None, reason="needs basedpyright")
def test_pyright_knows_the_type_of_every_public_name(tmp_path):
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--outputjson",
        "--pythonpath",
        sys.executable,
        str(script(tmp_path)),
    ]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False).stdout
    told = json.loads(said)["generalDiagnostics"]
    found = [re.search(r'is "(.*)"$', d["message"])[1] for d in told if "Type of" in d["message"]]
    assert [short(x) for x in found] == list(TYPES.values()), said
    assert not [d for d in told if d["severity"] == "error"]


def test_there_are_at_most_twenty_public_names():
    assert len([name for name in femspin.__all__ if not name.startswith("__")]) <= 20
