"""Fits: parameters of a case estimated from measured data."""

from .build import build_model
from .model import FitModel
from .report import fit_summary, write_fit
from .schema import Fit, load_fit
from .solve import FitResult, fit_model

__all__ = ["Fit", "FitModel", "FitResult", "build_model", "fit_model", "fit_summary", "load_fit", "write_fit"]
