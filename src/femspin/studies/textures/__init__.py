"""What a case asks of a texture: motion, rest, loops, modes, thresholds, spectra."""
