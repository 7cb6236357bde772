"""The torque of a solved device on the texture of one of its magnets, from a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...case.schema import Case
from ...case.texture import Texture as TextureTable
from ...device.build import build_device
from ...device.coupled.build import textured_transport
from ...device.coupled.torque import CoupledTorque, refuse_odd
from ...device.model import Device
from ...device.observables.quantity import Number
from ...errors import CaseError
from ...fields.build import region_fields
from ...magnets.magnet import Antiferromagnet, Ferromagnet
from ...magnets.space import TextureSpace

__all__ = ["coupled_torque", "phase_seconds", "texture_device", "torque_warning", "transport_numbers"]

_TOLD = 0.1  # error of a torque, over the largest, that is worth a warning
_PHASES = {"transport_assembly": ("fields", "assembly"), "transport_solve": ("factor", "solve", "torque")}


def texture_device(case: Case, folder: Path | None) -> Device:
    """Return the meshed device whose transport drives a texture.

    Args:
        case: A case with torque_source = "transport".
        folder: Where relative mesh paths start.

    Raises:
        CaseError: If the device is wrong, or asks for what is not done around a texture.
    """
    table = case.texture
    assert table is not None
    assert table.region is not None
    if case.solver.method == "stack":
        raise CaseError(
            "solver.method",
            '"stack" is for one direction of the moments; with a texture use auto, direct or iterative',
        )
    if case.solver.target_error is not None:
        raise CaseError("solver.target_error", "the mesh of a texture is not refined; leave it out")
    device = build_device(case, folder)
    _has_moments(device, table.region)
    return device


def _has_moments(device: Device, region: str) -> None:
    """Refuse a region that is no magnet, and a device that exchanges no spin with it."""
    kind = device.kinds[region]
    if kind in ("HM", "I"):
        raise CaseError(
            "texture.region",
            f"region {region!r} is of kind {kind} and has no moments; name an F or FI region",
        )
    if kind == "F":
        here = device.parameters[region].region
        # Whether there is any exchange does not depend on a field, which moments may not bear.
        still = replace(device.conditions, magnetic_field=np.zeros(3))
        ways = [region_fields(device.parameters[region], still, v) for v in np.eye(3)]
        exchanges = any(f.moment_omega.any() or f.moment_relaxation.any() for f in ways)
        if here.kondo is None or not exchanges:
            raise CaseError(
                f"regions.{region}.kondo",
                "is needed: the exchange of the carriers with the moments that move",
            )
        state = ways[0].moments
        if state is not None and state.curie <= device.conditions.temperature:
            raise CaseError(
                f"regions.{region}.kondo",
                "the moments are not ordered at"
                f" {device.conditions.temperature:g} K: they do not follow the"
                f" texture (Curie temperature {state.curie:g} K)",
            )


def coupled_torque(
    device: Device, table: TextureTable, space: TextureSpace, magnet: Ferromagnet | Antiferromagnet
) -> CoupledTorque:
    """Return the torque of transport as the integrators of a texture take it.

    Args:
        device: The meshed device.
        table: The [texture] of its case.
        space: Nodes of the magnet, on the mesh of the device.
        magnet: Its parameters.

    Raises:
        CaseError: If transport does not reach the magnet, or its torque would cancel.
    """
    options = table.transport
    assert options is not None
    assert table.region is not None
    try:
        transport = textured_transport(device, table.region, space, options.thickness_average)
        torque = CoupledTorque(
            transport,
            magnet.spin_density,
            options.tolerance,
            options.between,
            options.accuracy / options.tolerance,
            automatic=False,
            signal=None if options.signal.constant else options.signal.scale,
            breaks=options.signal.breaks,
        )
        if isinstance(magnet, Antiferromagnet):
            tilted = np.tile([0.48, 0.6, 0.64], (space.size, 1))
            refuse_odd(transport, tilted)
    except CaseError as error:
        path = "texture.region" if error.path.startswith("dynamics.") else error.path
        raise CaseError(path, error.problem) from None
    return torque


def transport_numbers(torque: CoupledTorque, gamma: float) -> dict[str, Any]:
    """Return what transport around a texture took, and how far kept torques were off.

    Args:
        torque: The torque after a run.
        gamma: Gyromagnetic ratio of the magnet [rad/(s T)]; torques are given as fields [T].
    """
    report = torque.report()
    whole = report["largest_rate"]
    return {
        "solutions": report["solutions"],
        "skipped": report["skipped"],
        "factorisations": report["factorisations"],
        "iterations": report["iterations"],
        "most_iterations": report["most_iterations"],
        "largest_torque": Number(whole / gamma, "T", "largest torque of transport"),
        "largest_torque_error": Number(report["largest_error"] / gamma, "T", "error of the torque"),
        "relative_torque_error": report["largest_error"] / whole if whole > 0 else 0.0,
        "angle_error": Number(report["angle_error"], "rad", "error of the angle"),
    }


def torque_warning(torque: CoupledTorque | None) -> str:
    """Return a sentence if a torque kept between solutions was far off, empty if none was."""
    report = {} if torque is None else torque.report()
    if not report or report["largest_error"] <= _TOLD * report["largest_rate"]:
        return ""
    share = report["largest_error"] / report["largest_rate"]
    return (
        f"a torque of transport that was kept between solutions was off by {share:.2g} of the"
        f" largest torque (at most {_TOLD:g} pass in silence); lower"
        " texture.transport.tolerance or texture.step"
    )


def phase_seconds(torque: CoupledTorque, total: float) -> Mapping[str, float]:
    """Return the wall time [s] of magnetics, transport assembly and transport solutions.

    Args:
        torque: The torque after a run.
        total: Wall time of the run.
    """
    spent = torque.transport.work.seconds
    found = {name: sum(spent[k] for k in keys) for name, keys in _PHASES.items()}
    return {"magnetics": total - sum(found.values()), **found}
