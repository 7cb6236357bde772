"""What makes a state of rest one: the clock stands still, and a small tilt decays.

A state on top of the energy feels no torque either.  `stable` tilts a state at rest and keeps
it only if nothing better is found from there, so that free (Goldstone) motion moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from ..errors import SolverError
from ..units import Array
from .antiferromagnet import AntiferroTexture, StaggeredTorque
from .ferromagnet import Texture
from .small_motion import newton_rest, unstable
from .torques import SpinOrbitTorque, SpinTransfer
from .vectors import normalized, rotate

__all__ = [
    "FINE",
    "GROWTH",
    "SHORT",
    "TILT",
    "departed",
    "escaped",
    "grown",
    "stable",
    "still",
    "still_staggered",
    "tilted",
]

S = TypeVar("S")

TILT = 2e-3  # angle [rad] by which a state at rest is tried
FINE = 1e-6  # torque [T] down to which a tilt is followed: an instability of 1 mT shows
GROWTH = 0.01 * TILT  # angle error [rad] of a step that resolves how a tilt grows
SHORT = 100.0  # step [ps] below which the midpoint rule damps what is not at rest
_FAR = 10 * TILT  # a motion without energy law that ends farther away has left
_BACK = 1e-3 * TILT  # what is left of a tilt that decays
_MOST_TILTS = 20
_WINDOW = 400  # steps over which a motion is compared with itself to see that it oscillates
_OSCILLATES = 0.2  # distance from rest [rad] that it then reaches
_ALIKE = 3e-3  # relative change of this distance
_MOST_ALIKE = 3  # windows in a row
_EVERY = 40  # steps of a motion, at least, between looks whether a stable state is near
_UNIFORM = np.array([0.53, -0.31, 0.79])  # along no symmetry axis


def tilted(m: Array) -> Array:
    """Return unit vectors turned by about 2 mrad, together and each by itself, shape (n, 3).

    The turn is always the same one and has a part along every mode, whatever its symmetry; that
    of -m is the opposite, so that a loop has both its branches alike.
    """
    noise = np.random.default_rng(20).standard_normal(m.shape)
    return normalized(rotate(TILT * (_UNIFORM + 0.5 * noise), m))


def stable(state: S, again: Callable[[S], S]) -> S:
    """Return a state at rest that is kept when it is tilted.

    Args:
        state: A state at rest.
        again: Returns the very same state where it is stable, else the rest it leaves it for.

    Raises:
        SolverError: If every state that is reached is left again.
    """
    for _ in range(_MOST_TILTS):
        after = again(state)
        if after is state:
            return state
        state = after
    raise SolverError(
        f"no stable equilibrium: {_MOST_TILTS} states of rest, one after the other, are unstable"
    )


def grown(
    rest: Array, advance: Callable[[Array], Array], quiet: Callable[[Array], bool], limit: int
) -> Array | None:
    """Return where m has left a state of rest after a tilt, None where it returns or lingers.

    Args:
        rest: State of rest, shape (n, 3).
        advance: Returns m one step later.
        quiet: Whether m is at rest.
        limit: Most steps.
    """
    m = tilted(rest)
    for _ in range(limit):
        way = np.linalg.norm(m - rest, axis=1).max()
        if way > _FAR:
            return m
        if way < _BACK or quiet(m):
            return None
        m = advance(m)
    return None


def escaped(texture: Texture, rest: Array, advance: Callable[[Array], Array], limit: int) -> Array | None:
    """Return the stable state in which the motion ends that leaves an unstable one.

    Args:
        texture: The system, with its damping and torques.
        rest: Unstable state of rest, shape (n, 3).
        advance: Returns m one step later, under this damping and these torques.
        limit: Most steps.

    Returns:
        None where the motion does not come near a stable state, as when it oscillates by itself.
    """
    m, due = tilted(rest), _EVERY
    farthest, before, alike = 0.0, 0.0, 0
    for count in range(1, limit + 1):
        m = advance(m)
        farthest = max(farthest, float(np.linalg.norm(m - rest, axis=1).max()))
        if count % _WINDOW == 0:
            same = farthest > _OSCILLATES and abs(farthest - before) < _ALIKE * before
            alike = alike + 1 if same else 0
            if alike == _MOST_ALIKE:
                return None
            farthest, before = 0.0, farthest
        if count < due or not departed(rest, m):
            continue
        due = count + max(_EVERY, count // 8)
        after = newton_rest(texture, m)
        if after is not None and departed(rest, after) and not unstable(texture, after):
            return after
    return None


def departed(before: Array, after: Array) -> bool:
    """Return whether a tilt was left behind: the judgement where there is no energy law."""
    return bool(np.linalg.norm(after - before, axis=1).max() > _FAR)


@dataclass(frozen=True)
class _Still(Texture):
    """A texture whose fields and torques are those of time 0 at any time."""

    def energy(self, m: Array, time: float = 0.0) -> float:
        return super().energy(m, 0.0)

    def precession(self, m: Array, time: float = 0.0) -> Array:
        return super().precession(m, 0.0)

    def secant_precession(self, before: Array, after: Array, time: float) -> Array:
        return super().secant_precession(before, after, 0.0)

    def torque_rotation(self, m: Array, time: float) -> Array:
        return super().torque_rotation(m, 0.0)


def still(texture: Texture) -> Texture:
    """Return the texture under the fields and torques of time 0, at any time."""
    return _Still(**{f.name: getattr(texture, f.name) for f in fields(texture)})


def still_staggered(texture: AntiferroTexture) -> AntiferroTexture:
    """Return the texture under the fields and torques of time 0, at any time."""
    precession, external = texture.precession, texture.external
    if precession is not None:
        field = precession(0.0)
        texture = replace(texture, precession=lambda _: field)
    if external is not None:
        rates = external.rates
        texture = replace(texture, external=StaggeredTorque(lambda _, n, m: rates(0.0, n, m), external.renew))
    orbit = tuple(_at_start(t, "damping_like", "field_like") for t in texture.orbit)
    transfer: SpinTransfer | None = texture.transfer
    if transfer is not None:
        transfer = _at_start(transfer, "u_n", "u_m", "u_st")
    return replace(texture, orbit=orbit, transfer=transfer)


Torque = TypeVar("Torque", SpinOrbitTorque, SpinTransfer)


def _at_start(torque: Torque, *names: str) -> Torque:
    """Return a torque with the strengths it has at time 0."""
    given = {name: getattr(torque, name) for name in names}
    changes: dict[str, Any] = {k: v(0.0) if callable(v) else v for k, v in given.items()}
    return replace(torque, **changes)
