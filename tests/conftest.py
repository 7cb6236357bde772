"""Shared settings: pictures without a screen, reproducible property tests."""

import os

import matplotlib
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "2")
matplotlib.use("Agg")
settings.register_profile("femspin", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("femspin")
