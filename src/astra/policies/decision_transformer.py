"""Decision Transformer: one token per state and one per action, in one causal sequence.

    p1 p2 p3 | s | a | s | a | ...
               |       |
               v       v
               a       a        all dimensions at once, from the output at the state token

All tokens of a state (vectors and the frames of all cameras) are merged into one, as in VIMA's comparison.
Source: Chen et al. 2021; section 4.3.
Deviation: a prompt instead of a return to go, as in VIMA's comparison: all demonstrations are successful.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from astra.attention.masks import ALL_SEGMENTS
from astra.attention.transformer import TrunkBlock
from astra.policies.action_heads import one_action_loss
from astra.policies.policy import Losses
from astra.policies.readout import act_from_state, outputs_at_states
from astra.policies.sequence import SequenceConfig
from astra.policies.sequence_rollout import OneActionPolicy, SequenceState
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class DecisionTransformerConfig(SequenceConfig):
    """Size and options of a Decision Transformer."""

    block: TrunkBlock = "gpt2"
    """Transformer block: Astra's, or VIMA's, which Table 1's 42.0M parameters imply."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "DecisionTransformer":
        """Build the policy with new weights."""
        return DecisionTransformer(self, spec, statistics)


class DecisionTransformer(OneActionPolicy):
    """Causal attention over one token per state and one per action."""

    config: DecisionTransformerConfig

    def __init__(self, config: DecisionTransformerConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, trunk and head.

        Raises:
            ValueError: if options contradict each other.
        """
        super().__init__(
            config,
            spec,
            statistics,
            causal_segments=ALL_SEGMENTS,
            merge_states=True,
            merge_actions=True,
            block=config.block,
        )

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1 and the accuracy."""
        return one_action_loss(self.head, self.head(outputs_at_states(self, trajectory)), trajectory)

    def choose_action(
        self, state: SequenceState, observation: Observation
    ) -> tuple[Float[Tensor, "B N"], SequenceState]:
        """Append the executed action and the new state to the history, and return the next action."""
        action = act_from_state(self, state, observation, observation.previous_action)
        state.timestep += 1
        return action, state
