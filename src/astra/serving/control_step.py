"""The control step of Astra as a pure function of tensors, which can be exported and run without this library.

The caller keeps the cache, a ring buffer of timesteps. The function takes all of it and returns the keys and values of
the new tokens, which the caller writes to `StepRunner.columns`. The timestep alone determines what the ring holds, so
the function computes its own mask.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention import masks
from astra.attention.layers import by_head, keys_and_values
from astra.attention.masks import additive
from astra.attention.positions import by_layer
from astra.attention.segments import Kind, TokenIds, concatenate, segment_ids
from astra.attention.step_checks import check_control_steps
from astra.observations import check_finite_outputs, check_observation
from astra.policies.action_chunks import relative_to
from astra.policies.astra import Astra
from astra.trajectory import Observation, VectorStatistics

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""Action chunk (1, C, N), outputs of the head (1, C, N, K), new keys and values (layers, 1, heads, N + M, d)."""


class ControlStep(nn.Module):
    """One control step of one environment."""

    def __init__(self, policy: Astra, timesteps: int | None = None) -> None:
        """Store the policy.

        Args:
            policy: The policy; it is set to evaluation mode.
            timesteps: Capacity of the cache; None for 300. With a window, the capacity is W + 1 and must not be given.

        Raises:
            ValueError: if the policy cannot be exported, or the number of timesteps does not fit it.
        """
        super().__init__()
        self.policy = policy.exportable().eval()
        assert self.policy.queries is not None
        self.queries = self.policy.queries
        self.timesteps = _check_timesteps(policy, timesteps)
        sizes, window, spec = policy.sizes, policy.config.window, policy.spec
        needed = {*policy.states.names, policy.config.reference_state}
        self.vectors = tuple(name for name in spec.states if name in needed)
        self.cameras = tuple(spec.images) if policy.states.images else ()
        check_control_steps(
            sizes, window, len(self.queries), self.timesteps if window is None else 2 * self.timesteps + 1
        )
        ring = [segment_ids(Kind.STATE, sizes.state), segment_ids(Kind.ACTION, sizes.action)]
        ids = concatenate(segment_ids(Kind.PROMPT, sizes.prompt), *(ring * self.timesteps))
        self.register_buffer("kind", ids.kind)
        self.register_buffer("slot", ids.slot)

    def forward(
        self,
        timestep: Int[Tensor, "1"],
        previous_action: Float[Tensor, "1 N"],
        prompt_valid: Bool[Tensor, "1 L"],
        keys: Float[Tensor, "layers 1 heads columns d"],
        values: Float[Tensor, "layers 1 heads columns d"],
        *observed: Tensor,
    ) -> Outputs:
        """Predict the next action chunk from the cache, the executed action and the observation.

        Args:
            timestep: Timestep of the observation, from 0.
            previous_action: The executed action, relative to its own reference state if actions are relative.
            prompt_valid: True for real prompt tokens.
            keys: Keys of the cache.
            values: Values of the cache.
            observed: The state vectors that the policy reads, then its camera frames, in the order of the spec.
        """
        policy, sizes = self.policy, self.policy.sizes
        t = timestep[:, None]
        vectors = dict(zip(self.vectors, observed, strict=False))
        images = dict(zip(self.cameras, observed[len(vectors) :], strict=True))
        observation = Observation(states=vectors, images=images, previous_action=previous_action)
        states, _ = policy.states(observation)
        new = concatenate(_at(Kind.ACTION, sizes.action, t - 1), _at(Kind.STATE, sizes.state, t))
        query_ids = _at(Kind.QUERY, len(self.queries), t)
        tokens = policy.add_positions(torch.cat([policy.actions(previous_action), states], dim=1), new)
        queries = policy.add_positions(self.queries[None], query_ids)

        stored = TokenIds(self.get_buffer("kind")[None], self._stored_timesteps(t), self.get_buffer("slot")[None])
        columns = concatenate(stored, new)
        valid = torch.cat([prompt_valid, stored.timestep[:, sizes.prompt :] >= 0, new.timestep >= 0], dim=1)
        rows = concatenate(new, query_ids)
        allowed = masks.may_attend(rows, columns, window=policy.config.window) & valid[:, None, :]
        if policy.config.drop_past_actions == 1:
            allowed = masks.hide_actions(allowed, rows, columns)
        mask = additive(allowed, tokens.dtype)[:, None]
        if policy.relative is not None:
            mask = mask + policy.relative.bias(rows, columns)

        flat = torch.cat([tokens[0], queries[0]])
        num_context = sizes.action + sizes.state
        computed: list[tuple[Tensor, Tensor]] = []
        blocks = policy.transformer.blocks
        for layer, (block, own) in enumerate(
            zip(blocks, by_layer(mask, len(blocks), policy.transformer.heads), strict=True)
        ):
            kernel = _StepKernel(keys[layer], values[layer], own, computed)
            last = layer == len(blocks) - 1
            flat = block(flat, num_context, kernel, first=num_context if last else 0)
        outputs = policy.transformer.final_norm(flat)[None].unflatten(1, (policy.config.chunk_size, sizes.action))
        predicted = policy.head(outputs)
        chunk = policy.head.decode_unchecked(predicted, replace(policy.decoding, temperature=0.0), [])
        if (reference := policy.reference(observation)) is not None:
            chunk = policy.within_bounds(chunk + reference[:, None])
        return (
            chunk,
            predicted,
            torch.stack([key for key, _ in computed]),
            torch.stack([value for _, value in computed]),
        )

    def _stored_timesteps(self, t: Int[Tensor, "1 1"]) -> Int[Tensor, "1 columns"]:
        """Return the timestep that each column of the cache holds at timestep t; below 0 if it is empty."""
        sizes, index = self.policy.sizes, torch.arange(self.timesteps)[None]
        states = t - 1 - torch.remainder(t - 1 - index, self.timesteps)
        actions = t - 2 - torch.remainder(t - 2 - index, self.timesteps)
        ring = torch.cat(
            [states[..., None].expand(-1, -1, sizes.state), actions[..., None].expand(-1, -1, sizes.action)], dim=-1
        )
        return torch.cat([torch.full((1, sizes.prompt), -1), ring.flatten(1)], dim=1)


class _StepKernel:
    """Attention to stored and new keys and values; collects the new ones."""

    def __init__(self, keys: Tensor, values: Tensor, mask: Tensor, computed: list[tuple[Tensor, Tensor]]) -> None:
        self.keys, self.values, self.mask, self.computed = keys, values, mask, computed

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        heads = self.keys.shape[1]
        new = keys_and_values(keys_values[None], heads)
        self.computed.append(new)
        keys, values = torch.cat([self.keys, new[0]], dim=2), torch.cat([self.values, new[1]], dim=2)
        q = by_head(torch.cat([part for part in (q_keyed, q_queries) if part is not None])[None], heads)
        # Plain products: exporters decompose fused attention, and the result has another memory layout.
        scores = (q / q.shape[-1] ** 0.5) @ keys.mT + self.mask[:, :, -q.shape[2] :]
        return (torch.softmax(scores, dim=-1) @ values)[0].transpose(0, 1).flatten(1)


class StepRunner:
    """Cache of an exported step: an example of what a robot's own program has to do."""

    def __init__(self, step: ControlStep, program: Callable[..., Sequence[Tensor]], instruction: str) -> None:
        """Start an episode.

        Args:
            step: The control step that was exported.
            program: The program to run: the step itself, or an exported program.
            instruction: Instruction of the episode.
        """
        self.step, self.program, self.sizes, self.capacity = step, program, step.policy.sizes, step.timesteps
        self.prompt_valid, self.keys, self.values = initial_cache(step, instruction)
        self.timestep = 0
        self.policy = step.policy
        self.reference: Tensor | None = None

    def inputs(self, observation: Observation) -> tuple[Tensor, ...]:
        """Return the inputs of the program at the current timestep, columns in the order of the spec."""
        vectors = [observation.states[name] for name in self.step.vectors]
        observed = (*vectors, *(observation.images[name] for name in self.step.cameras))
        timestep = torch.tensor([self.timestep])
        executed = observation.previous_action
        if self.reference is not None:
            executed = relative_to(self.reference, executed, self.policy.spec.actions)
        return (timestep, executed, self.prompt_valid, self.keys, self.values, *observed)

    def __call__(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Run one control step; return the action chunk and the outputs of the head.

        Raises:
            ValueError: if the observation does not fit the policy's data, the outputs are not finite or the cache is
                full; the cache is then as before.
        """
        spec, reads = self.policy.spec, self.policy.config.states.reads
        observation = check_observation(  # without a frame size: those of the program are fixed
            spec, observation, reads, self.policy.device, needs=self.step.vectors
        )
        if len(observation.previous_action) != 1:
            raise ValueError(
                f"got an observation of {len(observation.previous_action)} environments, expected one: an exported "
                f"step controls one robot"
            )
        if self.policy.config.window is None and self.timestep >= self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} timesteps and is full: start a new episode, or export with a larger "
                f"--timesteps"
            )
        read = {*self.step.vectors, *self.step.cameras}
        lacking = [name for name, there in observation.present.items() if name in read and not there.all()]
        if lacking or not (observation.action_present is None or observation.action_present.all()):
            raise ValueError(
                f"the observation lacks {', '.join(lacking) or 'an action dimension'}, and an exported step needs all "
                f"of it: act with the policy itself"
            )
        chunk, predicted, keys, values = self.program(*self.inputs(observation))
        check_finite_outputs(predicted)
        check_finite_outputs(chunk)
        columns = self.columns()
        self.keys[:, :, :, columns] = keys
        self.values[:, :, :, columns] = values
        self.timestep += 1
        if (reference := self.policy.reference(observation)) is not None:
            self.reference = reference
        return chunk, predicted

    def columns(self) -> list[int]:
        """Return the columns of the new keys and values: those of a_{t-1}, then those of s_t."""
        M, N, L = self.sizes.state, self.sizes.action, self.sizes.prompt
        before, now = ((self.timestep - back) % self.capacity for back in (1, 0))
        return [L + before * (M + N) + M + i for i in range(N)] + [L + now * (M + N) + i for i in range(M)]


@torch.no_grad()
def initial_cache(step: ControlStep, instruction: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cache at the start of an episode: which prompt tokens are real, keys and values."""
    cache = step.policy.start([instruction], [0]).cache
    L, columns = step.policy.sizes.prompt, len(step.get_buffer("kind"))

    def room(stored: list[Tensor]) -> Tensor:
        return torch.stack([F.pad(tensor[:, :, :L], (0, 0, 0, columns - L)) for tensor in stored])

    return cache.valid[:, :L].clone(), room(cache.keys), room(cache.values)


def example_observation(policy: Astra, seed: int = 0) -> Observation:
    """Sample a random observation with the statistics of the data."""
    generator = torch.Generator().manual_seed(seed)
    statistics, bounds = policy.statistics, policy.spec.actions
    low, high = torch.tensor(bounds.low), torch.tensor(bounds.high)

    def draw(vector: VectorStatistics) -> Tensor:
        return (vector.mean + vector.std * torch.randn(len(vector.mean), generator=generator))[None]

    return Observation(
        states={name: draw(statistics.states[name]) for name in policy.spec.states},
        images={
            name: torch.randint(0, 256, (1, 3, *size), generator=generator).to(torch.uint8)
            for name, size in policy.spec.images.items()
        },
        previous_action=(low + (high - low) * torch.rand(len(low), generator=generator))[None],
    )


def _at(kind: Kind, size: int, timestep: Int[Tensor, "1 1"]) -> TokenIds:
    ids = segment_ids(kind, size)
    return TokenIds(ids.kind[None], timestep.expand(1, size), ids.slot[None])


def _check_timesteps(policy: Astra, timesteps: int | None) -> int:
    """Choose or check the capacity of the cache."""
    window = policy.config.window
    if window is not None:
        if timesteps is not None:
            raise ValueError(
                f"this policy has a window of {window}, so its cache holds {window + 1} timesteps: omit --timesteps"
            )
        return window + 1
    timesteps = 300 if timesteps is None else timesteps
    positions, sizes = policy.transformer.positions, policy.sizes
    if timesteps < 1:
        raise ValueError(f"--timesteps must be at least 1, got {timesteps}")
    if positions is not None:
        room = positions.table.num_embeddings - sizes.prompt
        most = room // (sizes.state + sizes.action) - (policy.config.chunk_size - 1)
        if timesteps > most:
            raise ValueError(
                f"the learned positions of this policy end after {most} timesteps, got --timesteps {timesteps}"
            )
    return timesteps
