"""VIMA-Bench, behind the contract of environments."""
