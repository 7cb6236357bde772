r"""Demagnetization on regular grids: Newell's tensor between bricks, convolved by FFT.

On a grid of equal bricks (a mesh of rectangles with a thickness, or of boxes) the convolution
needs no boundary matrix and no linear solve, which makes it the method for films.  With nodal
values m, lumped mass V and consistent mass M the energy is that of bricks

.. math:: b = R\,(1 + c\,(1 - V^{-1}M))\,m, \qquad c = (1 + p^{-2})/2,

where R interpolates m linearly at the centres of p bricks per edge of a cell.  Interpolation
makes a wave of wavenumber k by the factor 1 - c (k h)^2/6 too small, which the mass matrices
restore.  What is left of order h^2 are the steps from brick to brick, (h/p)^2.  The field goes
back to the nodes by the transposed matrices: it is exactly minus the derivative of the energy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft as fft
import scipy.sparse as sp
from numpy.typing import NDArray

from ..errors import CaseError
from ..units import Array
from .energy import Quadratic
from .magnet import Ferromagnet, rate
from .space import TextureSpace

__all__ = ["GridDemagnetization", "brick_tensor", "grid_demagnetization"]


# Bricks this many edges apart use a quadrature of the dipole field, error (edge/distance)^6;
# nearer ones Newell's formula, whose round-off grows like (distance/edge)^6.
_NEAR = 16.0
_CHUNK = 16_384  # numbers multiplied at a time
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_ROWS = ((0, 3, 4), (3, 1, 5), (4, 5, 2))  # component of N by row and column


def brick_tensor(offsets: Array, edges: Array) -> Array:
    """Return N between equal bricks, H = -N M averaged over the second, shape (6, n).

    Components xx, yy, zz, xy, xz, yz.  Newell, Williams and Dunlop, J. Geophys. Res. 98, 9551
    (1993).

    Args:
        offsets: Centre-to-centre vectors, shape (n, 3).
        edges: Edges of the bricks, shape (3,).
    """
    offsets, edges = np.asarray(offsets, float), np.asarray(edges, float)
    near = np.linalg.norm(offsets, axis=1) < _NEAR * edges.max()
    out = np.empty((6, len(offsets)))
    out[:, near] = _newell(offsets[near], edges)
    out[:, ~near] = _dipoles(offsets[~near], edges)
    return out


def _newell(offsets: Array, edges: Array) -> Array:
    unit = edges.max()
    scaled = (offsets / unit).astype(np.longdouble)
    size = (edges / unit).astype(np.longdouble)
    return np.stack([_second_difference(scaled, size, i, j) for i, j in _PAIRS]).astype(float)


def _second_difference(
    offsets: NDArray[np.longdouble], size: NDArray[np.longdouble], i: int, j: int
) -> NDArray[np.longdouble]:
    """Return one component from second differences of Newell's f or g."""
    order = (i, *(k for k in range(3) if k != i)) if i == j else (i, j, 3 - i - j)
    function: Callable[..., NDArray[np.longdouble]] = _f if i == j else _g
    total = np.zeros(len(offsets), np.longdouble)
    for shift in np.ndindex(3, 3, 3):
        steps = np.array(shift) - 1
        weight = np.prod(np.where(steps == 0, 2, -1))
        x, y, z = (offsets + steps * size)[:, order].T
        total += weight * function(x, y, z)
    return total / (4 * np.pi * np.prod(size))


def _ratio(a: NDArray[np.longdouble], b: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Return a / b, and 0 where b = 0 (the factor in front vanishes there)."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _f(
    x: NDArray[np.longdouble], y: NDArray[np.longdouble], z: NDArray[np.longdouble]
) -> NDArray[np.longdouble]:
    r = np.sqrt(x**2 + y**2 + z**2)
    found: NDArray[np.longdouble] = (
        y / 2 * (z**2 - x**2) * np.arcsinh(_ratio(y, np.sqrt(x**2 + z**2)))
        + z / 2 * (y**2 - x**2) * np.arcsinh(_ratio(z, np.sqrt(x**2 + y**2)))
        - x * y * z * np.arctan(_ratio(y * z, x * r))
        + (2 * x**2 - y**2 - z**2) * r / 6
    )
    return found


def _g(
    x: NDArray[np.longdouble], y: NDArray[np.longdouble], z: NDArray[np.longdouble]
) -> NDArray[np.longdouble]:
    r = np.sqrt(x**2 + y**2 + z**2)
    found: NDArray[np.longdouble] = (
        x * y * z * np.arcsinh(_ratio(z, np.sqrt(x**2 + y**2)))
        + y / 6 * (3 * z**2 - y**2) * np.arcsinh(_ratio(x, np.sqrt(y**2 + z**2)))
        + x / 6 * (3 * z**2 - x**2) * np.arcsinh(_ratio(y, np.sqrt(x**2 + z**2)))
        - z**3 / 6 * np.arctan(_ratio(x * y, z * r))
        - z * y**2 / 2 * np.arctan(_ratio(x * z, y * r))
        - z * x**2 / 2 * np.arctan(_ratio(y * z, x * r))
        - x * y * r / 3
    )
    return found


def _dipoles(offsets: Array, edges: Array) -> Array:
    """Return N by a three-point rule per direction with the moments of two boxes' distance."""
    weights, points = np.array([5 / 24, 7 / 12, 5 / 24]), np.array([-1, 0, 1]) * np.sqrt(0.4)
    total = np.zeros((6, len(offsets)))
    for shift in np.ndindex(3, 3, 3):
        r = offsets + points[list(shift)] * edges
        square = np.einsum("ij,ij->i", r, r)
        for k, (i, j) in enumerate(_PAIRS):
            total[k] += (
                np.prod(weights[list(shift)]) * ((i == j) * square - 3 * r[:, i] * r[:, j]) / square**2.5
            )
    return total * float(np.prod(edges)) / (4 * np.pi)


@dataclass(frozen=True)
class GridDemagnetization(Quadratic):
    """Open-boundary demagnetization of a regular grid.

    Args:
        strength: mu_0 M_s^2 / s [1/ps].
        sharpening: 1 + c (1 - V^-1 M), shape (n, n).
        interpolation: R, linear interpolation at the centres of the bricks, shape (n_bricks, n).
        shape: Bricks along x, y, z.
        edges: Edges of a brick [nm], shape (3,).
        cell: Edges of a mesh cell [nm], shape (3,).
        kernel: FFT of N on the padded grid, components as in `brick_tensor`; real, for N is
            even under inversion, and twice: for the real and the imaginary part of a spectrum.
        padded: Shape of the padded grid.
    """

    strength: float
    sharpening: sp.csr_array
    interpolation: sp.csr_array
    shape: tuple[int, ...]
    edges: Array
    cell: Array
    kernel: tuple[Array | None, ...]
    padded: tuple[int, ...]

    @cached_property
    def _back(self) -> sp.csr_array:
        weight = self.strength * float(np.prod(self.edges))
        return sp.csr_array(weight * self.interpolation.T)

    @cached_property
    def _sharpening_back(self) -> sp.csr_array:
        return sp.csr_array(self.sharpening.T)

    def gradient(self, m: Array, time: float) -> Array:
        """Return mu_0 M_s^2 V N b carried back to the nodes."""
        field = self.convolve(self.interpolation @ (self.sharpening @ m))
        product: Array = self._sharpening_back @ (self._back @ field)
        return product

    def convolve(self, m: Array) -> Array:
        """Return N m of brick values, shape (n_bricks, 3)."""
        field = np.ascontiguousarray(m.T).reshape(3, *self.shape)
        spectrum = _forward(field, self.padded)
        values = spectrum.view(float)
        lines = max(1, _CHUNK // values[:, 0].size)
        for first in range(0, values.shape[1], lines):
            self._multiply(values[:, first : first + lines], first)
        return _backward(spectrum, self.shape, self.padded).reshape(3, -1).T

    def _multiply(self, values: Array, first: int) -> None:
        """Replace some lines of the spectrum by their product with N, all within a cache."""
        given, work = values.copy(), np.empty_like(values[0])
        for row, total in zip(_ROWS, values, strict=True):
            total[:] = 0.0
            for part, value in zip(row, given, strict=True):
                kernel = self.kernel[part]
                if kernel is not None:
                    total += np.multiply(kernel[first : first + len(work)], value, out=work)

    def matrix(self, m: Array) -> None:
        """Return None: the term is long-range."""

    def near_matrix(self) -> sp.csr_array:
        """Return about the part of the second derivative from each cell on itself."""
        own = brick_tensor(np.zeros((1, 3)), self.cell)[:3, 0]
        cells = self._back @ self.interpolation
        return sp.csr_array(sp.kron(cells, np.diag(own), format="csr"))


def grid_demagnetization(
    space: TextureSpace, magnet: Ferromagnet, parts: int | None = None
) -> GridDemagnetization:
    """Return the demagnetization term of a magnet on a regular grid.

    Args:
        space: Rectangles with their thickness as section, or boxes; equal, along the axes.  The
            region may leave out bricks of the grid.
        magnet: Parameters, SI.
        parts: Bricks p per edge of a cell in the meshed directions; by default 2 in a plane
            and 1 in space, where they would cost 8 times as much.

    Raises:
        CaseError: If the mesh is not a regular grid, or `parts` is not positive.
    """
    kind = type(space.mesh).__name__
    if kind not in {"MeshQuad1", "MeshHex1"} or space.periods:
        raise CaseError(
            "mesh",
            f"an open grid of rectangles or boxes is needed here, got {kind};"
            " tetrahedra use boundary elements",
        )
    if parts is not None and parts < 1:
        raise CaseError("parts", f"must be a positive whole number, got {parts}")
    count = parts or (2 if len(space.axes) == 2 else 1)
    cell, index, shape = _grid(space)
    split = np.where(np.isin(np.arange(3), space.axes), count, 1)
    bricks = tuple(int(k) for k in split * shape)
    edges = cell / split
    kernel, padded = _kernel(bricks, edges)
    strength = rate(2 * magnet.shape_anisotropy / magnet.spin_density)
    interpolation = _interpolation(space, cell, index, bricks, count)
    return GridDemagnetization(
        strength, _sharpening(space, count), interpolation, bricks, edges, cell, kernel, padded
    )


def _sharpening(space: TextureSpace, parts: int) -> sp.csr_array:
    """Return 1 + c (1 - V^-1 M), which makes the interpolation of waves right to order h^4."""
    weight = 0.5 * (1 + parts**-2)
    averaging = sp.diags_array(weight / space.volumes) @ space.mass
    return sp.csr_array((1 + weight) * sp.eye_array(space.size) - averaging)


def _interpolation(
    space: TextureSpace, cell: Array, index: NDArray[np.int64], bricks: tuple[int, ...], parts: int
) -> sp.csr_array:
    """Return the linear interpolation at the centres of the bricks, shape (n_bricks, n)."""
    p = space.mesh.p[:, space.mesh.t[:, space.cells]]
    size = cell[list(space.axes)][:, None, None]
    upper = p - p.min(axis=1, keepdims=True) > 0.5 * size
    nodes = space.node_of_vertex[space.mesh.t[:, space.cells]]
    split = np.where(np.isin(np.arange(3), space.axes), parts, 1)
    rows, weights = [], []
    for shift in np.ndindex(*[parts] * len(space.axes)):
        centre = (np.array(shift)[:, None, None] + 0.5) / parts
        weights.append(np.where(upper, centre, 1 - centre).prod(axis=0).ravel())
        place = index * split[:, None]
        place[list(space.axes)] += np.array(shift)[:, None]
        row = np.ravel_multi_index(tuple(place), bricks)
        rows.append(np.broadcast_to(row, nodes.shape).ravel())
    columns = np.tile(nodes.ravel(), len(rows))
    shape = (int(np.prod(bricks)), space.size)
    return sp.csr_array((np.concatenate(weights), (np.concatenate(rows), columns)), shape)


def _grid(space: TextureSpace) -> tuple[Array, NDArray[np.int64], tuple[int, ...]]:
    """Return the edges of the bricks, the grid index of each cell (3, n), and the grid's shape."""
    p = space.mesh.p[:, space.mesh.t[:, space.cells]]
    extent = np.ptp(p, axis=1)
    low = p.min(axis=1)
    edges = np.full(3, float(space.section))
    index = np.zeros((3, extent.shape[1]), np.int64)
    for row, axis in enumerate(space.axes):
        edges[axis] = extent[row].mean()
        place = (low[row] - low[row].min()) / edges[axis]
        index[axis] = np.round(place).astype(np.int64)
        uneven = np.abs(extent[row] - edges[axis]).max() + np.abs(place - index[axis]).max()
        slanted = np.minimum(p[row] - low[row], low[row] + edges[axis] - p[row])
        if uneven > 1e-6 * edges[axis] or np.abs(slanted).max() > 1e-6 * edges[axis]:
            raise CaseError("mesh", "the cells are not equal bricks along the axes")
    return edges, index, tuple(int(k) for k in index.max(axis=1) + 1)


def _kernel(shape: tuple[int, ...], edges: Array) -> tuple[tuple[Array | None, ...], tuple[int, ...]]:
    padded = tuple(fft.next_fast_len(2 * k - 1, real=True) if k > 1 else 1 for k in shape)
    grid = np.stack(np.meshgrid(*(np.arange(k) for k in shape), indexing="ij"), axis=-1)
    first = brick_tensor((grid * edges).reshape(-1, 3), edges).reshape(6, *shape)
    parts: list[Array | None] = []
    for (i, j), octant in zip(_PAIRS, first, strict=True):
        full = np.zeros(padded)
        for flip in np.ndindex(2, 2, 2):
            if any(f and k == 1 for f, k in zip(flip, shape, strict=True)):
                continue
            source = tuple(slice(1, None) if f else slice(None) for f in flip)
            # N_ij is even in every direction but i and j of an off-diagonal component.
            sign = 1.0 if i == j else float((-1) ** (flip[i] + flip[j]))
            places = [
                np.arange(k)[1:] * -1 % n if f else np.arange(k)
                for f, k, n in zip(flip, shape, padded, strict=True)
            ]
            full[np.ix_(*places)] = sign * octant[source]
        real = _forward(full[None], padded)[0].real
        parts.append(np.repeat(real, 2, axis=-1) if full.any() else None)
    return tuple(parts), padded


def _forward(field: Array, padded: tuple[int, ...]) -> NDArray[np.complex128]:
    """Return the transform of (c, x, y, z), direction by direction: padding costs nothing."""
    spectrum: NDArray[np.complex128] = fft.rfft(field, padded[0], axis=1)
    for axis in (2, 3):
        if padded[axis - 1] > 1:
            spectrum = fft.fft(spectrum, padded[axis - 1], axis=axis, overwrite_x=True)
    return spectrum


def _backward(spectrum: NDArray[np.complex128], shape: tuple[int, ...], padded: tuple[int, ...]) -> Array:
    """Return the inverse of `_forward` on the unpadded grid."""
    for axis in (3, 2):
        if padded[axis - 1] > 1:
            spectrum = fft.ifft(spectrum, axis=axis, overwrite_x=True)
            spectrum = spectrum[(slice(None),) * axis + (slice(shape[axis - 1]),)]
    field: Array = fft.irfft(spectrum, padded[0], axis=1)[:, : shape[0]]
    return field
