"""The cached control step of Astra as a pure function of tensors, to be exported and run without this library.

The cache is a ring of timesteps that the caller keeps: the program gets all of it and gives the keys and values of the
tokens it has just read, which the caller writes at `StepRunner.columns`. What lies where in the ring follows from the
timestep alone, so the program makes its own mask.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention import masks
from astra.attention.layers import by_head, keys_and_values
from astra.attention.masks import additive
from astra.attention.segments import Kind, TokenIds, concatenate, segment_ids
from astra.attention.step_checks import check_control_steps
from astra.policies.astra import Astra
from astra.trajectory import Observation, VectorStatistics

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""Plan (1, H, N), the head's outputs (1, H, N, K), new keys and new values (layers, 1, heads, N + M, d)."""


class ControlStep(nn.Module):
    """One control step of one slot; `timesteps` is what its cache has room for."""

    def __init__(self, policy: Astra, timesteps: int | None = None) -> None:
        """Hold the policy.

        Raises:
            ValueError: if the number of timesteps does not fit the policy, or it sees objects.
        """
        super().__init__()
        if policy.spec.objects is not None:
            raise ValueError("a policy that sees objects one by one cannot be exported yet")
        if policy.queries is None or policy.causal_segments:
            raise ValueError("only trajectory attention with action queries can be exported")
        self.queries = policy.queries
        self.policy = policy.eval()
        self.timesteps = _check_timesteps(policy, timesteps)
        sizes, window = policy.sizes, policy.config.window
        check_control_steps(
            sizes, window, len(policy.queries), self.timesteps if window is None else 2 * self.timesteps + 1
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
        keys: Float[Tensor, "layers 1 heads C d"],
        values: Float[Tensor, "layers 1 heads C d"],
        *observed: Tensor,
    ) -> Outputs:
        """Compute the next plan from the cache, the executed action and what is observed, in the order of the spec.

        Where actions are measured from a state vector, the executed one comes less that vector at its own timestep.
        """
        policy, sizes = self.policy, self.policy.sizes
        t = timestep[:, None]
        vectors = dict(zip(policy.spec.states, observed, strict=False))
        images = dict(zip(policy.spec.images, observed[len(vectors) :], strict=True))
        observation = Observation(states=vectors, images=images, previous_action=previous_action)
        states, _ = policy.states(observation)
        new = concatenate(_at(Kind.ACTION, sizes.action, t - 1), _at(Kind.STATE, sizes.state, t))
        asked = _at(Kind.QUERY, len(self.queries), t)
        tokens = policy.place(torch.cat([policy.actions(previous_action), states], dim=1), new)
        queries = policy.place(self.queries[None], asked)

        stored = TokenIds(self.get_buffer("kind")[None], self._stored_timesteps(t), self.get_buffer("slot")[None])
        columns = concatenate(stored, new)
        valid = torch.cat([prompt_valid, stored.timestep[:, sizes.prompt :] >= 0, new.timestep >= 0], dim=1)
        rows = concatenate(new, asked)
        allowed = masks.may_attend(rows, columns, window=policy.config.window) & valid[:, None, :]
        mask = additive(allowed, tokens.dtype)[:, None]
        if policy.relative is not None:
            mask = mask + policy.relative.bias(rows, columns)

        flat = torch.cat([tokens[0], queries[0]])
        num_read = sizes.action + sizes.state
        fresh: list[tuple[Tensor, Tensor]] = []
        for layer, block in enumerate(policy.transformer.blocks):
            kernel = _StepKernel(keys[layer], values[layer], mask, fresh)
            last = layer == len(policy.transformer.blocks) - 1
            flat = block(flat, num_read, kernel, first=num_read if last else 0)
        outputs = policy.transformer.final_norm(flat)[None].unflatten(1, (policy.config.chunk_size, sizes.action))
        predicted = policy.head(outputs)
        chunk = policy.head.decode(predicted, 0.0, [])
        if (reference := policy.reference(observation)) is not None:
            chunk = policy.within_bounds(chunk + reference[:, None])
        return chunk, predicted, torch.stack([key for key, _ in fresh]), torch.stack([value for _, value in fresh])

    def _stored_timesteps(self, t: Int[Tensor, "1 1"]) -> Int[Tensor, "1 C"]:
        """Tell which timestep each column holds: the last one before t that falls on its place; below 0: none."""
        sizes, place = self.policy.sizes, torch.arange(self.timesteps)[None]
        states = t - 1 - torch.remainder(t - 1 - place, self.timesteps)
        actions = t - 2 - torch.remainder(t - 2 - place, self.timesteps)
        ring = torch.cat(
            [states[..., None].expand(-1, -1, sizes.state), actions[..., None].expand(-1, -1, sizes.action)], dim=-1
        )
        return torch.cat([torch.full((1, sizes.prompt), -1), ring.flatten(1)], dim=1)


class _StepKernel:
    """Reads stored and new keys and values; collects the new ones."""

    def __init__(self, keys: Tensor, values: Tensor, mask: Tensor, fresh: list[tuple[Tensor, Tensor]]) -> None:
        self.keys, self.values, self.mask, self.fresh = keys, values, mask, fresh

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        heads = self.keys.shape[1]
        new = keys_and_values(keys_values[None], heads)
        self.fresh.append(new)
        keys, values = torch.cat([self.keys, new[0]], dim=2), torch.cat([self.values, new[1]], dim=2)
        q = by_head(torch.cat([part for part in (q_read, q_queries) if part is not None])[None], heads)
        # Plain products: exporters take the fused attention apart, and then its output lies otherwise in memory.
        scores = (q / q.shape[-1] ** 0.5) @ keys.mT + self.mask[:, :, -q.shape[2] :]
        return (torch.softmax(scores, dim=-1) @ values)[0].transpose(0, 1).flatten(1)


class StepRunner:
    """Keeps the cache of an exported step: an example of what a robot's own program has to do."""

    def __init__(self, step: ControlStep, program: Callable[..., Sequence[Tensor]], instruction: str) -> None:
        """Read the instruction.

        Args:
            step: What was exported, for its sizes and the prompt.
            program: What runs: the step itself, or an exported program.
            instruction: The prompt in words.
        """
        self.program, self.sizes, self.capacity = program, step.policy.sizes, step.timesteps
        self.prompt_valid, self.keys, self.values = read_prompt(step, instruction)
        self.timestep = 0
        self.origin_of = step.policy.reference
        self.reference: Tensor | float = 0.0

    def inputs(self, observation: Observation) -> tuple[Tensor, ...]:
        """Give the program's inputs at this timestep."""
        observed = (*observation.states.values(), *observation.images.values())
        timestep = torch.tensor([self.timestep])
        executed = observation.previous_action - self.reference
        return (timestep, executed, self.prompt_valid, self.keys, self.values, *observed)

    def __call__(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Make one step: give the plan and the head's outputs."""
        chunk, predicted, keys, values = self.program(*self.inputs(observation))
        columns = self.columns()
        self.keys[:, :, :, columns] = keys
        self.values[:, :, :, columns] = values
        self.timestep += 1
        if (reference := self.origin_of(observation)) is not None:
            self.reference = reference
        return chunk, predicted

    def columns(self) -> list[int]:
        """Tell where the new keys and values go: those of a_{t-1}, then those of s_t."""
        M, N, L = self.sizes.state, self.sizes.action, self.sizes.prompt
        before, now = ((self.timestep - back) % self.capacity for back in (1, 0))
        return [L + before * (M + N) + M + i for i in range(N)] + [L + now * (M + N) + i for i in range(M)]


@torch.no_grad()
def read_prompt(step: ControlStep, instruction: str) -> tuple[Tensor, Tensor, Tensor]:
    """Give the cache at the start of an episode: which prompt columns are real, keys and values."""
    cache = step.policy.start([instruction], [0]).cache
    L, columns = step.policy.sizes.prompt, len(step.get_buffer("kind"))

    def room(stored: list[Tensor]) -> Tensor:
        return torch.stack([F.pad(tensor[:, :, :L], (0, 0, 0, columns - L)) for tensor in stored])

    return cache.valid[:, :L].clone(), room(cache.keys), room(cache.values)


def example_observation(policy: Astra, seed: int = 0) -> Observation:
    """Draw an observation within the statistics of the data."""
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
    """Choose or check what the cache has room for."""
    window = policy.config.window
    if window is not None:
        if timesteps is not None:
            raise ValueError(
                f"this policy has a window of {window}: its cache has a size of its own, leave out timesteps"
            )
        return window + 1
    timesteps = 300 if timesteps is None else timesteps
    positions, sizes = policy.transformer.positions, policy.sizes
    if timesteps < 1:
        raise ValueError(f"an episode has at least 1 timestep, got timesteps={timesteps}")
    if positions is not None:
        room = positions.table.num_embeddings - sizes.prompt
        most = room // (sizes.state + sizes.action) - (policy.config.chunk_size - 1)
        if timesteps > most:
            raise ValueError(
                f"the learned positions of this policy end after {most} timesteps, got timesteps={timesteps}"
            )
    return timesteps
