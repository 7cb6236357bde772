"""Motion of the magnetization under field, damping and the interface torque."""
