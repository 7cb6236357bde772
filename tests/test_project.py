"""The shape of the project: folder order, documentation, public names."""

from __future__ import annotations

import ast
import inspect
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import femspin

ROOT = Path(__file__).parents[1]
SOURCE = Path(femspin.__file__).parent
ORDER = [
    "case",
    "materials",
    "structure",
    "fields",
    "bands",
    "transport",
    "interface",
    "dynamics",
    "results",
]
MODULES = [m.name for m in walk_packages([str(SOURCE)], "femspin.") if "__main__" not in m.name]


def imported_folders(path: Path) -> set[str]:
    """Return the first folder of every femspin import that runs when the module is imported."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "femspin":
                found.add(parts[1] if len(parts) > 1 else "")
            elif node.level >= 2:
                found.add(parts[0])
    return found


@pytest.mark.parametrize("folder", ORDER)
def test_folder_imports_only_from_earlier_folders(folder):
    later = set(ORDER[ORDER.index(folder) + 1 :])
    for path in (SOURCE / folder).rglob("*.py"):
        assert not imported_folders(path) & later, path


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name):
    module = import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{name}.{public}"


def test_public_names_of_the_package_resolve():
    for name in femspin.__all__:
        assert getattr(femspin, name) is not None
    with pytest.raises(AttributeError):
        _ = femspin.no_such_name


def test_no_source_file_is_longer_than_450_lines():
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 450, path


def test_declared_lower_bounds_are_the_versions_that_are_tested():
    """`.ci/lowest` installs the list; a bound that is not on it has been tried by nobody."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = table["optional-dependencies"]
    needed = [*table["dependencies"], *(d for k in ("mesh", "fast", "scan", "textures", "test")
                                        for d in extras[k])]  # fmt: skip
    bounds = dict(d.split(">=") for d in needed if ">=" in d)
    assert all(">=" in d for d in needed if not d.startswith("femspin["))
    lines = (ROOT / "tests" / "lowest-versions.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))

    def plain(version):
        return [int(k) for k in version.split(".")] + [0] * (3 - version.count(".") - 1)

    assert {k: plain(v) for k, v in bounds.items()} == {k: plain(v) for k, v in tested.items()}
