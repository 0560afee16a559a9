"""Flamingo, as in VIMA's comparison: a perceiver resampler before VIMA's trunk.

    s1 s2 s3 s4 s5 s6     tokens of a state, any number
       |  |  |  |
    l1 l2 l3 l4           four latents that attend to them: the same learned vectors at every timestep

    prompt    p1 p2 p3 ---------------------------------+
                                                        v in every layer, optionally through tanh gates
    context   l1 l2 l3 l4 | a | l1 l2 l3 l4 | a | ...   causal
                       |                 |
                       v                 v
                       a                 a              all dimensions at once

Source: Alayrac et al. 2022, Flamingo; Jiang et al. 2023, VIMA (the comparison); section 4.3.
Deviation: no language model is loaded, and gates are off by default: only without them does the trunk have the
parameters that the paper prints, which are VIMA's.
"""

from dataclasses import dataclass

from astra.policies.cross_attention import CrossAttentionConfig, CrossAttentionPolicy
from astra.storage.numbers import Layers, Tokens
from astra.trajectory import Statistics, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class FlamingoConfig(CrossAttentionConfig):
    """Size and options of a Flamingo."""

    latents: Tokens = 4
    """Tokens of a state after the resampler."""
    resampler_layers: Layers = 1
    """Layers of the resampler; it is an encoder and not part of the trunk."""
    gates: bool = False
    """Whether cross-attention passes through tanh gates that start at 0, as in Flamingo itself."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Flamingo":
        """Build the policy with new weights."""
        return Flamingo(self, spec, statistics)


class Flamingo(CrossAttentionPolicy):
    """A few latents per state, cross-attention to the prompt, causal attention over latents and actions."""

    config: FlamingoConfig

    def __init__(self, config: FlamingoConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, resampler, trunk and head.

        Raises:
            ValueError: if options contradict each other, or there are no latents.
        """
        super().__init__(
            config,
            spec,
            statistics,
            latents=config.latents,
            resampler_layers=config.resampler_layers,
            gates=config.gates,
        )
