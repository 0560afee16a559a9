"""Gato: one causal sequence of prompt, states and actions, whose next token is the next action dimension.

    p1 p2 p3 | s1 s2 | a1 a2 a3 | s1 s2 | a1 a2 a3 | ...        action_tokens="dimensions", as in the paper
    p1 p2 p3 | s1 s2 | a        | s1 s2 | a        | ...        action_tokens="one", as in VIMA's comparison

Every token attends to itself and the tokens before it. With one token per dimension, the last state token predicts a1,
a1 predicts a2, and so on: N passes for an action. With one token per action, the last state token predicts all of it.

Gato sees patches of camera frames; with object tokens instead it is the paper's Gato*.
Source: Reed et al. 2022; section 4.6.
Deviation: bins instead of mu-law numbers, no separator, and no positions of patches, as in all rows.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from astra.attention.masks import ALL_SEGMENTS
from astra.attention.transformer import TrunkBlock
from astra.policies.action_heads import one_action_loss
from astra.policies.policy import Losses
from astra.policies.readout import act_by_dimension, act_from_state, outputs_at_states, outputs_before_dimensions
from astra.policies.sequence import SequenceConfig
from astra.policies.sequence_rollout import OneActionPolicy, SequenceState
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class GatoConfig(SequenceConfig):
    """Size and options of a Gato."""

    action_tokens: Literal["dimensions", "one"] = "dimensions"
    """One token per action dimension, decoded one after the other; or one token per action, decoded at once."""
    block: TrunkBlock = "gpt2"
    """Transformer block: Astra's, or VIMA's, which Table 1's 42.0M parameters imply."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Gato":
        """Build the policy with new weights."""
        return Gato(self, spec, statistics)


class Gato(OneActionPolicy):
    """Causal attention over all tokens."""

    config: GatoConfig

    def __init__(self, config: GatoConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, trunk and head.

        Raises:
            ValueError: if options contradict each other.
        """
        super().__init__(
            config,
            spec,
            statistics,
            causal_segments=ALL_SEGMENTS,
            merge_actions=config.action_tokens == "one",
            block=config.block,
        )

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1 and the accuracy."""
        outputs = outputs_before_dimensions if self.config.action_tokens == "dimensions" else outputs_at_states
        return one_action_loss(self.head, self.head(outputs(self, trajectory)), trajectory)

    def choose_action(
        self, state: SequenceState, observation: Observation
    ) -> tuple[Float[Tensor, "B N"], SequenceState]:
        """Append the executed action and the new state to the history, and return the next action."""
        choose = act_by_dimension if self.config.action_tokens == "dimensions" else act_from_state
        action = choose(self, state, observation, observation.previous_action)
        state.timestep += 1
        return action, state
