"""Cameras of a dataset that are stored as video: which frame belongs to a timestep, decoding and encoding."""
