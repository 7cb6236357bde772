"""The result of a texture case: numbers, series, fields, pictures, and their folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..case.files import resolve_files
from ..case.load import dump_case
from ..case.schema import Case
from ..case.toml import to_toml
from ..device.observables.quantity import Listed, Quantity, flat_numbers, quantities, units_of
from ..magnets.space import TextureSpace
from ..units import Array
from .facts import versions
from .folder import result_folder, to_json
from .inputs import case_digest
from .series import Series

if TYPE_CHECKING:
    from ..device.model import Device

__all__ = ["TEXTURE_CONVENTIONS", "TextureResult"]


TEXTURE_CONVENTIONS = {
    "m": "direction of the magnetization, averaged over the volume",
    "n": "half the difference of the sublattice magnetization directions; m half their sum",
    "current": "conventional; electrons drift against it",
    "tilt": "angle of the moment at the centre of a wall about the axis of its domains",
    "unrest": "largest |dm/dt|/gamma or |dn/dt|/gamma at a node, in T",
    "torque": "dm/dt that transport gives to a node, in 1/s; in `transport` over gamma, in T",
}


@dataclass(frozen=True)
class TextureResult:
    """Everything a texture case gave.

    Args:
        case: The case.
        space: The nodal space.
        numbers: What `result.json` holds under `texture`.
        history: Mean direction and energy against time, if it was followed in time.
        wall: Position, width, tilt and velocity of a wall.
        frames: Times [s] with nodal fields by name, shape (n, 3).
        curves: Loop, spectrum, line shape, modes or bisection.
        warnings: Sentences.
        folder: Where relative paths of the case start.
        facts: Mesh and scheme.
        seconds: Wall time [s] of magnetics and transport; kept out of `result.json`, which two
            runs of a case have in common.
        device: The solved device, if torques are those of transport.
        potentials: Its mu [meV] at every frame, shape (n_dofs, 4).
    """

    case: Case
    space: TextureSpace
    numbers: Mapping[str, Any]
    history: Series | None = None
    wall: Series | None = None
    frames: tuple[tuple[float, dict[str, Array]], ...] = ()
    curves: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()
    folder: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    device: Device | None = None
    potentials: tuple[Array, ...] = ()

    @property
    def report(self) -> dict[str, Any]:
        """What `result.json` holds: the `table` with a hash of the inputs."""
        return self.table | {"inputs_digest": case_digest(self.case, self.folder)}

    @property
    def table(self) -> dict[str, Any]:
        """Everything that was found, SI."""
        assert self.case.texture is not None
        return {
            "title": self.case.title,
            "analysis": self.case.texture.analysis,
            "texture": Listed(self.numbers),
            "texture_facts": dict(self.facts),
            "units": self.units,
            "conventions": TEXTURE_CONVENTIONS,
            "warnings": list(self.warnings),
            "inputs": dump_case(self.case),
            "versions": versions(),
        }

    @property
    def units(self) -> dict[str, str]:
        """Units of the single numbers that have one, by dotted name."""
        return units_of({"texture": self.numbers, "texture_facts": self.facts})

    @property
    def values(self) -> dict[str, float]:
        """Single numbers by dotted name, e.g. ``texture.wall.velocity``."""
        keys = ("texture", "texture_facts")
        return flat_numbers({k: v for k, v in self.table.items() if k in keys})

    @property
    def quantities(self) -> dict[str, Quantity]:
        """The `values` with their units and labels."""
        return quantities({"texture": self.numbers, "texture_facts": self.facts})

    def write(self, folder: Path | str, overwrite: bool = False) -> Path:
        """Write the result folder in one piece and return it.

        Raises:
            CaseError: If the folder exists and is no earlier result, or holds one of other inputs
            and `overwrite` is False.
        """
        target = Path(folder)
        with result_folder(target, overwrite) as part:
            (part / "result.json").write_text(to_json(self.report), encoding="utf-8")
            (part / "case.toml").write_text(self._resolved(), encoding="utf-8")
            if self.seconds:
                (part / "timings.json").write_text(to_json(dict(self.seconds)), encoding="utf-8")
            for series in (self.history, self.wall, *self.curves):
                if series is not None:
                    series.write(part / f"{series.name}.csv")
            if self.case.output.fields and self.frames:
                from .texture_vtk import write_frames, write_potentials

                write_frames(self.space, self.frames, part)
                if self.device is not None and self.potentials:
                    write_potentials(self.device, self.frames, self.potentials, part)
            if self.case.output.plots:
                from .texture_plots import write_plots

                write_plots(part, self.space, self.history, self.wall, self.frames, self.curves)
        return target

    def _resolved(self) -> str:
        lines = ["Resolved case: every default filled in.  It reruns as it is."]
        lines += [f"{k} {v}" for k, v in versions().items()]
        table = dump_case(self.case)
        resolve_files(table, self.folder)
        return to_toml(table, "\n".join(lines))
