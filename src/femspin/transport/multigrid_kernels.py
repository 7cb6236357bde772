"""Compiled kernels of the multigrid cycle on (n, 3) values; see `multigrid`.  Needs numba."""

from numba import njit

__all__ = ["residual", "sweep"]


@njit(nogil=True, cache=True)
def sweep(indptr, indices, data, inverse, r, x, forward):
    """Sweep x towards the solution node by node (Gauss-Seidel), upwards or downwards."""
    n = len(indptr) - 1
    for step in range(n):
        i = step if forward else n - 1 - step
        a, b, c = r[i, 0], r[i, 1], r[i, 2]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j != i:
                s = data[p]
                a -= s * x[j, 0]
                b -= s * x[j, 1]
                c -= s * x[j, 2]
        m = inverse[i]
        x[i, 0] = m[0, 0] * a + m[0, 1] * b + m[0, 2] * c
        x[i, 1] = m[1, 0] * a + m[1, 1] * b + m[1, 2] * c
        x[i, 2] = m[2, 0] * a + m[2, 1] * b + m[2, 2] * c


@njit(nogil=True, cache=True)
def residual(indptr, indices, data, tensor, r, x, left):
    """Set `left` to r - (s + B) x."""
    for i in range(len(indptr) - 1):
        t, u, v, w = tensor[i], x[i, 0], x[i, 1], x[i, 2]
        a = r[i, 0] - t[0, 0] * u - t[0, 1] * v - t[0, 2] * w
        b = r[i, 1] - t[1, 0] * u - t[1, 1] * v - t[1, 2] * w
        c = r[i, 2] - t[2, 0] * u - t[2, 1] * v - t[2, 2] * w
        for p in range(indptr[i], indptr[i + 1]):
            j, s = indices[p], data[p]
            a -= s * x[j, 0]
            b -= s * x[j, 1]
            c -= s * x[j, 2]
        left[i, 0], left[i, 1], left[i, 2] = a, b, c
