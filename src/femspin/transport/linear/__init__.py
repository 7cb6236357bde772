"""Solvers of the linear problem: direct, Krylov with its preconditioners."""
