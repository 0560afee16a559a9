"""Noise processes of the diffusion policy."""
