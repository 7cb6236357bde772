"""Magnetization textures on finite-element meshes: ferromagnets and antiferromagnets in time."""
