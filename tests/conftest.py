"""Shared settings: pictures without a screen, one thread per process, reproducible property tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy; workers of pytest-xdist fill the cores

import matplotlib
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("femspin", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("femspin")
