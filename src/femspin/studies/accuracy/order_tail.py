"""What lies beyond the difference of two orders of elements."""

from __future__ import annotations

__all__ = ["tail_factor"]

_LARGEST_TAIL = 2.5


def tail_factor(change: float, before: float) -> float:
    r"""Return the error of order 2 over its distance to order 3, from 1 up.

    With errors :math:`E_p \propto p^{-s}`, s from the ratio of the changes 2 to 3 and 1 to 2.
    Smooth solutions have a large s and the factor 1; it is bounded by 2.5, because changes that
    cancel by accident tell nothing.

    Args:
        change: |Q_3 - Q_2|.
        before: |Q_2 - Q_1|.
    """
    if change == 0 or before == 0:
        return 1.0
    ratio = change / before

    def mismatch(s: float) -> float:
        return float((2.0**-s - 3.0**-s) / (1 - 2.0**-s) - ratio)

    slow, fast = 0.9, 40.0
    if mismatch(slow) < 0:
        return _LARGEST_TAIL
    if mismatch(fast) > 0:
        return 1.0
    from scipy.optimize import brentq

    s = brentq(mismatch, slow, fast)
    return float(min(1 / (1 - (2 / 3) ** s), _LARGEST_TAIL))
