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

    from . import materials
    from .case.load import case_from_table, load_case
    from .case.region import Region
    from .case.schema import Case, Layer, Stack
    from .device.build import build_device
    from .errors import CaseError, FemspinError, MeshError, SolverError
    from .results.solution import Solution
    from .simulation import conductances, fit, magnetoresistance, sensitivities, simulate, solve, sweep

__version__ = "0.1.0"

# Loaded on first use, so that importing the package stays fast.
_PUBLIC = {
    "Case": "case.schema",
    "CaseError": "errors",
    "FemspinError": "errors",
    "Layer": "case.schema",
    "MeshError": "errors",
    "Region": "case.region",
    "Solution": "results.solution",
    "SolverError": "errors",
    "Stack": "case.schema",
    "build_device": "device.build",
    "case_from_table": "case.load",
    "conductances": "simulation",
    "fit": "simulation",
    "load_case": "case.load",
    "magnetoresistance": "simulation",
    "materials": "materials",
    "sensitivities": "simulation",
    "simulate": "simulation",
    "solve": "simulation",
    "sweep": "simulation",
}

__all__ = [
    "Case",
    "CaseError",
    "FemspinError",
    "Layer",
    "MeshError",
    "Region",
    "Solution",
    "SolverError",
    "Stack",
    "__version__",
    "build_device",
    "case_from_table",
    "conductances",
    "fit",
    "load_case",
    "magnetoresistance",
    "materials",
    "sensitivities",
    "simulate",
    "solve",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        module = import_module(f".{_PUBLIC[name]}", __name__)
        # import_module may bind a submodule of the same name, so the value is stored last.
        value = module if _PUBLIC[name] == name else getattr(module, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
