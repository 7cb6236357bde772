"""Derivatives of reported numbers with respect to the numbers of a case."""
