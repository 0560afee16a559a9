"""Rollouts of policies over one sequence: one timestep after the other, with a cache of keys and values.

Each step appends [a_{t-1}, s_t] to the cache: the action that was executed and the state that is observed. Queries
attend to the cache and are not stored in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from astra.attention.cache import SegmentCache
from astra.attention.segments import Kind, TokenIds, concatenate, segment_ids
from astra.objects import PromptPictures
from astra.policies.decoding import Rollouts, reset_generators, seeded_generators
from astra.policies.sequence import SequencePolicy
from astra.trajectory import Observation


@dataclass(kw_only=True)
class SequenceState(Rollouts):
    """State of B rollouts; `act` updates it in place and returns it."""

    cache: SegmentCache
    timestep: Int[Tensor, " B"]
    """Next timestep of each environment."""


class OneActionPolicy(SequencePolicy[SequenceState]):
    """Policy over one sequence that predicts one action at each timestep."""

    def start_rollouts(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
    ) -> SequenceState:
        """Start one rollout per instruction: encode the prompts."""
        return initial_state(self, instructions, seeds, pictures)

    def restart_rollouts(
        self,
        state: SequenceState,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None,
    ) -> SequenceState:
        """Start new rollouts in some environments."""
        reset_envs(self, state, where, instructions, seeds, pictures)
        return state


def initial_state(
    policy: SequencePolicy[Any], instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
) -> SequenceState:
    """Start one rollout per instruction: encode the prompts."""
    return SequenceState(
        cache=_prompt_cache(policy, instructions, pictures),
        timestep=torch.zeros(len(instructions), dtype=torch.long, device=policy.device),
        generators=seeded_generators(seeds),
    )


def reset_envs(
    policy: SequencePolicy[Any],
    state: SequenceState,
    where: Bool[Tensor, " B"],
    instructions: Sequence[str],
    seeds: Sequence[int],
    pictures: PromptPictures | None,
) -> None:
    """Start new rollouts in the marked environments."""
    state.cache.replace(where, _prompt_cache(policy, instructions, pictures))
    state.timestep[where] = 0
    reset_generators(state.generators, where, seeds)


def observe(
    policy: SequencePolicy[Any],
    state: SequenceState,
    observation: Observation,
    executed: Float[Tensor, "B n"],
    queries: Float[Tensor, "Q D"] | None = None,
    *,
    context_out: bool = False,
) -> tuple[Float[Tensor, "B R D"] | None, Bool[Tensor, "B M"]]:
    """Append the executed action and the new state to the cache; return outputs, and which state tokens are real.

    Args:
        policy: The policy.
        state: Updated in place, except its timestep: the caller may add more tokens at it.
        observation: The current observation.
        executed: Action executed at the timestep before, relative to its reference state if actions are relative.
        queries: Queries at the current timestep, whose outputs are returned; None for none.
        context_out: Whether the outputs of the action and state tokens are returned too, before those of the queries.
    """
    t, N, M = state.timestep[:, None], policy.sizes.action, policy.sizes.state
    B, device = len(t), t.device
    tokens, seen = policy.state_tokens(observation)
    ids = concatenate(
        batched(segment_ids(Kind.ACTION, N).to(device), B, t - 1),
        batched(segment_ids(Kind.STATE, M).to(device), B, t),
    )
    acted = (t > 0).expand(B, N)
    if observation.action_present is not None:
        acted = acted & observation.action_present
    valid = torch.cat([acted, seen], dim=1)
    new = policy.add_positions(torch.cat([policy.action_tokens(executed), tokens], dim=1), ids)
    query_tokens = query_ids = None
    if queries is not None:
        query_ids = batched(segment_ids(Kind.QUERY, len(queries)).to(device), B, t)
        query_tokens = policy.add_positions(queries.expand(B, -1, -1), query_ids)
    outputs = state.cache.extend(
        policy.transformer, new, ids, valid, query_tokens, query_ids, policy.relative, context_out=context_out
    )
    return outputs, seen


def append(
    policy: SequencePolicy[Any], state: SequenceState, tokens: Float[Tensor, "B n D"], ids: TokenIds
) -> Float[Tensor, "B n D"]:
    """Append tokens with their positions to the cache, and return their outputs."""
    valid = torch.ones_like(ids.kind, dtype=torch.bool)
    outputs = state.cache.extend(policy.transformer, tokens, ids, valid, positions=policy.relative, context_out=True)
    assert outputs is not None
    return outputs


def batched(ids: TokenIds, B: int, timestep: Int[Tensor, "B 1"] | None = None) -> TokenIds:
    """Repeat the ids of a segment for B environments, each at its own timestep."""
    at = ids.timestep.expand(B, -1) if timestep is None else timestep.expand(B, ids.kind.shape[-1])
    return TokenIds(ids.kind.expand(B, -1), at, ids.slot.expand(B, -1))


def _prompt_cache(
    policy: SequencePolicy[Any], instructions: Sequence[str], pictures: PromptPictures | None
) -> SegmentCache:
    """Create a cache that holds the prompts."""
    prompt, valid = policy.prompt_tokens(instructions, pictures)
    ids = batched(segment_ids(Kind.PROMPT, prompt.shape[1]).to(policy.device), len(instructions))
    cache = SegmentCache.empty(
        policy.transformer,
        policy.sizes,
        len(instructions),
        policy.config.window,
        policy.causal_segments,
        past_actions=policy.config.drop_past_actions < 1,
    )
    cache.extend(policy.transformer, policy.add_positions(prompt, ids), ids, valid, positions=policy.relative)
    return cache
