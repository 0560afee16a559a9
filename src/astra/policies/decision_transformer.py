"""Decision Transformer: one token for a state, one for an action, in one causal sequence.

    p1 p2 p3 | s | a | s | a | ...
               |       |
               v       v
               a       a        all dimensions at once, from the output at the state's token

The tokens of a state (vectors, and pictures of all cameras) are merged into one, as in VIMA's comparison.
Source: Chen et al. 2021; section 4.3 and appendix A.9.
Deviation: there is a prompt and no return to go, as in VIMA's comparison: demonstrations are all successful.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from astra.attention.masks import ALL_SEGMENTS
from astra.attention.transformer import TrunkBlock
from astra.policies.action_heads import behavior_cloning
from astra.policies.policy import Losses
from astra.policies.readout import choose_from_state, outputs_at_states
from astra.policies.sequence import PlainSequencePolicy, SequenceConfig, SequenceState
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class DecisionTransformerConfig(SequenceConfig):
    """Size and options of a Decision Transformer."""

    block: TrunkBlock = "gpt2"
    """Of which blocks the trunk is made: Astra's, or VIMA's, as Table 1's count of 42.0M has it."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "DecisionTransformer":
        """Make the policy, with new weights."""
        return DecisionTransformer(self, spec, statistics)


class DecisionTransformer(PlainSequencePolicy):
    """Causal attention over one token per state and one per action."""

    config: DecisionTransformerConfig

    def __init__(self, config: DecisionTransformerConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Make tokenizers, trunk and head.

        Raises:
            ValueError: if the options contradict each other.
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
        """Compute Eq. 1 and the share of actions predicted right."""
        T = trajectory.num_timesteps
        valid = trajectory.action_valid[:, :T] & trajectory.valid
        predicted = self.head(outputs_at_states(self, trajectory))
        return behavior_cloning(self.head, predicted, trajectory.actions[:, :T], valid)

    @torch.no_grad()
    def act(self, state: SequenceState, observation: Observation) -> tuple[Float[Tensor, "B N"], SequenceState]:
        """Read the executed action and the new state, and choose the next action."""
        action = choose_from_state(self, state, observation, observation.previous_action)
        state.timestep += 1
        return action, state
