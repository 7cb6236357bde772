"""The command line; it does nothing the Python interface cannot."""
