"""The shape of the project: folder order, documentation, public names."""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import femspin

ROOT = Path(__file__).parents[1]
SOURCE = Path(femspin.__file__).parent
ORDER = [
    "units",
    "errors",
    "dual",
    "case",
    "materials",
    "fields",
    "structure",
    "bands",
    "transport",
    "interface",
    "magnets",
    "device",
    "results",
    "studies",
    "simulation",
    "cli",
    "__main__",
]
"""Folders and files of the package root; each imports from those before it only."""
MODULES = [m.name for m in walk_packages([str(SOURCE)], "femspin.") if "__main__" not in m.name]


def own_module(path: Path) -> list[str]:
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports_of(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield module and name of every femspin import of a file: at the top, inside, for types."""
    parts = own_module(path)
    package = parts if path.name == "__init__.py" else parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "femspin":
                    yield alias.name.removeprefix("femspin").lstrip("."), None
        if not isinstance(node, ast.ImportFrom):
            continue
        named = node.module.split(".") if node.module else []
        if node.level:
            base = package[: len(package) - node.level + 1]
        elif named[0] == "femspin":
            base, named = [], named[1:]
        else:
            continue
        for alias in node.names:
            module = ".".join([*base, *named])
            inner = f"{module}.{alias.name}".lstrip(".")
            yield (inner, None) if inner in KNOWN else (module, alias.name)


FILES = sorted(SOURCE.rglob("*.py"))
KNOWN = {".".join(own_module(path)) for path in FILES}


def offending_imports() -> list[str]:
    found = []
    for path in FILES:
        own = own_module(path)
        for module, name in imports_of(path):
            to = module.split(".")[0]
            if not own or not to or to == own[0]:
                continue  # the root's own __init__, which anybody may ask for the version
            if {to, own[0]} - set(ORDER) or ORDER.index(to) > ORDER.index(own[0]):
                found.append(f"{'.'.join(own)} takes {name or 'all'} from {module}")
    return found


def test_every_import_of_any_kind_runs_along_the_order_of_folders():
    assert offending_imports() == []


def test_the_package_root_holds_the_ground_and_the_door():
    assert {p.stem for p in SOURCE.glob("*.py")} <= {
        "__init__",
        "__main__",
        "units",
        "errors",
        "dual",
        "simulation",
    }
    assert len([p for p in SOURCE.iterdir() if p.is_dir() and any(p.rglob("*.py"))]) <= 12


def test_studies_do_not_know_each_other():
    found = []
    for path in (SOURCE / "studies").rglob("*.py"):
        own = own_module(path)
        for module, _ in imports_of(path):
            other = module.split(".")
            if other[0] == "studies" and other[1:2] not in (own[1:2], ["points"]):
                found.append(f"{'.'.join(own)} imports {module}")
    assert (SOURCE / "studies").is_dir()
    assert found == []


def test_no_private_name_is_imported_from_another_file():
    found = [
        f"{'.'.join(own_module(path))} takes {name} from {module}"
        for path in FILES
        for module, name in imports_of(path)
        if name and name.startswith("_") and not name.startswith("__")
    ]
    assert found == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {".".join(own_module(p)): {m for m, _ in imports_of(p)} for p in FILES}
    graph.pop("")
    for name in graph:
        graph[name] -= {name, ""}
    while leaves := [name for name, to in graph.items() if not to & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert sorted(graph) == []


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


def test_no_function_is_longer_than_60_lines():
    """From `def` to its last line, the docstring included."""
    functions = [
        (node.end_lineno - node.lineno + 1, f"{'.'.join(own_module(path))}.{node.name}")
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [named for named in functions if named[0] > 60] == []


def test_declared_lower_bounds_are_the_versions_that_are_tested():
    """`.ci/lowest` installs the list; a bound that is not on it has been tried by nobody."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = table["optional-dependencies"]
    needed = [
        *table["dependencies"],
        *(d for k in ("mesh", "fast", "scan", "textures", "test") for d in extras[k]),
    ]
    bounds = dict(d.split(">=") for d in needed if ">=" in d)
    assert all(">=" in d for d in needed if not d.startswith("femspin["))
    lines = (ROOT / "tests" / "lowest-versions.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))

    def plain(version):
        return [int(k) for k in version.split(".")] + [0] * (3 - version.count(".") - 1)

    assert {k: plain(v) for k, v in bounds.items()} == {k: plain(v) for k, v in tested.items()}
