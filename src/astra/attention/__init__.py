"""Trajectory attention: segments, the mask, the transformer and its cache; imports nothing but torch."""
