"""Switches that all policies over sequences share: positions by recency, hidden past actions, losses of last timesteps.

Every path of every policy computes the same: training on whole trajectories, and acting with a cache.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.pictured import INSTRUCTIONS, VIEWS, at, sample

if TYPE_CHECKING:
    from astra.policies.policy import Policy
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

POLICIES: dict[str, tuple[str, dict[str, Any]]] = {
    "astra": ("astra", {}),
    "astra, mask alone": ("astra", dict(action_queries=False)),
    "gato": ("gato", {}),
    "gato, one token per action": ("gato", dict(action_tokens="one")),
    "decision transformer": ("decision-transformer", {}),
    "vima": ("vima", {}),
    "flamingo": ("flamingo", {}),
}
"""Policies whose predictions are not random; diffusion is tested in its own file."""
SWITCHES: dict[str, dict[str, Any]] = {
    "recency": dict(positions="recency"),
    "never": dict(drop_past_actions=1.0),
    "recency, never, window": dict(positions="recency", drop_past_actions=1.0, window=3),
    "values": dict(token_frequencies=4),
}


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from astra.objects import ObjectSpec

    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)


def build(name: str, spec: "TrajectorySpec", statistics: "Statistics", **options: Any) -> "Policy[Any]":
    """A policy in which biases and heads are so large that inputs clearly change outputs."""
    from astra import policies
    from astra.tokenizers.actions import DiscreteActionsConfig
    from astra.tokenizers.states import StateConfig

    kind, more = POLICIES[name]
    if frequencies := options.pop("token_frequencies", 0):
        options["actions"] = DiscreteActionsConfig(token_frequencies=frequencies)
        options["states"] = StateConfig(word_norm=True)
    policy = policies.POLICIES[kind](**dict(layers=2, heads=2, width=32) | more | options).build(spec, statistics)
    with torch.no_grad():
        for part, parameter in policy.named_parameters():
            if part.startswith("head") or "ages" in part:
                parameter.normal_()
    return policy.eval()


def predicted(policy: Any, trajectory: "Trajectory") -> torch.Tensor:
    """Return the head's outputs for whole trajectories, (B, T, N, K)."""
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        loss = policy.head.loss
        patch.setattr(policy.head, "loss", lambda scores, *rest: (seen.append(scores), loss(scores, *rest))[1])
        policy.loss(trajectory)
    return seen[0].reshape(*trajectory.valid.shape, *seen[0].shape[-2:])


def acted(policy: "Policy[Any]", trajectory: "Trajectory") -> torch.Tensor:
    """Return the head's outputs when acting, while the trajectory's actions are chosen and executed, (B, T, N, K)."""
    outputs = []
    state = policy.start(trajectory.instructions, range(len(trajectory.valid)), trajectory.pictures)
    for t in range(trajectory.num_timesteps):
        seen: list[torch.Tensor] = []

        def follow(scores: torch.Tensor, *_: Any, t: int = t, seen: list[torch.Tensor] = seen) -> torch.Tensor:
            seen.append(scores[:, 0])
            return trajectory.actions[:, t : t + 1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(policy.head, "decode", follow)
            policy.act(state, at(trajectory, t))
        by_dimension = torch.stack([scores[:, n] for n, scores in enumerate(seen)], dim=1)
        outputs.append(seen[0] if len(seen) == 1 else by_dimension)
    return torch.stack(outputs, dim=1)


def with_other_past(trajectory: "Trajectory") -> "Trajectory":
    """Return the trajectory with other actions at all timesteps but the last."""
    actions = trajectory.actions.clone()
    actions[:, :-1] = trajectory.actions.roll(1, 0)[:, :-1]
    return replace(trajectory, actions=actions)


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("name", POLICIES)
@torch.no_grad()
def test_acting_with_a_cache_equals_the_full_forward(
    name: str, switch: str, spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy, trajectory = build(name, spec, tiny_statistics, **SWITCHES[switch]), sample(spec)
    torch.testing.assert_close(acted(policy, trajectory), predicted(policy, trajectory), rtol=0, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("name", POLICIES)
@torch.no_grad()
def test_past_actions_that_are_never_read_change_no_prediction(
    name: str, share: float, spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy, trajectory = build(name, spec, tiny_statistics, drop_past_actions=share), sample(spec)
    other = with_other_past(trajectory)
    for compute in (predicted, acted):
        same = torch.equal(compute(policy, trajectory)[:, -1], compute(policy, other)[:, -1])
        assert same == (share == 1)


@pytest.mark.parametrize("name", POLICIES)
@torch.no_grad()
def test_dropped_actions_are_hidden_from_some_windows_in_training_and_read_when_acting(
    name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy, trajectory = build(name, spec, tiny_statistics, drop_past_actions=0.5), sample(spec, B=12, T=2)
    changed = []
    for _ in range(2):
        torch.manual_seed(3)  # the same windows are hidden
        changed.append(predicted(policy.train(), trajectory)[:, -1])
        torch.manual_seed(3)
        changed.append(predicted(policy, with_other_past(trajectory))[:, -1])
    hidden = (changed[0] == changed[1]).flatten(1).all(1)
    assert 0 < hidden.sum() < 12
    assert torch.equal(changed[0], changed[2])
    policy.eval()
    read = (predicted(policy, trajectory) != predicted(policy, with_other_past(trajectory)))[:, -1].flatten(1).any(1)
    assert read.all()
    torch.testing.assert_close(acted(policy, trajectory), predicted(policy, trajectory), rtol=0, atol=1e-4)


@torch.no_grad()
def test_contrastive_learning_reads_the_actions_that_the_policy_does_not(
    spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    encoder = build("astra", spec, tiny_statistics, drop_past_actions=1.0).trajectory_encoder()
    trajectory = sample(spec)
    last = [encoder.encode(each)[1][:, -1] for each in (trajectory, with_other_past(trajectory))]
    assert (last[0] - last[1]).abs().amax((1, 2)).min() > 1e-4


@torch.no_grad()
def test_the_plain_form_hides_what_the_fast_form_hides(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.attention.reference import DenseTransformer, dense_mask, join_segments, read_out
    from astra.attention.segments import Kind, split
    from astra.policies.astra import Astra

    policy, trajectory = build("astra", spec, tiny_statistics, drop_past_actions=1.0, positions="recency"), sample(spec)
    assert isinstance(policy, Astra)
    trajectory = replace(trajectory, instructions=("stop now",) * 3, pictures=None)
    T, M, L = 5, policy.sizes.state, 2
    inputs = policy.query_inputs(trajectory, torch.zeros(1, dtype=torch.long))
    fast = policy.run_trunk(inputs, context_out=False).unflatten(1, (T, -1))
    tokens = policy.tokenize(trajectory, num_actions=T, queries=policy.queries)
    states, actions = split(tokens.context, M, policy.sizes.action)
    state_valid, action_valid = split(tokens.context_valid, M, policy.sizes.action)
    prompts = tokens.prompts.tokens[tokens.prompts.index]
    queries = tokens.queries.expand(3, T, -1, -1)
    sequence, ids = join_segments(prompts, states, queries, actions)
    asked = torch.ones(*queries.shape[:3], dtype=torch.bool)
    valid = torch.cat([state_valid, asked, action_valid], dim=2).flatten(1)
    valid = torch.cat([torch.ones(3, L, dtype=torch.bool), valid], dim=1)
    assert policy.relative is not None
    mask = dense_mask(ids, torch.float32, valid=valid, positions=policy.relative, past_actions=False)
    outputs = DenseTransformer.like(policy.transformer)(sequence + policy.relative(ids), mask)
    torch.testing.assert_close(read_out(outputs, ids, Kind.QUERY, T), fast, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", POLICIES)
@torch.no_grad()
def test_a_loss_of_last_timesteps_counts_the_last_real_one_of_each_trajectory(
    name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy, trajectory = build(name, spec, tiny_statistics, drop_past_actions=1.0), sample(spec)
    valid = torch.arange(5) < torch.tensor([5, 2, 4])[:, None]
    trajectory = replace(trajectory, valid=valid, action_valid=valid)
    last = torch.arange(5) == torch.tensor([4, 1, 3])[:, None]
    losses = policy.loss(replace(trajectory, last_timestep_only=True))
    alone = policy.loss(replace(trajectory, action_valid=last))  # its past actions are not read anyway
    assert int(losses.count) == int(alone.count) == 3 * 5
    torch.testing.assert_close(losses.behavior_cloning, alone.behavior_cloning)


@pytest.mark.parametrize("switch", ["recency", "recency, never, window", "learned, chunk"])
def test_queries_of_timesteps_that_no_loss_counts_can_be_left_out(
    switch: str, spec: "TrajectorySpec", tiny_statistics: "Statistics", monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.trajectory import Trajectory

    options = {"learned, chunk": dict(positions="learned", chunk_size=3)} | SWITCHES
    policy, trajectory = build("astra", spec, tiny_statistics, **options[switch]), sample(spec)
    valid = torch.arange(5) < torch.tensor([5, 2, 4])[:, None]
    more = torch.zeros(3, 2, dtype=torch.bool)  # actions beyond the last state, for the chunk
    trajectory = replace(
        trajectory,
        valid=valid,
        actions=torch.cat([trajectory.actions, trajectory.actions[:, :2]], dim=1),
        action_valid=torch.cat([valid, more], dim=1),
        last_timestep_only=True,
    )

    def computed() -> list[torch.Tensor]:
        policy.zero_grad()
        losses = policy.loss(trajectory)
        losses.behavior_cloning.backward()
        gradients = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
        return [losses.behavior_cloning.detach(), losses.count, *gradients]

    few = computed()
    monkeypatch.setattr(Trajectory, "only_counted", None)
    torch.testing.assert_close(few, computed())
