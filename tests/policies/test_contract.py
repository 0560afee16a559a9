"""The contract that every policy keeps, tested for all of them.

A new policy needs an entry in `CONFIGS`; its own test file tests the rest. RT-1, which sees cameras and no objects, has
all of its tests in its own file.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.pictured import INSTRUCTIONS, VIEWS, at, objects_of, rows, sample

if TYPE_CHECKING:
    from astra.policies.policy import Policy, PolicyConfig
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

SMALL = dict(layers=2, heads=2, width=32)
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "astra": ("astra", {}),
    "astra, window": ("astra", dict(window=2)),
    "astra, queries alone": ("astra", dict(trajectory_attention=False)),
    "astra, mask alone": ("astra", dict(action_queries=False)),
    "astra, neither": ("astra", dict(action_queries=False, trajectory_attention=False)),
    "gato": ("gato", {}),
    "gato, window": ("gato", dict(window=2)),
    "gato, one token per action": ("gato", dict(action_tokens="one")),
    "gato, one token and a window of one": ("gato", dict(action_tokens="one", window=1)),
    "gato, VIMA's blocks": ("gato", dict(block="vima")),
    "decision transformer": ("decision-transformer", {}),
    "decision transformer, learned positions": ("decision-transformer", dict(positions="learned")),
    "vima": ("vima", {}),
    "vima, learned positions": ("vima", dict(positions="learned")),
    "vima, window": ("vima", dict(window=2)),
    "flamingo": ("flamingo", {}),
    "flamingo, gates": ("flamingo", dict(gates=True)),
    "diffusion": ("diffusion", dict(denoising_steps=4)),
    "diffusion, window": ("diffusion", dict(denoising_steps=4, window=2, transition="absorbing")),
    "diffusion, continuous": ("diffusion", dict(denoising_steps=4, actions="continuous")),
}
"""Name of the policy in `POLICIES`, and the options that differ from its defaults."""


def configure(name: str, **more: Any) -> "PolicyConfig":
    from astra.policies import POLICIES
    from astra.tokenizers.actions import ContinuousActionsConfig

    kind, options = CONFIGS[name]
    if options.get("actions") == "continuous":
        options = options | dict(actions=ContinuousActionsConfig())
    return POLICIES[kind](**SMALL, **options, **more)


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from astra.objects import ObjectSpec

    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)


@pytest.fixture(params=CONFIGS)
def policy(request: pytest.FixtureRequest, spec: "TrajectorySpec", tiny_statistics: "Statistics") -> "Policy[Any]":
    policy = configure(request.param).build(spec, tiny_statistics).eval()
    sharpen(policy)
    return policy


def sharpen(policy: "Policy[Any]") -> None:
    """Make weights and position biases so large that inputs clearly change outputs."""
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if name.startswith("head") or "ages" in name:
                parameter.normal_()


def roll(policy: "Policy[Any]", trajectory: "Trajectory", seed: int = 0) -> torch.Tensor:
    """Return the actions that a rollout chooses for a trajectory's observations, (B, T, N); seeds count from `seed`."""
    seeds = range(seed, seed + len(trajectory.instructions))
    state = policy.start(trajectory.instructions, seeds, trajectory.pictures)
    chosen = []
    for t in range(trajectory.num_timesteps):
        action, state = policy.act(state, at(trajectory, t))
        chosen.append(action)
    return torch.stack(chosen, dim=1)


def cost_of_each(policy: "Policy[Any]", trajectory: "Trajectory") -> torch.Tensor:
    """Return the loss of each trajectory alone."""
    B = len(trajectory.instructions)
    return torch.stack([policy.loss(rows(trajectory, slice(b, b + 1))).behavior_cloning for b in range(B)])


def test_a_loss_is_finite_and_counts_the_valid_entries(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    losses = policy.loss(trajectory)
    assert torch.isfinite(losses.behavior_cloning)
    assert int(losses.count) == 3 * 5 * 5
    valid = trajectory.valid.clone()
    valid[0, 2:] = False
    shorter = replace(trajectory, valid=valid, action_valid=valid)
    assert int(policy.loss(shorter).count) == 2 * 5 * 5 + 2 * 5


def test_the_loss_of_a_batch_is_the_mean_over_its_trajectories(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    together = policy.loss(trajectory).behavior_cloning
    torch.testing.assert_close(together, cost_of_each(policy, trajectory).mean(), rtol=1e-4, atol=1e-4)


def test_padding_changes_nothing(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    short = rows(trajectory, slice(0, 3), until=3)
    valid = trajectory.valid.clone()
    valid[:, 3:] = False
    noise = replace(trajectory, valid=valid, action_valid=valid)
    torch.testing.assert_close(
        policy.loss(noise).behavior_cloning, policy.loss(short).behavior_cloning, rtol=1e-5, atol=1e-5
    )


def test_crops_and_boxes_of_hidden_objects_change_nothing(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    changed = {}
    for name, view in trajectory.objects.items():
        noise = objects_of(*view.valid.shape, generator=torch.Generator().manual_seed(9))
        crops = torch.where(view.valid[..., None, None, None], view.crops, noise.crops)
        boxes = torch.where(view.valid[..., None], view.boxes, noise.boxes)
        changed[name] = replace(view, crops=crops, boxes=boxes)
    spoiled = replace(trajectory, objects=changed)
    assert torch.equal(policy.loss(spoiled).behavior_cloning, policy.loss(trajectory).behavior_cloning)
    assert torch.equal(roll(policy, spoiled), roll(policy, trajectory))


def test_no_action_is_learned_from_later_states_or_actions(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec, T=4)
    early = torch.arange(4).expand_as(trajectory.valid) < 3
    generator = torch.Generator().manual_seed(5)
    states = {name: values.clone() for name, values in trajectory.states.items()}
    for values in states.values():
        values[:, 3:] = 3 * torch.randn(values[:, 3:].shape, generator=generator)
    actions = trajectory.actions.clone()
    actions[:, 3:] = trajectory.actions[:, 3:].flip(0)
    costs = []
    for changed in (trajectory, replace(trajectory, states=states, actions=actions)):
        torch.manual_seed(0)  # of the noise of diffusion
        costs.append(policy.loss(replace(changed, action_valid=early)).behavior_cloning)
    assert torch.equal(*costs)


@pytest.mark.parametrize("name", ["astra", "gato", "vima", "flamingo, gates", "decision transformer"])
@torch.no_grad()
def test_dropout_acts_in_training_only(name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = configure(name, dropout=0.5).build(spec, tiny_statistics)
    for part, weight in policy.named_parameters():
        if "gates" in part:
            weight.fill_(1.0)
    trajectory = sample(spec)
    first, second = (policy.eval().loss(trajectory).behavior_cloning for _ in range(2))
    assert torch.equal(first, second)
    third, fourth = (policy.train().loss(trajectory).behavior_cloning for _ in range(2))
    assert not torch.equal(third, fourth)


def test_the_last_actions_are_learned_from_the_first_states_unless_a_window_hides_them(
    policy: "Policy[Any]", spec: "TrajectorySpec"
) -> None:
    trajectory = sample(spec, T=4)
    last = torch.zeros_like(trajectory.valid)
    last[:, 3] = True
    states = {name: values.clone() for name, values in trajectory.states.items()}
    for values in states.values():
        values[:, 0] = 3 * torch.randn(values[:, 0].shape, generator=torch.Generator().manual_seed(5))
    costs = []
    for shown in (trajectory.states, states):
        torch.manual_seed(0)  # of the noise of diffusion
        costs.append(policy.loss(replace(trajectory, states=shown, action_valid=last)).behavior_cloning)
    assert torch.equal(*costs) == (policy.config.window is not None)


def test_acting_batched_equals_acting_alone(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    together = roll(policy, trajectory)
    for b in range(3):
        alone = roll(policy, rows(trajectory, slice(b, b + 1)), seed=b)
        torch.testing.assert_close(alone, together[b : b + 1], rtol=0, atol=1e-4)


def test_a_reset_environment_acts_like_a_new_one_and_leaves_the_others_unchanged(
    policy: "Policy[Any]", spec: "TrajectorySpec"
) -> None:
    trajectory = sample(spec)
    assert trajectory.pictures is not None
    alone = rows(trajectory, slice(1, 2))
    state = policy.start(trajectory.instructions, range(3), trajectory.pictures)
    for t in range(2):
        _, state = policy.act(state, at(trajectory, t))
    where = torch.tensor([False, True, False])
    state = policy.reset(state, where, alone.instructions, [1], alone.pictures)
    fresh, kept = roll(policy, alone, seed=1), roll(policy, trajectory)
    mixed = at(trajectory, 2)
    first = at(trajectory, 0)
    objects = {}
    for name, view in mixed.objects.items():
        parts = {field: getattr(view, field).clone() for field in ("crops", "boxes", "valid")}
        for field, values in parts.items():
            values[1] = getattr(first.objects[name], field)[1]
        objects[name] = replace(view, **parts)
    for name, values in mixed.states.items():
        values[1] = first.states[name][1]
    action, _ = policy.act(state, replace(mixed, objects=objects))
    torch.testing.assert_close(action[1], fresh[0, 0], rtol=0, atol=1e-4)
    torch.testing.assert_close(action[[0, 2]], kept[[0, 2], 2], rtol=0, atol=1e-4)


def test_acting_is_in_float32_whatever_surrounds_it(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec, B=2, T=2)
    expected = roll(policy, trajectory)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(roll(policy, trajectory), expected)
    with pytest.raises(ValueError, match=r"weights are torch.bfloat16, .*: call policy.float\(\)"):
        policy.to(torch.bfloat16).start(trajectory.instructions, range(2), trajectory.pictures)


def test_resetting_no_environment_leaves_all_as_they_are(policy: "Policy[Any]", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec, B=2, T=2)
    expected = roll(policy, trajectory)
    state = policy.start(trajectory.instructions, range(2), trajectory.pictures)
    for t in range(2):
        action, state = policy.act(state, at(trajectory, t))
        assert torch.equal(action, expected[:, t])
        state = policy.reset(state, torch.zeros(2, dtype=torch.bool), [], [])


def test_starting_and_acting_refuse_other_numbers_of_environments(
    policy: "Policy[Any]", spec: "TrajectorySpec"
) -> None:
    trajectory = sample(spec, B=2, T=2)
    texts, pictures = trajectory.instructions, trajectory.pictures
    with pytest.raises(ValueError, match="a list with one text per environment, got a text"):
        policy.start(texts[0], [0], pictures)
    with pytest.raises(ValueError, match="got 2 instructions and 1 seeds"):
        policy.start(texts, [0], pictures)
    with pytest.raises(ValueError, match="got no instructions"):
        policy.start([], [])
    state = policy.start(texts, [0, 1], pictures)
    with pytest.raises(ValueError, match="1 environments are to be reset, got 2 instructions"):
        policy.reset(state, torch.tensor([True, False]), texts, [0, 1], pictures)
    with pytest.raises(ValueError, match="2 rollouts were started, and the observation is one of 1 environments"):
        policy.act(state, at(rows(trajectory, slice(0, 1)), 0))


def test_an_empty_instruction_is_pointed_out_unless_it_was_one_of_training(
    spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = configure("astra").build(replace(spec, objects=None, instructions=("go", "stop")), tiny_statistics).eval()
    with pytest.warns(UserWarning, match="an instruction is empty, and the policy was trained on none like it"):
        policy.start(["go", " "], [0, 1])
    policy = configure("astra").build(replace(spec, objects=None, instructions=("go", "")), tiny_statistics).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy.start(["go", ""], [0, 1])


def test_a_policy_is_saved_and_loaded(policy: "Policy[Any]", spec: "TrajectorySpec", tmp_path: Path) -> None:
    from astra.policies.checkpoint import load_policy, save_policy

    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    trajectory = sample(spec)
    assert loaded.config == policy.config
    assert torch.equal(loaded.loss(trajectory).behavior_cloning, policy.loss(trajectory).behavior_cloning)
    assert torch.equal(roll(loaded, trajectory), roll(policy, trajectory))


LEARNED = [name for name, (_, options) in CONFIGS.items() if not {"window", "actions"} & set(options)]
"""Configurations whose loss has no Gaussian noise; the others have their own tests."""


@pytest.mark.parametrize("name", LEARNED)
def test_one_batch_is_learned(name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = configure(name).build(spec, tiny_statistics).train()
    trajectory = sample(spec, T=2)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    first = policy.loss(trajectory).behavior_cloning.item()
    for _ in range(50):
        cost = policy.loss(trajectory).behavior_cloning
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    assert policy.loss(trajectory).behavior_cloning.item() < 0.05 * first
