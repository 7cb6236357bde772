"""Scans: a case solved for many values of its keys, in parallel, to one table and a plot."""

from ..points import Axis, ScanPoints, scan_points
from .result import PointResult, ScanResult
from .run import run_scan

__all__ = ["Axis", "PointResult", "ScanPoints", "ScanResult", "run_scan", "scan_points"]
