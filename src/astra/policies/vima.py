"""VIMA: object tokens and one token per action, with cross-attention to the prompt in every layer.

    prompt    p1 p2 p3 ---------------------------+
                                                  v in every layer
    context   s1 s2 s3 | a | s1 s2 s3 | a | ...   causal
                    |             |
                    v             v
                    a             a               all dimensions at once

A state keeps all its tokens: objects, cameras, state vectors. Source: Jiang et al. 2023, VIMA; section 4.3.
Deviation: tokenizers, heads and initialization are Astra's, as in all policies here; VIMA's heads are MLPs.
"""

from dataclasses import dataclass

from astra.policies.cross_attention import CrossAttentionConfig, CrossAttentionPolicy
from astra.trajectory import Statistics, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class VimaConfig(CrossAttentionConfig):
    """Size and options of a VIMA."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Vima":
        """Build the policy with new weights."""
        return Vima(self, spec, statistics)


class Vima(CrossAttentionPolicy):
    """Cross-attention to the prompt, causal attention over states and actions."""

    config: VimaConfig

    def __init__(self, config: VimaConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, trunk and head.

        Raises:
            ValueError: if options contradict each other.
        """
        super().__init__(config, spec, statistics)
