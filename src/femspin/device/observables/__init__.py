"""Every number that is reported, from coefficients, potentials and currents."""
