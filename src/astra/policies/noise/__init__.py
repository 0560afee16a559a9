"""Noise processes of the diffusion policy: DDPM for continuous actions, D3PM for bins."""
