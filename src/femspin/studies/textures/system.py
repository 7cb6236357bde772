"""A texture case turned into equations of motion: mesh, magnet, drives and initial state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import skfem

from ...bands.drive import BandTorque, band_torque
from ...case.schema import Case
from ...case.texture import Texture as TextureTable
from ...case.texture import TextureMesh
from ...case.texture_drives import CurrentDrive, Signal, SpinOrbitDrive
from ...device.coupled.torque import CoupledTorque
from ...device.model import Device
from ...errors import CaseError
from ...magnets.antiferromagnet import AntiferroTexture, StaggeredTorque, antiferromagnet_texture
from ...magnets.demagnetization import boundary_demagnetization
from ...magnets.energy import FieldFunction
from ...magnets.ferromagnet import Texture, ThermalField, ferromagnet_texture
from ...magnets.magnet import Antiferromagnet, Ferromagnet, damping_like_rate, drift_velocity
from ...magnets.newell import grid_demagnetization
from ...magnets.space import TextureSpace, mesh_space, region_space
from ...magnets.torques import ExternalTorque, SpinOrbitTorque, SpinTransfer, Torque
from ...magnets.two_sublattice import two_sublattice_texture
from ...structure import Structure, build_stack, load_mesh
from ...units import LENGTH, Array
from .device import coupled_torque, texture_device

__all__ = ["TextureSystem", "TransportTorque", "build_texture_system", "texture_magnet", "texture_space"]


@dataclass(frozen=True)
class TextureSystem:
    """A magnet on its mesh, with everything that drives it.

    Args:
        table: The [texture] of the case.
        space: The nodal space.
        magnet: Parameters, SI.
        bands: Coefficients of a band structure, if the current names one.
        thickness: Of the film [m], None if the case does not say.
        demagnetization: Long-range term of a ferromagnet, if it has one.
        folder: Where relative paths start.
        external: Torque of transport; `ExternalTorque` of a ferromagnet, else `StaggeredTorque`.
        coupled: What solves transport for it.
        device: The device that is solved.
        rehearsal: Nothing is solved and nothing moves: what comes out has the right names.
    """

    table: TextureTable
    space: TextureSpace
    magnet: Ferromagnet | Antiferromagnet
    bands: BandTorque | None = None
    thickness: float | None = None
    demagnetization: Any = None
    folder: Path | None = None
    external: ExternalTorque | StaggeredTorque | None = None
    coupled: CoupledTorque | None = None
    device: Device | None = None
    rehearsal: bool = False

    @property
    def antiferromagnetic(self) -> bool:
        """Whether the state is n and m of an antiferromagnet."""
        return isinstance(self.magnet, Antiferromagnet)

    @property
    def field(self) -> Array | FieldFunction | None:
        """External field [T] of all [[texture.fields]]: constant, or a function of time."""
        drives = self.table.fields
        if all(d.signal.constant for d in drives):
            return np.sum([d.field for d in drives], axis=0) if drives else None
        amplitudes = np.array([d.field for d in drives])

        def field(_: Array, time: float) -> Array:
            total: Array = np.array([d.signal.scale(time) for d in drives]) @ amplitudes
            return total

        return field

    @property
    def steady_field(self) -> Array:
        """Sum of the fields that do not change [T], shape (3,)."""
        steady = [d.field for d in self.table.fields if d.signal.constant]
        return np.sum(steady, axis=0) if steady else np.zeros(3)

    def orbit(self) -> tuple[SpinOrbitTorque, ...]:
        """Return the spin-orbit torques."""
        return tuple(_orbit_torque(self, k, drive) for k, drive in enumerate(self.table.spin_orbit))

    def transfer(self) -> SpinTransfer | None:
        """Return the torque of the current in the magnet, None without one."""
        return None if self.table.current is None else _transfer(self, self.table.current)

    def ferromagnet(self, field: Any = None, driven: bool = True) -> Texture:
        """Return the equation of motion of a ferromagnet.

        Args:
            field: Field in place of the case's [T].
            driven: With the torques, thermal field and varying fields of the case.
        """
        assert isinstance(self.magnet, Ferromagnet)
        transfer = self.transfer() if driven else None
        torques: tuple[Torque, ...] = ()
        if driven:
            torques = (*self.orbit(), *(() if transfer is None else (transfer,)))
        if driven and isinstance(self.external, ExternalTorque):
            torques = (*torques, self.external)
        thermal = None
        if driven and self.table.temperature is not None:
            thermal = ThermalField(self.table.temperature, self.table.seed)
        texture = ferromagnet_texture(self.space, self.magnet, self._field(field, driven), torques, thermal)
        if self.demagnetization is None:
            return texture
        return texture.with_terms(self.demagnetization)

    def antiferromagnet(self, field: Any = None, driven: bool = True) -> AntiferroTexture:
        """Return the (n, m) equations of motion of an antiferromagnet; see `ferromagnet`."""
        assert isinstance(self.magnet, Antiferromagnet)
        return antiferromagnet_texture(
            self.space,
            self.magnet,
            self._field(field, driven),
            self.orbit() if driven else (),
            self.transfer() if driven else None,
            self.external if driven and isinstance(self.external, StaggeredTorque) else None,
        )

    def sublattices(self, field: Any = None, driven: bool = True) -> Texture:
        """Return the equations of motion of both sublattices at steady drives; see `ferromagnet`.

        The torque of a changing current (tau_sd) is not part of them.
        """
        assert isinstance(self.magnet, Antiferromagnet)
        transfer = self.transfer() if driven else None
        currents = () if transfer is None else (replace(transfer, tau_sd=0.0),)
        return two_sublattice_texture(
            self.space,
            self.magnet,
            self._field(field, driven),
            (*self.orbit(), *currents) if driven else (),
            self.external if driven and isinstance(self.external, StaggeredTorque) else None,
        )

    def moving_sublattices(self) -> Texture:
        """Return the equations of motion of both sublattices, driven.

        Raises:
            CaseError: If a drive is not part of them.
        """
        transfer = self.transfer()
        if transfer is not None and transfer.tau_sd:
            raise CaseError(
                "texture.scheme", "two_sublattice has no torque of a changing current (tau_sd); use rotor"
            )
        if self.external is not None:
            raise CaseError("texture.scheme", "two_sublattice takes no torque of transport; use rotor")
        return self.sublattices()

    def _field(self, given: Any, driven: bool) -> Any:
        if given is not None:
            return given
        if driven:
            return self.field
        return self.steady_field if self.steady_field.any() else None


TransportTorque = Callable[[TextureSystem], ExternalTorque | StaggeredTorque]
"""Makes the torque of a solved device on the magnet of a system."""


def build_texture_system(
    case: Case, folder: Path | None = None, transport: TransportTorque | None = None
) -> TextureSystem:
    """Return the magnet of a case with its mesh and drives.

    Args:
        case: A case with [texture].
        folder: Where relative paths start; default the folder of the case file.
        transport: Makes the torque of `torque_source = "transport"` instead of the device of
            the case.

    Raises:
        CaseError: If tables contradict each other or a file is missing.
    """
    table = case.texture
    if table is None:
        raise CaseError("texture", "the case has no [texture]")
    folder = case.folder if folder is None else folder
    solved = table.torque_source == "transport" and transport is None
    device = texture_device(case, folder) if solved else None
    magnet = texture_magnet(table)
    space, thickness = texture_space(case, folder, None if device is None else device.structure)
    term = None
    if table.magnetostatics == "full":
        assert isinstance(magnet, Ferromagnet)
        term = _demagnetization(space, magnet)
    bands = None
    current = table.current
    if current is not None and current.band_structure is not None:
        bands = band_torque(current, folder)
    system = TextureSystem(table, space, magnet, bands, thickness, term, folder)
    system.orbit()  # what is wrong with a drive is said before anything is computed
    system.transfer()
    if device is not None:
        return _coupled(system, device)
    if table.torque_source == "transport" and transport is not None:
        return replace(system, external=transport(system))
    return system


def _coupled(system: TextureSystem, device: Device) -> TextureSystem:
    """Return the system with the torque of a solved device."""
    torque = coupled_torque(device, system.table, system.space, system.magnet)
    external = torque.staggered if system.antiferromagnetic else torque.external
    return replace(system, external=external, coupled=torque, device=device)


def texture_magnet(table: TextureTable) -> Ferromagnet | Antiferromagnet:
    """Return the parameters of a [texture], SI; axes are normalized."""
    m = table.magnet
    shared: dict[str, Any] = {
        "exchange_stiffness": m.exchange_stiffness,
        "damping": m.damping,
        "anisotropy": m.anisotropy,
        "axis": _unit(m.axis),
        "hard_anisotropy": m.hard_anisotropy,
        "hard_axis": _unit(m.hard_axis),
        "interfacial_dmi": m.interfacial_dmi,
        "g_factor": m.g_factor,
    }
    if table.kind == "ferromagnet":
        assert m.saturation_magnetization is not None
        return Ferromagnet(
            saturation=m.saturation_magnetization,
            cubic_anisotropy=m.cubic_anisotropy,
            cubic_axes=(_unit(m.cubic_axes[0]), _unit(m.cubic_axes[1])),
            bulk_dmi=m.bulk_dmi,
            thin_film=table.magnetostatics == "thin_film",
            **shared,
        )
    assert m.sublattice_magnetization is not None
    exchange = m.homogeneous_exchange
    if exchange is None:
        assert m.exchange_field is not None
        exchange = 4 * m.sublattice_magnetization * m.exchange_field
    x, y, z = m.homogeneous_dmi
    return Antiferromagnet(
        sublattice_saturation=m.sublattice_magnetization,
        homogeneous_exchange=exchange,
        homogeneous_dmi=(x, y, z),
        **shared,
    )


def texture_space(
    case: Case, folder: Path | None, structure: Structure | None = None
) -> tuple[TextureSpace, float | None]:
    """Return the nodal space of the magnet, and the thickness of a film [m] if it is known.

    Args:
        case: A case with [texture].
        folder: Where relative paths start.
        structure: The meshed device, if there is one; by default it is meshed for the magnet.
    """
    table = case.texture
    assert table is not None
    if table.mesh is not None:
        given = "thickness" in table.mesh.model_fields_set
        return _own_mesh(table.mesh), table.mesh.thickness if given else None
    assert table.region is not None
    kinds = {name: region.kind for name, region in case.regions.items()}
    thickness = None
    if case.structure is not None:
        structure = structure or build_stack(case.structure, kinds, {})
        layers = [x.thickness for x in case.structure.layers if x.region == table.region]
        thickness = float(sum(layers))
    elif structure is None:
        assert case.mesh is not None
        path = Path(case.mesh.file)
        path = path if path.is_absolute() or folder is None else folder / path
        structure = load_mesh(path, case.mesh.length_unit, kinds)
    return region_space(structure, table.region, _section(table, structure.dimension)), thickness


def _section(table: TextureTable, dimension: int) -> float:
    """Return the extent of a device in the directions it leaves out [nm^(3 - dimension)]."""
    key = "texture.depth"
    if table.depth is not None and dimension == 3:
        raise CaseError(key, "the device has all three directions; leave it out")
    if table.depth is not None:
        return float((table.depth / LENGTH) ** (3 - dimension))
    needed = "the stray field depends" if table.magnetostatics == "full" else ""
    if table.temperature is not None:
        needed = "thermal motion depends"
    if needed and dimension < 3:
        raise CaseError(
            key,
            f"is missing: {needed} on the extent of the magnet along the"
            f" direction{'s' if dimension == 1 else ''} that a {dimension}D device"
            " leaves out",
        )
    return 1.0


def _own_mesh(mesh: TextureMesh) -> TextureSpace:
    edges = [
        np.linspace(-0.5, 0.5, count + 1) * extent / LENGTH
        for extent, count in zip(mesh.extents, mesh.counts, strict=True)
    ]
    kinds = {1: skfem.MeshLine, 2: skfem.MeshQuad, 3: skfem.MeshHex}
    if mesh.triangles:
        kinds |= {2: skfem.MeshTri, 3: skfem.MeshTet}
    kind = kinds[mesh.dimension]
    grid = kind(edges[0]) if mesh.dimension == 1 else kind.init_tensor(*edges)
    rest = [mesh.width, mesh.thickness][mesh.dimension - 1 :]
    section = float(np.prod(rest)) / LENGTH ** len(rest) if rest else 1.0
    periodic = ["x"] if mesh.shape == "point" else [a for a in mesh.periodic if a in mesh.meshed]
    faces = [(k, extent / LENGTH) for k, extent in mesh.faces]
    space = mesh_space(grid, section=section, periodic=["xyz".index(a) for a in periodic], faces=faces)
    with np.errstate(divide="ignore"):
        _ = space.spacing  # infinite for a macrospin; kept by the space
    return space


def _demagnetization(space: TextureSpace, magnet: Ferromagnet) -> Any:
    """Return the long-range term that suits the mesh."""
    if type(space.mesh).__name__ == "MeshTet1":
        return boundary_demagnetization(space, magnet)
    try:
        return grid_demagnetization(space, magnet)
    except CaseError as error:
        raise CaseError("texture.magnetostatics", f'"full": {error.problem}') from None


def _unit(axis: list[float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in np.asarray(axis, float) / np.linalg.norm(axis))
    return x, y, z


def _signalled(value: Any, signal: Signal) -> Any:
    """Return a strength as it stands, or as a function of time [s]."""
    return value if signal.constant else _varying(value, signal)


def _varying(value: Any, signal: Signal) -> Callable[[float], Array]:
    """Return a strength as a function of time [s], zero before time 0."""
    amplitude = np.asarray(value, float)

    def strength(time: float) -> Array:
        return amplitude * signal.scale(time)

    return strength


def _orbit_torque(system: TextureSystem, index: int, drive: SpinOrbitDrive) -> SpinOrbitTorque:
    magnet = system.magnet
    rate = 0.0
    if drive.damping_like is not None:
        rate = magnet.gamma * drive.damping_like
    elif drive.damping_like_rate is not None:
        rate = drive.damping_like_rate
    elif drive.spin_current is not None:
        thickness = drive.thickness or system.thickness
        if thickness is None:
            raise CaseError(
                f"texture.spin_orbit.{index}.thickness",
                "is needed to spread spin_current over the film; give it here or as texture.mesh.thickness",
            )
        rate = damping_like_rate(drive.spin_current, magnet.spin_density, thickness)
    return SpinOrbitTorque(
        _unit(drive.polarisation),
        _signalled(rate, drive.signal),
        _signalled(magnet.gamma * drive.field_along_moments, drive.signal),
        drive.staggered,
    )


def _transfer(system: TextureSystem, drive: CurrentDrive) -> SpinTransfer:
    s, density = system.magnet.spin_density, np.array(drive.density)
    beta = drive.beta or 0.0
    if isinstance(system.magnet, Ferromagnet):
        assert drive.polarisation is not None
        u = drift_velocity(drive.polarisation, density, s)
        return SpinTransfer(_signalled(u, drive.signal), beta)
    if system.bands is not None:
        u_n, u_m, u_st = system.bands.velocities(density, s)
        tau, tau_s = system.bands.tau_sd, system.bands.spin_relaxation_time
    else:
        given = (drive.p_n, drive.p_m, drive.p_st)
        assert drive.p_n is not None
        u_n, u_m, u_st = (drift_velocity(drive.p_n if p is None else p, density, s) for p in given)
        tau, tau_s = drive.tau_sd or 0.0, drive.spin_relaxation_time
    if drive.beta is None and tau_s is not None:
        if tau == 0.0:
            raise CaseError("texture.current.tau_sd", "is needed with spin_relaxation_time")
        beta = tau / tau_s
    u_n, u_m = (_signalled(u, drive.signal) for u in (u_n, u_m))
    # A current that flows from time 0 on jumps there, too: it needs to be known before.
    return SpinTransfer(u_n, beta, u_m, _varying(u_st, drive.signal), tau)
