"""Actions at once, from the output at the last state token: Decision Transformer, and Gato as VIMA has it.

    ... | s_1 s_2 | a | s_1 s_2 | a | ...
               |             |
               v             v
          a_1 a_2 a_3   a_1 a_2 a_3

Objects may be hidden, so the last token that is real is meant, wherever it stands.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.attention.segments import split
from astra.policies.sequence import SequencePolicy, SequenceState
from astra.trajectory import Observation, Trajectory


def last_real(tokens: Float[Tensor, "*batch M D"], valid: Bool[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
    """Give the last token that is real, or the first where none is."""
    last = (torch.arange(valid.shape[-1], device=valid.device) * valid).argmax(-1)
    return tokens.gather(-2, last[..., None, None].expand(*last.shape, 1, tokens.shape[-1])).squeeze(-2)


def outputs_at_states(policy: SequencePolicy, trajectory: Trajectory) -> Float[Tensor, "B T N D"]:
    """Read whole trajectories: give the output at each state's last token, once per action dimension."""
    T = trajectory.num_timesteps
    actions = 0 if policy.config.window == 1 else T - 1
    tokens, seen = policy.state_tokens(trajectory)
    laid_out = policy.lay_out(trajectory, actions=actions, states=(tokens, seen))
    outputs = policy.read(laid_out, context_out=True)
    M, N = policy.sizes.state, policy.sizes.action if actions else 0
    missing = outputs.new_zeros(len(outputs), T * (M + N) - outputs.shape[1], outputs.shape[2])
    states, _ = split(torch.cat([outputs, missing], dim=1), M, N)
    return last_real(states, seen)[:, :, None].expand(-1, -1, len(policy.spec.actions), -1)


def choose_from_state(
    policy: SequencePolicy, state: SequenceState, observation: Observation, executed: Float[Tensor, "B N"]
) -> Float[Tensor, "B N"]:
    """Choose all dimensions of an action at the state."""
    outputs, seen = policy.observe(state, observation, executed, context_out=True)
    assert outputs is not None
    output = last_real(outputs[:, policy.sizes.action :], seen)
    predicted = policy.head(output[:, None].expand(-1, len(policy.spec.actions), -1))
    return policy.head.decode(predicted[:, None], policy.decoding.temperature, state.generators)[:, 0]
