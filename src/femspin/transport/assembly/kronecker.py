r"""The matrix of a uniform region as a sum of few scalar matrices times 4 x 4 tensors.

With constant coefficients the blocks between two nodes are

.. math:: K_{im} = \sum_{jk} T_{jk} \int \partial_j\phi_i\, \partial_k\phi_m,

where the index dim stands for the value itself.  Split T into its symmetric and antisymmetric
parts.  What is antisymmetric in two derivatives, and what is symmetric in a derivative and a
value, integrates to surface terms: it vanishes between two nodes unless both lie on the boundary
of the region.  An isotropic diffusion leaves a stiffness, a mass, and one antisymmetric matrix
for each direction of the gauge field: 2 to 5 numbers per pair of nodes instead of 16.  They
depend on the mesh alone, and so are kept; only the tensors follow the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ...structure.interfaces import outer_facets
from ...units import AnyArray, Array
from ..elements.space import Space
from .compiled import fill_forms_compiled, touched_slots

__all__ = ["Form", "KroneckerBlocks", "ScalarMatrices", "kronecker_parts", "split_tensors"]

Key = tuple[str | int, ...]

# All forms that `split_tensors` makes, in the order in which `linear_forms` computes them.
_NAMES: list[Key] = [
    ("stiffness",),
    ("stretch", 0),
    ("stretch", 1),
    ("stretch", 2),
    ("shear", 0, 1),
    ("shear", 0, 2),
    ("shear", 1, 2),
    ("turn", 0, 1),
    ("turn", 0, 2),
    ("turn", 1, 2),
    ("gauge", 0),
    ("gauge", 1),
    ("gauge", 2),
    ("surface", 0),
    ("surface", 1),
    ("surface", 2),
    ("mass",),
]
_ROUND_OFF = 8 * np.finfo(float).eps


@dataclass(frozen=True)
class Form:
    """One scalar form, sum_jk X_jk int (d_j phi_i) (d_k phi_m) with d_dim = 1.

    Args:
        key: Its name.
        weights: X, shape (dim + 1, dim + 1).
        sign: Of its matrix under transposition, 1 or -1.
        kills: Whether its matrix annihilates constants.
    """

    key: Key
    weights: Array
    sign: int
    kills: bool


@dataclass(frozen=True)
class ScalarMatrices:
    """Scalar matrices of some forms on a part of the pattern.

    Args:
        forms: Of every column of `values`.
        slots: Slots of the whole pattern, ascending, shape (n,).
        indptr: Row pointer into them, shape (n_dofs + 1,).
        indices: Their columns, shape (n,).
        values: Shape (n, n_forms).
    """

    forms: tuple[Form, ...]
    slots: AnyArray
    indptr: AnyArray
    indices: AnyArray
    values: Array

    @property
    def row_time(self) -> float:
        """Nanoseconds of one row of a product with all matrices, about."""
        return self.values.size / (len(self.indptr) - 1)

    @cached_property
    def signs(self) -> Array:
        """Sign of every matrix under transposition, shape (n_forms,)."""
        return np.array([float(f.sign) for f in self.forms])

    @cached_property
    def kills(self) -> NDArray[np.bool_]:
        """Which matrices annihilate constants, shape (n_forms,)."""
        return np.array([f.kills for f in self.forms])


@dataclass(frozen=True)
class KroneckerBlocks:
    """What a uniform region adds to the system, as sums of scalar matrices times tensors.

    It has the attributes of `RegionBlocks`; those are formed when asked for.

    Args:
        parts: Matrices with their tensors (n_forms, 4, 4): first those on all slots of the
            region, then those between nodes on its boundary, if any.
        n_slots: Number of slots of the whole pattern.
        load: Right-hand side, shape (n_dofs, 4).
    """

    parts: tuple[tuple[ScalarMatrices, Array], ...]
    n_slots: int
    load: Array

    @property
    def slots(self) -> AnyArray:
        """Slots of the whole pattern to which the blocks belong, shape (n_touched,)."""
        return self.parts[0][0].slots

    @property
    def entries(self) -> Array:
        """Block values, shape (n_touched, 4, 4)."""
        (first, tensors), *rest = self.parts
        found = (first.values @ tensors.reshape(-1, 16)).reshape(-1, 4, 4)
        for part, own in rest:
            place = np.searchsorted(first.slots, part.slots)
            found[place] += (part.values @ own.reshape(-1, 16)).reshape(-1, 4, 4)
        return found

    @property
    def values(self) -> Array:
        """Block values of all slots, shape (n_slots, 4, 4)."""
        full = np.zeros((self.n_slots, 4, 4))
        full[self.slots] = self.entries
        return full


Terms = list[tuple[Form, Array]]


def split_tensors(tensors: Array) -> tuple[Terms, Terms]:
    """Return the forms of a region with their tensors: those of all nodes, those of its boundary.

    Args:
        tensors: T, shape (dim + 1, dim + 1, 16), the value as the last jet.
    """
    d = len(tensors) - 1
    bulk, edge = _diffusion(tensors[:d, :d])
    size = max(np.abs(tensors[:d, d]).max(), np.abs(tensors[d, :d]).max())
    for j in range(d):
        forward, back = tensors[d, j], tensors[j, d]
        if np.abs(forward - back).max() > _ROUND_OFF * size:
            bulk.append((_form(d, ("gauge", j), {(d, j): 0.5, (j, d): -0.5}), forward - back))
        if np.abs(forward + back).max() > _ROUND_OFF * size:
            form = _form(d, ("surface", j), {(d, j): 1.0, (j, d): 1.0})
            edge.append((form, 0.5 * (forward + back)))
    if np.any(tensors[d, d]) or not bulk:
        bulk.append((_form(d, ("mass",), {(d, d): 1.0}), tensors[d, d]))
    return bulk, edge


def _diffusion(tensors: Array) -> tuple[Terms, Terms]:
    """Return the forms between two derivatives; the arguments are those of `split_tensors`."""
    d, size = len(tensors), np.abs(tensors).max(initial=0.0)
    bulk: Terms = []
    edge: Terms = []
    uneven = max(np.abs(tensors[j, j] - tensors[0, 0]).max() for j in range(d))
    for j, k in combinations(range(d), 2):
        even, odd = tensors[j, k] + tensors[k, j], tensors[j, k] - tensors[k, j]
        uneven = max(uneven, np.abs(even).max())
        if np.abs(even).max() > _ROUND_OFF * size:
            bulk.append((_form(d, ("shear", j, k), {(j, k): 0.5, (k, j): 0.5}), even))
        if np.abs(odd).max() > _ROUND_OFF * size:
            edge.append((_form(d, ("turn", j, k), {(j, k): 0.5, (k, j): -0.5}), odd))
    if size == 0.0:
        return bulk, edge
    if uneven <= _ROUND_OFF * size:
        diagonal = {(j, j): 1.0 for j in range(d)}
        return [(_form(d, ("stiffness",), diagonal), tensors[0, 0])], edge
    stretched = [(_form(d, ("stretch", j), {(j, j): 1.0}), tensors[j, j]) for j in range(d)]
    return stretched + bulk, edge


def _form(d: int, key: Key, weights: dict[tuple[int, int], float]) -> Form:
    matrix = np.zeros((d + 1, d + 1))
    for place, weight in weights.items():
        matrix[place] = weight
    kills = not matrix[:, d].any()
    return Form(key, matrix, 1 if np.array_equal(matrix, matrix.T) else -1, kills)


def kronecker_parts(space: Space, name: str, tensors: Array) -> tuple[tuple[ScalarMatrices, Array], ...]:
    """Return the matrix of a uniform region; scalar matrices are kept with the space.

    Args:
        space: The scalar space, of affine cells.
        name: Region.
        tensors: T between jets, shape (dim + 1, dim + 1, 16).
    """
    found = []
    for inside, terms in zip((True, False), split_tensors(tensors), strict=True):
        if terms:
            matrices = _kept(space, name, tuple(form for form, _ in terms), inside)
            found.append((matrices, np.array([t for _, t in terms]).reshape(-1, 4, 4)))
    return tuple(found)


def _kept(space: Space, name: str, forms: tuple[Form, ...], inside: bool) -> ScalarMatrices:
    """Return scalar matrices on all slots of a region, or on those of its boundary."""
    key, wanted = (name, inside), [f.key for f in forms]
    known = space.kept_matrices.get(key)
    if known is None or not {f.key for f in known.forms} >= set(wanted):
        known = _matrices(space, name, forms, inside)
        space.kept_matrices[key] = known
    own = [f.key for f in known.forms]
    if own == wanted:
        return known
    columns = [own.index(key) for key in wanted]
    values = np.ascontiguousarray(known.values[:, columns])
    return ScalarMatrices(forms, known.slots, known.indptr, known.indices, values)


def _matrices(space: Space, name: str, forms: tuple[Form, ...], inside: bool) -> ScalarMatrices:
    pattern, cells = space.pattern, space.in_region(name)
    chosen = np.ones(space.n_dofs, bool) if inside else _boundary_dofs(space, name)
    wanted = np.asarray(chosen[space.dofs[cells]].any(axis=1))
    touched = touched_slots(space, cells[wanted], chosen)
    slots = np.flatnonzero(touched).astype(np.int32)
    values = np.zeros((len(slots), len(forms)))
    position = np.full(len(touched), -1, np.int32)
    position[slots] = np.arange(len(slots), dtype=np.int32)
    weights, signs = np.array([f.weights for f in forms]), np.array([float(f.sign) for f in forms])
    column = np.full(len(_NAMES), -1)
    for place, form in enumerate(forms):
        column[_NAMES.index(form.key)] = place
    fill_forms_compiled(space, name, wanted, weights, signs, column, position, values)
    indptr = np.searchsorted(slots, pattern.indptr).astype(np.int32)
    return ScalarMatrices(forms, slots, indptr, pattern.indices[slots], values)


def _boundary_dofs(space: Space, name: str) -> NDArray[np.bool_]:
    """Return which dofs lie on facets that belong to one cell of the region only, (n_dofs,)."""
    facets = outer_facets(space.structure.mesh, space.cells[space.in_region(name)])
    dofs = space.numbers(name)[space.raw_facet_dofs(facets)]
    found = np.zeros(space.n_dofs, bool)
    found[dofs[dofs >= 0]] = True
    return found
