"""``femspin materials``, ``schema``, ``template`` and ``info``."""

from __future__ import annotations

import argparse
import json
import sys

from ..materials import find_material, load_database

__all__ = ["info", "materials", "schema", "template"]


def materials(args: argparse.Namespace) -> int:
    """List the materials, or print one with the source of every value."""
    if args.name is None:
        for key, material in load_database().items():
            print(f"{key:32} {material.description}")
        return 0
    material = find_material(args.name)
    print(f"{material.name}: {material.description}")
    for value in material.values.values():
        print(f"  {value.key:26} {value.value!s:22} {value.status:9} {value.source}")
    for note in material.notes:
        print(f"  note: {note}")
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the JSON schema of case files."""
    from ..case.schema import Case

    print(json.dumps(Case.model_json_schema(), indent=2))
    return 0


def template(_: argparse.Namespace) -> int:
    """Print a commented case file."""
    from ..case.template import template

    sys.stdout.write(template())
    return 0


def info(_: argparse.Namespace) -> int:
    """Print the versions a result depends on."""
    from ..results.facts import versions

    for key, value in versions().items():
        print(f"{key:14} {value}")
    return 0
