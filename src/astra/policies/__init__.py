"""Policies: one file per paper; siblings never import each other."""

from astra.policies.astra import AstraConfig
from astra.policies.decision_transformer import DecisionTransformerConfig
from astra.policies.diffusion import DiffusionConfig
from astra.policies.flamingo import FlamingoConfig
from astra.policies.gato import GatoConfig
from astra.policies.rt1 import RT1Config
from astra.policies.vima import VimaConfig

POLICIES = {
    "astra": AstraConfig,
    "decision-transformer": DecisionTransformerConfig,
    "diffusion": DiffusionConfig,
    "flamingo": FlamingoConfig,
    "gato": GatoConfig,
    "rt1": RT1Config,
    "vima": VimaConfig,
}
"""Every policy's name in checkpoints and tables, with its configuration."""
