"""What a case leaves out or sets to doubtful values, as sentences that name the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...case.schema import Case
from ...fields.region import RegionFields
from ...interface.reduced import ReducedLayer, thin_drift
from ...materials.parameters import RegionParameters
from ...transport.layers.lengths import lengths, resolved_rates
from ...units import E_CHARGE, LENGTH
from ..neighbours import neighbours

if TYPE_CHECKING:
    from ..model import Device

__all__ = ["Input", "coarse_mesh", "device_input", "doubtful_input", "missing_input", "resolution"]

_PLAIN = (
    "mgo",
    "al2o3",
    "alox",
    "sio2",
    "sin",
    "si3n4",
    "hfo2",
    "taox",
    "ta2o5",
    "tio2",
    "zno",
    "mgal2o4",
    "srtio3",
    "sto",
    "hbn",
    "ga2o3",
    "sapphire",
    "quartz",
    "glass",
    "vacuum",
    "air",
)
_COARSE = 0.5  # of the shortest length of a region, per cell
_NO_DRIFT = 1e-9  # of the spin current that the whole drive could be


@dataclass(frozen=True)
class Input:
    """What a case says of its regions.

    Args:
        case: Completed.
        parameters: Conducting regions by name.
        fields: Their coefficients at the case's own magnetization.
        touching: Pairs of regions that touch, named as interfaces are.
        reduced: F layers that are replaced by a face.
    """

    case: Case
    parameters: Mapping[str, RegionParameters]
    fields: Mapping[str, RegionFields]
    touching: Sequence[tuple[str, str]]
    reduced: Sequence[ReducedLayer] = ()

    @property
    def kinds(self) -> dict[str, str]:
        """HM, F, FI or I of every region."""
        return {name: region.kind for name, region in self.case.regions.items()}


def device_input(device: Device) -> Input:
    """Return what the case of a device says of its regions."""
    fields = {name: device.region_fields(name, device.direction) for name in device.parameters}
    touching = [n.pair for n in neighbours(device)]
    return Input(device.case, device.parameters, fields, touching, device.reduced)


def missing_input(given: Input) -> list[str]:
    """Return what is zero because the case says nothing about it."""
    return _uncoupled(given) + _without_moments(given) + _plain(given)


def doubtful_input(given: Input) -> list[str]:
    """Return values that are allowed and hardly meant, and what a model leaves out."""
    return _large_angles(given) + _fast_transverse(given) + _dropped_drift(given)


def coarse_mesh(device: Device) -> list[str]:
    """Return the regions whose cells are too high for the lengths over which spins change."""
    if device.case.solver.method == "stack":  # exact, whatever the mesh
        return []
    found, stack = [], device.case.structure is not None
    rates = resolved_rates(device.case)
    for name, fields in device.fields(device.direction).items():
        shortest = lengths(fields, rates).shortest
        ratio = resolution(device, name, shortest)
        if ratio > _COARSE:
            key, cure = (
                (
                    "structure.layers",
                    "give them more cells, or none for a graded mesh, or raise"
                    " structure.cells_per_decay_length",
                )
                if stack
                else ("mesh.file", "refine the mesh there")
            )
            found.append(
                f"{key}: even the thinnest cells of {name} are {ratio:.2g} times as high as its"
                f" shortest length, {shortest / LENGTH:.3g} nm (at most {_COARSE:g}); {cure}"
            )
    return found


def resolution(device: Device, region: str, shortest: float) -> float:
    """Return the height of the thinnest cells of a region over its shortest length [m]."""
    mesh = device.structure.mesh
    z = mesh.p[-1, mesh.t[:, device.structure.cells(region)]]
    return float(np.ptp(z, axis=0).min()) * LENGTH / shortest


def _uncoupled(given: Input) -> list[str]:
    """Return the interfaces of metals with magnets that nothing is said about."""
    tables = {frozenset(key.split("|")) for key in given.case.interfaces}
    return [
        f"interfaces.{first}|{second}: nothing couples {first} to the magnet {second}, so"
        " that no spin crosses; set G_r (G_s, G_i) or conductance there, or type ="
        f' "insulating", or kind = "I" if {second} is no magnet'
        for first, second in given.touching
        if given.kinds[second] == "FI"
        and not _is_plain(given, second)
        and first in given.parameters
        and frozenset((first, second)) not in tables
        and not (given.kinds[first] == "F" and given.fields[first].has_moments)
    ]


def _without_moments(given: Input) -> list[str]:
    """Return the F regions whose M is no torque."""
    return [
        f"regions.{name}.kondo: {name} has no local moments, so that its M is relaxation and"
        " precession of spin and nothing of it is torque; a magnet needs kondo.spin,"
        " moment_density and exchange_energy"
        for name in given.parameters
        if given.kinds[name] == "F" and _relaxes_alone(given, name)
    ]


def _relaxes_alone(given: Input, name: str) -> bool:
    fields = given.fields[name]
    return not fields.has_moments and bool(fields.relaxation.any() or fields.omega.any())


def _plain(given: Input) -> list[str]:
    """Return the insulators that are taken for magnets in spite of their names."""
    return [
        f'regions.{name}.kind: "FI" is a magnetic insulator, to which moments beside it hand'
        f' torque; a plain insulator such as {name} is kind = "I"'
        for name, region in given.case.regions.items()
        if region.kind == "FI" and _is_plain(given, name)
    ]


def _is_plain(given: Input, name: str) -> bool:
    """Return whether an insulator without magnet has the name of one without moments."""
    bare = name.rstrip("0123456789_- ").lower()
    plain = {known.rstrip("0123456789") for known in _PLAIN}
    return given.case.regions[name].magnet is None and bare in plain


def _large_angles(given: Input) -> list[str]:
    found = []
    for name, parameters in given.parameters.items():
        region, key = parameters.region, "spin_hall_angle"
        angles = np.abs(region.spin_hall_angle or 0.0)
        override = region.override
        if override is not None and override.spin_hall_angles is not None:
            angles, key = np.abs(override.spin_hall_angles).max(), "override.spin_hall_angles"
        if angles > 1:
            found.append(
                f"regions.{name}.{key}: an angle of {angles:g} makes more spin than"
                " charge current; it is a ratio, not a percentage"
            )
    return found


def _fast_transverse(given: Input) -> list[str]:
    """Return the relaxation tensors under which spin would shrink slower than it can."""
    found = []
    for name, parameters in given.parameters.items():
        override = parameters.region.override
        if override is None:
            continue
        if override.tau_parallel is not None and override.tau_perpendicular is not None:
            if override.tau_perpendicular > 2 * override.tau_parallel * (1 + 1e-9):
                found.append(
                    f"regions.{name}.override.tau_perpendicular: {override.tau_perpendicular:g} s"
                    f" is longer than 2 tau_parallel = {2 * override.tau_parallel:g} s, which no"
                    " relaxation of spin 1/2 can be"
                )
        elif override.relaxation is not None:
            tensor = np.array(override.relaxation)
            rates = np.linalg.eigvalsh(0.5 * (tensor + tensor.T))
            if rates[2] > (rates[0] + rates[1]) * (1 + 1e-9):
                found.append(
                    f"regions.{name}.override.relaxation: the fastest rate, {rates[2]:g} 1/s,"
                    " exceeds the sum of the two others, which no relaxation of spin 1/2 does"
                )
    return found


def _dropped_drift(given: Input) -> list[str]:
    """Return the replaced layers whose model leaves out what the electric field drives."""
    found = []
    for layer in given.reduced:
        fields = given.fields[layer.name]
        if layer.form != "layer":
            continue
        lost = float(np.linalg.norm(thin_drift(fields, layer.thickness)))
        if lost > _NO_DRIFT * float(np.abs(fields.drift).max()):
            found.append(
                f'regions.{layer.name}.model: "layer" leaves out J_E, the spin current that the'
                f" electric field drives in the layer (about {E_CHARGE * lost:.2g} A/m^2); use"
                ' "exact" or "thin"'
            )
    return found
