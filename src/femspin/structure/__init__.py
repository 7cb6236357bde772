"""Meshes with regions, interfaces and faces, in nanometres."""

from .gmsh import load_mesh
from .model import Interface, MeshQuality, Structure
from .refine import refine
from .stack import build_stack

__all__ = ["Interface", "MeshQuality", "Structure", "build_stack", "load_mesh", "refine"]
