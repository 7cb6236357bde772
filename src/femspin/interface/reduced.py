"""A thin magnetic layer replaced by what it does to the metal above it.

The metal then sees a face with the flux law J = G mu / e^2 + J_E.  Of the forms for G and J_E,
``exact`` is the numerical admittance of the resolved layer (nothing is lost if the layer is
laterally uniform), ``layer`` the closed form for a^z = 0 and Theta = 1, ``thin`` the leading
order in the thickness, ``corrected`` and ``printed`` the named conductances of the published
theory, with its misprints mended and as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..case.schema import Case, Interface, Stack
from ..case.values import INSULATORS
from ..dual import as_array, stacked, value_of
from ..errors import CaseError
from ..fields.kernels import gauge_kernel, thin_response
from ..fields.region import RegionFields
from ..fields.soc import LEVI_CIVITA, cross_matrix
from ..materials.parameters import RegionParameters
from ..transport.layers.stack import (
    Conductance,
    Face,
    Insulating,
    SpinPotential,
    StackCase,
    StackLayer,
    admittance,
    solve_stack,
)
from ..units import E_CHARGE, Array
from .closed_forms import (
    ClosedFormInput,
    Form,
    SpinOrbitConstants,
    closed_form_input,
    closed_forms,
    magnetization_axis,
)
from .conductance import layer_conductance, thin_conductance
from .contraction import decay_tensor

__all__ = [
    "CLOSED_FORMS",
    "REDUCTIONS",
    "LayerResponse",
    "ReducedLayer",
    "Reduction",
    "closed_drift",
    "find_reduced",
    "layer_response",
    "reduced_parts",
    "thin_drift",
]

Reduction = Literal["exact", "layer", "thin", "corrected", "printed"]
REDUCTIONS: tuple[Reduction, ...] = ("exact", "layer", "thin", "corrected", "printed")
CLOSED_FORMS = REDUCTIONS[3:]
"""Those that know spin-orbit coupling of the form (9)-(11) only."""

# A component of the electric field that is this share of it is round-off, as of cos(90 deg).
_NO_FIELD = 1e-12


@dataclass(frozen=True)
class LayerResponse:
    """Flux out of the top of a layer, J = G mu / e^2 + J_E.

    Args:
        conductance: G [S/m^2], shape (3, 3).
        drift: J_E [1/(m^2 s)], shape (3,).
    """

    conductance: Array
    drift: Array


@dataclass(frozen=True)
class ReducedLayer:
    """An F layer that is not meshed.

    Args:
        name: Its region.
        parameters: Its transport parameters.
        thickness: ell_F [m].
        form: How it is reduced.
        metal: The conducting region above it.
        magnet: The FI region below it, or None at the bottom of the stack.
        table: Condition on its own lower side, if the case gives one.
    """

    name: str
    parameters: RegionParameters
    thickness: float
    form: Reduction
    metal: str
    magnet: str | None
    table: Interface | None

    @property
    def face(self) -> str:
        """Name of the meshed face that stands for the layer."""
        return f"{self.metal}|{self.magnet}" if self.magnet is not None else "bottom"

    @property
    def interface(self) -> str:
        """Name under which its currents are reported."""
        return f"{self.metal}|{self.name}"


def find_reduced(
    case: Case, parameters: Mapping[str, RegionParameters]
) -> tuple[Case, tuple[ReducedLayer, ...]]:
    """Return the case without its reduced layers, and these layers.

    Raises:
        CaseError: If a layer that is to be replaced does not lie directly under a metal, on an
            FI region or at the bottom of a stack, if the face that would stand for it is not its
            alone, or if something else than its electric field drives it.
    """
    wanted = [name for name, r in case.regions.items() if r.model != "resolved"]
    if not wanted:
        return case, ()
    stack = case.structure
    if stack is None:
        raise CaseError(
            f"regions.{wanted[0]}.model",
            "only a layer of a [structure] stack can be replaced; a mesh resolves its regions",
        )
    for name in wanted:
        _require_known_drive(case, stack, name)
    interfaces = dict(case.interfaces)
    found = tuple(_reduced(case, name, parameters[name], interfaces) for name in wanted)
    layers = [layer for layer in stack.layers if layer.region not in wanted]
    for layer in found:
        _require_own_face(layer, [rest.region for rest in layers], interfaces)
    rest = {"structure": stack.model_copy(update={"layers": layers}), "interfaces": interfaces}
    return case.model_copy(update=rest), found


def _reduced(
    case: Case, name: str, parameters: RegionParameters, interfaces: dict[str, Interface]
) -> ReducedLayer:
    """Return one reduced layer; take the condition on its lower side out of `interfaces`."""
    assert case.structure is not None
    layers = case.structure.layers
    at = [k for k, layer in enumerate(layers) if layer.region == name]
    k = at[0]
    above = layers[k + 1].region if k + 1 < len(layers) else None
    below = layers[k - 1].region if k > 0 else None
    path = f"regions.{name}.model"
    kinds = {n: r.kind for n, r in case.regions.items()}
    if len(at) > 1:
        raise CaseError(path, "the region fills several layers; give each its own region")
    if above is None or kinds[above] in INSULATORS or case.regions[above].model != "resolved":
        raise CaseError(path, "a replaced layer needs a resolved metal directly above it")
    if below is not None and kinds[below] not in INSULATORS:
        raise CaseError(path, f"a replaced layer lies on an insulator or at the bottom, not on {below!r}")
    table = None
    for key in ("bottom",) if below is None else (f"{name}|{below}", f"{below}|{name}"):
        table = interfaces.pop(key, table)
    if table is not None and table.condition not in ("insulating", "conductance"):
        raise CaseError(
            path, f"its lower side can be insulating or have a conductance, not a {table.condition}"
        )
    for key in (f"{above}|{name}", f"{name}|{above}"):
        if key in interfaces:
            raise CaseError(
                f"interfaces.{key}",
                f"{name} is replaced by a face (regions.{name}.model); only a resolved layer can"
                " have a condition or contact on its upper side",
            )
    form = case.regions[name].model
    assert form != "resolved"
    return ReducedLayer(name, parameters, layers[k].thickness, form, above, below, table)


def _require_known_drive(case: Case, stack: Stack, name: str) -> None:
    """Refuse a drive of a reduced layer in which E and grad mu^0 do not act as E alone.

    The response knows E only.  Electrodes drive by grad mu^0 in its place, and where insulating
    sides stop the current grad mu^0 takes E back.
    """
    path, remedy = f"regions.{name}.model", f'set model = "resolved" for {name}'
    if case.drive.electrodes:
        raise CaseError(
            path,
            "electrodes drive no current through a replaced layer;"
            f" {remedy}, or drive the case by drive.electric_field",
        )
    own = case.regions[name].override
    field = case.drive.electric_field if own is None else own.electric_field
    field = value_of(stacked(field or case.drive.electric_field or [0.0, 0.0, 0.0]))
    closed = stack.dimension - 1 if stack.lateral == "insulating" else 0
    for axis, along in zip("xy"[:closed], field[:closed], strict=True):
        if abs(along) > _NO_FIELD * np.linalg.norm(field):
            raise CaseError(
                path,
                f"insulating sides stop the current along {axis} but not the"
                f" response of a replaced layer to the electric field; {remedy}, or"
                ' structure.lateral = "periodic"',
            )


def _require_own_face(layer: ReducedLayer, names: Sequence[str], interfaces: Mapping[str, Interface]) -> None:
    """Refuse a face that stands for more than one reduced layer, or has a law already.

    Args:
        layer: The reduced layer.
        names: Regions of the layers that are left, from bottom to top.
        interfaces: Conditions that are left.
    """
    if layer.magnet is None:
        return
    # All places where two regions touch are one face, with one law.
    places = sum({layer.metal, layer.magnet} == set(pair) for pair in pairwise(names))
    if places > 1:
        raise CaseError(
            f"regions.{layer.name}.model",
            f"{layer.metal} and {layer.magnet} would touch in {places} places, which are one face"
            f" with one law; give the layers of {layer.metal} or of {layer.magnet} regions of"
            f' different names, or set model = "resolved" for {layer.name}',
        )
    for key in (layer.face, "|".join(reversed(layer.face.split("|")))):
        if key in interfaces:
            raise CaseError(
                f"interfaces.{key}",
                f"this face stands for {layer.name} (regions.{layer.name}.model) and has its law;"
                f" set the condition of {layer.name}|{layer.magnet} instead, or"
                f' model = "resolved" for {layer.name}',
            )


def layer_response(
    fields: RegionFields,
    thickness: float,
    form: Reduction,
    below: LayerResponse | None = None,
    soc: SpinOrbitConstants | None = None,
) -> LayerResponse:
    """Return G and J_E of a layer.

    Args:
        fields: Coefficients of the layer.
        thickness: ell_F [m].
        form: Which approximation.
        below: Response of what lies under the layer; default insulating.  The approximate forms
            add it to their own, as for a layer across which mu does not change.
        soc: Spin-orbit coupling, for the closed forms.
    """
    if form == "exact":
        G, drift = admittance([StackLayer(fields, thickness)], _face(below))
        return LayerResponse(as_array(G, float), as_array(drift, float))
    if form in ("corrected", "printed"):
        tensors, _ = _closed(fields, thickness, form, soc)
        G = np.sum(list(tensors.values()), axis=0)
        drift = closed_drift(fields, thickness)
    elif form == "layer":
        G, drift = layer_conductance(fields, thickness), np.zeros(3)
    else:
        G, drift = thin_conductance(fields, thickness), thin_drift(fields, thickness)
    if below is not None:
        G, drift = G + below.conductance, drift + below.drift
    return LayerResponse(G, drift)


def _closed(
    fields: RegionFields, thickness: float, form: Reduction, soc: SpinOrbitConstants | None
) -> tuple[dict[str, Array], ClosedFormInput]:
    """Return the conductances of M, L, S and A by closed forms, and their input."""
    if soc is None:
        raise ValueError("the closed forms need spin-orbit coupling of the form (9)-(11)")
    which: Form = "printed" if form == "printed" else "corrected"
    given = closed_form_input(fields, soc, thickness, which)
    return closed_forms(given, which).tensors(magnetization_axis(fields)), given


def closed_drift(fields: RegionFields, thickness: float) -> Array:
    """Return J_E^a = -ell_F C^{a nu}_j s^{j nu} [1/(m^2 s)], shape (3,).

    References:
        PRB 108, 125309 (2023), Eq. (39), sum over nu = 0..3 (errata E28).
    """
    kernel = gauge_kernel(fields.gauge, fields.theta)
    found: Array = -thickness * np.einsum("ajn,jn->a", kernel, fields.drift)
    return found


def thin_drift(fields: RegionFields, thickness: float) -> Array:
    """Return J_E of a thin layer [1/(m^2 s)], shape (3,).

    J_E^a = -ell_F eps^{abm} a^{pb} S^{pm}_{p'n} s^{p'n}, p in the plane, S the response with
    J^z = 0.

    References:
        Errata E20, E28.
    """
    response = thin_response(fields.theta).reshape(2, 4, 2, 4)[:, 1:]
    found: Array = -thickness * np.einsum(
        "abm,ib,imjn,jn->a", LEVI_CIVITA, fields.gauge[:2], response, fields.drift[:2]
    )
    return found


def reduced_parts(
    fields: RegionFields,
    thickness: float,
    form: Reduction,
    mu: Array,
    below: LayerResponse | None = None,
    soc: SpinOrbitConstants | None = None,
) -> dict[str, Array]:
    """Return the parts of the flux out of a reduced layer for a potential above it.

    Args:
        fields: Coefficients of the layer.
        thickness: ell_F [m].
        form: How the layer was reduced.  The split of ``exact`` is exact; that of the other
            forms attributes G by its terms (relaxation, precession, loss and its symmetric
            part between components) at uniform mu.
        mu: mu^a at the top of the layer [J], shape (3,).
        below: As for `layer_response`.
        soc: As for `layer_response`.

    Returns:
        M_relax, M_prec, ..., B and moments [1/(m^2 s)], shape (3,) each.
    """
    if form == "exact":
        solution = solve_stack(StackCase((StackLayer(fields, thickness),), _face(below), SpinPotential(mu)))
        parts = {k: np.asarray(v, float) for k, v in solution.split(0).parts().items()}
        density = fields.dos * solution.integrals(0)[0][1:]
    elif form in ("corrected", "printed"):
        parts, density = _closed_parts(fields, thickness, form, mu, soc)
        parts["B"] = np.zeros(3) if below is None else _flux(below, mu)
    else:
        density = fields.dos * thickness * mu
        parts = _parts_at_uniform_potential(fields, thickness, form, mu, below)
    parts["M"] = parts["M_relax"] + parts["M_prec"]
    parts["L"] = parts["L_diag"] + parts["L_anti"]
    exchange = cross_matrix(fields.moment_omega) - fields.moment_relaxation
    parts["moments"] = exchange @ density
    return parts


def _closed_parts(
    fields: RegionFields, thickness: float, form: Reduction, mu: Array, soc: SpinOrbitConstants | None
) -> tuple[dict[str, Array], Array]:
    """Return the parts of the closed forms but B, and the integral of N [1/m^2]."""
    tensors, given = _closed(fields, thickness, form, soc)
    flux = {name: G @ mu / E_CHARGE**2 for name, G in tensors.items()}
    turning = {n: 0.5 * (tensors[n] - tensors[n].T) @ mu / E_CHARGE**2 for n in ("M", "L")}
    decay = decay_tensor(given.ell_par, given.ell_perp, magnetization_axis(fields))
    parts = {
        "M_relax": flux["M"] - turning["M"],
        "M_prec": turning["M"],
        "L_diag": flux["L"] - turning["L"],
        "L_anti": turning["L"],
        "S": flux["S"],
        "A": flux["A"],
        "E": closed_drift(fields, thickness),
        "T": np.zeros(3),
    }
    return parts, fields.dos * decay @ mu


def _parts_at_uniform_potential(
    fields: RegionFields, thickness: float, form: Reduction, mu: Array, below: LayerResponse | None
) -> dict[str, Array]:
    density = fields.dos * thickness * mu
    own = layer_response(fields, thickness, form)
    reaction = fields.dos * thickness * (cross_matrix(fields.omega) - fields.relaxation)
    # What is neither relaxation nor precession nor drift is spin-orbit loss, in which S is the
    # symmetric part between components, as it is of K.
    loss = own.conductance / E_CHARGE**2 - reaction
    symmetric = 0.5 * (loss + loss.T)
    diagonal = np.diag(np.diag(symmetric))
    zero = np.zeros(3)
    return {
        "M_relax": -fields.relaxation @ density,
        "M_prec": np.cross(fields.omega, density),
        "L_diag": diagonal @ mu,
        "L_anti": (loss - symmetric) @ mu,
        "S": (symmetric - diagonal) @ mu,
        "A": zero,
        "E": own.drift,
        "T": zero,
        "B": zero if below is None else _flux(below, mu),
    }


def _flux(response: LayerResponse, mu: Array) -> Array:
    return response.conductance @ mu / E_CHARGE**2 + response.drift


def _face(below: LayerResponse | None) -> Face:
    if below is None:
        return Insulating()
    return Conductance(below.conductance, below.drift)
