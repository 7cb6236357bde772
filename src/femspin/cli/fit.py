"""``femspin fit``: parameters of a case from measured data."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..case.input_files import real_path
from ..case.scan import number_and_unit
from ..errors import CaseError
from ..results.folder import check_target, holds, only_writer, to_json
from ..studies.fit import FitModel, FitResult, build_model, fit_model, fit_summary, load_fit, write_fit
from ..studies.fit.model import FreeParameter
from ..studies.fit.report import fit_digest
from .progress import with_file

__all__ = ["fit"]


def fit(args: argparse.Namespace) -> int:
    """Fit the parameters of a fit file and write its result folder; return the exit code."""
    file = Path(args.fit)
    description = load_fit(file)
    folder = Path(args.output) if args.output is not None else file.with_suffix(".out")
    began = time.perf_counter()
    try:
        for path in (file, Path.cwd()):
            if real_path(path).is_relative_to(real_path(folder)):
                raise CaseError("-o", f"{str(folder)!r} would replace {path.name!r}")
        model = build_model(description, file.parent)
        force = args.force or holds(folder, fit_digest(model))
        check_target(folder, force)
        args.held.enter_context(only_writer(folder))
        result = fit_model(model)
        write_fit(result, folder, overwrite=force)
    except CaseError as error:
        raise with_file(error, file) from None
    if args.json:
        sys.stdout.write(to_json(fit_summary(result)))
    elif not args.quiet:
        _summary(result, folder, time.perf_counter() - began)
    for text in result.warnings:
        print(f"  warning: {text}", file=sys.stderr)
    return 0


def _summary(result: FitResult, folder: Path, seconds: float) -> None:
    """Print values with errors, strong correlations and the quality of the fit."""
    model = result.model
    if model.fit.title:
        print(model.fit.title)
    width = max(len(p.name) for p in model.parameters)
    for k, p in enumerate(model.parameters):
        size, unit = _unit(model, p)
        value, error = result.values[k] / size, result.errors[k] / size
        tail = "  (at its bound)" if p.name in result.at_bound else f" ± {error:.2g}"
        print(f"  {p.name:<{width}}  {value:.6g}{tail} {unit}".rstrip())
    _correlations(result)
    _signs(result)
    for k, s in enumerate(model.sets):
        print(f"  {s.label}: chi2 {result.set_chi2(k):.4g} of {len(s.measured.y)} rows")
        for note in s.measured.notes:
            print(f"  {s.label}: {note}")
    quality = f"chi2 {result.chi2:.4g}, {result.dof} degrees of freedom"
    if result.reduced is not None:
        quality += f", reduced {result.reduced:.3g}"
    if result.probability is not None:
        quality += f", p = {result.probability:.2g}"
    source = "given sigmas" if result.absolute else "scatter of the residuals"
    print(f"{quality}; standard errors from the {source}")
    print(f"{result.steps} evaluations, {seconds:.1f} s -> {folder}")


def _unit(model: FitModel, p: FreeParameter) -> tuple[float, str]:
    """Return the unit in which the fit file gives a parameter, and its size in SI."""
    entry = model.fit.parameters.get(p.name)
    own = number_and_unit(entry.start) if entry is not None else None
    if own is None or not own[1] or own[0] == 0:
        return 1.0, p.unit
    return p.start / own[0], own[1]


def _signs(result: FitResult) -> None:
    """Say which signs the data do not determine."""
    model = result.model
    for mirror in result.mirrors:
        shown = []
        for name in mirror.names:
            k = [p.name for p in model.parameters].index(name)
            size, unit = _unit(model, model.parameters[k])
            shown.append(f"{name} = {mirror.values[k] / size:.6g} {unit}".rstrip())
        what = "sign" if len(shown) == 1 else "common sign"
        fits = "fits as well" if mirror.chi2 > 0.99 * result.chi2 else "fits better"
        print(
            f"  warning: the data do not determine the {what} of {' and '.join(mirror.names)}:"
            f" {' with '.join(shown)} {fits} (chi2 {mirror.chi2:.4g})",
            file=sys.stderr,
        )


def _correlations(result: FitResult) -> None:
    names, matrix = [p.name for p in result.model.parameters], result.correlation
    for i in range(len(names)):
        for j in range(i):
            if abs(matrix[i, j]) > 0.9:
                print(f"  correlation {matrix[i, j]:+.3f}: {names[j]}, {names[i]}")
