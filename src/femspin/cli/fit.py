"""``femspin fit``: parameters of a case from measured data."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..case.scan import number_and_unit
from ..errors import CaseError
from ..fit import FitResult, build_model, fit_model, fit_summary, load_fit, write_fit
from ..fit.report import fit_digest
from ..results.write import check_target, holds, to_json
from .run import with_file

__all__ = ["fit"]


def fit(args: argparse.Namespace) -> int:
    """Fit the parameters of a fit file and write its result folder; return the exit code."""
    file = Path(args.fit)
    description = load_fit(file)
    folder = Path(args.output) if args.output is not None else file.with_suffix(".out")
    began = time.perf_counter()
    try:
        for path in (file, Path.cwd()):
            if path.resolve().is_relative_to(folder.resolve()):
                raise CaseError("-o", f"{str(folder)!r} would replace {path.name!r}")
        model = build_model(description, file.parent)
        force = args.force or holds(folder, fit_digest(model))
        check_target(folder, force)
        result = fit_model(model)
        write_fit(result, folder, overwrite=force)
    except CaseError as error:
        raise with_file(error, file) from None
    if args.json:
        sys.stdout.write(to_json(fit_summary(result)))
    elif not args.quiet:
        _summary(result, folder, time.perf_counter() - began)
    return 0


def _summary(result: FitResult, folder: Path, seconds: float) -> None:
    """Print values with errors, strong correlations and the quality of the fit."""
    model = result.model
    if model.fit.title:
        print(model.fit.title)
    width = max(len(p.name) for p in model.parameters)
    for k, p in enumerate(model.parameters):
        value, error, unit = result.values[k], result.errors[k], p.unit
        entry = model.fit.parameters.get(p.name)
        own = number_and_unit(entry.start) if entry is not None else None
        if own is not None and own[1] and own[0] != 0:  # the unit of the fit file
            value, error, unit = value * own[0] / p.start, error * own[0] / p.start, own[1]
        tail = "  (at its bound)" if p.name in result.at_bound else f" ± {error:.2g}"
        print(f"  {p.name:<{width}}  {value:.6g}{tail} {unit}".rstrip())
    _correlations(result)
    for k, s in enumerate(model.sets):
        print(f"  {s.label}: chi2 {result.set_chi2(k):.4g} of {len(s.measured.y)} rows")
    quality = f"chi2 {result.chi2:.4g}, {result.dof} degrees of freedom"
    if result.reduced is not None:
        quality += f", reduced {result.reduced:.3g}"
    if result.probability is not None:
        quality += f", p = {result.probability:.2g}"
    source = "given sigmas" if result.absolute else "scatter of the residuals"
    print(f"{quality}; standard errors from the {source}")
    print(f"{result.steps} evaluations, {seconds:.1f} s -> {folder}")


def _correlations(result: FitResult) -> None:
    names, matrix = [p.name for p in result.model.parameters], result.correlation
    for i in range(len(names)):
        for j in range(i):
            if abs(matrix[i, j]) > 0.9:
                print(f"  correlation {matrix[i, j]:+.3f}: {names[j]}, {names[i]}")
