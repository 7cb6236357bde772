"""Time cut where drives are not smooth, so that no step reaches across such a break.

A scheme of any order, and the error estimate of its step, assume a smooth drive.  Each part
between two breaks is stepped by itself, from just after the one to just before the other, where
the drive has its one-sided limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..units import Array

__all__ = ["Part", "Step", "march", "smooth_parts"]

Step = Callable[[Array, float, float], tuple[Array, float]]

# Times this close, relative to the end, are the same: a break is a rounded sum in seconds, and
# the clock in ps goes there and back.
_SAME = 16 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class Part:
    """A span of time in which all drives are smooth.

    Args:
        start: First time [ps].
        stop: Last time [ps].
        before: The last time [ps] before the break at the start; None without a break there.
    """

    start: float
    stop: float
    before: float | None


def smooth_parts(start: float, end: float, breaks: Sequence[float] | Array) -> list[Part]:
    """Return the parts of a span of time between breaks, at least one.

    Args:
        start: [ps].
        end: [ps].
        breaks: Ascending times [ps] where a drive is not smooth.
    """
    given, slack = np.asarray(breaks, float), _SAME * abs(end)
    low, high = np.searchsorted(given, (start - slack, end + slack))
    near = given[low:high]
    edges = [start, *_apart(near[(near > start + slack) & (near < end - slack)], slack), end]
    broken = [True] * len(edges)
    broken[0] = bool((near <= start + slack).any())
    broken[-1] = bool((near >= end - slack).any())
    parts = []
    for (a, at_a), (b, at_b) in pairwise(zip(edges, broken, strict=True)):
        # Time 0 is not rounded: nothing is to be kept away from.
        first = a + slack if at_a and a != 0.0 else a
        parts.append(Part(first, b - slack if at_b else b, a - slack if at_a else None))
    return parts


def _apart(breaks: Array, slack: float) -> list[float]:
    """Return breaks without those that are the same as one before."""
    kept: list[float] = []
    for value in breaks.tolist():
        if not kept or value - kept[-1] > 4 * slack:
            kept.append(value)
    return kept


def march(
    scheme: Any,
    m: Array,
    start: float,
    end: float,
    breaks: Sequence[float] | Array = (),
    step: Step | None = None,
) -> Array:
    """Return the state at `end`, with the scheme restarted after every break.

    Args:
        scheme: Time scheme of a `Texture`.
        m: State at `start`, shape (n, 3).
        start: [ps].
        end: [ps].
        breaks: Ascending times [ps] where a drive is not smooth.
        step: Makes one step of state, time and time not to pass; by default `scheme.advance`.
    """
    advance: Step = scheme.advance if step is None else step
    for part in smooth_parts(start, end, breaks):
        if part.before is not None and hasattr(scheme, "restart"):
            scheme.restart()
        clock = part.start
        while clock < part.stop:
            m, clock = advance(m, clock, part.stop)
    return m
