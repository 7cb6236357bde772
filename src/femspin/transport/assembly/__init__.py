"""From coefficient tensors to the blocks of the equation."""
