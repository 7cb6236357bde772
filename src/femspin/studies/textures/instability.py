"""Where a state at rest loses its stability: small motions about it, followed along a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ...errors import CaseError
from ...magnets.ferromagnet import Texture
from ...magnets.rest import still
from ...magnets.run import relax_texture
from ...magnets.small_motion import growth, newton_rest, traceable
from ...magnets.two_sublattice import join
from ...units import TIME, Array
from .motion import equilibrium_canting
from .rest import precise, relaxed
from .states import initial_texture
from .steady import at_full_strength
from .system import TextureSystem

__all__ = ["INSTABILITY_PARTS", "Bracket", "Branch", "instability"]


INSTABILITY_PARTS = 24  # of the range, at the ends of which the state is looked at first
_FARTHEST = 0.1  # angle [rad] by which a moment may turn from one value to the next
_MOST_HALVINGS = 12  # of a part in which the state turns by more
_MOST_BISECTIONS = 200


@dataclass
class Branch:
    """The state at rest of a case along a varied key.

    Args:
        vary: Returns the system at a value of the key.
    """

    vary: Callable[[float], TextureSystem]
    states: dict[float, Array] = field(default_factory=dict)
    rates: dict[float, float] = field(default_factory=dict)

    def growth(self, value: float) -> float:
        """Return the growth rate [1/s] of the fastest small motion about the state at rest.

        Infinite where the state has ceased to exist.
        """
        if value not in self.rates:
            state = self._followed(value, _MOST_HALVINGS) if self.states else self._first(value)
            self.rates[value] = np.inf if state is None else self._rate(value, state)
        return self.rates[value]

    def _rate(self, value: float, state: Array) -> float:
        self.states[value] = state
        system, texture = self._texture(value)
        with precise(system.coupled):
            return growth(texture, state) / TIME

    def _first(self, value: float) -> Array:
        """Return the state at rest near the initial one, stable or not."""
        system, texture = self._texture(value)
        order = initial_texture(system)
        if system.coupled is not None:
            order, canting = relaxed(system, order, driven=True)
            found = order if canting is None else join(order, canting)
        else:
            if system.antiferromagnetic:
                order = join(order, equilibrium_canting(system.antiferromagnet(), order))
            bound = system.table.relax_torque
            found = relax_texture(texture, texture.start(order), bound, stays=False)
        with precise(system.coupled):
            exact = newton_rest(texture, found)
        return found if exact is None else exact

    def _followed(self, value: float, halvings: int) -> Array | None:
        """Return the state that the one at the next lower value becomes, None where it ends."""
        base = max(v for v in self.states if v < value)
        system, texture = self._texture(value)
        if self.states[base].shape != (len(texture.volumes), 3):
            return self._first(value)
        with precise(system.coupled):
            found = newton_rest(texture, self.states[base], _FARTHEST)
        if found is not None or halvings == 0:
            return found
        middle = self._followed(0.5 * (base + value), halvings - 1)
        if middle is None:
            return None
        self.states[0.5 * (base + value)] = middle
        return self._followed(value, halvings - 1)

    def _texture(self, value: float) -> tuple[TextureSystem, Texture]:
        """Return the system and its equation of motion with all drives at their full strength.

        Raises:
            CaseError: If a drive does not come to rest, or the mesh is too large for a device.
        """
        system = at_full_strength(self.vary(value), "the loss of stability")
        texture = system.sublattices() if system.antiferromagnetic else system.ferromagnet()
        if not traceable(texture):
            raise CaseError(
                "texture.threshold.criterion",
                '"unstable" solves the transport of'
                " every small motion, on meshes of up to 40 nodes; use"
                ' "switched"',
            )
        return system, still(replace(texture, thermal=None))


@dataclass(frozen=True)
class Bracket:
    """Two values between which a state at rest loses its stability.

    Args:
        low: The state is stable.
        high: It is unstable, or has ceased to exist.
        threshold: Where the growth rate vanishes, between both.
        rates: Growth rates [1/s] of all values that were looked at.
    """

    low: float
    high: float
    threshold: float
    rates: dict[float, float]


def instability(
    branch: Branch, low: float, high: float, tolerance: float, progress: Callable[[float], None]
) -> Bracket | None:
    """Return where the state at rest first loses its stability, None if it does nowhere.

    The state is looked at at the ends of `INSTABILITY_PARTS` equal parts of the range: a window
    of instability that lies within one part is not seen.

    Args:
        branch: The state along the key.
        low: First value.
        high: Last value.
        tolerance: Width of the bracket over its middle.
        progress: Called with the fraction that is done.

    Raises:
        CaseError: If the state is unstable at `low`.
        SolverError: If there is no state at rest.
    """
    if branch.growth(low) > 0:
        raise CaseError("texture.threshold.low", f"{low:g} is beyond the threshold (unstable)")
    ends = np.linspace(low, high, INSTABILITY_PARTS + 1).tolist()
    k = 0
    while branch.growth(ends[k + 1]) <= 0:
        k += 1
        if k == INSTABILITY_PARTS:
            return None
        progress(k / (2 * INSTABILITY_PARTS))
    a, b = ends[k : k + 2]
    for _ in range(_MOST_BISECTIONS):
        if b - a <= tolerance * 0.5 * abs(a + b):
            break
        middle = 0.5 * (a + b)
        a, b = (a, middle) if branch.growth(middle) > 0 else (middle, b)
        progress(0.5)
    return Bracket(a, b, _zero(branch.rates, a, b), dict(branch.rates))


def _zero(rates: dict[float, float], low: float, high: float) -> float:
    """Return where the growth rate vanishes in a bracket: on the line between its ends.

    It is the middle where the rate is no line: of a state that ceases to exist, and of one that
    is free or undamped below.
    """
    below, above = rates[low], rates[high]
    earlier = max((v for v in rates if v < low), default=low)
    if not np.isfinite(above) or (below == 0 and rates[earlier] >= 0):
        return 0.5 * (low + high)
    return low + (high - low) * -below / (above - below)
