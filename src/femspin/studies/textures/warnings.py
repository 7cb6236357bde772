"""What a texture case leaves out or does not resolve, as sentences or as a refusal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...case.schema import Case
from ...device.observables.input_warnings import coarse_mesh, device_input, doubtful_input, missing_input
from ...errors import CaseError
from ...magnets.magnet import Ferromagnet
from ...magnets.walls import static_width
from ...units import LENGTH, Array
from .states import wall_frame
from .system import TextureSystem

__all__ = ["case_warnings", "refuse_unfit_texture", "state_warnings", "texture_scales"]


_FINE = 0.5  # of a length of the magnet, per cell
_SHARE = 0.01  # of the anisotropy that may be left out in silence
_TURN = 1.0  # from node to node [rad]: that of a wall at its centre with cells of its width
_UNIFORM = 1e-9  # change of m over a cell
_TRACE = 0.02  # error of the sum of the demagnetizing factors


def case_warnings(system: TextureSystem, case: Case) -> tuple[str, ...]:
    """Return sentences on what follows from a case before it is run.

    Args:
        system: The magnet and its drives.
        case: Its case.
    """
    return (
        *_field_warnings(system),
        *_coarse(system),
        *_bulk_twist(system),
        *_side_twist(system),
        *_stray_field(system),
        *_other_magnets(system, case),
        *_older_sign(system),
        *_unbalanced(system),
        *_device_warnings(system),
    )


def state_warnings(system: TextureSystem, states: Sequence[Array]) -> tuple[str, ...]:
    """Return sentences on what happened to m or n, the last of the states being the end."""
    found = []
    turn = system.space.largest_turn(states[-1])
    if turn > _TURN and system.table.temperature is None:
        found.append(
            f"{_mesh_key(system)}: the texture turns by up to {np.degrees(turn):.3g} deg"
            f" from node to node at the end, more than {np.degrees(_TURN):.3g} deg, which"
            " the mesh does not resolve; use smaller cells"
        )
    current = system.table.current
    if current is not None and any(current.density) and _without_effect(system, states):
        found.append("texture.current has no effect: the texture does not change along it")
    return tuple(found)


def refuse_unfit_texture(system: TextureSystem) -> None:
    """Refuse an initial texture that the mesh does not resolve or its periods do not close.

    Raises:
        CaseError: Naming the key.
    """
    _refuse_seams(system)
    given = system.table
    if given.initial.type not in ("wall", "vortex", "skyrmion") and given.wall is None:
        return
    for name, length, axis, cell in _cells(system):
        if cell > (1 + 1e-9) * length:
            raise CaseError(
                _mesh_key(system),
                f"cells of {cell * 1e9:.3g} nm along"
                f" {'xyz'[axis]} are longer than the {name} of {length * 1e9:.3g} nm;"
                " use at most half of it",
            )


def texture_scales(system: TextureSystem) -> dict[str, float]:
    """Return the lengths [m] over which the texture of a magnet changes, by name."""
    magnet, given = system.magnet, system.table.initial
    stiffness, scales = magnet.exchange_stiffness, {}
    width = static_width(magnet)
    if width is not None:
        scales["wall width"] = width
    if isinstance(magnet, Ferromagnet):
        if stiffness > 0 and magnet.cubic_anisotropy:
            scales["cubic wall width"] = float(np.sqrt(stiffness / abs(magnet.cubic_anisotropy)))
        if stiffness > 0 and _stray(system, width):
            scales["exchange length"] = float(np.sqrt(stiffness / magnet.shape_anisotropy))
    for name in ("interfacial", "bulk"):
        strength = abs(getattr(magnet, f"{name}_dmi", 0.0))
        if strength and stiffness > 0:
            scales[f"length 2A/|D| of the {name} DMI"] = 2 * stiffness / strength
    if given.radius is not None:
        scales[f"radius of the {given.type}"] = given.radius
    return scales


def _stray(system: TextureSystem, width: float | None) -> bool:
    """Return whether the stray field sets a length: a thin film's only without a normal axis."""
    kind = system.table.magnetostatics
    return kind == "full" or (kind == "thin_film" and width is None)


def _cells(system: TextureSystem) -> list[tuple[str, float, int, float]]:
    """Return name, length [m], direction and cell [m] of all pairs, the worst first."""
    pairs = [
        (name, length, axis, extent * LENGTH)
        for name, length in texture_scales(system).items()
        for axis, extent in system.space.cell_extents.items()
    ]
    return sorted(pairs, key=lambda pair: pair[1] / pair[3])


def _mesh_key(system: TextureSystem) -> str:
    return "texture.region" if system.table.mesh is None else "texture.mesh.cell"


def _coarse(system: TextureSystem) -> list[str]:
    """Say where cells are long; only the worst pair."""
    for name, length, axis, cell in _cells(system)[:1]:
        if cell > _FINE * (1 + 1e-9) * length:
            return [
                f"{_mesh_key(system)}: cells of {cell * 1e9:.3g} nm along {'xyz'[axis]} are"
                f" {cell / length:.2g} times the {name} of {length * 1e9:.3g} nm; textures"
                " are resolved by at most half of it"
            ]
    return []


# ---------------------------------------------------------------- seams


def _refuse_seams(system: TextureSystem) -> None:
    """Refuse one wall or vortex across a periodic seam, where it would meet itself."""
    given, space = system.table.initial, system.space
    periodic = {space.axes[k]: p * LENGTH for k, p in space.periods if space.axes[k] in space.cell_extents}
    if given.type == "wall" and wall_frame(system)[2] in periodic:
        across = "xyz"[wall_frame(system)[2]]
        raise CaseError(
            "texture.initial.type",
            f"one wall does not fit the periodic direction"
            f" {across}: its domains would meet in a second wall at the seam; drop"
            f" {across!r} from texture.mesh.periodic, or start from a file with a pair"
            " of walls",
        )
    crossed = [axis for axis in (0, 1) if axis in periodic]
    if given.type == "vortex" and crossed:
        raise CaseError(
            "texture.initial.type",
            "a vortex does not fit a periodic direction: m is opposite on both sides of the seam",
        )
    if given.type == "skyrmion" and given.radius is not None:
        for axis in crossed:
            if given.radius >= 0.5 * periodic[axis]:
                raise CaseError(
                    "texture.initial.radius",
                    f"must be below half the period along {'xyz'[axis]}, {0.5e9 * periodic[axis]:.4g} nm",
                )


# ---------------------------------------------------------------- DMI at faces that are not meshed


def _bulk_twist(system: TextureSystem) -> list[str]:
    """Say where the twist of bulk DMI across a direction that is not meshed is an estimate."""
    magnet = system.magnet
    if not (isinstance(magnet, Ferromagnet) and magnet.bulk_dmi and magnet.exchange_stiffness):
        return []
    turn = abs(magnet.bulk_dmi) / (2 * magnet.exchange_stiffness) * LENGTH
    thick = [(axis, extent) for axis, extent in system.space.faces if extent * turn > _FINE]
    return [
        f"texture.magnet.bulk_dmi twists m by {extent * turn:.2g} rad across the {extent:.4g} nm"
        f" along {'xyz'[axis]}, which are not meshed: counted to leading order as an anisotropy,"
        f" good below {_FINE:g} rad; mesh them, or name {'xyz'[axis]!r} in texture.mesh.periodic"
        " if there are no faces"
        for axis, extent in thick
    ]


def _side_twist(system: TextureSystem) -> list[str]:
    """Say where a line leaves out the twist of interfacial DMI at the sides of a narrow strip."""
    magnet, mesh, width = system.magnet, system.table.mesh, static_width(system.magnet)
    given = mesh is not None and mesh.width != type(mesh).model_fields["width"].default
    if not (given and magnet.interfacial_dmi and width is not None):
        return []
    assert mesh is not None
    if not any(axis == 1 for axis, _ in system.space.faces) or mesh.shape == "point":
        return []
    half = 0.5 * mesh.width / width
    left_out = magnet.interfacial_dmi**2 / (4 * magnet.exchange_stiffness) * np.tanh(half) / half
    if left_out < _SHARE * magnet.anisotropy:
        return []
    return [
        "texture.mesh.shape: a line does not change along y: the twist of the interfacial DMI"
        f" at the sides of a strip {mesh.width * 1e9:.4g} nm wide is left out, about"
        f" {left_out:.2g} J/m^3 (m_x hard), more than {100 * _SHARE:g} % of"
        f" texture.magnet.anisotropy = {magnet.anisotropy:.3g} J/m^3; mesh a film for a"
        " narrow strip, or name 'y' in texture.mesh.periodic for a wide one"
    ]


# ---------------------------------------------------------------- stray field, transport, current


def _stray_field(system: TextureSystem) -> list[str]:
    trace = getattr(system.demagnetization, "trace", None)
    if trace is None or abs(trace - 1) <= _TRACE:
        return []
    return [
        f"{_mesh_key(system)}: the stray field of these tetrahedra is"
        f" {100 * abs(trace - 1):.2g} % too {'small' if trace < 1 else 'large'} (at most"
        f" {100 * _TRACE:g} % pass in silence): the demagnetizing factors of the body add up"
        f" to {trace:.4f}, exactly to 1; use smaller cells"
    ]


def _other_magnets(system: TextureSystem, case: Case) -> list[str]:
    """Say in which direction the magnets of a device rest that are not the texture."""
    device = system.device
    if device is None or "magnetization" in case.model_fields_set:
        return []
    others = [n for n, kind in device.kinds.items() if kind != "HM" and n != system.table.region]
    if not others:
        return []
    named, x = ", ".join(others), case.magnetization.direction
    return [
        f"only texture.region follows the texture; the moments of {named} rest along"
        f" {[float(v) for v in x]}, the default of magnetization.direction, which can be"
        " set"
    ]


def _unbalanced(system: TextureSystem) -> list[str]:
    """Say what the coefficients of a band structure leave out."""
    current = system.table.current
    if system.bands is None or current is None or current.model != "complete":
        return []
    return [
        "texture.current.band_structure: p_m is that of one lifetime, which relaxes the spin"
        " of the electrons too, so that it misses spin balance; femspin afm-torques shows by"
        " how much (spin_balance)"
    ]


def _device_warnings(system: TextureSystem) -> list[str]:
    """Return what is doubtful about the device, whatever the texture does."""
    device = system.device
    if device is None:
        return []
    given = device_input(device)
    return coarse_mesh(device) + missing_input(given) + doubtful_input(given)


def _older_sign(system: TextureSystem) -> list[str]:
    return [
        f"texture.spin_orbit.{k}.field_like is read as in older files, a field along p: the"
        f' opposite sign of xi_FL; write field_like_torque = "{-drive.field_like:.10g} T"'
        for k, drive in enumerate(system.table.spin_orbit)
        if drive.field_like
    ]


def _field_warnings(system: TextureSystem) -> list[str]:
    """Return a sentence if carriers and magnet feel different fields, and notes on the mesh."""
    if system.device is None:
        return []
    notes = [f"mesh.file: {note}" for note in system.device.structure.notes]
    carriers = np.asarray(system.device.conditions.magnetic_field, float)
    if np.allclose(carriers, system.steady_field) or not carriers.any():
        return notes
    own = ", ".join(f"{x:.4g}" for x in np.asarray(system.steady_field, float))
    return [
        *notes,
        f"drive.magnetic_field, ({', '.join(f'{x:.4g}' for x in carriers)}) T, acts on"
        f" the carriers alone and differs from the steady field of texture.fields, ({own}) T,"
        " which acts on the magnet alone",
    ]


def _without_effect(system: TextureSystem, states: Sequence[Array]) -> bool:
    """Return whether no state can or does change along the current."""
    current, space, mesh = system.table.current, system.space, system.table.mesh
    assert current is not None
    unit = np.array(current.density) / np.linalg.norm(current.density)
    point = mesh is not None and mesh.shape == "point"
    if point or not any(unit[k] for k in space.axes):
        return True
    if system.table.initial.type != "uniform":
        return False
    steepest = max(float(np.abs(space.along(unit, m)).max()) for m in states)
    return bool(steepest * space.spacing < _UNIFORM)
