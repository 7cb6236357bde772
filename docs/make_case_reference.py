"""Write docs/case-file.md, the reference of all keys of a case file, from the schema.

Run ``python docs/make_case_reference.py`` after a change of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from femspin import Case

TARGET = Path(__file__).with_name("case-file.md")

INTRODUCTION = """\
<!-- Written by docs/make_case_reference.py; change that file, not this one. -->
# Case file

A case file is TOML.  Tables and keys are those below and no others: an unknown key is an error
that names the closest known one.  `femspin template` prints a commented file to start from,
`femspin check` validates one, `femspin schema` prints the JSON schema from which this page is
generated.  Results hold the resolved case with every default filled in.

**Quantities** are text with a number and a unit: `"1.5 nm"`, `"0.3 eV*angstrom"`, `"2e4 m/s"`.
Every multiple and combination of units of the right dimension works; `*`, `/`, `^` and parentheses
combine them.  A bare number where a unit is needed is an error, and so is a unit where none is.
Fields may be given as B (`"20 mT"`, `"200 G"`) or as H (`"16 kA/m"`, `"200 Oe"`), which stands for
$B = \\mu_0 H$; a magnetization as M (`"8e5 A/m"`, `"800 emu/cm^3"`) or as $\\mu_0 M$ (`"1 T"`),
not in G, in which both M and $4\\pi M$ are quoted; energies in erg; a metal by `conductivity`
or by `resistivity` (`"20 uohm*cm"`).
The spin-orbit constants may be given as an energy times a length ($\\alpha_R$) or as a velocity
($\\alpha_R/\\hbar$).  A unit of Hz means cycles per second for `frequency` and is refused for
`angular_frequency`.

**Paths.**  `--set`, `[scan.axes]`, `[parameters]` of a fit, `texture.threshold.vary` and
`femspin sensitivities --parameters` name a value by its dotted path: an entry of a list by its
position from 0 (`texture.fields.0.field`), a layer also by its region
(`structure.layers.Pt.thickness`), a component of a vector also by x, y or z
(`drive.electric_field.x`), an interface by its regions in either order; names with dots stand in
quotes.  `[expected]`, `scan.columns` and `scan.plot.y` name numbers of the result
([results.md](results.md)) by the same rules.  Relative file names start at the folder of the case.

**Vectors** are lists of three, x, y, z; **tensors** lists of three rows.  Of a direction only the
direction counts.

**Regions** of kind HM and F conduct, FI (magnetic) and I (plain insulators) do not.  An interface
is called `first|second`, HM before F before FI before I; either order is understood.  Outer faces
of a stack are `top`, `bottom`, `left`, `right` (x), `front`, `back` (y), those of a mesh have the
names of its physical groups.

**Choices.** A case has either `[structure]` or `[mesh]`, a drive by `electric_field` or by
`electrodes`, and at most one of `[dynamics]`, `[frequency]`, `[transient]`, `[texture]`.

In the tables below, a default of *none* means that the key may be left out and nothing replaces
it, *required* that it may not; a unit stands with an example.  Symbols and equations (T..) are
those of [theory.md](theory.md).
"""

# Path of every table, in the order of the page.
TABLES: dict[str, str] = {
    "Case": "top level",
    "ExpectedNumber": '[expected."NAME"], or a number alone',
    "Stack": "[structure]",
    "Layer": "[[structure.layers]]",
    "MeshFile": "[mesh]",
    "Region": "[regions.NAME]",
    "SpinOrbit": "[regions.NAME.soc]",
    "Kondo": "[regions.NAME.kondo]",
    "Override": "[regions.NAME.override]",
    "Magnet": "[regions.NAME.magnet]",
    "Interface": '[interfaces."FIRST|SECOND"] or [interfaces.FACE]',
    "Drive": "[drive]",
    "Electrode": "[drive.electrodes.FACE]",
    "Magnetization": "[magnetization]",
    "Dynamics": "[dynamics]",
    "Frequency": "[frequency]",
    "Transient": "[transient]",
    "Texture": "[texture]",
    "TextureMesh": "[texture.mesh]",
    "TextureMagnet": "[texture.magnet]",
    "Initial": "[texture.initial]",
    "FieldDrive": "[[texture.fields]]",
    "SpinOrbitDrive": "[[texture.spin_orbit]]",
    "CurrentDrive": "[texture.current]",
    "TransportDrive": "[texture.transport]",
    "Signal": "[texture.current.signal] or signal = { ... } of another drive",
    "WallTracking": "[texture.wall]",
    "Hysteresis": "[texture.hysteresis]",
    "Threshold": "[texture.threshold]",
    "Resonance": "[texture.resonance]",
    "LineShape": "[texture.line_shape]",
    "Solver": "[solver]",
    "Output": "[output]",
    "Scan": "[scan]",
    "Range": '[scan.axes."PATH"]',
    "Angle": "[scan.axes.angle]",
    "Plot": "[scan.plot]",
}

# What the schema does not say, or says too briefly.
MEANINGS: dict[str, str] = {
    "Case.title": "printed and stored with the result",
    "Case.expected": "numbers the case must give: dotted names of `femspin.Solution.values` to a"
    " number or to `{ value, rtol, atol }` (default rtol 1e-6); a run says whether they hold",
    "Case.materials": "materials of this case by name; keys as in the database, each a value or"
    " `{ value, source, status }`",
    "Case.structure": "a layered stack, see [[structure]](#structure)",
    "Case.mesh": "a gmsh mesh, see [[mesh]](#mesh)",
    "Case.regions": "regions by name, at least one HM or F; a case with a texture may have FI"
    " regions alone, one with a texture on a mesh of its own has none",
    "Case.interfaces": "conditions on interfaces and outer faces; others are insulating (at FI and"
    " outside) or continuous (between conductors)",
    "Case.drive": "what drives the device",
    "Case.magnetization": "direction of the moments",
    "Case.dynamics": "motion of the magnetization; default: it rests",
    "Case.frequency": "harmonic response",
    "Case.transient": "transport in time",
    "Case.texture": "magnetization of a ferromagnet or antiferromagnet on a mesh, see"
    " [textures.md](textures.md)",
    "Case.solver": "discretisation and linear solver",
    "Case.output": "what is written",
    "Case.scan": "variation of keys",
    "Stack.dimension": "1 (z), 2 (x, z) or 3 (x, y, z)",
    "Stack.cell": "shape of cells; default: line, quad, hex in 1D, 2D, 3D",
    "Stack.layers": "layers from bottom to top; z = 0 is the top of the uppermost F layer",
    "Stack.cells_x": "cells along x",
    "Stack.cells_y": "cells along y",
    "Stack.lateral": "condition on the sides",
    "Stack.cells_per_decay_length": "cells per shortest decay length at the faces of a layer,"
    " all angles and frequencies included, (T62)",
    "Stack.growth": "ratio of neighbouring cells towards the middle of a layer, at the default resolution",
    "Layer.region": "name of a region",
    "Layer.thickness": "thickness of the layer",
    "MeshFile.file": "path, relative to the case file",
    "MeshFile.length_unit": "unit of the coordinates in the file",
    "SpinOrbit.rashba": "$\\alpha$, (T6)",
    "SpinOrbit.dresselhaus": "$\\beta$ of a [001] film, (T6)",
    "SpinOrbit.strain_coupling": "$\\lambda$, (T6)",
    "SpinOrbit.strain": "strain $u_{ij}$, symmetric; only the shears enter",
    "SpinOrbit.curvature": "whether the curvature of the gauge field makes spin Hall angles,"
    " (T20); needs `scattering_time` and `mass`",
    "Kondo.spin": "$S$ of a moment, a multiple of 1/2",
    "Kondo.moment_density": "$n_m$",
    "Kondo.coupling": "$K_s$, (3)",
    "Kondo.exchange_energy": "$n_mK_s$, instead of `coupling`",
    "Kondo.curie_temperature": "mean-field $T_C$, (T9); without it and `exchange` the moments are"
    " a paramagnet and follow the magnetic field",
    "Kondo.exchange": "Weiss exchange $J_0$, of either sign, instead of `curie_temperature`",
    "Kondo.g_factor": "g of the moments",
    "Kondo.rotation": "vector $\\varphi$ of noncollinear exchange [rad], (T15)",
    "Override.gauge": "$a^{ib}$, rows space, columns spin",
    "Override.omega": "$e\\Phi/\\hbar$, all of it counted as exchange with the moments",
    "Override.relaxation": "the whole tensor $\\Gamma_{ab}$, all of it counted as exchange with the moments",
    "Override.tau_parallel": "$\\tau_\\parallel$ along m in place of that of the moments; with"
    " `tau_perpendicular`",
    "Override.tau_perpendicular": "$\\tau_\\perp$ across m; with `tau_parallel`",
    "Override.hall_angles": "$\\theta^0_k$",
    "Override.larmor_angles": "$\\theta_L^a$",
    "Override.spin_hall_angles": "$\\theta_C^{ka}$, rows space, columns spin; minus"
    " `spin_hall_angle` times one",
    "Magnet.saturation_magnetization": "$M_s$; needed where the magnet moves",
    "Magnet.damping": "Gilbert $\\alpha_G$; needed where the magnet moves",
    "Magnet.g_factor": "g of $\\gamma = g\\mu_B/\\hbar$",
    "Magnet.anisotropy": "uniaxial $K_u$, energy $-K_u(m\\cdot k)^2$",
    "Magnet.axis": "easy axis k",
    "Region.kind": "HM: heavy or normal metal; F: thin magnetic metal; FI: magnetic insulator, to"
    " which moments beside it hand torque; I: insulator without moments, like MgO",
    "Region.conductivity": 'measured, of the bulk; `theta_mode = "exact"` takes'
    " $\\sigma_c = (1 + 2\\theta_{SH}^2)\\sigma$; two of `conductivity`, `dos`,"
    " `diffusion_constant` are needed, (T2)",
    "Region.dos": "$\\nu$, density of states per spin",
    "Region.diffusion_constant": "$D$",
    "Region.mass": "effective mass; needed with spin-orbit coupling",
    "Region.scattering_time": "momentum scattering time $\\tau$; makes the Hall, Larmor and"
    " curvature spin Hall angles",
    "Region.spin_diffusion_length": "$\\ell_{sf}$ of relaxation to the lattice, over which spin"
    " decays, in a polarised metal too, (T14); an HM needs it, `spin_relaxation_time` or"
    " `override.relaxation`",
    "Region.spin_relaxation_time": "$\\tau_{sf}$, instead of `spin_diffusion_length`",
    "Region.spin_hall_angle": "$\\theta_{SH}$, published sign: positive for Pt, negative for Ta and W, (T21)",
    "Region.polarisation": "$P$ of the conductivity, below 1, published sign: positive where the"
    " majority carriers' moments lie along m; or a vector along those moments",
    "Region.g_factor": "g of the conduction electrons",
    "Region.theta_mode": "form of the response $\\Theta$, see [theory](theory.md#5-constitutive-equation)",
    "Region.model": "`resolved`, or the form in which a face replaces an F layer of a stack, see"
    " [theory](theory.md#12-reduced-layers)",
    "Region.soc": "spin-orbit coupling",
    "Region.kondo": "local moments",
    "Region.override": "raw coefficients",
    "Region.magnet": "only of an FI region",
    "Interface.type": "states the condition; it follows from the other keys, so this is needed"
    " only to say `insulating`",
    "Interface.conductance": "tensor G of the flux into the conductor, (T67)",
    "Interface.G_s": "$G_s$ of $G = G_s + G_r m\\times m\\times + G_i m\\times$, not positive for a sink",
    "Interface.G_r": "$G_r$, published ones are positive; a sink has $G_r \\ge G_s$, else there is a warning",
    "Interface.G_i": "$G_i$",
    "Interface.contact_spin_conductance": "$g_s$ of (T68); default: half the charge conductance",
    "Interface.drift_flux": "$J_E$ of (T67), with a conductance",
    "Interface.spin_potential": "prescribed $\\mu^a$",
    "Interface.spin_flux": "prescribed particle flux $J^a$ into the conductor",
    "Drive.electric_field": "uniform E in all conductors; default zero",
    "Drive.electrodes": "electrodes by face, instead of `electric_field`",
    "Drive.magnetic_field": "B; default zero",
    "Drive.temperature": "T",
    "Electrode.voltage": "prescribed voltage; one electrode needs it as the reference",
    "Electrode.current": "total conventional current into the device, in 3D",
    "Electrode.floating": "`true`: a voltage probe without current",
    "Magnetization.direction": "direction of the moments of FI and F, along the field they feel;"
    " the initial one with `[dynamics]`",
    "Dynamics.mode": "`run` integrates for `duration`, `relax` looks for equilibrium",
    "Dynamics.duration": "length of a run",
    "Dynamics.output_interval": "interval of the history; default: duration / 400",
    "Dynamics.tolerance": "error allowed per step in m",
    "Dynamics.transport_tolerance": "angle [rad] that m may turn before transport is solved again;"
    " 0 solves always",
    "Frequency.frequency": "$W/2\\pi$, one or more",
    "Frequency.angular_frequency": "$W$, one or more, instead of `frequency`",
    "Transient.pulse_length": 'with `drive = "pulse"`',
    "Transient.duration": "time after the switch",
    "Texture.kind": "what m (ferromagnet) or n and m (antiferromagnet) obey",
    "Texture.mesh": "mesh of the magnet alone, instead of `region`",
    "Texture.magnet": "material constants",
    "Texture.magnetostatics": "`thin_film`: local $\\mu_0M_s^2m_z^2/2$; `full`: stray field of"
    " equal bricks (FFT) or of tetrahedra (boundary elements)",
    "Texture.initial": "texture at time 0",
    "Texture.fields": "external fields, added up",
    "Texture.spin_orbit": "torques of absorbed spins, added up",
    "Texture.current": "current in the magnet",
    "Texture.transport": "how the torques of the solved device follow the texture",
    "Texture.temperature": "of the thermal field of a ferromagnet; needs `step`",
    "Texture.analysis": "what is found out; all but `run` and `relax` have a table of that name",
    "Texture.duration": "length of a run",
    "Texture.output_interval": "interval of the history; default: duration / 200",
    "Texture.stop": "when a run ends before its duration: `relaxed`, or `switched` (the mean"
    " direction has turned by more than 120 degrees)",
    "Texture.scheme": "`midpoint` (implicit, exact energy law), `runge_kutta` (explicit,"
    " adaptive), `heun` (explicit, fixed), `rotor` (n and m), `two_sublattice` (implicit); `auto`:"
    " midpoint where exchange is stiff or with a temperature, else runge_kutta; rotor",
    "Texture.step": "fixed time step; default: adaptive, and of `rotor` from mesh and resonance",
    "Texture.wall": "follow a wall",
    "Texture.hysteresis": "with `analysis` of this name",
    "Texture.threshold": "with `analysis` of this name",
    "Texture.resonance": "with `analysis` of this name",
    "Texture.line_shape": "with `analysis` of this name",
    "TextureMesh.shape": "`point` is a macrospin",
    "TextureMagnet.g_factor": "g of $\\gamma = g\\mu_B/\\hbar$",
    "TextureMagnet.axis": "easy axis",
    "TextureMagnet.hard_axis": "hard axis",
    "Initial.type": "kind of texture",
    "FieldDrive.field": "amplitude of B",
    "FieldDrive.signal": "its time dependence",
    "SpinOrbitDrive.signal": "its time dependence",
    "CurrentDrive.model": "of the band theory, with `band_structure`",
    "CurrentDrive.signal": "its time dependence",
    "Signal.shape": "constant after the start, a pulse, sin(2 pi f t + phase), or straight lines",
    "Texture.relax_torque": "relaxed when |m x B| is below it at every node",
    "Texture.checkpoint": "time of the clock between checkpoints",
    "TextureMesh.length": "along x",
    "TextureMesh.width": "along y; meshed in a film and a box",
    "TextureMesh.thickness": "along z; meshed in a box",
    "TextureMagnet.exchange_stiffness": "A of A |grad m|^2",
    "TextureMagnet.anisotropy": "K of -K (m.axis)^2; positive: easy axis",
    "TextureMagnet.hard_anisotropy": "K_h of +K_h (m.hard_axis)^2",
    "TextureMagnet.cubic_anisotropy": "K_1, ferromagnet",
    "TextureMagnet.interfacial_dmi": "D of a film with normal z",
    "TextureMagnet.bulk_dmi": "D_b, ferromagnet",
    "Initial.position": "of a wall along x",
    "Initial.tilt": "of the moment in the wall, from `wall.zero`: 0 Neel, 90 deg Bloch",
    "Initial.helicity": "skyrmion: 0 or 180 deg Neel, 90 deg Bloch",
    "SpinOrbitDrive.field_like_torque": "B of the torque $+\\gamma B\\,m\\times p$, with the sign"
    " of $\\xi_{FL}$: a field of this size against p",
    "SpinOrbitDrive.field_like": "minus `field_like_torque`, a field along p; as in older files,"
    " with a warning",
    "Signal.start": "before it the drive is off",
    "Signal.rise": "linear ramp after the start, and before the end",
    "Signal.phase": 'of a sine, like "90 deg"',
    "LineShape.frequency": "W/(2 pi) of the drive",
    "Hysteresis.direction": "of the swept field, added to the steady fields",
    "Hysteresis.largest": "largest field",
    "Resonance.modes": "how many eigenmodes",
    "LineShape.low": "lowest field",
    "LineShape.high": "highest field",
    "LineShape.points": "fields between them",
    "Solver.order": "polynomial order of the elements",
    "Solver.method": "`direct`: sparse LU; `iterative`: Krylov; `auto`: by size; `stack`: exact"
    " solution of a 1D stack without electrodes",
    "Solver.tolerance": "relative residual that must be reached",
    "Solver.max_iterations": "Krylov iterations per right-hand side",
    "Solver.polarisation_form": "`onsager`: (T27); `paper`: (T24), by name only; `auto`: onsager",
    "Output.fields": "write files for ParaView",
    "Output.plots": "write pictures",
    "Range.from": "first value; a number or a quantity",
    "Range.to": "last value",
    "Range.points": "how many values",
    "Range.spacing": "`log` needs ends of one sign",
    "Angle.from": 'first angle, like `"0 deg"`',
    "Angle.to": "last angle",
    "Angle.points": "how many angles",
    "Angle.of": "what is turned",
    "Scan.mode": "`grid`: all combinations of the axes; `zip`: axes of one length, side by side",
    "Scan.axes": "what is varied, by dotted path of the case in quotes: a list of values, or a"
    " range; or `angle`: a rotation; the last axis varies fastest",
    "Scan.plot": "the picture",
}


def page() -> str:
    """Return the whole page.

    Raises:
        KeyError: If the schema has a table or key that this file does not explain, or lacks one
            that it does.
    """
    schema = Case.model_json_schema()
    tables = {"Case": schema, **schema["$defs"]}
    if set(tables) != set(TABLES):
        raise KeyError(f"tables to add to or drop from TABLES: {set(tables) ^ set(TABLES)}")
    known = {f"{name}.{key}" for name, table in tables.items() for key in table["properties"]}
    if not set(MEANINGS) <= known:
        raise KeyError(f"keys to drop from MEANINGS: {set(MEANINGS) - known}")
    parts = [INTRODUCTION]
    for name, path in TABLES.items():
        parts.append(_section(name, path, tables[name]))
    return "\n".join(parts)


def _section(name: str, path: str, table: Mapping[str, Any]) -> str:
    lines = [f"## {path}" if name == "Case" else f"## `{path}`", ""]
    if name != "Case":
        lines += [" ".join(table["description"].replace("``", "`").split()), ""]
    lines += ["| key | type or unit | default | meaning |", "|---|---|---|---|"]
    required = table.get("required", [])
    for key, entry in table["properties"].items():
        cells = (
            f"`{key}`",
            _kind(entry),
            "*required*" if key in required else _default(entry),
            _meaning(name, key, entry),
        )
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def _meaning(name: str, key: str, entry: Mapping[str, Any]) -> str:
    own = MEANINGS.get(f"{name}.{key}")
    text = entry.get("description", "")
    if own is None and (not text or text.startswith("quantity in")):
        raise KeyError(f"add {name}.{key} to MEANINGS, or describe it in the schema")
    return own if own is not None else str(text).replace("<", "&lt;")


def _kind(entry: Mapping[str, Any]) -> str:
    """Return type, unit and range of a value in words."""
    if "anyOf" in entry or "oneOf" in entry:
        options = entry.get("anyOf") or entry["oneOf"]
        known = [_kind(o) for o in options if o.get("type") != "null"]
        return " or ".join(dict.fromkeys(known))
    if "$ref" in entry:
        return f"table `{TABLES[entry['$ref'].split('/')[-1]].split(' or ')[0]}`"
    if "enum" in entry:
        return ", ".join(f"`{v}`" for v in entry["enum"])
    kind = entry.get("type")
    if kind == "string":
        return _quantity(entry) if "examples" in entry else "text"
    if kind == "array":
        return _list(entry)
    if kind == "object":
        inner = entry.get("additionalProperties")
        named = isinstance(inner, dict) and "$ref" in inner
        return _kind(inner).replace("table", "tables", 1) if named else "table"
    if kind in ("number", "integer"):
        return ("whole number" if kind == "integer" else "number") + _limits(entry)
    return {"boolean": "true or false"}.get(str(kind), "number or quantity")


def _quantity(entry: Mapping[str, Any]) -> str:
    text = str(entry.get("description", ""))
    unit = text.removeprefix("quantity in ").removesuffix(", > 0").replace("**", "^")
    limit = ", > 0" if text.endswith("> 0") else ""
    return f'`{unit}`{limit}, as `"{entry["examples"][0]}"`'


def _list(entry: Mapping[str, Any]) -> str:
    item, name = entry["items"], "list"
    if entry.get("minItems") == entry.get("maxItems") == 3:
        name = "vector"
        if item.get("type") == "array":
            item, name = item["items"], "3 x 3 tensor"
    if "examples" in item:
        return f"{name} in {_kind(item)}"
    plural = {"number": "numbers", "table": "tables", "text": "texts"}
    first, _, rest = _kind(item).partition(" ")
    return f"{name} of {plural.get(first, first)} {rest}".rstrip()


def _limits(entry: Mapping[str, Any]) -> str:
    words = {"exclusiveMinimum": "> {}", "minimum": ">= {}", "maximum": "<= {}"}
    return "".join(f", {w.format(f'{entry[k]:g}')}" for k, w in words.items() if k in entry)


def _default(entry: Mapping[str, Any]) -> str:
    value = entry.get("default")
    if value is None:
        return "*none*"
    if isinstance(value, dict):
        return "*empty*" if not value else "*its own defaults*"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and entry.get("type") == "string":
        return f"`{value:g} {_quantity(entry).split('`')[1]}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, list):
        return f"`{_listed(value)}`" if value else "*empty*"
    return f"`{value}`" if value != "" else "*empty*"


def _listed(value: Any) -> str:
    """Return a list, nested or not, as it stands in a case."""
    if isinstance(value, list):
        return "[" + ", ".join(_listed(v) for v in value) + "]"
    return f"{value:g}"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
