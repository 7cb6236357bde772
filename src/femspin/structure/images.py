"""Points of a device that are one point when its sides are periodic."""

from __future__ import annotations

import numpy as np

from ..units import Array, Indices

__all__ = ["image_steps"]


_SAME_PLACE = 2.0**-36  # of the extent of the device


def image_steps(points: Array, periods: tuple[tuple[int, float], ...]) -> Indices:
    """Return the rank of every coordinate among all, the same for periodic images.

    Coordinates that differ by round-off share a rank.  Rounding to a grid would split two images
    now and then; ranks cannot.

    Args:
        points: Coordinates [nm], shape (dim, n), some on the lower side of every period.
        periods: Periodic rows with their periods [nm].
    """
    wrapped = points.copy()
    for row, period in periods:
        low = points[row].min()
        wrapped[row] = np.where(points[row] > low + period * (1 - 1e-9), low, points[row])
    tolerance = max(float(np.ptp(points)), 1e-12) * _SAME_PLACE
    return np.stack([_ranks(row, tolerance) for row in wrapped])


def _ranks(values: Array, tolerance: float) -> Indices:
    order = np.argsort(values, kind="stable")
    rank = np.zeros(len(values), np.int64)
    rank[order[1:]] = np.cumsum(np.diff(values[order]) > tolerance)
    return rank
