"""``femspin run`` and ``femspin check`` on a case with [texture]."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..case import Case
from ..case.texture_drives import Signal
from ..device.observables.quantity import Number, units_of
from ..errors import CaseError
from ..magnets.magnet import Antiferromagnet
from ..magnets.walls import static_width
from ..results.expected import compare_expected
from ..results.folder import to_json
from ..results.texture_result import TextureResult
from ..studies.textures.keeper import Keeper, checkpoint_file
from ..studies.textures.motion import start_motion
from ..studies.textures.simulate import simulate_texture
from ..studies.textures.states import initial_texture
from ..studies.textures.system import TextureSystem
from .progress import judged, progress_bar
from .stopping import how

__all__ = ["print_texture", "run_texture_case", "texture_lengths"]

VECTOR_UNITS = {"u_n": "m/s"}


def run_texture_case(args: argparse.Namespace, case: Case, file: Path, folder: Path) -> int:
    """Run a texture case and write its result folder; return the exit code."""
    assert case.texture is not None
    start = time.perf_counter()
    if args.resume and case.texture.analysis != "run":
        raise CaseError(
            "--resume", f'a case with analysis = "{case.texture.analysis}" keeps no checkpoint; run it again'
        )
    keeper = Keeper(checkpoint_file(folder), case, case.texture.checkpoint, args.resume, file.parent)
    if args.resume and not keeper.file.is_file():
        print(f"femspin: no checkpoint at {keeper.file}; starting from the beginning", file=sys.stderr)
    try:
        with progress_bar(not args.quiet) as progress:
            result = simulate_texture(case, file.parent, progress, keeper)
    except KeyboardInterrupt as stop:
        if not keeper.file.is_file():
            raise
        word, code = how(stop)
        print(f"femspin: {word}; --resume goes on from {keeper.file}", file=sys.stderr)
        return code
    try:
        result.write(folder, overwrite=args.force)
    except OSError:
        if keeper.file.is_file():
            print(f"femspin: --resume goes on from {keeper.file}", file=sys.stderr)
        raise
    keeper.clear()
    if args.json:
        sys.stdout.write(to_json(result.report))
    elif not args.quiet:
        _summary(result, folder, time.perf_counter() - start)
    # Only now: a misspelt name in [expected] must not cost the result of a long run.
    return judged(compare_expected(case.expected, result.values), args)


def _summary(result: TextureResult, folder: Path, seconds: float) -> None:
    if result.case.title:
        print(result.case.title)
    units = result.units
    for name, value in result.values.items():
        if name.startswith("texture."):
            text = f"{value:.8g} {units.get(name, '')}".rstrip()
            print(f"  {name.removeprefix('texture.'):36} {text}")
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    facts = result.facts
    scheme = f", {facts['scheme']}" if "scheme" in facts else ""
    if result.seconds:
        spent = ", ".join(f"{k.replace('_', ' ')} {v:.2f} s" for k, v in result.seconds.items())
        print(f"\ntime: {spent}", end="")
    print(f"\n{facts['nodes']} nodes{scheme}, {seconds:.1f} s -> {folder}")


def print_texture(table: Mapping[str, Any]) -> None:
    """Print what `texture_lengths` returns."""
    for name, value in table.items():
        if name not in ("warnings", "notes", "scan", "units"):
            print(f"  {name:32} {_shown(value)} {VECTOR_UNITS.get(name, '')}".rstrip())


def _shown(value: Any) -> str:
    """Return a number with its unit as text."""
    if value is None:
        return "none"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.6g} {getattr(value, 'unit', '')}".rstrip()


def texture_lengths(system: TextureSystem) -> dict[str, Any]:
    """Return nodes, scheme and characteristic lengths, times and fields of a texture.

    Numbers are in SI and carry their units.  Drives are given by their amplitudes; `wall_width` is
    None where the stray field of a film leaves no easy axis.
    """
    magnet, space = system.magnet, system.space
    motion, _ = start_motion(system, initial_texture(system))
    table: dict[str, Any] = {
        "kind": system.table.kind,
        "nodes": space.size,
        "volume": Number(space.volume * 1e-27, "m^3"),
        "scheme": type(motion.scheme).__name__,
        "spin_density": Number(magnet.spin_density, "J s/m^3"),
    }
    width = static_width(magnet)
    if magnet.anisotropy > 0 and magnet.exchange_stiffness > 0:
        table["wall_width"] = None if width is None else Number(width, "m")
    if width is not None and np.isfinite(space.spacing):
        table["cell_over_wall_width"] = float(space.spacing) * 1e-9 / width
    if isinstance(magnet, Antiferromagnet):
        table |= {
            "exchange_field": Number(magnet.exchange_field, "T"),
            "magnon_velocity": Number(magnet.magnon_velocity, "m/s"),
            "step": Number(motion.scheme.step * 1e-12, "s"),
        }
        if magnet.anisotropy > 0:
            table |= {"resonance_frequency": Number(magnet.resonance / (2 * np.pi), "Hz")}
            if magnet.spin_flop_field is None:
                table["spin_flip_field"] = Number(magnet.exchange_field, "T")
                table["note"] = (
                    "the spins do not flop, as B_A = K/M_0 exceeds B_E: a field of"
                    " B_E along the axis turns one sublattice over"
                )
            else:
                table["spin_flop_field"] = Number(magnet.spin_flop_field, "T")
    elif magnet.hard_anisotropy > 0 and magnet.anisotropy > 0:
        table["walker_field"] = Number(magnet.walker_field, "T")
        if width is not None:
            walker = magnet.walker_velocity * width / magnet.wall_width
            table["walker_velocity"] = Number(walker, "m/s")
    if system.device is not None:
        table["transport_unknowns"] = len(system.device.problem.constraint.charge)
    table |= _amplitudes(system)
    return table | {"units": units_of(table) | VECTOR_UNITS}


def _amplitudes(system: TextureSystem) -> dict[str, Any]:
    """Return the strengths of current and spin-orbit torques with their signals at 1, SI."""
    given, steady = system.table, {"signal": Signal()}
    changed: dict[str, Any] = {"spin_orbit": [drive.model_copy(update=steady) for drive in given.spin_orbit]}
    if given.current is not None:
        changed["current"] = given.current.model_copy(update=steady)
    system = replace(system, table=given.model_copy(update=changed))
    table: dict[str, Any] = {}
    transfer = system.transfer()
    if transfer is not None:
        rates = transfer.rates(0.0)
        table |= {"u_n": rates.u_n * 1e3, "beta": transfer.beta, "tau_sd": Number(transfer.tau_sd, "s")}
    for k, torque in enumerate(system.orbit()):
        _, *parts = torque.rates(0.0)
        for name, part in zip(("damping_like", "field_like"), parts, strict=True):
            field = Number(float(part) * 1e12 / system.magnet.gamma, "T")
            table[f"spin_orbit.{k}.{name}_field"] = field
    return table
