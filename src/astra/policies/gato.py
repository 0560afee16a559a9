"""Gato: one causal sequence of prompt, states and actions, whose next token is the next action dimension.

    p1 p2 p3 | s1 s2 | a1 a2 a3 | s1 s2 | a1 a2 a3 | ...        action_tokens="dimensions", as the paper has it
    p1 p2 p3 | s1 s2 | a        | s1 s2 | a        | ...        action_tokens="one", as VIMA's comparison has it

Every token reads itself and the tokens before it. With a token per dimension the last state token predicts a1, a1
predicts a2, and so on: N passes for an action. With one token for an action the last state token predicts all of it.

Gato reads patches of camera frames; with object tokens in their place it is the paper's Gato*.
Source: Reed et al. 2022; section 4.6 and appendix A.9.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from astra.attention.masks import ALL_SEGMENTS
from astra.attention.transformer import TrunkBlock
from astra.policies.action_heads import behavior_cloning
from astra.policies.autoregression import choose_action, outputs_before_actions
from astra.policies.policy import Losses
from astra.policies.readout import choose_from_state, outputs_at_states
from astra.policies.sequence import PlainSequencePolicy, SequenceConfig, SequenceState
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class GatoConfig(SequenceConfig):
    """Size and options of a Gato."""

    action_tokens: Literal["dimensions", "one"] = "dimensions"
    """A token per action dimension, decoded one after the other; or one for an action, decoded at once."""
    block: TrunkBlock = "gpt2"
    """Of which blocks the trunk is made: Astra's, or VIMA's, as Table 1's count of 42.0M has it."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Gato":
        """Make the policy, with new weights."""
        return Gato(self, spec, statistics)


class Gato(PlainSequencePolicy):
    """Causal attention over all tokens, actions token by token."""

    config: GatoConfig

    def __init__(self, config: GatoConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Make tokenizers, trunk and head.

        Raises:
            ValueError: if the options contradict each other.
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
        """Compute Eq. 1 and the share of actions predicted right."""
        read = outputs_before_actions if self.config.action_tokens == "dimensions" else outputs_at_states
        T = trajectory.num_timesteps
        valid = trajectory.action_valid[:, :T] & trajectory.valid
        return behavior_cloning(self.head, self.head(read(self, trajectory)), trajectory.actions[:, :T], valid)

    @torch.no_grad()
    def act(self, state: SequenceState, observation: Observation) -> tuple[Float[Tensor, "B N"], SequenceState]:
        """Read the executed action and the new state, and choose the next action."""
        choose = choose_action if self.config.action_tokens == "dimensions" else choose_from_state
        action = choose(self, state, observation, observation.previous_action)
        state.timestep += 1
        return action, state
