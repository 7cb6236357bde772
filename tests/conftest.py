"""Shared settings: pictures without a screen, one thread per process, reproducible property tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy; workers of pytest-xdist fill the cores

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("femspin", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("femspin")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the tests of a file to one process: what they share is solved and compiled once."""
    if config.getvalue("dist") != "load":
        return None  # what the command line asks for
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)
