"""The region F of the multilayers HM|F|FI that tests and the pictures of the docs share."""

from __future__ import annotations

from typing import Any


def magnetic_layer(dos: str = "2e47 1/(J*m^3)", **more: Any) -> dict[str, Any]:
    """Return the table of an F region with iron moments and a Rashba coupling.

    Args:
        dos: Its density of states.
        more: Keys that are added or replaced.
    """
    return {
        "kind": "F",
        "dos": dos,
        "diffusion_constant": "2e-4 m^2/s",
        "mass": "1 m_e",
        "scattering_time": "1 fs",
        "soc": {"rashba": "0.1 eV*angstrom"},
        "kondo": {
            "spin": 2.5,
            "moment_density": "4e27 1/m^3",
            "exchange_energy": "5 meV",
            "curie_temperature": "559 K",
        },
    } | more
