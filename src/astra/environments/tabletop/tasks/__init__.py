"""The tasks of the tabletop."""
