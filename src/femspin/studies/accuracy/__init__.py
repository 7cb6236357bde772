"""Discretisation errors: bars for every number, and meshes refined towards a goal."""
