"""Case files: what is wrong is said in one line that names place, value and what is allowed."""

from __future__ import annotations

import copy
import datetime
import json
import re
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from femspin.case import Case, case_from_table, dump_case, load_case, quantity, to_toml
from femspin.case.load import set_key
from femspin.case.scan import number_and_unit
from femspin.case.template import template
from femspin.cli.main import main
from femspin.errors import CaseError
from femspin.materials.parameters import complete_case
from femspin.studies.sweep import scan_points

CASES = Path(__file__).parents[1] / "cases"

BASE = """
[structure]
layers = [
    { region = "YIG", thickness = "4 nm" },
    { region = "F", thickness = "1 nm", cells = 4 },
    { region = "Pt", thickness = "5 nm", cells = 8 },
]
[regions.YIG]
kind = "FI"
[regions.F]
kind = "F"
dos = "5e46 1/(J*m^3)"
diffusion_constant = "2e-4 m^2/s"
mass = "1 m_e"
scattering_time = "1 fs"
[regions.Pt]
kind = "HM"
conductivity = "5e6 S/m"
diffusion_constant = "4e-4 m^2/s"
spin_diffusion_length = "1.5 nm"
spin_hall_angle = 0.1
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
[output]
fields = false
plots = false
"""


def merged(table: dict, change: dict) -> dict:
    """Return tables with those of `change` laid over them; a value of "-" removes the key."""
    table = copy.deepcopy(table)
    for key, value in change.items():
        if value == "-":
            table.pop(key)
        elif isinstance(value, dict) and isinstance(table.get(key), dict):
            table[key] = merged(table[key], value)
        else:
            table[key] = value
    return table


def changed(change: str) -> dict:
    return merged(tomllib.loads(BASE), tomllib.loads(change))


NO_FIELD = 'drive.electric_field = "-"\n'
PLANE = 'structure.dimension = 2\nstructure.width = "10 nm"\n'

# What is changed, where the message must point, and what it must say.
BROKEN = {
    "unknown section": ("solvr = {}", "solvr", "unknown key; did you mean 'solver'? allowed: title"),
    "unknown key in [structure]": ("structure.layer = []", "structure.layer", "did you mean 'layers'"),
    "unknown key in a layer": (
        'structure.layers = [{ region = "Pt", thicknes = "5 nm" }]',
        "structure.layers.0.thicknes",
        "did you mean 'thickness'? allowed: region, thickness, cells (got \"5 nm\")",
    ),
    "unknown key in a region": (
        "regions.Pt.spin_hal_angle = 0.1",
        "regions.Pt.spin_hal_angle",
        "did you mean 'spin_hall_angle'",
    ),
    "unknown key in soc": (
        'regions.F.soc.rashbar = "1 m/s"',
        "regions.F.soc.rashbar",
        "did you mean 'rashba'",
    ),
    "unknown key in kondo": ("regions.F.kondo.spn = 1", "regions.F.kondo.spn", "did you mean 'spin'"),
    "unknown key in override": (
        "regions.F.override.gage = 1",
        "regions.F.override.gage",
        "did you mean 'gauge'",
    ),
    "unknown key in magnet": ("regions.YIG.magnet.alpha = 1", "regions.YIG.magnet.alpha", "unknown key"),
    "unknown key in an interface": (
        'interfaces."F|YIG".Gr = "1 S/m^2"',
        "interfaces.F|YIG.Gr",
        "did you mean 'G_r'",
    ),
    "unknown key in [drive]": ("drive.voltage = 1", "drive.voltage", "unknown key"),
    "unknown key in an electrode": (
        'drive.electrodes.left.volt = "1 V"',
        "drive.electrodes.left.volt",
        "did you mean 'voltage'",
    ),
    "unknown key in [dynamics]": ("dynamics.frame = 2", "dynamics.frame", "did you mean 'frames'"),
    "unknown key in [solver]": ("solver.tol = 1", "solver.tol", "did you mean"),
    "unknown key in [output]": ("output.plot = true", "output.plot", "did you mean 'plots'"),
    "key with a dot": ('regions.Pt."a.b" = 1', 'regions.Pt."a.b"', "unknown key"),
    "key with a line break": ('"a\\nb" = 1', '"a\\nb"', "unknown key"),
    "wrong unit": (
        'regions.Pt.conductivity = "5e6 nm"',
        "regions.Pt.conductivity",
        'has a unit of another quantity; use S/m or a multiple, like "7e6 S/m" (got "5e6 nm")',
    ),
    "unknown unit": ('regions.Pt.conductivity = "5e6 Sm"', "regions.Pt.conductivity", "unknown unit 'Sm'"),
    "bare number": (
        "regions.Pt.conductivity = 5e6",
        "regions.Pt.conductivity",
        'must be text with a number and a unit of S/m, like "7e6 S/m" (got 5000000.0)',
    ),
    "missing unit": (
        'regions.Pt.conductivity = "5e6"',
        "regions.Pt.conductivity",
        'lacks its unit: S/m or a multiple, like "7e6 S/m" (got "5e6")',
    ),
    "decimal comma": (
        'regions.Pt.spin_diffusion_length = "1,5 nm"',
        "regions.Pt.spin_diffusion_length",
        "decimals begin with a point",
    ),
    "no number": ('drive.temperature = "cold"', "drive.temperature", "must be a number followed by a unit"),
    "negative length": (
        'regions.Pt.spin_diffusion_length = "-1 nm"',
        "regions.Pt.spin_diffusion_length",
        'must be > 0 (got "-1 nm")',
    ),
    "zero thickness": (
        'structure.layers = [{ region = "Pt", thickness = "0 nm" }]',
        "structure.layers.0.thickness",
        'must be > 0 (got "0 nm")',
    ),
    "underflow": ('drive.temperature = "1e-400 K"', "drive.temperature", "must be > 0"),
    "quantity is not a number": ('drive.temperature = "nan K"', "drive.temperature", "must be finite"),
    "quantity is infinite": ('drive.temperature = "inf K"', "drive.temperature", "must be finite"),
    "quantity overflows": ('drive.temperature = "1e999 K"', "drive.temperature", "must be finite"),
    "number is nan": (
        "regions.Pt.spin_hall_angle = nan",
        "regions.Pt.spin_hall_angle",
        "must be a finite number (got nan)",
    ),
    "number is inf": (
        "magnetization.direction = [0, 0, inf]",
        "magnetization.direction.2",
        "must be a finite number (got inf)",
    ),
    "number too large": (
        f"regions.Pt.spin_hall_angle = 1{'0' * 400}",
        "regions.Pt.spin_hall_angle",
        "64 bits",
    ),
    "number in quotes": (
        'regions.Pt.spin_hall_angle = "0.1"',
        "regions.Pt.spin_hall_angle",
        'must be a number without unit or quotes (got "0.1")',
    ),
    "boolean for a number": (
        "regions.Pt.spin_hall_angle = true",
        "regions.Pt.spin_hall_angle",
        "must be a number (got true)",
    ),
    "boolean for a whole number": (
        "solver.max_iterations = true",
        "solver.max_iterations",
        "must be a whole number (got true)",
    ),
    "boolean for a choice": ("solver.order = true", "solver.order", "must be a whole number (got true)"),
    "fraction for a whole number": (
        "solver.max_iterations = 1.5",
        "solver.max_iterations",
        "must be a whole number (got 1.5)",
    ),
    "number for a boolean": ("output.plots = 1", "output.plots", "must be true or false (got 1)"),
    "number for text": ("title = 1", "title", "must be text (got 1)"),
    "table for a quantity": ("regions.Pt.mass = { value = 1 }", "regions.Pt.mass", "(got a table)"),
    "number for a table": ("solver = 1", "solver", "must be a table (got 1)"),
    "list of tables for a table": ("drive = [{}]", "drive", "must be a table"),
    "table for a list": ("structure.layers = {}", "structure.layers", "must be a list (got a table)"),
    "date": ("title = 2020-01-01", "title", "no key takes a date or a time (got 2020-01-01)"),
    "deep nesting": (f"expected.x = {'[' * 30}{']' * 30}", "expected.x.0", "nested more than 20 levels"),
    "no regions": ('regions = "-"', "regions", "is missing"),
    "number for regions": ("regions = 0\n", "regions", "must be a table (got 0)"),
    "no kind": ('regions.Pt.kind = "-"', "regions.Pt.kind", "is missing"),
    "unknown kind": (
        'regions.Pt.kind = "NM"',
        "regions.Pt.kind",
        "must be 'HM', 'F', 'FI' or 'I'; did you mean 'HM'? (got \"NM\")",
    ),
    "no thickness": ('structure.layers = [{ region = "Pt" }]', "structure.layers.0.thickness", "is missing"),
    "no layers": ("structure.layers = []", "structure.layers", "must not be empty (got [])"),
    "layer of an unknown region": (
        'structure.layers = [{ region = "Ptt", thickness = "1 nm" }]',
        "structure.layers.0.region",
        "no region 'Ptt'; did you mean 'Pt'? [regions] has YIG, F, Pt",
    ),
    "region without a layer": (
        'regions.Ta = { kind = "FI" }',
        "regions.Ta",
        "no layer of [structure] uses this region",
    ),
    "name with a slash": ('regions."a/b" = { kind = "FI" }', "regions", "(got 'a/b')"),
    "name with a line break": ('regions."a\\nb" = { kind = "FI" }', "regions", "(got 'a\\nb')"),
    "dimension 4": ("structure.dimension = 4", "structure.dimension", "must be 1, 2 or 3 (got 4)"),
    "dimension as text": ('structure.dimension = "2"', "structure.dimension", 'must be 1, 2 or 3 (got "2")'),
    "no width": ("structure.dimension = 2", "structure.width", "needed for dimension 2"),
    "width in 1D": (
        'structure.width = "1 nm"',
        "structure.width",
        'only for dimension 2 and 3; this stack has dimension 1 (got "1 nm")',
    ),
    "depth in 2D": (PLANE + 'structure.depth = "1 nm"', "structure.depth", "only for dimension 3"),
    "hexahedra in 2D": (
        PLANE + 'structure.cell = "hex"',
        "structure.cell",
        'dimension 2 has cells quad or tri (got "hex")',
    ),
    "no cells": ("structure.cells_x = 0", "structure.cells_x", "must be >= 1 (got 0)"),
    "structure and mesh": ('mesh.file = "a.msh"', "structure", "a case has either [structure] or [mesh]"),
    "neither structure nor mesh": ('structure = "-"', "structure", "a case has either [structure] or [mesh]"),
    "mesh file that is not there": (
        'structure = "-"\nmesh.file = "no.msh"',
        "mesh.file",
        "no such mesh file (got '",
    ),
    "mesh file without a name": (
        'structure = "-"\nmesh.file = ""',
        "mesh.file",
        'must be the name of a file or folder (got "")',
    ),
    "mesh unit": (
        'structure = "-"\nmesh = { file = "a.msh", length_unit = "mm" }',
        "mesh.length_unit",
        "must be 'nm', 'um', 'angstrom' or 'm'",
    ),
    "sigma, dos and D disagree": ('regions.F.conductivity = "1e6 S/m"', "regions.F.conductivity", "disagree"),
    "one of sigma, dos and D": (
        'regions.F.dos = "-"',
        "regions.F",
        "two of conductivity, dos, diffusion_constant are needed (got diffusion_constant)",
    ),
    "no relaxation in an HM": (
        'regions.Pt.spin_diffusion_length = "-"',
        "regions.Pt.spin_diffusion_length",
        "an HM needs",
    ),
    "two relaxations": (
        'regions.Pt.spin_relaxation_time = "1 ps"',
        "regions.Pt.spin_relaxation_time",
        "give either",
    ),
    "unknown material": (
        'regions.Pt.material = "Ptt"',
        "regions.Pt.material",
        "unknown material 'Ptt'; did you mean 'Pt'",
    ),
    "material as a number": (
        "regions.Pt.material = 1",
        "regions.Pt.material",
        "must be text or a list (got 1)",
    ),
    "material list with a number": (
        'regions.Pt.material = ["Pt", 1]',
        "regions.Pt.material.1",
        "must be text (got 1)",
    ),
    "unknown key in an own material": (
        "materials.mine.lambda = 1",
        "materials.mine.lambda",
        "unknown key 'lambda'",
    ),
    "own material with a bad unit": (
        'materials.mine.conductivity = "1 nm"',
        "materials.mine.conductivity",
        'another quantity; use S/m or a multiple, like "7e6 S/m" (got "1 nm")',
    ),
    "own material out of range": (
        "materials.mine.spin = 1.2",
        "materials.mine.spin",
        "must be a multiple of 1/2 (got 1.2)",
    ),
    "own material without a source": (
        'materials.mine.mass = { value = "1 m_e" }',
        "materials.mine.mass",
        "source is missing",
    ),
    "own material as a list": ("materials.mine = []", "materials.mine", "must be a table (got [])"),
    "interface of regions that do not touch": (
        'interfaces."Pt|YIG".G_r = "1e14 S/m^2"',
        "interfaces.Pt|YIG",
        "no interface 'Pt|YIG'",
    ),
    "interface of an unknown region": (
        'interfaces."Pt|Fe".G_r = "1e14 S/m^2"',
        "interfaces.Pt|Fe",
        "did you mean 'Pt|F'",
    ),
    "condition between conductors": (
        'interfaces."Pt|F".G_r = "1e14 S/m^2"',
        "interfaces.Pt|F",
        "Pt|F joins two conductors, and a conductance is only possible towards an FI region; leave it out"
        " for continuous potentials, or give contact_conductance (of charge) and contact_spin_conductance",
    ),
    "interface twice": (
        'interfaces."F|YIG".G_r = "1 S/m^2"\ninterfaces."YIG|F".G_s = "1 S/m^2"',
        "interfaces",
        "F|YIG and YIG|F are the same interface",
    ),
    "two conditions on an interface": (
        'interfaces."F|YIG" = { G_r = "1 S/m^2", spin_potential = ["0 eV", "0 eV", "0 eV"] }',
        "interfaces.F|YIG.spin_potential",
        "one condition; conductance is given too",
    ),
    "type without its key": (
        'interfaces."F|YIG".type = "conductance"',
        "interfaces.F|YIG.type",
        "type conductance needs the key conductance",
    ),
    "unknown face": (
        'interfaces.topp.spin_potential = ["0 eV", "0 eV", "0 eV"]',
        "interfaces.topp",
        "did you mean 'top'",
    ),
    "periodic face": (
        PLANE + 'interfaces.left.spin_potential = ["0 eV", "0 eV", "0 eV"]',
        "interfaces.left",
        "this side is periodic",
    ),
    "unknown electrode": (
        NO_FIELD + 'drive.electrodes.tip.voltage = "1 V"',
        "drive.electrodes.tip",
        "no face or interface 'tip'",
    ),
    "electrodes and a field": (
        'drive.electrodes.top.voltage = "1 V"',
        "drive.electric_field",
        "give either a prescribed electric field or electrodes",
    ),
    "no voltage reference": (
        NO_FIELD + "drive.electrodes.top.floating = true",
        "drive.electrodes",
        "one electrode needs a voltage as the reference",
    ),
    "electrode with two conditions": (
        NO_FIELD + 'drive.electrodes.top = { voltage = "1 V", current = "1 A" }',
        "drive.electrodes.top.current",
        'one of voltage, current, floating = true (got "1 A")',
    ),
    "electrode without a condition": (
        NO_FIELD + "drive.electrodes.top = {}",
        "drive.electrodes.top.voltage",
        "one of voltage, current, floating = true",
    ),
    "current in 1D": (
        NO_FIELD + 'drive.electrodes.top.current = "1 A"\ndrive.electrodes.bottom.voltage = "1 V"',
        "drive.electrodes.top.current",
        "needs a 3D mesh",
    ),
    "sink with a second condition": (
        NO_FIELD
        + 'drive.electrodes.top = { voltage = "1 V", spin = "sink" }\n'
        + 'interfaces.top.spin_potential = ["0 eV", "0 eV", "0 eV"]',
        "interfaces",
        "top is also an electrode",
    ),
    "insulator with transport": (
        'regions.YIG.conductivity = "1 S/m"',
        "regions.YIG.conductivity",
        'an FI region carries no transport; allowed: material, magnet (got "1 S/m")',
    ),
    "metal with a magnet": (
        "regions.Pt.magnet.damping = 0.1",
        "regions.Pt.magnet",
        "only an FI region carries a magnet; this one is HM",
    ),
    "nothing conducts": (
        'structure.layers = [{ region = "YIG", thickness = "4 nm" }]\nregions.F = "-"\nregions.Pt = "-"',
        "regions",
        "at least one HM or F region must conduct",
    ),
    "dynamics without an insulator": (
        'structure.layers = [{ region = "Pt", thickness = "4 nm" }]\n'
        'regions.F = "-"\nregions.YIG = "-"\ndynamics = {}',
        "dynamics.region",
        "name the FI region that moves; FI regions: none (a magnetic metal",
    ),
    "dynamics of a metal": (
        'dynamics.region = "Pt"',
        "dynamics.region",
        "no FI region 'Pt'; FI regions: YIG (got \"Pt\")",
    ),
    "dynamics without a magnet": (
        "dynamics = {}",
        "regions.YIG.magnet",
        "needs a [magnet] table or a material",
    ),
    "dynamics without magnet parameters": (
        "dynamics = {}\nregions.YIG.magnet.damping = 0.1",
        "regions.YIG.magnet.saturation_magnetization",
        "the region that moves needs it",
    ),
    "too many outputs": (
        'dynamics.output_interval = "1e-19 s"',
        "dynamics.output_interval",
        "must be at most the duration",
    ),
    "one frame": ("dynamics.frames = 1", "dynamics.frames", "must be >= 2 (got 1)"),
    "no mass with soc": (
        'regions.F.soc.rashba = "1 m/s"\nregions.F.mass = "-"',
        "regions.F.mass",
        "spin-orbit coupling needs the effective mass",
    ),
    "no scattering time with curvature": (
        'regions.F.soc.rashba = "1 m/s"\nregions.F.scattering_time = "-"',
        "regions.F.scattering_time",
        "curvature",
    ),
    "moments without a spin": (
        'regions.F.kondo = { moment_density = "1e28 1/m^3", exchange_energy = "1 meV" }',
        "regions.F.kondo.spin",
        "local moments need their spin",
    ),
    "moments without a density": (
        'regions.F.kondo = { spin = 1, exchange_energy = "1 meV" }',
        "regions.F.kondo.moment_density",
        "local moments need their density",
    ),
    "moments without a coupling": (
        'regions.F.kondo = { spin = 1, moment_density = "1e28 1/m^3" }',
        "regions.F.kondo.coupling",
        "give coupling (K_s) or exchange_energy",
    ),
    "both couplings": (
        'regions.F.kondo = { coupling = "1e-49 J*m^3", exchange_energy = "1 meV" }',
        "regions.F.kondo.exchange_energy",
        'give either coupling or exchange_energy, not both (got "1 meV")',
    ),
    "both exchanges": (
        'regions.F.kondo = { curie_temperature = "1 K", exchange = "1 meV" }',
        "regions.F.kondo.exchange",
        "give either curie_temperature or exchange, not both",
    ),
    "spin too large": ("regions.F.kondo.spin = 11", "regions.F.kondo.spin", "must be <= 10 (got 11)"),
    "one relaxation time": (
        'regions.F.override.tau_parallel = "1 ps"',
        "regions.F.override.tau_perpendicular",
        "come together",
    ),
    "zero direction": (
        "magnetization.direction = [0, 0, 0]",
        "magnetization.direction",
        "must not be the zero vector (got [0, 0, 0])",
    ),
    "zero axis": (
        "regions.YIG.magnet.axis = [0, 0, 0]",
        "regions.YIG.magnet.axis",
        "must not be the zero vector",
    ),
    "polarisation of one": (
        "regions.F.polarisation = 1",
        "regions.F.polarisation",
        "must satisfy |P| < 1 (got 1)",
    ),
    "polarisation vector too long": (
        "regions.F.polarisation = [0.8, 0.8, 0]",
        "regions.F.polarisation",
        "must satisfy |P| < 1",
    ),
    "polarisation with two entries": (
        "regions.F.polarisation = [0.1, 0.1]",
        "regions.F.polarisation",
        "must have 3 entries (got [0.1, 0.1])",
    ),
    "polarisation with text": (
        'regions.F.polarisation = [0.1, "a", 0.1]',
        "regions.F.polarisation.1",
        "must be a number",
    ),
    "polarisation as text": (
        'regions.F.polarisation = "up"',
        "regions.F.polarisation",
        'must be a number or a list (got "up")',
    ),
    "demagnetization": (
        'regions.YIG.magnet.demagnetization = "film"',
        "regions.YIG.magnet.demagnetization",
        "must be 'none' or 'thin_film' or a list",
    ),
    "asymmetric strain": (
        "regions.F.soc.strain = [[0, 1, 0], [0, 0, 0], [0, 0, 0]]",
        "regions.F.soc.strain",
        "must be a symmetric 3 x 3 tensor (got [[0, 1, 0], [0, 0, 0], [0, 0, 0]])",
    ),
    "strain without its constant": (
        "regions.F.soc.strain = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]",
        "regions.F.soc.strain_coupling",
        "strain needs its coupling constant",
    ),
    "vector with two entries": (
        'drive.magnetic_field = ["1 T", "0 T"]',
        "drive.magnetic_field",
        'must have 3 entries (got ["1 T", "0 T"])',
    ),
    "vector with four entries": (
        "magnetization.direction = [0, 0, 0, 1]",
        "magnetization.direction",
        "must have 3 entries",
    ),
    "vector of bare numbers": (
        "drive.magnetic_field = [0, 0, 1]",
        "drive.magnetic_field.0",
        "must be text with a number and a unit of T",
    ),
    "number for a vector": (
        'drive.magnetic_field = "1 T"',
        "drive.magnetic_field",
        'must be a list (got "1 T")',
    ),
    "tensor with a short row": (
        'regions.F.override.gauge = [["0 1/m"], ["0 1/m"], ["0 1/m"]]',
        "regions.F.override.gauge.0",
        "must have 3 entries",
    ),
    "order 3": ("solver.order = 3", "solver.order", "must be 1 or 2 (got 3)"),
    "solver method": (
        'solver.method = "directt"',
        "solver.method",
        "did you mean 'direct'? (got \"directt\")",
    ),
    "solver tolerance": ("solver.tolerance = 0.1", "solver.tolerance", "must be <= 0.0001 (got 0.1)"),
    "no iterations": ("solver.max_iterations = 0", "solver.max_iterations", "must be >= 1 (got 0)"),
    "slip of a unit": (
        'regions.Pt.spin_diffusion_length = "1.4 km"',
        "regions.Pt.spin_diffusion_length",
        'must be between 1e-13 and 1000 m (got "1.4 km")',
    ),
    "field out of range": (
        'drive.magnetic_field = ["0 T", "0 T", "1e9 T"]',
        "drive.magnetic_field.2",
        "must be at most 1e+06 T in magnitude",
    ),
    "layer of a metre": (
        'structure.layers = [{ region = "Pt", thickness = "1 m" }]',
        "structure.layers.0.thickness",
        "must be between 1e-11 and 0.001 m",
    ),
    "direction beyond its square": (
        "magnetization.direction = [1e300, 0, 0]",
        "magnetization.direction",
        "must have a length of 1e-06 to 1e+06",
    ),
    "output folder without a name": (
        'output.directory = ""',
        "output.directory",
        "must be the name of a file or folder",
    ),
    "output folder with a NUL": (
        'output.directory = "a\\u0000"',
        "output.directory",
        "must be the name of a file or folder",
    ),
    "expected text": ('expected.x = "1"', "expected.x", 'must be a number or a table (got "1")'),
    "expected without a value": ("expected.x.rtol = 1", "expected.x.value", "is missing"),
    "code in a quantity": (
        "drive.temperature = \"__import__('os').getpid() K\"",
        "drive.temperature",
        "must be a number followed by a unit",
    ),
    "a frequency in Hz where an angular one is meant": (
        'regions.F.override.omega = ["28 GHz", "0 1/s", "0 1/s"]',
        "regions.F.override.omega.0",
        'an angular frequency has the unit 1/s or rad/s, like "1e11 rad/s"',
    ),
    "tower of powers": (
        'drive.temperature = "9**9**9 K"',
        "drive.temperature",
        "must be a number followed by a unit",
    ),
}


def refused(file, capsys):
    """Run a case that must be refused; return the message and check how it is given."""
    assert main(["run", str(file), "-o", str(file.parent / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(p.name for p in file.parent.iterdir()) == [file.name]
    assert re.fullmatch(r"femspin: [^\n]+\n", err), err
    message = err.removeprefix("femspin: ").strip()
    assert message.startswith(f"{file}: ")
    assert not re.search(r"pydantic|Input|a valid |Traceback|\b(str|dict|float|int)\b", message)
    return message.removeprefix(f"{file}: ")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_case_is_refused_in_one_line_that_says_where_and_why(name, tmp_path, capsys):
    change, path, words = BROKEN[name]
    file = tmp_path / "case.toml"
    file.write_text(to_toml(changed(change)), encoding="utf-8")
    message = refused(file, capsys)
    assert message.startswith(f"{path}: ")
    assert words in message


BROKEN_FILES = {
    "syntax": (b"title = 'a'\nregions = [\n\nx", "not valid TOML: Invalid value (at line 4, column 1)"),
    "unclosed text": (b'title = "a\n', "not valid TOML: Illegal character '\\n' (at line 1, column 11)"),
    "duplicated key": (
        b"title = 'a'\ntitle = 'b'\n",
        "not valid TOML: Cannot overwrite a value (at line 2, column 12)",
    ),
    "duplicated table": (
        b"[drive]\n[drive]\n",
        "not valid TOML: Cannot declare ('drive',) twice (at line 2, column 7)",
    ),
    "empty": (b"", "the case is empty; `femspin template` prints one to start from"),
    "comments only": (b"# nothing\n", "the case is empty"),
    "empty regions": (
        b"[regions]\n[structure]\nlayers = []\n",
        "structure.layers: must not be empty (got []) [and 1 more problem]",
    ),
    "binary": (bytes(range(256)), "not a case file: it is not UTF-8 text"),
    "zeros": (bytes(100), "not valid TOML"),
    "UTF-16": ("title = 'a'".encode("utf-16"), "not a case file: it is not UTF-8 text"),
    "huge": (b"# " + b"x" * 10_000_000, "too large for a case file"),
    "long number": (b"x = " + b"9" * 5000, "not valid TOML"),
    "long hexadecimal number": (b"x = 0x" + b"f" * 5000, "x: this whole number does not fit into 64 bits"),
    "deep nesting": (b"x = " + b"[" * 5000, "not valid TOML: nested too deeply"),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_file_that_is_no_case_is_refused_in_one_line(name, tmp_path, capsys):
    content, words = BROKEN_FILES[name]
    file = tmp_path / "case.toml"
    file.write_bytes(content)
    assert words in refused(file, capsys)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(CaseError, match=r"this is a folder, not a case file$"):
        load_case(tmp_path)
    with pytest.raises(CaseError, match=r"no such case file$"):
        load_case(tmp_path / "no.toml")
    with pytest.raises(CaseError, match=r"no such case file|cannot be read"):
        load_case(tmp_path / "x" / ("long" * 100))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    file = tmp_path / "case.toml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load_case(file) == case_from_table(tomllib.loads(BASE))


def test_the_other_problems_are_counted():
    change = 'regions.Pt = { kind = 1, mass = 1, conductivity = "5" }\nsolver.order = 3'
    with pytest.raises(CaseError) as caught:
        case_from_table(changed(change))
    assert caught.value.path == "regions.Pt.kind"
    assert caught.value.problem == "must be 'HM', 'F', 'FI' or 'I' (got 1) [and 3 more problems]"


def test_regions_named_like_python_types_keep_their_paths():
    table = changed("")
    table["regions"] = {"list": {"kind": "FI"}, "float": {"kind": "HM", "mass": "1 m"}}
    with pytest.raises(CaseError) as caught:
        case_from_table(table)
    assert caught.value.path == "regions.float.mass"


def test_whole_numbers_serve_as_numbers_and_nothing_else_is_converted():
    case = case_from_table(changed("regions.Pt.spin_hall_angle = 0\nregions.F.polarisation = 0"))
    assert type(case.regions["Pt"].spin_hall_angle) is float
    for value in ("0.1", True, [0.1], None.__class__):
        with pytest.raises(CaseError):
            case_from_table(merged(changed(""), {"regions": {"Pt": {"spin_hall_angle": value}}}))


def test_python_callers_may_pass_tuples_and_numpy_values():
    table = changed("")
    table["magnetization"] = {"direction": np.array([0, 0, 1])}
    table["structure"]["layers"] = tuple(table["structure"]["layers"])
    table["regions"]["Pt"]["spin_hall_angle"] = np.float64(0.1)
    plain = changed("magnetization.direction = [0, 0, 1]")
    assert case_from_table(table) == case_from_table(plain)


# ---------------------------------------------------------------- quantities

QUANTITIES = [n for n in quantity.__all__ if n[0].isupper()]


@pytest.mark.parametrize("name", QUANTITIES)
@given(st.data())
def test_a_quantity_survives_text_to_si_to_text_exactly(name, data):
    """A resolved case must rerun to the same bits, so no digit may change on the way."""
    adapter = TypeAdapter(getattr(quantity, name))
    unit = adapter.dump_python(1.0).removeprefix("1.0 ")
    exponent = data.draw(st.floats(-60, 60))
    number = data.draw(st.sampled_from([1.0, -1.0])) * 10**exponent
    try:
        value = adapter.validate_python(f"{number!r} {unit}")
    except ValidationError:
        return  # out of range
    assert value == number
    text = adapter.dump_python(value)
    assert adapter.validate_python(text) == value
    assert adapter.dump_python(adapter.validate_python(text)) == text


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("1.5 nm", "Length", 1.5e-9),
        ("1.5nm", "Length", 1.5e-9),
        (" 15 Å ", "Length", 1.5e-9),
        ("+1.5E-3 µm", "Length", 1.5e-9),
        ("-.5 1/cm", "WaveNumber", -50),
        ("1 /nm", "WaveNumber", 1e9),
        ("1 nm^-1", "WaveNumber", 1e9),
        ("1 nm**(-1)", "WaveNumber", 1e9),
        ("1 nm⁻¹", "WaveNumber", 1e9),
        ("5e46 1/(J*m^3)", "Dos", 5e46),
        ("5e46 J^-1 m^-3", "Dos", 5e46),
        ("5e46 / (J m³)", "Dos", 5e46),
        ("20 degC", "Temperature", 293.15),
        ("2 1/(ohm cm)", "Conductivity", 200),
        ("1 eV*angstrom", "SpinVelocity", 1.602176634e-29 / 1.054571817e-34),
        ("1 (m/s)^1", "SpinVelocity", 1),
    ],
)
def test_units_may_be_written_in_the_usual_ways(text, name, value):
    read = TypeAdapter(getattr(quantity, name)).validate_python(text)
    assert read == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') nm",
        "5 nm.__class__",
        "(lambda: 5)() nm",
        "nm",
        "5",
        "",
        "9**9**9 nm",
        "5 nm**9**9",
        "5 nm^99",
        "5 (nm^9)^9",
        "5 2**nm",
        "1/0 nm",
        "0x10 nm",
        "1_0 nm",
        "5 5 nm",
        "5 nm nm",
        "1+1 nm",
        "5 nm # x",
        "5 (nm",
        "5 nm)",
        "5 ()",
        "٥ nm",
        "5 " + "(" * 45 + "hour^9" + ")^9" * 9,
        "5 " + "a" * 90 + "#",
        "5 " + "m " * 45 + "#",
        "1" * 5000 + " nm",
        "5 dB",
        "5 $",
        "5 nm;",
        "5 {unit}",
    ],
)
def test_text_that_is_no_quantity_is_refused_at_once(text):
    """Nothing in a case file is executed, and no text takes longer than its length."""
    start = time.perf_counter()
    with pytest.raises(ValidationError):
        TypeAdapter(quantity.Length).validate_python(text)
    assert time.perf_counter() - start < 0.5


@given(st.text() | st.from_regex(r"-?[0-9.e]+ [a-zA-Z*/^()0-9 ]+", fullmatch=True))
def test_any_text_is_a_quantity_or_refused(text):
    try:
        value = TypeAdapter(quantity.Length).validate_python(text)
    except ValidationError:
        return
    assert 1e-13 <= value <= 1e3


# ---------------------------------------------------------------- garbage

PLAIN = (
    st.text(max_size=8)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.datetimes()
    | st.sampled_from(["1 nm", "-1 nm", "1 eV", "HM", "FI", "Pt", "5 S/m", "{a}", "1e99 K"])
)
KEYS = st.text(max_size=5) | st.sampled_from(
    [
        "regions",
        "Pt",
        "kind",
        "soc",
        "kondo",
        "strain",
        "drive",
        "electrodes",
        "top",
        "structure",
        "layers",
        "region",
        "thickness",
        "mesh",
        "file",
        "materials",
        "value",
        "float",
        "list",
        "0",
    ]
)
TREE = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def places(node, path=()):
    yield path
    if isinstance(node, list):
        node = dict(enumerate(node))
    for key, value in node.items() if isinstance(node, dict) else ():
        yield from places(value, (*path, key))


PLACES = {
    name: list(places(tomllib.loads(text)))[1:] for name, text in (("base", BASE), ("template", template()))
}


def verdict(table):
    """Return the case that a table makes, or the message that refuses it."""
    try:
        return case_from_table(table)
    except CaseError as error:
        return str(error)


def is_sound(found):
    return isinstance(found, Case) or (found.isprintable() and len(found) < 2000)


@given(st.dictionaries(KEYS, TREE, max_size=5))
def test_random_tables_are_refused_in_one_line(table):
    assert is_sound(verdict(table))


@settings(max_examples=300)
@given(st.data(), st.sampled_from(["base", "template"]))
def test_random_changes_of_a_valid_case_load_or_are_refused_in_one_line(data, name):
    table = tomllib.loads({"base": BASE, "template": template()}[name])
    *parents, last = data.draw(st.sampled_from(PLACES[name]))
    node = table
    for key in parents:
        node = node[key]
    value = data.draw(TREE)
    if isinstance(node[last], dict) and isinstance(value, dict):
        value = node[last] | value
    node[last] = value
    assert is_sound(verdict(table))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text("[]{}=.,\"'#\n\t 0ae+-_:", max_size=60).map(str.encode))
def test_random_files_are_refused_in_one_line(tmp_path, content):
    file = tmp_path / "case.toml"
    file.write_bytes(content)
    with pytest.raises(CaseError) as caught:
        load_case(file)
    assert str(caught.value).isprintable()


@given(st.text(max_size=20), st.text(max_size=20))
def test_random_overrides_are_taken_or_refused(key, value):
    table = tomllib.loads(BASE)
    try:
        set_key(table, f"{key}={value}")
    except CaseError as error:
        found = str(error)
    else:
        found = "--set: "
        assert tomllib.loads(to_toml(table)) == table
    assert found.startswith("--set: ")


# ---------------------------------------------------------------- writing TOML

ITEMS = (
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans() | st.datetimes()
)
TABLES = st.dictionaries(
    st.text(),
    st.recursive(
        ITEMS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    ),
    max_size=5,
)


def typed(value):
    """Return text that tells 1 from 1.0 and true, whatever the order of keys."""
    return json.dumps(value, sort_keys=True, default=datetime.datetime.isoformat)


@given(TABLES, st.text())
def test_tables_survive_toml(table, comment):
    text = to_toml(table, comment)
    back = tomllib.loads(text)
    assert back == table
    assert typed(back) == typed(table)
    assert to_toml(back, comment) == text


def test_nested_tables_and_lists_of_tables_survive_toml():
    table = {
        "Pt|YIG": {"a.b": {"": 1}, 'q"uote': {}, "ünïcode ₂": [{"x": [[]]}, {}]},
        "empty": {},
        "list": [{"a": 1, "b": {"c": [1.5, float("inf"), -0.0]}}, {"a": "\x00\x7f\u2028\\"}],
        "last": 1e-9,
    }
    assert tomllib.loads(to_toml(table)) == table


FULL = changed("""
title = "every \\"kind\\" of section ₂"
expected = { "interfaces.Pt|F.area" = 1, other = { value = 2.0, rtol = 1e-3 } }
materials."my Pt" = { conductivity = { value = "5e6 S/m", source = "ours" }, mass = "2 m_e" }
[regions.Pt]
material = ["Pt", "my Pt"]
[regions.F]
spin_relaxation_time = "0.3 ps"
polarisation = [0.1, 0.2, 0.3]
[regions.F.soc]
rashba = "0.1 eV*angstrom"
strain_coupling = "2e4 m/s"
strain = [[0, 0.1, 0], [0.1, 0, 0], [0, 0, 0]]
[regions.F.kondo]
spin = 2.5
moment_density = "1e28 1/m^3"
exchange_energy = "1 meV"
curie_temperature = "500 K"
[regions.F.override]
omega = ["0 1/ps", "0 1/ps", "1.1 1/ps"]
[regions.YIG.magnet]
saturation_magnetization = "140 kA/m"
damping = 1e-3
demagnetization = [0.1, 0.2, 0.7]
[interfaces."F|YIG"]
G_r = "1e14 S/m^2"
[dynamics]
duration = "0.7 ns"
""")


@pytest.mark.parametrize("table", [FULL, tomllib.loads(BASE), tomllib.loads(template())])
def test_a_resolved_case_loads_to_an_equal_case(table):
    case = case_from_table(table)
    assert case_from_table(tomllib.loads(to_toml(dump_case(case)))) == case
    completed, _ = complete_case(case)
    again = case_from_table(tomllib.loads(to_toml(dump_case(completed))))
    assert again == completed
    assert complete_case(again) == (completed, ())


def shipped(name):
    return tomllib.loads((CASES / f"{name}.toml").read_text())


@pytest.mark.parametrize(
    "table",
    [
        FULL,
        *map(shipped, ("hall_bar", "scan_ahe_angle", "texture_coupled_switching", "texture_scan_switching")),
    ],
)
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_that_is_none_is_refused_wherever_it_stands(table, number):
    numbers = 0
    for path in list(places(table))[1:]:
        changed = copy.deepcopy(table)
        *parents, last = path
        node = changed
        for key in parents:
            node = node[key]
        pair = number_and_unit(node[last])
        if pair is None:
            continue
        node[last] = f"{number} {pair[1]}" if pair[1] else float(number)
        with pytest.raises(CaseError) as caught:
            scan_points(case_from_table(changed))  # values of an axis are read as those of its key
        place = caught.value.path.replace('"', "")
        assert ".".join(map(str, path)).startswith(place)
        assert place.count(".") >= 1
        numbers += 1
    assert numbers > 10
