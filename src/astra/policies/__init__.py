"""Policies: one file per paper; siblings never import each other."""

from astra.policies.astra import AstraConfig
from astra.policies.decision_transformer import DecisionTransformerConfig
from astra.policies.flamingo import FlamingoConfig
from astra.policies.gato import GatoConfig
from astra.policies.vima import VimaConfig

POLICIES = {
    "astra": AstraConfig,
    "decision-transformer": DecisionTransformerConfig,
    "flamingo": FlamingoConfig,
    "gato": GatoConfig,
    "vima": VimaConfig,
}
"""Every policy's name in checkpoints and tables, with its configuration."""
