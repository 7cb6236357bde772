"""Microscopic parameters to the coefficients of the transport equation, in SI."""
