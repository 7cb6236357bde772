"""The pages of the API reference: complete, and built without a warning."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import femspin

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import make_api_reference as maker  # noqa: E402


def test_pages_are_those_of_the_code_as_it_is():
    assert (DOCS / "api/public.rst").read_text(encoding="utf-8") == maker.public()
    for name in maker.FOLDERS:
        assert (DOCS / f"api/{name}.rst").read_text(encoding="utf-8") == maker.folder(name)


def test_every_public_name_has_its_place_in_the_reference():
    page = maker.public()
    for name in femspin.__all__:
        if name not in ("__version__", "materials"):
            assert f".{name}\n" in page


@pytest.mark.slow
@pytest.mark.skipif(find_spec("sphinx") is None, reason="needs femspin[docs]")
def test_the_pages_build_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS / "api"), str(tmp_path)]
    subprocess.run(command, check=True)
    assert "simulate" in (tmp_path / "public.html").read_text(encoding="utf-8")
