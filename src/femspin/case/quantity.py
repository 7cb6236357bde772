"""Quantities with units, as they stand in a case file: ``"1.5 nm"`` in, SI floats out."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..units import HBAR

__all__ = [
    "Capacity", "Conductance", "Conductivity", "Current", "Diffusion", "Dos", "Duration", "ElectricField",
    "Energy", "ExchangeCoupling", "Length", "Magnetization", "MagneticField", "Mass",
    "MomentDensity", "Rate", "SpinFlux", "SpinVelocity", "Temperature", "Voltage",
    "WaveNumber", "parse_quantity",
]  # fmt: skip


@cache
def _registry() -> Any:
    import pint  # imported on first use: it takes longer than the rest of the package

    return pint.UnitRegistry()


def parse_quantity(text: Any, unit: str, example: str, velocity_of_energy: bool = False) -> float:
    """Return a quantity in `unit` (SI).

    Args:
        text: ``"<number> <unit>"``.
        unit: SI unit to convert to.
        example: Shown in the message, e.g. ``"1.5 nm"``.
        velocity_of_energy: Also accept energy x length, divided by hbar (Rashba constants are
            given both as alpha_R in eV angstrom and as a velocity alpha_R / hbar).

    Raises:
        PydanticCustomError: For a bare number, an unknown unit or a wrong dimension.
    """
    if isinstance(text, bool) or not isinstance(text, str):
        kind = "a bare number" if isinstance(text, int | float) else f"a {type(text).__name__}"
        raise PydanticCustomError(
            "needs_unit",
            "a quantity in {unit} is needed, as text with its unit like \"{example}\", not {kind}",
            {"unit": unit, "example": example, "kind": kind},
        )
    # Text that is already in the SI unit must come back bit for bit (a resolved case reruns to
    # the same numbers), so it does not pass through a unit conversion.
    number, _, rest = text.strip().partition(" ")
    if rest.strip() == unit:
        try:
            return _finite(float(number), unit, example)
        except ValueError:
            pass
    return _finite(_convert(text, unit, example, velocity_of_energy), unit, example)


def _convert(text: str, unit: str, example: str, velocity_of_energy: bool) -> float:
    import pint

    registry = _registry()
    try:
        quantity = registry.Quantity(text)
        if quantity.dimensionless and quantity.units == registry.dimensionless and unit != "1":
            raise PydanticCustomError(
                "needs_unit",
                "a quantity in {unit} is needed, with its unit, like \"{example}\"",
                {"unit": unit, "example": example},
            )
        if velocity_of_energy and quantity.check("[energy] * [length]"):
            return float(quantity.to("J*m").magnitude) / HBAR
        if unit in ("K", "kelvin"):
            return float(quantity.to("kelvin").magnitude)
        return float(quantity.to(unit).magnitude)
    except pint.DimensionalityError as error:
        raise PydanticCustomError(
            "wrong_dimension",
            "{found} is not a unit of this quantity; use {unit} or a multiple, like \"{example}\"",
            {"found": str(error.units1), "unit": unit, "example": example},
        ) from None
    except PydanticCustomError:
        raise
    except Exception:  # pint raises many kinds, down to tokenizer errors, on text that is no quantity
        raise PydanticCustomError(
            "not_a_quantity",
            "not a number with a known unit; write it like \"{example}\"",
            {"example": example},
        ) from None


def _finite(value: float, unit: str, example: str) -> float:
    if value != value or value in (float("inf"), float("-inf")):
        raise PydanticCustomError(
            "not_finite", "must be a finite quantity in {unit}, like \"{example}\"",
            {"unit": unit, "example": example},
        )  # fmt: skip
    return value


def _quantity(unit: str, example: str, *, sign: str = "any", spin_orbit: bool = False) -> Any:
    """Build the annotated type of a quantity: text with unit in, SI float inside, text out."""

    def read(text: Any) -> float:
        value = parse_quantity(text, unit, example, spin_orbit)
        if (sign == "positive" and not value > 0) or (sign == "nonnegative" and not value >= 0):
            raise PydanticCustomError(
                "out_of_range", "must be {bound} 0", {"bound": ">" if sign == "positive" else ">="}
            )
        return value

    description = f"quantity in {unit}" + (", > 0" if sign == "positive" else "")
    return Annotated[
        float,
        BeforeValidator(read),
        PlainSerializer(lambda x: f"{x!r} {unit}", return_type=str),
        WithJsonSchema({"type": "string", "description": description, "examples": [example]}),
    ]


Length = _quantity("m", "1.5 nm", sign="positive")
Duration = _quantity("s", "10 fs", sign="positive")
Temperature = _quantity("K", "10 K", sign="positive")
Mass = _quantity("kg", "1.0 m_e", sign="positive")
Conductivity = _quantity("S/m", "7e6 S/m", sign="positive")
Dos = _quantity("1/(J*m**3)", "5e46 1/(J*m^3)", sign="positive")
Diffusion = _quantity("m**2/s", "8e-4 m^2/s", sign="positive")
SpinVelocity = _quantity("m/s", "0.3 eV*angstrom", spin_orbit=True)
MomentDensity = _quantity("1/m**3", "1.2e27 1/m^3", sign="positive")
ExchangeCoupling = _quantity("J*m**3", "3.3e-49 J*m^3")
Energy = _quantity("J", "1 meV")
WaveNumber = _quantity("1/m", "0.35 1/nm")
Rate = _quantity("1/s", "1 1/ps")
ElectricField = _quantity("V/m", "1e5 V/m")
Voltage = _quantity("V", "1 mV")
Current = _quantity("A", "10 uA")
MagneticField = _quantity("T", "0.1 T")
Conductance = _quantity("S/m**2", "1e13 S/m^2")
SpinFlux = _quantity("1/(m**2*s)", "1e28 1/(m^2*s)")
Magnetization = _quantity("A/m", "1.4e5 A/m", sign="positive")
Capacity = _quantity("J/m**3", "1e4 J/m^3")
