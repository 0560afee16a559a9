"""Actions dimension by dimension, each one read after the ones before it: Gato, and Astra without action queries.

    ... | s_1 s_2 | a_1 a_2 a_3
             |      |   |
             v      v   v
            a_1    a_2 a_3        the output at a token gives the distribution of the next action dimension

An action needs N passes of one token, where action queries need one pass in all. Source: section 4.6.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from astra.attention.segments import Kind, segment_ids, split
from astra.policies.readout import last_real
from astra.policies.sequence import SequencePolicy, SequenceState, batched
from astra.trajectory import Observation, Trajectory


def outputs_before_actions(policy: SequencePolicy, trajectory: Trajectory) -> Float[Tensor, "B T N D"]:
    """Read whole trajectories: give what stands before each action dimension."""
    tokens, seen = policy.state_tokens(trajectory)
    laid_out = policy.lay_out(trajectory, actions=trajectory.num_timesteps, states=(tokens, seen))
    outputs = policy.read(laid_out, context_out=True)
    states, actions = split(outputs, policy.sizes.state, policy.sizes.action)
    return torch.cat([last_real(states, seen)[:, :, None], actions[:, :, :-1]], dim=2)


def choose_action(
    policy: SequencePolicy, state: SequenceState, observation: Observation, executed: Float[Tensor, "B N"]
) -> Float[Tensor, "B N"]:
    """Choose each dimension after the ones before it.

    The tokens of the choice stay in the cache only until the next step, when those of the executed action take their
    places.
    """
    N = policy.sizes.action
    outputs, seen = policy.observe(state, observation, executed, context_out=True)
    assert outputs is not None
    output = last_real(outputs[:, N:], seen)
    action = torch.zeros_like(executed)
    for n in range(N):
        predicted = policy.head(output[:, None].expand(-1, N, -1))
        decoded = policy.head.decode(predicted[:, None], policy.decoding.temperature, state.generators)
        action[:, n] = decoded[:, 0, n]
        if n < N - 1:
            output = _read_dimension(policy, state, policy.action_tokens(action)[:, n : n + 1], n)
    return action


def _read_dimension(
    policy: SequencePolicy, state: SequenceState, token: Float[Tensor, "B 1 D"], n: int
) -> Float[Tensor, "B D"]:
    """Read one action dimension at the present timestep, and give its output."""
    segment = segment_ids(Kind.ACTION, policy.sizes.action).to(token.device)
    ids = batched(segment.select(slice(n, n + 1)), len(token), state.timestep[:, None])
    outputs = state.cache.read(
        policy.transformer,
        policy.place(token, ids),
        ids,
        torch.ones_like(ids.kind, dtype=torch.bool),
        positions=policy.relative,
        context_out=True,
    )
    assert outputs is not None
    return outputs[:, 0]
