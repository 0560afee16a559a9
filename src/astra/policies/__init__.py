"""Policies: one file per paper; siblings never import each other."""

from astra.policies.astra import AstraConfig

POLICIES = {"astra": AstraConfig}
"""Every policy's name in checkpoints and tables, with its configuration."""
