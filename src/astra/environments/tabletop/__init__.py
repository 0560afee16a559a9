"""The tabletop, a lookalike of VIMA-Bench."""
