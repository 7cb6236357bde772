r"""Resistivity of a device and how it changes with the magnetization and the magnetic field.

The response is taken to a uniform field in all conducting regions; sources that do not depend
on it (prescribed spin potentials and fluxes) are subtracted.  Conductivities are
:math:`\sigma_{ij} = j_i/E_j` for the current averaged over the volume of all conductors, and
resistivities their inverse, relative to :math:`\rho = d/\sum_k\sigma_k d_k`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..device.model import Device
from ..device.observables.averages import RegionAverage, region_averages
from ..device.steady import solve_transport
from ..errors import CaseError
from ..materials.parameters import RegionParameters
from ..units import Array

__all__ = [
    "PLANES",
    "AngularScan",
    "ChargeResponse",
    "HanleMagnetoresistance",
    "Order",
    "Rotated",
    "SmrAmplitudes",
    "angular_scan",
    "charge_response",
    "charge_tensors",
    "fit_amplitudes",
    "hanle_magnetoresistance",
    "smr_amplitudes",
]

Order = Literal["exact", "leading"]
Rotated = Literal["m", "B"]

_FIELD = 1e5  # V/m; the response is linear
_X, _Y, _Z = np.eye(3)
_DIRECTIONS = np.array([_X, _Y, _Z, -_Z, (_X + _Y) / np.sqrt(2), (_X + _Y + _Z) / np.sqrt(3)])

PLANES: dict[str, tuple[Array, Array]] = {"xy": (_X, _Y), "yz": (_Y, _Z), "xz": (_X, _Z)}
"""Planes of rotation: the angle is counted from the first axis towards the second."""


@dataclass(frozen=True)
class ChargeResponse:
    r"""In-plane conductivity of one conductor, or of several in parallel.

    Args:
        thickness: d [m].
        nominal: Conductivity without any spin effect [S/m].
        excess: :math:`\sigma_{ij}/\sigma - \delta_{ij}`, known without cancellation, (2, 2).
        regions: The same of every region.
    """

    thickness: float
    nominal: float
    excess: Array
    regions: Mapping[str, ChargeResponse]

    @property
    def conductivity(self) -> Array:
        """sigma_ij = j_i / E_j [S/m], shape (2, 2); sigma_yx is the Hall conductivity."""
        return self.nominal * (np.eye(2) + self.excess)

    @property
    def resistivity(self) -> Array:
        """rho_ij = E_i / j_j [Ohm m], shape (2, 2)."""
        return np.asarray(np.linalg.inv(self.conductivity), float)

    @property
    def sheet_conductance(self) -> Array:
        """Conductivity times thickness [S], shape (2, 2)."""
        return self.thickness * self.conductivity

    def change(self, order: Order = "exact") -> Array:
        r"""Return :math:`\rho_{ij}/\rho - \delta_{ij}`, without cancellation, shape (2, 2).

        Args:
            order: ``exact``, or ``leading`` order in the excess, as in formulas to second
                order in the spin Hall angle.
        """
        if order == "leading":
            return -self.excess
        return -np.asarray(np.linalg.solve(np.eye(2) + self.excess, self.excess), float)


@dataclass(frozen=True)
class SmrAmplitudes:
    r"""Amplitudes of the spin Hall magnetoresistance for a current along x, normal along z.

    .. math:: \rho_L = \rho\,[1 + d_0 + d_1(1 - m_y^2)],\qquad
              \rho_T = \rho\,[d_1 m_x m_y + d_2 m_z]

    Args:
        resistivity: rho [Ohm m].
        d0: Change that does not depend on m.
        d1: Amplitude of the longitudinal effect.
        d2: Amplitude of the effect like an anomalous Hall effect.
        residual: Largest deviation of the computed numbers from this form.
    """

    resistivity: float
    d0: float
    d1: float
    d2: float
    residual: float


@dataclass(frozen=True)
class AngularScan:
    """Resistivity while m or B rotates in a plane.

    Args:
        plane: xy, yz or xz.
        angles: From the first axis of the plane towards the second [rad], shape (n,).
        directions: Shape (n, 3).
        longitudinal: rho_xx / rho - 1, shape (n,).
        transverse: rho_yx / rho, shape (n,).
        responses: Everything else, one per angle.
    """

    plane: str
    angles: Array
    directions: Array
    longitudinal: Array
    transverse: Array
    responses: tuple[ChargeResponse, ...]


@dataclass(frozen=True)
class HanleMagnetoresistance:
    """What a magnetic field does to the resistivity at a fixed magnetization.

    Args:
        field: |B| [T], shape (n,).
        longitudinal: (rho_xx for B along z - rho_xx for B along y) / rho, shape (n,).
        transverse: rho_yx / rho for B along z, the part odd in B, shape (n,).
    """

    field: Array
    longitudinal: Array
    transverse: Array


def charge_tensors(
    along_x: Sequence[RegionAverage],
    along_y: Sequence[RegionAverage],
    base: Sequence[RegionAverage] | None = None,
) -> ChargeResponse:
    """Return the response from the averages under two fields, along x and along y.

    Args:
        along_x: Averages of all conductors, driven along x.
        along_y: The same, driven along y with the same strength.
        base: The same without a field, if sources other than the field act.
    """
    parts: list[ChargeResponse] = []
    for k, (x, y) in enumerate(zip(along_x, along_y, strict=True)):
        driven = np.stack([x.excess_current[:2], y.excess_current[:2]], axis=1)
        if base is not None:
            driven -= base[k].excess_current[:2, None]
        drude, nominal = x.fields.conductivity, x.fields.measured_conductivity
        excess = driven / (nominal * float(x.prescribed_field[0]))
        excess += (drude / nominal - 1) * np.eye(2)  # of the bulk, which is measured beyond it
        parts.append(ChargeResponse(x.thickness, nominal, excess, {}))
    thickness = sum(p.thickness for p in parts)
    sheet = sum(p.thickness * p.nominal for p in parts)
    total = sum((p.thickness * p.nominal * p.excess for p in parts), np.zeros((2, 2))) / sheet
    regions = dict(zip((x.name for x in along_x), parts, strict=True))
    return ChargeResponse(thickness, sheet / thickness, total, regions)


def charge_response(
    device: Device, m: ArrayLike | None = None, field: ArrayLike | None = None
) -> ChargeResponse:
    """Return the in-plane charge response of a device to a uniform electric field.

    Args:
        device: A problem without electrodes; fields prescribed in single regions are ignored.
        m: Magnetization direction, default that of the case, shape (3,).
        field: Magnetic field [T], default that of the case, shape (3,).

    Raises:
        CaseError: If electrodes drive the device, if it ends along x or y, or if moments cannot
            stay along m against the field.
        SolverError: If a linear solver fails.
    """
    _refuse_bounded(device)
    direction = device.direction if m is None else np.asarray(m, float)
    size = float(np.linalg.norm(direction))
    if not size > 0:
        raise ValueError("the magnetization direction must not be zero")
    b = device.conditions.magnetic_field if field is None else np.asarray(field, float)

    def averages(electric: Array) -> tuple[RegionAverage, ...]:
        driven = _driven(device, electric, b)
        return region_averages(driven, solve_transport(driven, direction / size))

    base = averages(np.zeros(3)) if _has_sources(device, direction / size) else None
    return charge_tensors(averages(_FIELD * _X), averages(_FIELD * _Y), base)


def _refuse_bounded(device: Device) -> None:
    """Refuse devices through which a uniform field drives no current, or not the only one."""
    if device.case.drive.electrodes:
        raise CaseError(
            "drive.electrodes",
            "resistivities are the response to a uniform electric field; leave the electrodes out",
        )
    structure = device.structure
    periodic = {structure.axes[row] for row, _ in structure.periods}
    ends = [axis for axis in structure.axes if axis < 2 and axis not in periodic]
    if not ends:
        return
    problem = (
        f"no current flows along {' and '.join('xyz'[axis] for axis in ends)}, where the"
        " device ends at insulating faces: a resistivity of the sheet needs"
    )
    if device.case.structure is None:
        raise CaseError(
            "mesh.file",
            f"{problem} a layered [structure] with dimension = 1 or"
            ' lateral = "periodic"; drive a mesh by electrodes and use `femspin run`',
        )
    raise CaseError("structure.lateral", f'{problem} "periodic", or dimension = 1')


def fit_amplitudes(
    directions: ArrayLike, responses: Sequence[ChargeResponse], order: Order = "exact"
) -> SmrAmplitudes:
    """Return the amplitudes that describe the responses best, in the sense of least squares.

    Args:
        directions: Unit vectors m, shape (n, 3).
        responses: One per direction.
        order: See `ChargeResponse.change`.
    """
    m = np.asarray(directions, float)
    one, none = np.ones(len(m)), np.zeros(len(m))
    form = np.concatenate(
        [
            np.stack([one, 1 - m[:, 1] ** 2, none], axis=1),
            np.stack([none, m[:, 0] * m[:, 1], m[:, 2]], axis=1),
        ]
    )
    changes = np.array([r.change(order) for r in responses])
    data = np.concatenate([changes[:, 0, 0], changes[:, 1, 0]])
    fit = np.linalg.lstsq(form, data, rcond=None)[0]
    residual = float(np.abs(form @ fit - data).max())
    d0, d1, d2 = (float(v) for v in fit)
    return SmrAmplitudes(1 / responses[0].nominal, d0, d1, d2, residual)


def smr_amplitudes(
    device: Device,
    order: Order = "exact",
    rotate: Rotated = "m",
    size: float | None = None,
    directions: ArrayLike | None = None,
) -> SmrAmplitudes:
    """Return the amplitudes of the spin Hall magnetoresistance of a device.

    Args:
        device: The problem.
        order: ``exact`` resistivity, or ``leading`` order in its change.
        rotate: ``m`` alone in the magnetic field of the case, or ``B`` with m along it, as for
            a paramagnet; the amplitudes then belong to the direction of B.
        size: |B| [T] if B rotates, default that of the case.
        directions: Directions to use, default six, shape (n, 3).

    Raises:
        CaseError: If electrodes drive the device, or if B is to rotate and is zero.

    References:
        Chen et al., PRB 87, 144411 (2013).
    """
    u = _DIRECTIONS if directions is None else np.asarray(directions, float)
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    return fit_amplitudes(u, _responses(device, u, rotate, size), order)


def angular_scan(
    device: Device,
    plane: str,
    angles: ArrayLike,
    rotate: Rotated = "m",
    size: float | None = None,
    order: Order = "exact",
) -> AngularScan:
    """Return the resistivity while the magnetization, or the magnetic field, rotates.

    Args:
        device: The problem.
        plane: xy, yz or xz, see `PLANES`.
        angles: [rad], shape (n,).
        rotate: ``m`` alone, or ``B`` with m along it.
        size: |B| [T] if B rotates, default that of the case.
        order: See `ChargeResponse.change`.

    Raises:
        CaseError: If electrodes drive the device, or if B is to rotate and is zero.
    """
    if plane not in PLANES:
        raise ValueError(f"plane must be one of {', '.join(PLANES)}, got {plane!r}")
    angles = np.asarray(angles, float)
    first, second = PLANES[plane]
    directions = np.outer(np.cos(angles), first) + np.outer(np.sin(angles), second)
    responses = _responses(device, directions, rotate, size)
    changes = np.array([r.change(order) for r in responses]).reshape(-1, 2, 2)
    return AngularScan(plane, angles, directions, changes[:, 0, 0], changes[:, 1, 0], responses)


def _responses(
    device: Device, directions: Array, rotate: Rotated, size: float | None
) -> tuple[ChargeResponse, ...]:
    if rotate == "m":
        return tuple(charge_response(device, u) for u in directions)
    if rotate != "B":
        raise ValueError(f"rotate must be m or B, got {rotate!r}")
    strength = float(np.linalg.norm(device.conditions.magnetic_field)) if size is None else size
    if strength == 0.0:
        raise CaseError("drive.magnetic_field", "a field that rotates must not be zero")
    return tuple(charge_response(device, u, strength * u) for u in directions)


def hanle_magnetoresistance(
    device: Device, field: ArrayLike, order: Order = "exact"
) -> HanleMagnetoresistance:
    """Return the Hanle magnetoresistance of a device.

    The magnetization stays that of the case.  With a scattering time and a mass the transverse
    part holds the ordinary Hall effect, too.

    Args:
        device: The problem.
        field: |B| [T], shape (n,).
        order: See `ChargeResponse.change`.

    References:
        Dyakonov, PRL 99, 126601 (2007); Velez et al., PRL 116, 016603 (2016).
    """
    sizes = np.atleast_1d(np.asarray(field, float))
    longitudinal, transverse = [], []
    for b in sizes:
        along_y, up, down = (charge_response(device, field=b * u).change(order) for u in (_Y, _Z, -_Z))
        longitudinal.append(up[0, 0] - along_y[0, 0])
        transverse.append((up[1, 0] - down[1, 0]) / 2)
    return HanleMagnetoresistance(sizes, np.array(longitudinal), np.array(transverse))


def _driven(device: Device, electric: Array, magnetic: Array) -> Device:
    """Return the device with the same fields in all regions."""
    conditions = replace(device.conditions, electric_field=electric, magnetic_field=magnetic)
    parameters = {name: _without_own_field(p) for name, p in device.parameters.items()}
    return replace(device, conditions=conditions, parameters=parameters)


def _without_own_field(parameters: RegionParameters) -> RegionParameters:
    override = parameters.region.override
    if override is None or override.electric_field is None:
        return parameters
    bare = override.model_copy(update={"electric_field": None})
    return replace(parameters, region=parameters.region.model_copy(update={"override": bare}))


def _has_sources(device: Device, m: Array) -> bool:
    held = any(np.any(face.value) for face in device.problem.boundary.potential)
    return held or any(np.any(law.drift) for law in device.laws(m).values())
