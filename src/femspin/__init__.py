"""Finite-element spin transport and torques at interfaces with spin-orbit coupling."""

__version__ = "0.1.0"
