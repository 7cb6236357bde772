"""The solution of a case: numbers, fields, pictures, and the folder that holds them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case.input_files import real_path
from ..case.load import dump_case
from ..case.toml import to_toml
from ..device.observables.mesh import said_by
from ..device.observables.quantity import Measure, Quantity, flat_numbers, measured, quantities, units_of
from ..device.observables.said import GROUPS, LARGEST_BALANCE, interface_table, observables
from ..device.observables.warnings import validity_of, warnings_of
from ..device.response_tables import FrequencyResponse, TransientResponse
from ..errors import CaseError, closest
from ..interface.currents import InterfaceCurrents
from ..magnets.macrospin import Trajectory
from .facts import CONVENTIONS, versions
from .folder import result_folder, to_json
from .inputs import case_digest

if TYPE_CHECKING:
    from ..device.model import Device, Transport

__all__ = ["Solution"]

_MOTION = {
    "final": Measure("", "magnetization m{} at the end", listed=True),
    "final_torque": Measure("1/s", "rate dm/dt{} by the torque at the end"),
    "final_energy": Measure("J/m^3", "energy density at the end"),
    "duration": Measure("s", "duration"),
}


@dataclass(frozen=True)
class Solution:
    """Everything a run found.

    Args:
        device: The meshed problem.
        transport: Currents and potentials, for the final magnetization; with [frequency] or
            [transient], the steady solution at full drive.
        trajectory: Motion of the magnetization, if the case has [dynamics].
        frames: Transport along the motion, for the time series of fields.
        solutions: How many transport problems were solved.
        response: Currents at the frequencies or in the time the case asks for.
        errors: Estimated discretisation errors of `discretised_numbers`, in the same form.
        levels: Meshes of an adaptive run, as tables.
    """

    device: Device
    transport: Transport
    trajectory: Trajectory | None = None
    frames: tuple[tuple[float, Transport], ...] = ()
    solutions: int = 1
    response: FrequencyResponse | TransientResponse | None = None
    errors: Mapping[str, Any] | None = None
    levels: tuple[Mapping[str, Any], ...] = ()

    def interface(self, name: str) -> InterfaceCurrents:
        """Return the currents of one interface, by ``first|second`` in either order.

        Raises:
            CaseError: If there is no such interface.
        """
        flipped = "|".join(reversed(name.split("|")))
        for candidate in (name, flipped):
            if candidate in self.transport.interfaces:
                return self.transport.interfaces[candidate]
        known = ", ".join(self.transport.interfaces) or "none"
        hint = closest(name, self.transport.interfaces)
        raise CaseError("interface", f"no interface {name!r}; interfaces: {known}{hint}")

    @property
    def table(self) -> dict[str, Any]:
        """What `result.json` holds, as nested dictionaries in SI, without errors, units and digest."""
        device, transport = self.device, self.transport
        quality, linear = device.structure.quality, transport.state.report
        invalid = validity_of(device, transport)
        result: dict[str, Any] = {
            "title": device.case.title,
            "conventions": CONVENTIONS,
            "magnetization": transport.m,
            **observables(said_by(device, transport), GROUPS),
            "balance_residual": LARGEST_BALANCE(transport.balance),
            "mesh": {
                "dimension": device.space.dimension,
                "order": device.space.order,
                "regions": list(device.structure.regions),
                "cells": quality.cells,
                "vertices": quality.vertices,
                "shortest_edge_nm": Measure("nm", "shortest edge")(quality.smallest),
                "longest_edge_nm": Measure("nm", "longest edge")(quality.largest),
                "aspect_ratio": quality.aspect,
                "shape": quality.shape,
            },
            "solver": {
                "method": linear.method,
                "choice": linear.choice,
                "unknowns": linear.unknowns,
                "iterations": linear.iterations,
                "residual": linear.residual,
                "transport_solutions": self.solutions,
            },
            "estimates": [
                {"path": u.path, "value": u.value.value, "material": u.material, "source": u.value.source}
                for u in device.used
                if u.value.status == "estimate"
            ],
            "warnings": warnings_of(device, transport, invalid),
            "validity": [asdict(w) for w in invalid],
            "inputs": dump_case(device.case),
            "versions": versions(),
        }
        if self.levels:
            result["refinement"] = list(self.levels)
        if self.trajectory is not None:
            result["dynamics"] = _dynamics_table(self.trajectory)
        if self.response is not None:
            result[self.response.key] = self.response.table
        return result

    @property
    def report(self) -> dict[str, Any]:
        """The `table` with {value, error} in place of every number that has an error.

        And with the units of all numbers that have one, and a hash of the inputs, see
        `femspin.results.inputs.case_digest`.
        """
        table = self.table
        units = units_of({k: v for k, v in table.items() if k != "inputs"})
        digest = case_digest(self.device.case, self.device.folder)
        shown = table if self.errors is None else _with_errors(table, self.errors)
        return {**shown, "units": units, "inputs_digest": digest}

    @property
    def values(self) -> dict[str, float]:
        """Single numbers by dotted name, e.g. ``interfaces.Pt|F.parts.M.y``."""
        return flat_numbers(self.table)

    @property
    def quantities(self) -> dict[str, Quantity]:
        """The `values` with their units, errors, scales and labels."""
        return quantities(self.table, self.errors)

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
            self._write_csv(part)
            if self.device.case.output.fields:
                self._write_fields(part)
            if self.device.case.output.plots:
                self._write_plots(part)
        return target

    def _resolved(self) -> str:
        lines = ["Resolved case: every default and material value filled in.  It reruns as it is."]
        lines += [f"{k} {v}" for k, v in versions().items()]
        for u in self.device.used:
            lines.append(f"{u.path} from {u.material}: {u.value.source} [{u.value.status}]")
        for name, p in self.device.parameters.items():
            lines.append(
                f"regions.{name}: the equations take the Drude conductivity"
                f" {p.drude_conductivity!r} S/m, dos {p.dos!r} 1/(J m^3), diffusion constant"
                f" {p.diffusion!r} m^2/s"
            )
        table = dump_case(self.device.case)
        mesh = self.device.case.mesh
        if mesh is not None and self.device.folder is not None:
            table["mesh"]["file"] = str(real_path(self.device.folder / mesh.file))
        return to_toml(table, "\n".join(lines))

    def _write_csv(self, part: Path) -> None:
        with (part / "currents.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["interface", "part", *(f"J^{a} [A/m^2 (hbar/2e)]" for a in "xyz")])
            for name, i in self.transport.interfaces.items():
                table = interface_table(i, self.device.space.dimension)
                writer.writerow([name, "total", *map(repr, table["spin_current"].tolist())])
                for key, value in table.get("parts", {}).items():
                    writer.writerow([name, key, *map(repr, value.tolist())])
        if self.response is not None:
            self.response.write_csv(part / f"{self.response.key}.csv")
        t = self.trajectory
        if t is None:
            return
        with (part / "history.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            header = [
                "time [s]",
                "m_x",
                "m_y",
                "m_z",
                "torque_x [1/s]",
                "torque_y [1/s]",
                "torque_z [1/s]",
                "energy [J/m^3]",
            ]
            writer.writerow(header)
            rows = np.column_stack([t.time, t.m, t.torque, t.energy])
            writer.writerows([repr(v) for v in row] for row in rows.tolist())

    def _write_fields(self, part: Path) -> None:
        from .vtk import interface_mesh, volume_mesh, write_series

        frames = self.frames or ((0.0, self.transport),)
        files = [f"fields_{k:04d}.vtu" for k in range(len(frames))]
        for file, (_, transport) in zip(files, frames, strict=True):
            volume_mesh(self.device, transport).write(part / file)
        write_series(part / "fields.pvd", [t for t, _ in frames], files)
        for name in self.transport.interfaces:
            surface = interface_mesh(self.device, self.transport, name)
            if surface is not None:
                surface.write(part / f"interface_{file_name(name)}.vtu")

    def _write_plots(self, part: Path) -> None:
        from . import plots, time_plots

        figure, _ = plots.plot_profiles(self.device, self.transport)
        figure.savefig(part / "profiles.png", dpi=150)
        for name, currents in self.transport.interfaces.items():
            if currents.source is not None:
                figure, _ = plots.plot_parts(self.device, self.transport, name)
                figure.savefig(part / f"parts_{file_name(name)}.png", dpi=150)
        if self.trajectory is not None:
            figure, _ = plots.plot_trajectory(self.trajectory)
            figure.savefig(part / "magnetization.png", dpi=150)
        if self.response is not None:
            figure, _ = time_plots.plot_response(self.response)
            figure.savefig(part / f"{self.response.key}.png", dpi=150)


def _with_errors(table: Any, errors: Any) -> Any:
    """Return a table with {value, error} where `errors` holds one."""
    if not isinstance(errors, Mapping):
        return table if errors is None else {"value": table, "error": errors}
    return {k: _with_errors(v, errors.get(k)) if k in errors else v for k, v in table.items()}


def file_name(interface: str) -> str:
    """Return the name of an interface as it stands in file names: ``Pt|F`` is ``Pt--F``."""
    return interface.replace("|", "--")


def _dynamics_table(t: Trajectory) -> dict[str, Any]:
    numbers = {
        "final": t.m[-1],
        "final_torque": t.torque[-1],
        "final_energy": float(t.energy[-1]),
        "duration": float(t.time[-1]),
        "steps": t.steps,
        "converged": t.converged,
    }
    return measured(numbers, _MOTION)
