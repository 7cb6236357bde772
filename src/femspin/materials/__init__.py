"""Materials and interfaces with a source for every value."""

from .lookup import estimates, find_material, load_database
from .records import MATERIAL_KEYS, Material, MaterialValue, Status, material_from_table

__all__ = [
    "MATERIAL_KEYS",
    "Material",
    "MaterialValue",
    "Status",
    "estimates",
    "find_material",
    "load_database",
    "material_from_table",
]
