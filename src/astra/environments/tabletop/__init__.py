"""The tabletop: a fast two-dimensional lookalike of VIMA-Bench."""
