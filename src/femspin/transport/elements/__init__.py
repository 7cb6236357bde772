"""The scalar finite-element space: shape functions, numbering, patterns."""
