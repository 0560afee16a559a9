"""Policies: one file per paper. They never import each other, only what all of them share."""

from astra.policies.astra import AstraConfig
from astra.policies.decision_transformer import DecisionTransformerConfig
from astra.policies.diffusion import DiffusionConfig
from astra.policies.flamingo import FlamingoConfig
from astra.policies.gato import GatoConfig
from astra.policies.policy import PolicyConfig
from astra.policies.rt1 import RT1Config
from astra.policies.vima import VimaConfig

POLICIES: dict[str, type[PolicyConfig]] = {
    "astra": AstraConfig,
    "decision-transformer": DecisionTransformerConfig,
    "diffusion": DiffusionConfig,
    "flamingo": FlamingoConfig,
    "gato": GatoConfig,
    "rt1": RT1Config,
    "vima": VimaConfig,
}
"""Configuration of every policy, by the policy's name in checkpoints and tables."""
