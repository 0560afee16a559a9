"""Predict actions from outputs of states and actions, for policies without action queries.

    from states:     ... | s_1 s_2 | a_1 a_2 a_3 | ...     all dimensions at once, from the last state token
                                v                          (Decision Transformer; Gato in VIMA's comparison)
                           a_1 a_2 a_3

    by dimension:    ... | s_1 s_2 | a_1 a_2 a_3 | ...     each dimension from the token before it
                                v     v   v                (Gato; Astra without action queries)
                               a_1   a_2 a_3

By dimension, an action takes N passes of one token; with action queries it takes one pass. Source: section 4.6.

Objects may be hidden, so "the last state token" means the last real one.
"""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.attention.segments import Kind, segment_ids, split
from astra.policies.sequence import SequencePolicy
from astra.policies.sequence_rollout import SequenceState, append, batched, observe
from astra.trajectory import Observation, Trajectory


def last_real(tokens: Float[Tensor, "*batch M D"], valid: Bool[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
    """Return the last real token, or the first token if none is real."""
    last = (torch.arange(valid.shape[-1], device=valid.device) * valid).argmax(-1)
    return tokens.gather(-2, last[..., None, None].expand(*last.shape, 1, tokens.shape[-1])).squeeze(-2)


# ---- All dimensions at once, from the last state token


def outputs_at_states(policy: SequencePolicy[Any], trajectory: Trajectory) -> Float[Tensor, "B T N D"]:
    """Return the output of each state's last token, once per action dimension."""
    T = trajectory.num_timesteps
    num_actions = policy.num_past_actions(T)
    states, seen = policy.state_tokens(trajectory)
    tokens = policy.tokenize(trajectory, num_actions=num_actions, states=(states, seen))
    mask = policy.attention_mask(tokens, policy.hidden_actions(trajectory))
    outputs = policy.run_trunk(policy.model_inputs(tokens, mask), context_out=True)
    M, N = policy.sizes.state, policy.sizes.action if num_actions else 0
    missing = outputs.new_zeros(len(outputs), T * (M + N) - outputs.shape[1], outputs.shape[2])
    outputs, _ = split(torch.cat([outputs, missing], dim=1), M, N)
    return last_real(outputs, seen)[:, :, None].expand(-1, -1, len(policy.spec.actions), -1)


def act_from_state(
    policy: SequencePolicy[Any], state: SequenceState, observation: Observation, executed: Float[Tensor, "B N"]
) -> Float[Tensor, "B N"]:
    """Choose all dimensions of an action from the last state token."""
    outputs, seen = observe(policy, state, observation, executed, context_out=True)
    assert outputs is not None
    output = last_real(outputs[:, policy.sizes.action :], seen)
    predicted = policy.head(output[:, None].expand(-1, len(policy.spec.actions), -1))
    return policy.head.decode(predicted[:, None], policy.decoding, state.generators)[:, 0]


# ---- Dimension by dimension


def outputs_before_dimensions(policy: SequencePolicy[Any], trajectory: Trajectory) -> Float[Tensor, "B T N D"]:
    """Return the output of the token before each action dimension."""
    states, seen = policy.state_tokens(trajectory)
    tokens = policy.tokenize(trajectory, num_actions=trajectory.num_timesteps, states=(states, seen))
    mask = policy.attention_mask(tokens, policy.hidden_actions(trajectory))
    outputs = policy.run_trunk(policy.model_inputs(tokens, mask), context_out=True)
    of_states, of_actions = split(outputs, policy.sizes.state, policy.sizes.action)
    return torch.cat([last_real(of_states, seen)[:, :, None], of_actions[:, :, :-1]], dim=2)


def act_by_dimension(
    policy: SequencePolicy[Any], state: SequenceState, observation: Observation, executed: Float[Tensor, "B N"]
) -> Float[Tensor, "B N"]:
    """Choose each dimension of an action given the dimensions before it.

    Where the mean of the bins is executed, the dimensions after it see the most likely bin: a mean between two ways is
    a value that no demonstration has, and what the policy makes of it is arbitrary.

    The tokens of the chosen dimensions stay in the cache until the next step, when those of the executed action
    replace them.
    """
    N = policy.sizes.action
    outputs, seen = observe(policy, state, observation, executed, context_out=True)
    assert outputs is not None
    output = last_real(outputs[:, N:], seen)
    segment = segment_ids(Kind.ACTION, N).to(executed.device)
    action, before = torch.zeros_like(executed), torch.zeros_like(executed)
    likely = replace(policy.decoding, bin_value="mode")
    for n in range(N):
        predicted = policy.head(output[:, None].expand(-1, N, -1))[:, None]
        action[:, n] = policy.head.decode(predicted, policy.decoding, state.generators)[:, 0, n]
        before[:, n] = action[:, n]
        if policy.decoding.bin_value == "mean":
            before[:, n] = policy.head.decode_unchecked(predicted, likely, state.generators)[:, 0, n]
        if n < N - 1:
            ids = batched(segment.select(slice(n, n + 1)), len(action), state.timestep[:, None])
            token = policy.add_positions(policy.action_tokens(before)[:, n : n + 1], ids)
            output = append(policy, state, token, ids)[:, 0]
    return action
