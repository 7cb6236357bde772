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
from ..dynamics.texture.magnet import Antiferromagnet
from ..dynamics.texture.walls import static_width
from ..errors import CaseError
from ..results.expected import compare_expected
from ..results.texture_result import TextureResult
from ..results.write import to_json
from ..texture_motion import start_motion
from ..texture_run import Keeper, checkpoint_file, simulate_texture
from ..texture_states import initial_texture
from ..texture_system import TextureSystem
from .run import _progress, judged

__all__ = ["print_texture", "run_texture_case", "texture_lengths"]


def run_texture_case(args: argparse.Namespace, case: Case, file: Path, folder: Path) -> int:
    """Run a texture case and write its result folder; return the exit code."""
    assert case.texture is not None
    start = time.perf_counter()
    if args.resume and case.texture.analysis != "run":
        raise CaseError("--resume", f'a case with analysis = "{case.texture.analysis}" keeps no'
                        " checkpoint; run it again")  # fmt: skip
    keeper = Keeper(checkpoint_file(folder), case, case.texture.checkpoint, args.resume,
                    file.parent)  # fmt: skip
    if args.resume and not keeper.file.is_file():
        print(f"femspin: no checkpoint at {keeper.file}; starting from the beginning",
              file=sys.stderr)  # fmt: skip
    try:
        with _progress(not args.quiet) as progress:
            result = simulate_texture(case, file.parent, progress, keeper)
    except KeyboardInterrupt:
        if not keeper.file.is_file():
            raise
        print(f"femspin: interrupted; --resume goes on from {keeper.file}", file=sys.stderr)
        return 130
    result.write(folder, overwrite=args.force)
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
    for name, value in result.values.items():
        if name.startswith("texture."):
            print(f"  {name.removeprefix('texture.'):36} {value:.8g}")
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
        if name not in ("warnings", "scan"):
            text = f"{value:.6g}" if isinstance(value, float) else value
            print(f"  {name:28} {'none' if value is None else text}")


def texture_lengths(system: TextureSystem) -> dict[str, Any]:
    """Return nodes, scheme and characteristic lengths, times and fields of a texture, SI.

    Drives are given by their amplitudes; `wall_width` is None where the stray field of a film
    leaves no easy axis.
    """
    magnet, space = system.magnet, system.space
    motion, _ = start_motion(system, initial_texture(system))
    table: dict[str, Any] = {
        "kind": system.table.kind, "nodes": space.size, "volume": space.volume * 1e-27,
        "scheme": type(motion.scheme).__name__, "spin_density": magnet.spin_density,
    }  # fmt: skip
    width = static_width(magnet)
    if magnet.anisotropy > 0 and magnet.exchange_stiffness > 0:
        table["wall_width"] = width
    if width is not None and np.isfinite(space.spacing):
        table["cell_over_wall_width"] = float(space.spacing) * 1e-9 / width
    if isinstance(magnet, Antiferromagnet):
        table |= {"exchange_field": magnet.exchange_field, "magnon_velocity":
                  magnet.magnon_velocity, "step": float(motion.scheme.step) * 1e-12}  # fmt: skip
        if magnet.anisotropy > 0:
            table |= {"resonance_frequency": magnet.resonance / (2 * np.pi),
                      "spin_flop_field": magnet.spin_flop_field}  # fmt: skip
    elif magnet.hard_anisotropy > 0 and magnet.anisotropy > 0:
        table["walker_field"] = magnet.walker_field
        if width is not None:
            table["walker_velocity"] = magnet.walker_velocity * width / magnet.wall_width
    if system.device is not None:
        table["transport_unknowns"] = len(system.device.problem.constraint.charge)
    return table | _amplitudes(system)


def _amplitudes(system: TextureSystem) -> dict[str, Any]:
    """Return the strengths of current and spin-orbit torques with their signals at 1, SI."""
    given, steady = system.table, {"signal": Signal()}
    changed: dict[str, Any] = {
        "spin_orbit": [drive.model_copy(update=steady) for drive in given.spin_orbit]
    }
    if given.current is not None:
        changed["current"] = given.current.model_copy(update=steady)
    system = replace(system, table=given.model_copy(update=changed))
    table: dict[str, Any] = {}
    transfer = system.transfer()
    if transfer is not None:
        rates = transfer.rates(0.0)
        table |= {"u_n": rates.u_n * 1e3, "beta": transfer.beta, "tau_sd": transfer.tau_sd}
    for k, torque in enumerate(system.orbit()):
        _, damping, field = torque.rates(0.0)
        table[f"spin_orbit.{k}.damping_like_field"] = float(damping) * 1e12 / system.magnet.gamma
        table[f"spin_orbit.{k}.field_like_field"] = float(field) * 1e12 / system.magnet.gamma
    return table
