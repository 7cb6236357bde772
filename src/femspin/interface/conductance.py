r"""Conductances of a thin magnetic metal: closed forms beside the resolved layer.

The closed forms rest on an exponential ansatz for the spin density.  `conductance_table` puts
them, as published and as corrected, beside the admittance of the resolved layer and says how far
the ansatz carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..fields.kernels import loss_kernel, thin_loss_kernel
from ..fields.region import RegionFields
from ..fields.soc import LEVI_CIVITA, cross_matrix
from ..fields.validity import ValidityWarning
from ..transport.layers.balance import FluxSplit
from ..transport.layers.stack import StackLayer, admittance_parts
from ..units import E_CHARGE, Array
from .closed_forms import (
    ClosedFormInput,
    ClosedForms,
    ContractedConductance,
    SpinOrbitConstants,
    ansatz_length,
    closed_form_input,
    closed_forms,
    contracted_conductance,
    decay_tensor,
    magnetization_axis,
)

__all__ = [
    "ConductanceRow",
    "ConductanceTable",
    "conductance_table",
    "layer_conductance",
    "project_conductance",
    "thin_conductance",
]


# Where the two limits of Eq. (34) are good to a few per cent, and what counts as agreement.
THIN_RATIO = 0.3
THICK_RATIO = 1 / 3
ANSATZ_ERROR = 0.1


def layer_conductance(fields: RegionFields, thickness: float) -> Array:
    r"""Return G [S/m^2] of a layer with a^z = 0 and Theta = 1, exact there, shape (3, 3).

    :math:`G = -e^2\nu D\,X\tanh(X\ell_F)` with
    :math:`X^2 = K + (\Gamma - \omega\times)/D`.

    Args:
        fields: Coefficients; a^z and Theta are ignored.
        thickness: ell_F [m].

    References:
        Errata E17.
    """
    gauge = fields.gauge.copy()
    gauge[2] = 0.0
    square = (
        loss_kernel(gauge, np.eye(12)) + (fields.relaxation - cross_matrix(fields.omega)) / fields.diffusion
    )
    values, vectors = np.linalg.eig(square.astype(complex))
    root = np.sqrt(values)
    function = vectors @ np.diag(root * np.tanh(root * thickness)) @ np.linalg.inv(vectors)
    return -(E_CHARGE**2) * fields.dos * fields.diffusion * function.real


def thin_conductance(fields: RegionFields, thickness: float) -> Array:
    """Return G [S/m^2] to leading order in a thickness below all lengths, exact in Theta.

    References:
        Errata E20.
    """
    loss = fields.diffusion * thin_loss_kernel(fields.gauge, fields.theta)
    reaction = fields.relaxation - cross_matrix(fields.omega)
    return -(E_CHARGE**2) * fields.dos * thickness * (reaction + loss)


@dataclass(frozen=True)
class ConductanceRow:
    """One conductance by name.

    Args:
        name: As in `femspin.interface.closed_forms.ClosedForms`; G_s, G_r, G_i without a suffix
            are those of the whole layer.
        equation: Where it is defined.
        unit: Unit of all its values.
        printed: Published closed form; None where it does not apply.
        corrected: Corrected closed form; None where it does not apply.
        exact: What the resolved layer has in its place; None where the layer cannot tell it
            from others.
        parts: What each part M, L, S, A, E of the resolved layer adds to this coefficient;
            `exact` is one of them, and they add up to that of the whole conductance.
    """

    name: str
    equation: str
    unit: str
    printed: float | None
    corrected: float | None
    exact: float | None
    parts: dict[str, float]

    @property
    def error(self) -> float | None:
        """|corrected - exact| / |exact|; None where either is missing or exact is zero."""
        if self.corrected is None or not self.exact:
            return None
        return abs(self.corrected - self.exact) / abs(self.exact)


@dataclass(frozen=True)
class ConductanceTable:
    """The conductances of a layer in every form, G in S/m^2 with e J = G mu, mu in volts.

    Args:
        region: Name of the layer.
        thickness: ell_F [m].
        m: Direction the conductances refer to, shape (3,).
        lengths: ell_par and ell_perp of the corrected closed forms [m], before Eq. (34).
        rows: Named conductances.
        validity: Conditions of the closed forms, whether they hold or not.
        printed: Tensors M, L, S, A of the published closed forms, shape (3, 3); None where they
            do not apply.
        corrected: The same, corrected.
        contracted: Tensors of the ansatz for this m and response.
        exact: Parts of the admittance of the resolved layer, shape (3, 3) each.
        thin: The limit of a thin layer, shape (3, 3).
    """

    region: str
    thickness: float
    m: Array
    lengths: tuple[float, float]
    rows: tuple[ConductanceRow, ...]
    validity: tuple[ValidityWarning, ...]
    printed: dict[str, Array] | None
    corrected: dict[str, Array] | None
    contracted: ContractedConductance
    exact: FluxSplit
    thin: Array

    def row(self, name: str) -> ConductanceRow:
        """Return a row by name."""
        return next(r for r in self.rows if r.name == name)


def _mean_pair(g: Array, sign: int) -> float:
    """Return the mean over yz and zx of the (anti)symmetric entries of g."""
    return float(g[2, 1] + sign * g[1, 2] + g[0, 2] + sign * g[2, 0]) / 4


def _axial(g: Array, m: Array) -> float:
    """Return G_i of the antisymmetric part G_i m x of g."""
    return 0.5 * float(np.einsum("b,abc,ac->", m, LEVI_CIVITA, g))


def _anisotropy(g: Array, m: Array) -> float:
    """Return G_r: what the spin along m conducts more than the spin across it."""
    along = float(m @ g @ m)
    return along - 0.5 * (float(np.trace(g)) - along)


_Z = np.array([0.0, 0.0, 1.0])
_X, _Y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
# name: (equation, part, coefficient of a conductance tensor for the direction m)
_NAMED: dict[str, tuple[str, str, Callable[[Array, Array], float] | None]] = {
    "G_s_m": ("41", "M", lambda g, m: float(m @ g @ m)),
    "G_r_m": ("42", "M", _anisotropy),
    "G_i_m": ("43", "M", _axial),
    "G_s_l": ("45", "L", lambda g, m: float(g[2, 2])),
    "G_r_l": ("46", "L", lambda g, m: _anisotropy(g, _Z)),
    "G_i_l": ("49", "L", lambda g, m: _axial(g, _Z)),
    "G_j_l": ("50", "L", lambda g, m: _mean_pair(g, -1)),
    "G_n_par": ("54", "S", lambda g, m: 0.5 * float(g[0, 1] + g[1, 0])),
    "G_n_perp": ("55", "S", lambda g, m: _mean_pair(g, 1)),
    "G_lambda_a": ("59", "A", None),
    "G_alpha_a": ("60", "A", None),
    "G_beta_a": ("61", "A", None),
    "V_x_a": ("58", "A", lambda g, m: _axial(g, _X)),
    "V_y_a": ("58", "A", lambda g, m: _axial(g, _Y)),
    "V_z_a": ("58", "A", lambda g, m: _axial(g, _Z)),
    "G_s": ("40", "total", lambda g, m: float(m @ g @ m)),
    "G_r": ("40", "total", _anisotropy),
    "G_i": ("40", "total", _axial),
}


def project_conductance(name: str, g: Array, m: Array) -> float | None:
    """Return the coefficient of a named conductance in a tensor, or None if it has none.

    Args:
        name: A row of `conductance_table`, such as ``G_r_m``.
        g: Conductance [S/m^2], shape (3, 3).
        m: Direction of the moments, shape (3,).

    References:
        PRB 108, 125309 (2023), Eqs. (40), (44), (53), (58).
    """
    coefficient = _NAMED[name][2]
    return None if coefficient is None else coefficient(g, m)


def conductance_table(
    fields: RegionFields, thickness: float, soc: SpinOrbitConstants | None = None
) -> ConductanceTable:
    """Return all conductances of a layer: published, corrected, and of the resolved layer.

    The layer is insulated below, and its top carries the spin current e J = G mu.

    Args:
        fields: Coefficients of the layer.
        thickness: ell_F [m].
        soc: Spin-orbit coupling in the terms of the closed forms, see `spin_orbit_constants`;
            without it the closed forms are left out.

    References:
        PRB 108, 125309 (2023), Eqs. (33)-(61); errata E10-E20.
    """
    m = magnetization_axis(fields)
    exact, _ = admittance_parts(StackLayer(fields, thickness))
    raw = _decay_lengths(fields, soc, m)
    ell = decay_tensor(ansatz_length(raw[0], thickness), ansatz_length(raw[1], thickness), m)
    contracted = contracted_conductance(fields, ell)
    forms: tuple[ClosedForms | None, ClosedForms | None] = (None, None)
    if soc is not None:
        forms = (
            closed_forms(closed_form_input(fields, soc, thickness, "printed"), "printed"),
            closed_forms(closed_form_input(fields, soc, thickness), "corrected"),
        )
    printed, corrected = (None if f is None else f.tensors(m) for f in forms)
    whole = {"M": exact.M, "L": exact.L, "S": exact.S, "A": exact.A, "E": exact.E}
    rows = tuple(_row(name, m, forms, (printed, corrected), whole) for name in _NAMED)
    return ConductanceTable(
        fields.name,
        thickness,
        m,
        raw,
        rows,
        _conditions(fields, thickness, m, raw, corrected, contracted, exact.total),
        printed,
        corrected,
        contracted,
        exact,
        thin_conductance(fields, thickness),
    )


def _decay_lengths(fields: RegionFields, soc: SpinOrbitConstants | None, m: Array) -> tuple[float, float]:
    """Return the decay lengths along and across m [m], without the limit of the thickness."""
    if soc is not None:
        x: ClosedFormInput = closed_form_input(fields, soc, np.inf)
        return x.ell_par, x.ell_perp
    gauge = fields.gauge.copy()
    gauge[2] = 0.0
    square = loss_kernel(gauge, np.eye(12)) + fields.relaxation / fields.diffusion
    par = float(m @ square @ m)
    perp = 0.5 * (float(np.trace(square)) - par)
    along, across = (1 / np.sqrt(s) if s > 0 else np.inf for s in (par, perp))
    return float(along), float(across)


def _row(
    name: str,
    m: Array,
    forms: tuple[ClosedForms | None, ClosedForms | None],
    tensors: tuple[dict[str, Array] | None, dict[str, Array] | None],
    whole: dict[str, Array],
) -> ConductanceRow:
    equation, part, coefficient = _NAMED[name]
    parts: dict[str, float] = {}
    if coefficient is not None:
        parts = {key: coefficient(g, m) for key, g in whole.items()}
    exact = (sum(parts.values()) if part == "total" else parts[part]) if parts else None
    printed, corrected = (
        _closed_value(name, m, form, tensor) for form, tensor in zip(forms, tensors, strict=True)
    )
    return ConductanceRow(name, f"Eq. ({equation})", "S/m^2", printed, corrected, exact, parts)


def _closed_value(
    name: str, m: Array, form: ClosedForms | None, tensors: dict[str, Array] | None
) -> float | None:
    """Return the value of a row in one closed form, or None where that does not apply."""
    if form is None or tensors is None:
        return None
    if name.startswith("V_"):
        return float(form.vector_a["xyz".index(name[2])])
    if hasattr(form, name):
        return float(getattr(form, name))
    return project_conductance(name, sum(tensors.values(), np.zeros((3, 3))), m)


# Code, message, value and limit of a condition; it holds below the limit.
_Condition = tuple[str, str, float, float]


def _conditions(
    fields: RegionFields,
    thickness: float,
    m: Array,
    lengths: tuple[float, float],
    corrected: dict[str, Array] | None,
    contracted: ContractedConductance,
    exact: Array,
) -> tuple[ValidityWarning, ...]:
    """Return the conditions of the closed forms, whether they hold or not."""
    forms = {"contraction_error": ("contracted ansatz", contracted.total)}
    if corrected is not None:
        closed = sum(corrected.values(), np.zeros((3, 3)))
        forms["ansatz_error"] = ("closed forms", closed)
    found = (
        *_of_limits(thickness, min(lengths), max(lengths)),
        *_of_ansatz(forms, exact),
        *_of_moments(fields, m, min(max(lengths), thickness)),
    )
    return tuple(
        ValidityWarning(code, fields.name, message, float(value), limit)
        for code, message, value, limit in found
    )


def _of_limits(thickness: float, short: float, long: float) -> Iterator[_Condition]:
    """Yield when the two limits of Eq. (34) are good."""
    yield (
        "thin",
        "thickness over the shortest decay length; the thin limit needs it small",
        thickness / short,
        THIN_RATIO,
    )
    yield (
        "thick",
        "longest decay length over the thickness; the thick limit needs it small",
        long / thickness,
        THICK_RATIO,
    )


def _of_ansatz(forms: dict[str, tuple[str, Array]], exact: Array) -> Iterator[_Condition]:
    """Yield how far conductances of the ansatz are from the resolved layer."""
    size = float(np.linalg.norm(exact))
    if not size > 0:
        return
    for code, (text, g) in forms.items():
        yield (
            code,
            f"distance of the {text} from the resolved layer over its conductance",
            float(np.linalg.norm(g - exact)) / size,
            ANSATZ_ERROR,
        )


def _of_moments(fields: RegionFields, m: Array, ell: float) -> Iterator[_Condition]:
    """Yield what the closed forms take moments and precession to be; spin decays over ell [m]."""
    precession = float(np.linalg.norm(fields.omega))
    yield (
        "precession_in_decay",
        "precession over a decay, omega ell^2 / D, limited by the thickness; the ansatz needs it small",
        precession * ell**2 / fields.diffusion,
        ANSATZ_ERROR,
    )
    yield (
        "m_along_z",
        "angle between m and z [rad]; the closed forms take m along z",
        np.arctan2(np.hypot(m[0], m[1]), abs(m[2])),
        1e-6,
    )
    if precession > 0:
        yield (
            "precession_along_m",
            "precession about an axis across m over all precession; the conductances of M know only m",
            float(np.linalg.norm(np.cross(m, fields.omega))) / precession,
            ANSATZ_ERROR,
        )
    if fields.moments is not None:
        yield (
            "perturbative_exchange",
            "n_m K_s against eps_L [J]; the golden rule behind the relaxation rates needs n_m K_s << eps_L",
            abs(fields.moments.exchange_energy),
            fields.moments.splitting,
        )
