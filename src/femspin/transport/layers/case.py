"""The layers, faces, contacts and drive of a laterally uniform multilayer, all in SI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ...dual import as_array, stacked, value_of
from ...fields.region import RegionFields
from ...units import E_CHARGE, AnyArray

__all__ = [
    "FIELD_SHAPES",
    "Conductance",
    "Contact",
    "Face",
    "Insulating",
    "SpinFlux",
    "SpinPotential",
    "StackCase",
    "StackLayer",
    "require_layers",
]


def _require_positive(name: str, value: float, limit: float = np.finfo(float).max) -> None:
    """Raise ValueError unless 0 < value <= limit."""
    if not 0.0 < value_of(value) <= limit:
        raise ValueError(f"{name} must be > 0 and finite, got {value!r}")


def _require_shape(name: str, value: ArrayLike, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless value is a finite array of this shape."""
    array = np.asarray(value_of(value))
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite")


@dataclass(frozen=True)
class StackLayer:
    """A uniform layer.

    Args:
        fields: Coefficients of the transport equation.
        thickness: Thickness [m].
    """

    fields: RegionFields
    thickness: float

    def __post_init__(self) -> None:
        where, f = f"layer {self.fields.name!r}", self.fields
        _require_positive(f"{where}: thickness", self.thickness)
        _require_positive(f"{where}: density of states", f.dos)
        _require_positive(f"{where}: diffusion constant", f.diffusion)
        for name, shape in FIELD_SHAPES.items():
            if shape:
                _require_shape(f"{where}: {name}", getattr(f, name), shape)


FIELD_SHAPES: Mapping[str, tuple[int, ...]] = {
    "dos": (),
    "diffusion": (),
    "gauge": (3, 3),
    "omega": (3,),
    "relaxation": (3, 3),
    "theta": (12, 12),
    "drift": (3, 4),
}
"""The coefficients of `RegionFields` that the transport equation takes, and their shapes."""


@dataclass(frozen=True)
class Insulating:
    """A face without spin flux: J^{za} = 0."""


@dataclass(frozen=True)
class SpinPotential:
    """A face that fixes the spin potential.

    Args:
        mu: mu^a [J], shape (3,).
    """

    mu: ArrayLike

    def __post_init__(self) -> None:
        _require_shape("spin potential", self.mu, (3,))


@dataclass(frozen=True)
class SpinFlux:
    """A face that fixes the spin flux along +z.

    Args:
        flux: J^{za} [1/(m^2 s)], shape (3,).
    """

    flux: ArrayLike

    def __post_init__(self) -> None:
        _require_shape("spin flux", self.flux, (3,))


@dataclass(frozen=True)
class Conductance:
    """A face through which G mu/e^2 + J_E flows into the stack.

    At the bottom J^z = G mu/e^2 + J_E, at the top J^z = -(G mu/e^2 + J_E).

    Args:
        G: Conductance [S/m^2], shape (3, 3); dissipation makes -sym(G) >= 0.
        drift: J_E [1/(m^2 s)], shape (3,).
    """

    G: ArrayLike
    drift: ArrayLike = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _require_shape("face conductance G", self.G, (3, 3))
        _require_shape("face drift flux J_E", self.drift, (3,))


def require_layers(count: int, contacts: Iterable[int]) -> None:
    """Raise ValueError unless there is a layer, and contacts lie between two of them."""
    if count == 0:
        raise ValueError("stack: at least one layer is needed")
    for k in contacts:
        if not 1 <= k < count:
            raise ValueError(
                f"stack: contact at interface {k}, but interfaces between layers are 1 to {count - 1}"
            )


Face = Insulating | SpinPotential | SpinFlux | Conductance


@dataclass(frozen=True)
class Contact:
    """A contact between two layers: J^z = (g/e^2) (mu_below - mu_above).

    Args:
        spin: Spin conductance [S/m^2], a number or shape (3, 3).
        charge: Conductance of J^{z0} [S/m^2], half the ordinary charge conductance because
            mu^0 is twice the electrochemical potential; matters only with a charge flux.
    """

    spin: ArrayLike
    charge: float = np.inf

    def __post_init__(self) -> None:
        if np.ndim(self.spin) == 0:
            _require_positive("contact spin conductance", float(value_of(self.spin)), np.inf)
        else:
            _require_shape("contact spin conductance", self.spin, (3, 3))
            matrix = np.asarray(value_of(self.spin), float)
            if np.linalg.eigvalsh(matrix + matrix.T).min() <= 0:
                raise ValueError("contact spin conductance: symmetric part must be positive")
        _require_positive("contact charge conductance", self.charge, np.inf)

    @property
    def resistance(self) -> AnyArray:
        """Drop of mu^a per flux J^{zb} [J m^2 s], shape (3, 3)."""
        if np.ndim(self.spin) == 0:
            return E_CHARGE**2 / as_array(self.spin, float) * np.eye(3)
        return E_CHARGE**2 * np.linalg.inv(as_array(self.spin, float))


@dataclass(frozen=True)
class StackCase:
    """A multilayer and what drives it.

    Interface k lies below layer k; interface 0 is the bottom face, the last one the top face.

    Args:
        layers: From bottom to top.
        bottom: Condition on the bottom face.
        top: Condition on the top face.
        contacts: Contact conductances by interface between two layers; others are ideal.
        frequency: Angular frequency W of exp(+iWt) [rad/s].
        z_zero: Interface at which z = 0.
        charge_flux: J^{z0} through the stack [1/(m^2 s)].
    """

    layers: Sequence[StackLayer]
    bottom: Face = Insulating()
    top: Face = Insulating()
    contacts: Mapping[int, Contact] = field(default_factory=dict)
    frequency: float = 0.0
    z_zero: int = 0
    charge_flux: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.layers)
        require_layers(count, self.contacts)
        if not 0 <= self.z_zero <= count:
            raise ValueError(f"stack: z_zero must be 0 to {count}, got {self.z_zero}")
        for name in ("frequency", "charge_flux"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"stack: {name} must be finite, got {getattr(self, name)}")

    @property
    def fields(self) -> RegionFields:
        """Coefficients of all layers, with a leading axis (n,)."""
        arrays = {k: stacked([getattr(layer.fields, k) for layer in self.layers]) for k in FIELD_SHAPES}
        return RegionFields("", **arrays)  # type: ignore[arg-type]

    @property
    def thickness(self) -> AnyArray:
        """Thickness of each layer [m], shape (n,)."""
        return stacked([layer.thickness for layer in self.layers])

    @property
    def interfaces(self) -> AnyArray:
        """Position z of each interface [m], shape (n + 1,)."""
        z = np.concatenate([[0.0], np.cumsum(self.thickness)])
        found: AnyArray = z - z[self.z_zero]
        return found
