"""Diffusion: what attends to noisy tokens, and the equality of acting and training."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.pictured import at
from tests.policies.test_astra import sample
from tests.policies.test_contract import roll, sharpen

if TYPE_CHECKING:
    from astra.policies.diffusion import Diffusion
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

VARIANTS: dict[str, dict[str, Any]] = {
    "discrete": {},
    "continuous": {},
    "window": dict(window=2),
    "learned": dict(positions="learned"),
    "recency, actions hidden": dict(positions="recency", drop_past_actions=1.0),
}


def build(name: str, spec: "TrajectorySpec", statistics: "Statistics", **options: Any) -> "Diffusion":
    from astra.policies.diffusion import DiffusionConfig
    from astra.tokenizers.actions import ContinuousActionsConfig

    if name == "continuous":
        options["actions"] = ContinuousActionsConfig()
    options = dict(layers=2, heads=2, width=32, denoising_steps=10) | VARIANTS[name] | options
    return DiffusionConfig(**options).build(spec, statistics)


@pytest.mark.parametrize("name", ["discrete", "continuous"])
def test_only_later_dimensions_of_the_same_action_attend_to_noisy_tokens(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = build(name, tiny_spec, tiny_statistics).eval()
    trajectory = sample(tiny_spec, B=2, T=3)
    step = torch.tensor([[3, 9, 5], [0, 1, 2]])
    noisy, _ = policy.noise.corrupt(trajectory.actions, step, torch.rand(2, 3, 5, 2))
    other = noisy.clone()
    other[:, 1, 2] = (noisy[:, 1, 2] == 0).to(noisy.dtype)
    before, after = (policy.outputs(trajectory, x, step) for x in (noisy, other))
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert torch.equal(before[:, 1, :2], after[:, 1, :2])
    assert ((before - after)[:, 1, 2:].abs().amax(-1) > 1e-6).all()


def test_noisy_tokens_do_not_attend_to_their_own_clean_action(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = build("discrete", tiny_spec, tiny_statistics).eval()
    trajectory, other = sample(tiny_spec, B=2, T=3), sample(tiny_spec, B=2, T=3, seed=1)
    step = torch.full((2, 3), 4)
    noisy, _ = policy.noise.corrupt(trajectory.actions, step, torch.rand(2, 3, 5, 2))
    actions = torch.cat([trajectory.actions[:, :1], other.actions[:, 1:2], trajectory.actions[:, 2:]], dim=1)
    before = policy.outputs(trajectory, noisy, step)
    after = policy.outputs(replace(trajectory, actions=actions), noisy, step)
    assert torch.equal(before[:, :2], after[:, :2])
    assert ((before - after)[:, 2].abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_cached_denoising_equals_the_full_forward(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = build(name, tiny_spec, tiny_statistics).eval()
    sharpen(policy)
    trajectory = sample(tiny_spec, B=3, T=5)
    steps = (7, 2)
    draws = torch.rand(3, 5, 5, 2)
    noisy = [policy.noise.corrupt(trajectory.actions, torch.full((3, 5), step), draws)[0] for step in steps]
    expected = [policy.outputs(trajectory, x, torch.full((3, 5), step)) for x, step in zip(noisy, steps, strict=True)]

    state = policy.start(trajectory.instructions, range(3))
    for t in range(5):
        seen: list[torch.Tensor] = []

        def record(denoise: Any, *_: Any, t: int = t, seen: list[torch.Tensor] = seen) -> torch.Tensor:
            seen += [denoise(x[:, t], step) for x, step in zip(noisy, steps, strict=True)]
            return trajectory.actions[:, t]

        monkeypatch.setattr(policy.noise, "sample", record)
        policy.act(state, at(trajectory, t))
        for got, full in zip(seen, expected, strict=True):
            torch.testing.assert_close(got, full[:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["discrete", "continuous"])
def test_one_batch_is_learned_and_sampled_again(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    """Under fixed noise the loss falls to a twentieth, and sampled actions equal the demonstrated ones."""
    policy = build(name, tiny_spec, tiny_statistics)
    trajectory = sample(tiny_spec, B=2, T=2)
    many = repeated(trajectory, 8)  # so that an update sees more than one noise of each action
    first = policy.eval().loss(many).behavior_cloning.item()
    optimizer = torch.optim.Adam(policy.train().parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 120)
    for _ in range(120):
        cost = policy.loss(many).behavior_cloning
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        schedule.step()
    losses = policy.eval().loss(many)
    assert losses.behavior_cloning.item() < 0.05 * first
    low, high = torch.tensor(tiny_spec.actions.low), torch.tensor(tiny_spec.actions.high)
    distance = (roll(policy, trajectory) - trajectory.actions).abs() / (high - low)
    if name == "discrete":
        assert distance.max() < 0.0051  # half a bin, of 100
        assert losses.metrics["action_accuracy"] == 1
    else:
        assert distance.mean() < 0.1  # from a third before


def repeated(trajectory: "Trajectory", times: int) -> "Trajectory":
    return replace(
        trajectory,
        instructions=trajectory.instructions * times,
        states={name: values.repeat(times, 1, 1) for name, values in trajectory.states.items()},
        actions=trajectory.actions.repeat(times, 1, 1),
        valid=trajectory.valid.repeat(times, 1),
        action_valid=trajectory.action_valid.repeat(times, 1),
    )


def test_noise_is_the_same_in_each_evaluation_and_new_in_training(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = build("discrete", tiny_spec, tiny_statistics)
    trajectory = sample(tiny_spec, B=2, T=3)
    one, two = (policy.eval().loss(trajectory) for _ in range(2))
    assert torch.equal(one.behavior_cloning, two.behavior_cloning)
    assert set(one.metrics) == {"action_accuracy"}
    three, four = (policy.train().loss(trajectory) for _ in range(2))
    assert not torch.equal(three.behavior_cloning, four.behavior_cloning)
    assert not three.metrics


@pytest.mark.parametrize("name", ["discrete", "continuous"])
def test_a_constant_dimension_is_left_alone(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    actions = tiny_statistics.actions
    mean, low, high = (values.clone() for values in (actions.mean, actions.min, actions.max))
    mean[1] = low[1] = high[1] = 0.5
    constant = replace(tiny_statistics, actions=replace(actions, mean=mean, min=low, max=high))
    policy = build(name, tiny_spec, constant).eval()
    trajectory = sample(tiny_spec, B=2, T=2)
    drawn = roll(policy, trajectory)
    assert ((drawn[..., 1] - 0.5).abs() < 0.021).all()
    assert int(policy.loss(trajectory).count) == 2 * 2 * 4


def test_steps_that_do_not_fit_are_refused(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    for steps in (0, 11):
        with pytest.raises(
            ValueError,
            match=r"between 1 and denoising_steps|decoding_steps must be at least 1 and at most 10,000, got 0",
        ):
            build("discrete", tiny_spec, tiny_statistics, decoding_steps=steps)


def test_a_loss_of_last_timesteps_counts_the_last_real_one_of_each_trajectory(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = build("discrete", tiny_spec, tiny_statistics).eval()
    valid = torch.arange(3) < torch.tensor([[3], [2]])
    trajectory = replace(sample(tiny_spec, B=2, T=3), valid=valid, action_valid=valid, last_timestep_only=True)
    assert int(policy.loss(trajectory).count) == 2 * 5
