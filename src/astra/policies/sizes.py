"""Named sizes of the policies: the paper's sizes, and small ones for CPUs.

Source: section 4.2, appendix A.10 and A.11. The counts of 19M, 43M and 198M include a table of 1,024 positions. The
count of 38M does not, so this size has relative positions, whose tables are not part of the trunk.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from astra.policies.astra import AstraConfig
from astra.policies.decision_transformer import DecisionTransformerConfig
from astra.policies.diffusion import DiffusionConfig
from astra.policies.flamingo import FlamingoConfig
from astra.policies.gato import GatoConfig
from astra.policies.policy import PolicyConfig
from astra.policies.rt1 import RT1Config
from astra.policies.vima import VimaConfig
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.states import StateConfig
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics


def astra_19m() -> AstraConfig:
    """Astra (19M) of Push-T, Table 6."""
    return AstraConfig(layers=6, heads=8, width=512, positions="learned")


def astra_38m() -> AstraConfig:
    """Astra (38M) of VIMA-Bench and CALVIN, Tables 1 and 3."""
    return AstraConfig(layers=12, heads=16, width=512, positions="relative")


def astra_43m() -> AstraConfig:
    """Astra (43M) of Franka Kitchen, Table 5."""
    return AstraConfig(layers=6, heads=12, width=768, positions="learned")


def astra_198m() -> AstraConfig:
    """Astra (198M) of ManiSkill, Table 2."""
    return AstraConfig(layers=10, heads=20, width=1280, positions="learned")


def astra_small() -> AstraConfig:
    """Astra for CPUs; not in the paper."""
    return AstraConfig(layers=4, heads=4, width=128, positions="relative")


def gato_42m() -> GatoConfig:
    """Gato and Gato* of VIMA-Bench, Table 1, with the blocks of VIMA's code."""
    return GatoConfig(layers=10, heads=16, width=512, positions="relative", block="vima")


def gato_44m() -> GatoConfig:
    """Gato of CALVIN, Table 3."""
    return GatoConfig(layers=14, heads=16, width=512, positions="relative")


def gato_198m() -> GatoConfig:
    """Gato of ManiSkill, Table 2, with Astra's trunk."""
    return GatoConfig(layers=10, heads=20, width=1280, positions="learned")


def gato_43m() -> GatoConfig:
    """Gato of Franka Kitchen, Table 5, with Astra's trunk."""
    return GatoConfig(layers=6, heads=12, width=768, positions="learned")


def gato_19m() -> GatoConfig:
    """Gato of Push-T, Table 6, with Astra's trunk."""
    return GatoConfig(layers=6, heads=8, width=512, positions="learned")


def gato_small() -> GatoConfig:
    """Gato for CPUs, with the trunk of Astra's small size."""
    return GatoConfig(layers=4, heads=4, width=128, positions="relative")


def decision_transformer_42m() -> DecisionTransformerConfig:
    """Decision Transformer of VIMA-Bench, Table 1, with the blocks of VIMA's code."""
    return DecisionTransformerConfig(layers=10, heads=16, width=512, positions="relative", block="vima")


def decision_transformer_44m() -> DecisionTransformerConfig:
    """Decision Transformer of CALVIN, Table 3."""
    return DecisionTransformerConfig(layers=14, heads=16, width=512, positions="relative")


def decision_transformer_small() -> DecisionTransformerConfig:
    """Decision Transformer for CPUs, with the trunk of Astra's small size."""
    return DecisionTransformerConfig(layers=4, heads=4, width=128, positions="relative")


def vima_42m() -> VimaConfig:
    """VIMA of VIMA-Bench and CALVIN, Tables 1 and 3; heads of all VIMAs are as wide as Astra's in the same table."""
    return VimaConfig(layers=5, heads=16, width=512, positions="learned")


def vima_525m() -> VimaConfig:
    """VIMA of ManiSkill, Table 2."""
    return VimaConfig(layers=10, heads=20, width=1280, positions="learned")


def vima_113m() -> VimaConfig:
    """VIMA of Franka Kitchen, Table 5."""
    return VimaConfig(layers=6, heads=12, width=768, positions="learned")


def vima_51m() -> VimaConfig:
    """VIMA of six layers on Push-T, appendix A.10."""
    return VimaConfig(layers=6, heads=8, width=512, positions="learned")


def vima_26m() -> VimaConfig:
    """VIMA of Push-T, Table 6."""
    return VimaConfig(layers=3, heads=8, width=512, positions="learned")


def vima_small() -> VimaConfig:
    """VIMA for CPUs; its trunk is 2% larger than that of Astra's small size."""
    return VimaConfig(layers=2, heads=4, width=112, positions="relative")


def flamingo_42m() -> FlamingoConfig:
    """Flamingo of VIMA-Bench and CALVIN, Tables 1 and 3, with VIMA's trunk after a resampler of four layers."""
    return FlamingoConfig(layers=5, heads=16, width=512, positions="learned", resampler_layers=4)


def flamingo_small() -> FlamingoConfig:
    """Flamingo for CPUs, with the trunk of VIMA's small size."""
    return FlamingoConfig(layers=2, heads=4, width=112, positions="relative")


def diffusion_43m() -> DiffusionConfig:
    """Diffusion of Franka Kitchen and Push-T, Tables 5 and 6, with the trunk of Astra (43M)."""
    return DiffusionConfig(layers=6, heads=12, width=768, positions="learned")


def diffusion_small() -> DiffusionConfig:
    """Diffusion for CPUs, with the trunk of Astra's small size; decoding takes a tenth of the training's steps."""
    return DiffusionConfig(layers=4, heads=4, width=128, positions="relative", decoding_steps=10)


def rt1() -> RT1Config:
    """RT-1 as published; the 46M of Tables 2 and 3 cannot be derived."""
    return RT1Config()


def rt1_small() -> RT1Config:
    """RT-1 for CPUs: a trunk as large as Astra's small one, after an EfficientNet with a quarter of B0's channels."""
    return RT1Config(
        layers=6,
        heads=4,
        head_width=56,
        width=128,
        frame_tokens=4,
        width_coefficient=0.25,
        depth_coefficient=0.25,
        image_size=96,
    )


@dataclass(frozen=True, kw_only=True)
class Size:
    """Named size of a policy, with the parameter count that the paper prints."""

    name: str
    """Name on the command line and in tables, such as astra-19m."""
    policy: str
    """Name of the policy in `astra.policies.POLICIES`."""
    make: Callable[[], PolicyConfig]
    """Function that returns the configuration."""
    paper: str | None
    """Parameter count as the paper prints it; None if the paper has no such model."""


SIZES = (
    Size(name="astra-19m", policy="astra", make=astra_19m, paper="19.4M"),
    Size(name="astra-38m", policy="astra", make=astra_38m, paper="37.8M"),
    Size(name="astra-43m", policy="astra", make=astra_43m, paper="43.3M"),
    Size(name="astra-198m", policy="astra", make=astra_198m, paper="198M"),
    Size(name="astra-small", policy="astra", make=astra_small, paper=None),
    Size(name="gato-42m", policy="gato", make=gato_42m, paper="42.0M"),
    Size(name="gato-44m", policy="gato", make=gato_44m, paper="44.1M"),
    Size(name="gato-198m", policy="gato", make=gato_198m, paper="198M"),
    Size(name="gato-43m", policy="gato", make=gato_43m, paper="43M"),
    Size(name="gato-19m", policy="gato", make=gato_19m, paper="19M"),
    Size(name="gato-small", policy="gato", make=gato_small, paper=None),
    Size(name="decision-transformer-42m", policy="decision-transformer", make=decision_transformer_42m, paper="42.0M"),
    Size(name="decision-transformer-44m", policy="decision-transformer", make=decision_transformer_44m, paper="44.1M"),
    Size(name="decision-transformer-small", policy="decision-transformer", make=decision_transformer_small, paper=None),
    Size(name="vima-42m", policy="vima", make=vima_42m, paper="42.4M"),
    Size(name="vima-525m", policy="vima", make=vima_525m, paper="525M"),
    Size(name="vima-113m", policy="vima", make=vima_113m, paper="113M"),
    Size(name="vima-51m", policy="vima", make=vima_51m, paper="50.8M"),
    Size(name="vima-26m", policy="vima", make=vima_26m, paper="26M"),
    Size(name="vima-small", policy="vima", make=vima_small, paper=None),
    Size(name="flamingo-42m", policy="flamingo", make=flamingo_42m, paper="42.4M"),
    Size(name="flamingo-small", policy="flamingo", make=flamingo_small, paper=None),
    Size(name="diffusion-43m", policy="diffusion", make=diffusion_43m, paper="43M"),
    Size(name="diffusion-small", policy="diffusion", make=diffusion_small, paper=None),
    Size(name="rt1", policy="rt1", make=rt1, paper="46M"),
    Size(name="rt1-small", policy="rt1", make=rt1_small, paper=None),
)


OUTSIDE = {
    "language": LanguageConfig(),
    "states": StateConfig(),
    "actions": DiscreteActionsConfig(),
    "reference_state": None,
}
"""Plain values of the options that the trunk does not depend on; encoders may be large, or have to be loaded."""


def trunk_parameters(config: Any) -> int:
    """Count the parameters of a policy's trunk, built as for training but without allocating memory.

    Args:
        config: configuration of the policy, a `PolicyConfig`.
    """
    known = {field.name for field in fields(config)}
    config = replace(config, **{name: value for name, value in OUTSIDE.items() if name in known})
    one = torch.ones(1)
    statistics = VectorStatistics(mean=one, std=one, min=one, max=one)
    spec = TrajectorySpec(
        states={"observation.state": 1},
        actions=ActionSpec(names=("x",), low=(0.0,), high=(1.0,)),
        images={"camera": (96, 96)} if "images" in (config.states.reads or ()) else {},
        instructions=("go",),
    )
    with torch.device("meta"):
        policy = config.build(spec, Statistics(states={"observation.state": statistics}, actions=statistics))
    return sum(parameter.numel() for parameter in policy.trunk.parameters())
