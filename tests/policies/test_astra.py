"""Astra: its loss, its actions, and the equality of all ways to compute them."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from astra.policies.decoding import Decoding
from tests.policies.pictured import at

if TYPE_CHECKING:
    from astra.policies.astra import Astra, AstraConfig
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

VARIANTS = {
    "learned": dict(positions="learned"),
    "relative": dict(),
    "window": dict(window=2),
    "window of one": dict(window=1),
    "chunk_size": dict(chunk_size=3),
    "continuous": dict(actions="continuous"),
    "soft labels": dict(soft_labels=1.0),
    "relative actions": dict(reference_state="observation.state", chunk_size=2),
}


def configure(**options: object) -> "AstraConfig":
    from astra.policies.astra import AstraConfig
    from astra.tokenizers.actions import ContinuousActionsConfig

    if options.get("actions") == "continuous":
        options["actions"] = ContinuousActionsConfig()
    return AstraConfig(layers=2, heads=2, width=32, **options)  # pyright: ignore[reportArgumentType]


def sample(spec: "TrajectorySpec", B: int, T: int, H: int = 1, seed: int = 0) -> "Trajectory":
    from astra.trajectory import Trajectory

    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    actions = low + (high - low) * torch.rand(B, T + H - 1, len(low), generator=generator)
    actions = torch.where(torch.tensor(spec.actions.binary), actions.round(), actions)
    return Trajectory(
        instructions=tuple(spec.instructions[b % 2] for b in range(B)),
        states={name: torch.randn(B, T, size, generator=generator) for name, size in spec.states.items()},
        images={},
        valid=torch.ones(B, T, dtype=torch.bool),
        actions=actions,
        action_valid=torch.ones(B, T + H - 1, dtype=torch.bool),
    )


def predictions(policy: "Astra", trajectory: "Trajectory") -> torch.Tensor:
    """Return the head's outputs of a full forward pass, (B, T, C, N, K)."""
    steps = torch.arange(policy.config.chunk_size)
    inputs = policy.query_inputs(trajectory, steps)
    outputs = policy.transformer(inputs.prompt, inputs.context, inputs.queries, inputs.mask, context_out=False)
    return policy.head(outputs.unflatten(1, (trajectory.num_timesteps, len(steps), policy.sizes.action)))


def roll(policy: "Astra", trajectory: "Trajectory") -> torch.Tensor:
    """Return the actions that a rollout chooses for the observations of a trajectory: (B, T, N)."""
    from astra.trajectory import Observation

    state = policy.start(trajectory.instructions, range(len(trajectory.instructions)))
    chosen = []
    for t in range(trajectory.num_timesteps):
        states = {name: values[:, t] for name, values in trajectory.states.items()}
        observation = Observation(states=states, images={}, previous_action=trajectory.actions[:, t - 1])
        action, state = policy.act(state, observation)
        chosen.append(action)
    return torch.stack(chosen, dim=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_cached_acting_equals_the_full_forward(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = configure(**VARIANTS[name]).build(tiny_spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    trajectory = sample(tiny_spec, B=3, T=7, H=policy.config.chunk_size)
    if name != "learned":  # a bias of zeros would hide a wrong one
        torch.nn.init.normal_(policy.relative.ages)  # pyright: ignore[reportOptionalMemberAccess]

    seen: list[torch.Tensor] = []
    decode = policy.head.decode
    monkeypatch.setattr(
        policy.head, "decode", lambda predicted, *rest: (seen.append(predicted), decode(predicted, *rest))[1]
    )
    roll(policy, trajectory)
    torch.testing.assert_close(torch.stack(seen, dim=1), predictions(policy, trajectory), rtol=1e-5, atol=1e-5)


def test_cache_grows_past_its_first_capacity(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.attention.cache import FIRST_CAPACITY

    policy = configure().build(tiny_spec, tiny_statistics).eval()
    trajectory = sample(tiny_spec, B=2, T=FIRST_CAPACITY + 3)
    best = policy.head.decode(predictions(policy, trajectory)[:, :, 0], Decoding(), [])
    assert (best == roll(policy, trajectory)).float().mean() > 0.98  # near ties may round either way


@pytest.mark.parametrize("name", ["relative", "window", "learned"])
def test_environments_reset_at_different_times_equal_separate_rollouts(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.trajectory import Observation

    policy = configure(**VARIANTS[name], decoding=Decoding(temperature=1.0)).build(tiny_spec, tiny_statistics).eval()
    resets = [(3, 0), (4, 2), (6, 1), (6, 2)]  # timestep of the reset, environment
    T = 9
    source = sample(tiny_spec, B=3, T=T)
    instructions = list(source.instructions)
    state = policy.start(instructions, [10, 11, 12])
    started, seeds, acted = [0, 0, 0], [10, 11, 12], []

    def alone(env: int, start: int, end: int, seed: int, instruction: str) -> torch.Tensor:
        own = policy.start([instruction], [seed])
        actions = []
        for t in range(start, end):
            states = {key: values[env : env + 1, t] for key, values in source.states.items()}
            previous = source.actions[env : env + 1, t - 1]
            action, own = policy.act(own, Observation(states=states, images={}, previous_action=previous))
            actions.append(action[0])
        return torch.stack(actions)

    segments = []
    for t in range(T):
        now = [env for when, env in resets if when == t]
        for env in now:
            segments.append((env, started[env], t, seeds[env], instructions[env]))
            started[env], seeds[env], instructions[env] = t, 100 + t + env, tiny_spec.instructions[(t + env) % 2]
        if now:
            marked = torch.zeros(3, dtype=torch.bool)
            marked[now] = True
            envs = marked.nonzero()[:, 0].tolist()
            state = policy.reset(state, marked, [instructions[s] for s in envs], [seeds[s] for s in envs])
        states = {key: values[:, t] for key, values in source.states.items()}
        action, state = policy.act(
            state, Observation(states=states, images={}, previous_action=source.actions[:, t - 1])
        )
        acted.append(action)
    segments += [(env, started[env], T, seeds[env], instructions[env]) for env in range(3)]
    together = torch.stack(acted, dim=1)
    assert len(segments) == 7
    for env, start, end, seed, instruction in segments:
        torch.testing.assert_close(together[env, start:end], alone(env, start, end, seed, instruction))


@pytest.mark.parametrize("name", VARIANTS)
def test_padding_changes_no_loss(name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    """Padding is timesteps after the end, with any numbers, and the padded prompt."""
    policy = configure(**VARIANTS[name]).build(tiny_spec, tiny_statistics).eval()
    H = policy.config.chunk_size
    short = sample(tiny_spec, B=1, T=3, H=H)
    junk = sample(tiny_spec, B=1, T=6, H=H, seed=9)
    padded = replace(
        junk,
        states={key: torch.cat([short.states[key], junk.states[key][:, 3:]], dim=1) for key in short.states},
        actions=torch.cat([short.actions, junk.actions[:, short.actions.shape[1] :]], dim=1),
        valid=torch.arange(6)[None] < 3,
        action_valid=torch.arange(6 + H - 1)[None] < 3 + H - 1,
    )
    torch.testing.assert_close(policy.loss(padded).behavior_cloning, policy.loss(short).behavior_cloning)
    assert policy.loss(padded).count == policy.loss(short).count == 3 * H * len(tiny_spec.actions)


@pytest.mark.parametrize("name", VARIANTS)
def test_batched_equals_single(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", tiny_trajectory: "Trajectory"
) -> None:
    policy = configure(**VARIANTS[name]).build(tiny_spec, tiny_statistics).eval()
    trajectory = sample(tiny_spec, B=3, T=4, H=policy.config.chunk_size)
    together = predictions(policy, trajectory)
    for b in range(3):
        single = replace(
            trajectory,
            instructions=trajectory.instructions[b : b + 1],
            states={key: values[b : b + 1] for key, values in trajectory.states.items()},
            valid=trajectory.valid[b : b + 1],
            actions=trajectory.actions[b : b + 1],
            action_valid=trajectory.action_valid[b : b + 1],
        )
        torch.testing.assert_close(predictions(policy, single)[0], together[b], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["learned", "relative", "window", "window of one"])
def test_a_prediction_depends_neither_on_the_future_nor_on_its_own_action(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = configure(**VARIANTS[name]).build(tiny_spec, tiny_statistics).eval().double()
    T, at = 5, 2
    trajectory = sample(tiny_spec, B=1, T=T)
    trajectory = replace(
        trajectory,
        states={key: values.double() for key, values in trajectory.states.items()},
        actions=trajectory.actions.double(),
    )
    before = predictions(policy, trajectory)
    other = sample(tiny_spec, B=1, T=T, seed=5)
    actions = trajectory.actions.clone()
    actions[:, at:] = other.actions[:, at:]
    states = {key: values.clone() for key, values in trajectory.states.items()}
    for key in states:
        states[key][:, at + 1 :] = other.states[key][:, at + 1 :]
    after = predictions(policy, replace(trajectory, states=states, actions=actions))
    assert torch.equal(after[:, : at + 1], before[:, : at + 1])
    assert not torch.equal(after[:, at + 1 :], before[:, at + 1 :])


def test_encoding_does_not_depend_on_the_queries(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = configure().build(tiny_spec, tiny_statistics).eval()
    trajectory = sample(tiny_spec, B=2, T=3)
    before = policy.encode(trajectory)
    assert policy.queries is not None
    torch.nn.init.normal_(policy.queries)
    for part, again in zip(before, policy.encode(trajectory), strict=True):
        assert torch.equal(part, again)
    assert before[0].shape == (2, 3, 2, 32)
    assert before[1].shape == (2, 3, 5, 32)


def with_all_and_with_one_of_four_actions(spec: "TrajectorySpec", statistics: "Statistics") -> "tuple[Astra, Astra]":
    """Build two policies of equal weights, the second of which learns from one action of a chunk at a time."""
    full = configure(chunk_size=4).build(spec, statistics)
    some = configure(chunk_size=4, chunk_sample=1).build(spec, statistics)
    torch.nn.init.normal_(full.head.weight)
    some.load_state_dict(full.state_dict())
    return full, some


def test_a_sampled_chunk_trains_some_actions_and_is_the_full_loss_on_average(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    full, some = with_all_and_with_one_of_four_actions(tiny_spec, tiny_statistics)
    trajectory = sample(tiny_spec, B=2, T=3, H=4)
    costs = torch.stack([some.loss(trajectory).behavior_cloning.detach() for _ in range(40)])
    assert len(costs.unique()) == 4  # one for each action of the chunk
    torch.testing.assert_close(costs.unique().mean(), full.loss(trajectory).behavior_cloning.detach())


def test_a_chunk_is_executed_for_n_action_steps(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    config = configure(chunk_size=3, decoding=Decoding(n_action_steps=2))
    policy = config.build(tiny_spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    trajectory = sample(tiny_spec, B=2, T=5, H=3)
    chunks = policy.head.decode(predictions(policy, trajectory).flatten(0, 1), Decoding(), []).unflatten(0, (2, 5))
    expected = torch.stack([chunks[:, 0, 0], chunks[:, 0, 1], chunks[:, 2, 0], chunks[:, 2, 1], chunks[:, 4, 0]], dim=1)
    torch.testing.assert_close(roll(policy, trajectory), expected)


def test_in_evaluation_all_actions_of_a_chunk_count_and_no_draw_is_of_actions_that_do_not_exist(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    full, some = with_all_and_with_one_of_four_actions(tiny_spec, tiny_statistics)
    trajectory = sample(tiny_spec, B=2, T=3, H=4)
    for _ in range(3):
        found, expected = (policy.eval().loss(trajectory).behavior_cloning for policy in (some, full))
        torch.testing.assert_close(found, expected)
    last = sample(tiny_spec, B=2, T=1, H=4)
    last = replace(last, action_valid=torch.arange(4).expand(2, -1) < 1)
    assert {int(some.train().loss(last).count) for _ in range(12)} == {2 * 5}


def test_a_reset_in_the_middle_of_a_chunk_predicts_a_new_one(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    config = configure(chunk_size=3, decoding=Decoding(n_action_steps=3))
    policy = config.build(tiny_spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    trajectory = sample(tiny_spec, B=2, T=3, H=3)
    state = policy.start(trajectory.instructions, [0, 1])
    for t in range(2):
        _, state = policy.act(state, at(trajectory, t))
    state = policy.reset(state, torch.tensor([False, True]), trajectory.instructions[1:], [1])
    together, _ = policy.act(state, at(trajectory, 2))
    fresh, _ = policy.act(policy.start(trajectory.instructions, [0, 1]), at(trajectory, 2))
    torch.testing.assert_close(together[1], fresh[1])
    torch.testing.assert_close(together[0], roll(policy, trajectory)[0, 2])


def test_equal_seeds_sample_equal_actions_and_other_seeds_other_ones(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = configure(decoding=Decoding(temperature=1.0)).build(tiny_spec, tiny_statistics).eval()
    one = sample(tiny_spec, B=1, T=4)
    twice = replace(
        one,
        instructions=one.instructions * 2,
        states={name: values.repeat(2, 1, 1) for name, values in one.states.items()},
        valid=one.valid.repeat(2, 1),
        actions=one.actions.repeat(2, 1, 1),
        action_valid=one.action_valid.repeat(2, 1),
    )
    first, second = roll(policy, twice)  # with the seeds 0 and 1
    assert not torch.equal(first, second)
    assert torch.equal(roll(policy, twice)[1], second)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_relative_actions_move_with_their_reference_state(
    actions: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    """With constant state tokens, absolute actions move with the reference state, except the grip."""
    options = {} if actions == "discrete" else dict(actions=actions)
    policy = (
        configure(reference_state="observation.state", window=1, **options).build(tiny_spec, tiny_statistics).eval()
    )
    torch.nn.init.normal_(policy.head.weight, std=0.1)
    for weight in policy.states.parameters():
        torch.nn.init.zeros_(weight)
    trajectory = sample(tiny_spec, B=1, T=2)
    shift = torch.tensor([0.1, -0.2, 0.3, 0.05, 0.7])
    states = {**trajectory.states, "observation.state": torch.stack([torch.zeros(1, 5), shift[None]], dim=1)}
    states["observation.state"][..., 2] += 2  # the bounds of the third dimension are 0 and 4
    first, second = roll(policy, replace(trajectory, states=states)).unbind(1)
    bounds = torch.tensor(tiny_spec.actions.low), torch.tensor(tiny_spec.actions.high)
    expected = (first + shift * torch.tensor([1, 1, 1, 1, 0])).clamp(*bounds)
    inside = (first > bounds[0]) & (first < bounds[1])
    assert inside[:, :4].any()
    inside[:, 4] = True
    torch.testing.assert_close(second[inside], expected[inside], rtol=0, atol=1e-5)


def test_instruction_reaches_the_action(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = configure().build(tiny_spec, tiny_statistics).eval()
    trajectory = sample(tiny_spec, B=1, T=2)
    predicted = [predictions(policy, replace(trajectory, instructions=(text,))) for text in tiny_spec.instructions]
    assert not torch.allclose(predicted[0], predicted[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(positions="learned", window=3), "window needs positions='relative'"),
        (dict(chunk_size=2, decoding=3), "between 1 and the chunk size 2, got 3"),
        (dict(actions="continuous", soft_labels=1.0), "soft_labels=1.0"),
        (dict(reference_state="observation.hand"), "relative to 'observation.hand'; .* observation.state"),
    ],
)
def test_contradicting_options_are_refused(
    options: dict[str, object], message: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:

    if "decoding" in options:
        options = options | {"decoding": Decoding(n_action_steps=options["decoding"])}  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=message):
        configure(**options).build(tiny_spec, tiny_statistics)


def test_too_few_actions_for_a_chunk_are_refused(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = configure(chunk_size=4).build(tiny_spec, tiny_statistics)
    with pytest.raises(ValueError, match="need 6 actions, got 3: make windows with chunk_size=4"):
        policy.loss(sample(tiny_spec, B=1, T=3))


def test_a_gripper_that_always_follows_its_state_is_still_learned(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    """Its difference to the state is constant, but a binary action is no difference."""
    relative = tiny_statistics.relative_actions["observation.state"]
    still = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    relative = replace(relative, mean=relative.mean * still, min=relative.min * still, max=relative.max * still)
    statistics = replace(tiny_statistics, relative_actions={"observation.state": relative})
    policy = configure(reference_state="observation.state").build(tiny_spec, statistics)
    assert policy.actions.varies.tolist() == [True] * 5
    gripper = replace(tiny_statistics.actions, min=torch.zeros(5), max=still)
    policy = configure(reference_state="observation.state").build(tiny_spec, replace(statistics, actions=gripper))
    assert policy.actions.varies.tolist() == [True] * 4 + [False]
