"""Initial textures: uniform, wall, vortex, skyrmion, random or from a file."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np

from ...case.input_files import UnreadableError, read_regular
from ...case.texture import Initial
from ...errors import CaseError
from ...magnets.vectors import normalized
from ...magnets.walls import static_width, wall_profile
from ...units import LENGTH, Array
from .system import TextureSystem

__all__ = ["initial_texture", "wall_frame"]


_LARGEST_FILE = 20_000_000_000


def initial_texture(system: TextureSystem) -> Array:
    """Return the initial directions of m or n, shape (n, 3).

    Raises:
        CaseError: If a file does not fit the mesh, or a wall has no width or lies outside.
    """
    given = system.table.initial
    shape = (system.space.size, 3)
    if given.type == "uniform":
        return normalized(np.array(np.broadcast_to(np.array(given.direction), shape)))
    if given.type == "wall":
        return _wall(system, given)
    if given.type == "random":
        return normalized(np.random.default_rng(given.seed).standard_normal(shape))
    if given.type == "file":
        return _from_file(system, given)
    return _vortex(system, given) if given.type == "vortex" else _skyrmion(system, given)


def wall_frame(system: TextureSystem) -> tuple[Array, Array, int]:
    """Return the axis of the domains, the direction of tilt 0, and that across the wall.

    By default tilt 0 is a Neel wall, with the moment at the centre along the direction across.
    """
    tracking = system.table.wall
    if tracking is not None:
        axis, across = np.array(tracking.axis), "xyz".index(tracking.direction)
        given = tracking.zero
    else:
        axis, across, given = np.array(system.magnet.axis), 0, None
    axis = axis / np.linalg.norm(axis)
    if given is None:
        helper = next(v for v in np.eye(3)[[across, 0, 1]] if abs(axis @ v) < 0.9)
        zero = helper - axis * (axis @ helper)
    else:
        zero = np.array(given)
    return axis, zero / np.linalg.norm(zero), across


def _wall(system: TextureSystem, given: Initial) -> Array:
    magnet = system.magnet
    width = given.width
    if width is None:
        width = static_width(magnet)
        if width is None:
            raise CaseError("texture.initial.width", "is needed without an easy axis")
    axis, zero, across = wall_frame(system)
    _check_inside(system, given.position, across)
    sign = -1.0 if given.reversed else 1.0
    flat = wall_profile(system.space, given.position, sign * width, across, given.tilt)
    return flat @ np.stack([zero, np.cross(axis, zero), axis])


def _check_inside(system: TextureSystem, position: float, across: int) -> None:
    """Refuse a wall beyond the ends of the magnet, which would be a uniform texture."""
    x = system.space.positions[:, across] * LENGTH
    low, high = float(x.min()), float(x.max())
    if low < high and not low < position < high:
        raise CaseError(
            "texture.initial.position",
            f"must lie within the magnet, which reaches from"
            f" {low * 1e9:g} to {high * 1e9:g} nm along {'xyz'[across]}; got"
            f" {position * 1e9:g} nm",
        )


def _vortex(system: TextureSystem, given: Initial) -> Array:
    assert given.radius is not None
    x, y = (system.space.positions[:, :2] - np.array(given.center) / LENGTH).T
    core = np.full_like(x, given.polarity * given.radius / LENGTH)
    return normalized(np.stack([-given.chirality * y, given.chirality * x, core], axis=1))


def _skyrmion(system: TextureSystem, given: Initial) -> Array:
    """Return two opposite walls wrapped around the core (Braun, Phys. Rev. B 50, 16485 (1994))."""
    assert given.radius is not None
    magnet = system.magnet
    width = given.width
    if width is None:
        if not (magnet.anisotropy > 0 and magnet.exchange_stiffness > 0):
            raise CaseError("texture.initial.width", "is needed without an easy axis")
        width = magnet.wall_width
    x, y = (system.space.positions[:, :2] * LENGTH - np.array(given.center)).T
    far = np.minimum(np.hypot(x, y) / width, 300.0)
    theta = 2 * np.arctan2(np.sinh(given.radius / width), np.sinh(far))
    phi = np.arctan2(y, x) + given.helicity
    out = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], 1)
    if given.reversed:
        out[:, 2] *= -1
    return normalized(out)


def _from_file(system: TextureSystem, given: Initial) -> Array:
    assert given.file is not None
    path = Path(given.file)
    path = path if path.is_absolute() or system.folder is None else system.folder / path
    key, n = "texture.initial.file", system.space.size
    try:
        data = read_regular(path, _LARGEST_FILE)
    except FileNotFoundError:
        raise CaseError(key, f"{str(path)!r} cannot be read: no such file") from None
    except UnreadableError as error:
        raise CaseError(key, f"{str(path)!r} {error}") from None
    found = _nearest(system, path) if path.suffix == ".vtu" else _plain_array(data, path)
    if found.shape != (n, 3) or not np.isfinite(found).all():
        raise CaseError(key, f"must hold {n} finite vectors, found shape {found.shape}")
    if np.linalg.norm(found, axis=1).min() < 1e-6:
        raise CaseError(key, "a vector is zero")
    return normalized(found)


def _plain_array(data: bytes, path: Path) -> Array:
    """Return the array of an .npy file."""
    try:
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False), float)
    except Exception:  # what is no array fails in many ways
        raise CaseError(
            "texture.initial.file",
            f"{str(path)!r} is not an array of numbers as numpy.save writes it, nor a field file (.vtu)",
        ) from None


def _nearest(system: TextureSystem, path: Path) -> Array:
    """Return the texture of a field file at the nodes nearest to its points."""
    import meshio
    from scipy.spatial import cKDTree

    key, name = "texture.initial.file", "n" if system.antiferromagnetic else "m"
    silent = io.StringIO()  # meshio prints its warnings
    try:
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            mesh = meshio.read(path, "vtu")  # a regular file, as `data` was read from it
    except (Exception, SystemExit):  # damaged files fail in many ways inside meshio
        raise CaseError(key, f"{str(path)!r} is not a readable field file (.vtu)") from None
    if name not in mesh.point_data:
        known = ", ".join(mesh.point_data) or "none"
        raise CaseError(key, f"{str(path)!r} has no field {name!r} on its points; it has {known}")
    values = np.asarray(mesh.point_data[name], float)
    _, nearest = cKDTree(mesh.points).query(system.space.positions)
    found: Array = values[nearest]
    return found
