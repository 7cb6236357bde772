"""Transport around a texture that moves: the torque it exerts and what it costs to keep solving."""
