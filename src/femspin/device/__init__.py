"""The meshed problem and its answer: coefficients, transport, motion and every reported number."""
