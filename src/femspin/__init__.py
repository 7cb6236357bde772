"""Finite-element spin transport and torques at interfaces with spin-orbit coupling.

>>> import femspin
>>> case = femspin.load_case("cases/eus_pt.toml")           # doctest: +SKIP
>>> solution = femspin.simulate(case)                        # doctest: +SKIP
>>> solution.interface("Pt|F").parts["M"]                    # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # of type checkers; typing itself loads before Ctrl-C is listened for
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

# Loaded on first use, so that importing the package stays fast.
_PUBLIC = {
    "Case": "case",
    "CaseError": "errors",
    "Device": "device.model",
    "FemspinError": "errors",
    "MeshError": "errors",
    "Solution": "results.solution",
    "SolverError": "errors",
    "build_device": "device.build",
    "case_from_table": "case",
    "load_case": "case",
    "simulate": "simulation",
    "solve": "simulation",
    "solve_transport": "device.steady",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        # import_module may bind a submodule of the same name, so the value is stored last.
        value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
