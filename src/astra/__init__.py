"""Astra: trajectory attention, action queries and contrastive dynamics learning for embodied instruction following."""

__version__ = "0.1.0"
