"""Whether something fixes every spin component: a matrix that is singular may look solvable.

A constant spin potential that no relaxation, precession, gauge field or face acts on leaves no
residual at all.  What a linear solver returns for it is round-off over round-off.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import SolverError
from ..units import Array
from .assembly.boundary import Boundary, Constraint, FluxLaw
from .assembly.coefficients import Coefficients
from .elements.space import Space

__all__ = ["require_determined"]


# Of the strongest term of a region; weaker is round-off of sums that cancel.
_ROUND_OFF = 1e-13


def require_determined(
    space: Space,
    boundary: Boundary,
    constraint: Constraint,
    scaled: Mapping[str, Coefficients],
    laws: Mapping[str, FluxLaw],
) -> None:
    """Refuse a device in which a constant spin potential has no effect.

    Args:
        space: The scalar space.
        boundary: Conditions on faces.
        constraint: Which potentials are prescribed.
        scaled: Coefficients of every conducting region.
        laws: Flux law of every flux face.

    Raises:
        SolverError: With the regions and the component.
    """
    names = list(scaled)
    touched = {name: _dofs_of(space, name) for name in names}
    held = constraint.unknown.reshape(-1, 4)[:, 1:] < 0
    for group in _joined(names, touched, boundary):
        if any(scaled[name].gauge_function is not None for name in group):
            continue  # no constant survives a texture
        dofs = np.any([touched[name] for name in group], axis=0)
        rows = [_on_constants(scaled[name]) for name in group]
        faces = [f for f in boundary.flux if dofs[f.mass.nonzero()[0]].any()]
        rows += [laws[f.name].conductance for f in faces]
        rows.append(np.diag(held[dofs].any(axis=0).astype(float)))
        free = _unaffected(rows)
        if len(free):
            raise SolverError(
                f"the transport system is singular: in {' and '.join(group)} {_shown(free)} is"
                " fixed by no relaxation, contact or reference"
            )


def _dofs_of(space: Space, name: str) -> NDArray[np.bool_]:
    found = np.zeros(space.n_dofs, bool)
    found[space.dofs[space.in_region(name)]] = True
    return found


def _joined(
    names: list[str], touched: Mapping[str, NDArray[np.bool_]], boundary: Boundary
) -> list[list[str]]:
    """Return regions in groups between which spin can pass."""
    spin = [c for c in boundary.contacts if np.any(c.conductance[1:, 1:])]
    groups: list[list[str]] = []
    for name in names:
        mine = touched[name].copy()
        for contact in spin:
            for here, there in (contact.pairs, contact.pairs[::-1]):
                mine[there[touched[name][here]]] = True
        near = [g for g in groups if any(np.any(mine & touched[other]) for other in g)]
        groups = [g for g in groups if g not in near]
        groups.append([other for g in near for other in g] + [name])
    return groups


def _on_constants(c: Coefficients) -> Array:
    """Return what acts on a constant spin potential in a region, over its largest, (n, 3)."""
    gauge = np.asarray(c.rotation)[..., 1:, 1:].reshape(-1, 3)
    reaction = c.reaction[..., 1:, 1:].reshape(-1, 3)
    parts = [part / max(np.abs(part).max(), 1e-300) for part in (gauge, reaction)]
    return np.concatenate(parts)


def _unaffected(rows: list[Array]) -> Array:
    """Return directions on which nothing acts, shape (n_free, 3)."""
    scaled = np.concatenate([r / max(np.abs(r).max(), 1e-300) for r in rows])
    _, sizes, directions = np.linalg.svd(scaled, full_matrices=False)
    free: Array = directions[sizes <= _ROUND_OFF * np.sqrt(len(scaled))]
    return free


def _shown(free: Array) -> str:
    if len(free) == 3:
        return "the spin"
    direction = free[0] * np.sign(free[0][np.argmax(np.abs(free[0]))])
    return f"the spin along ({', '.join(f'{x:.3g}' for x in direction + 0.0)})"
