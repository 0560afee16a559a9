"""Trajectory attention: segments, the mask, the transformer and its cache. Start with `reference.py`."""
