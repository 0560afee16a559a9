"""Policies: one file per paper; siblings never import each other."""

from astra.policies.astra import AstraConfig
from astra.policies.decision_transformer import DecisionTransformerConfig
from astra.policies.gato import GatoConfig

POLICIES = {"astra": AstraConfig, "decision-transformer": DecisionTransformerConfig, "gato": GatoConfig}
"""Every policy's name in checkpoints and tables, with its configuration."""
