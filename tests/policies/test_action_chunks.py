"""Relative actions: the seam of a circle is a place like any other, and a gripper keeps its two values."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astra.datasets import DatasetWriter, Episode, LeRobotDataset, compute_statistics
from astra.policies.action_chunks import relative_to, within_bounds
from astra.policies.astra import Astra, AstraConfig
from astra.tokenizers.actions import DiscreteActions, DiscreteActionsConfig
from astra.trajectory import ActionSpec, Observation, Statistics, Trajectory, TrajectorySpec

SPEC = ActionSpec(names=("side", "turn"), low=(-1.0, -math.pi), high=(1.0, math.pi), periodic=(False, True))


def wrapped(angles: np.ndarray) -> np.ndarray:
    return (angles + math.pi) % (2 * math.pi) - math.pi


@pytest.fixture
def dataset(tmp_path: Path) -> LeRobotDataset:
    """An arm that turns around three times, by 0.05 to 0.15 rad per timestep."""
    random = np.random.default_rng(0)
    angles = wrapped(random.uniform(0.05, 0.15, 200).cumsum())
    both = np.stack([random.uniform(-1, 1, 200), angles], axis=1).astype(np.float32)
    with DatasetWriter(tmp_path / "data", fps=10.0, actions=SPEC) as writer:
        columns = {"observation.state": both[:-1], "action": both[1:]}
        writer.add(Episode(instruction="keep turning", columns=columns, fps=10.0))
    return LeRobotDataset.open(tmp_path / "data")


@pytest.fixture
def astra(dataset: LeRobotDataset) -> Astra:
    config = AstraConfig(layers=1, heads=1, width=8, reference_state="observation.state")
    return config.build(dataset.spec, compute_statistics(dataset, reference_state="observation.state")).eval()


def test_a_turn_across_the_seam_is_a_small_difference() -> None:
    reference, action = torch.tensor([0.5, 3.1]), torch.tensor([-0.5, -3.1])
    torch.testing.assert_close(relative_to(reference, action, SPEC), torch.tensor([-1.0, 2 * math.pi - 6.2]))
    torch.testing.assert_close(relative_to(action, reference, SPEC), torch.tensor([1.0, 6.2 - 2 * math.pi]))


def test_actions_beyond_the_seam_come_back_and_the_others_are_clamped() -> None:
    found = within_bounds(torch.tensor([[3.0, 3.2], [-3.0, -3.2], [0.3, 0.7]]), SPEC)
    expected = torch.tensor([[1.0, 3.2 - 2 * math.pi], [-1.0, 2 * math.pi - 3.2], [0.3, 0.7]])
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[2], expected[2])


def test_differences_that_are_not_periodic_stay_as_they_are() -> None:
    plain = replace(SPEC, periodic=(False, False))
    reference, action = torch.randn(7, 2), torch.randn(7, 2)
    assert torch.equal(relative_to(reference, action, plain), action - reference)


def test_statistics_and_bins_span_the_turns_of_the_data(dataset: LeRobotDataset, astra: Astra) -> None:
    turns = astra.action_statistics
    assert 0.04 < turns.min[1] < turns.max[1] < 0.16
    state, action = (torch.from_numpy(np.array(dataset.columns[name])) for name in ("observation.state", "action"))
    tokenizer = astra.actions
    assert isinstance(tokenizer, DiscreteActions)
    bins = tokenizer.bins(relative_to(state, action, SPEC))
    decoded = within_bounds(tokenizer.centers(bins) + state, SPEC)
    assert relative_to(action, decoded, SPEC)[:, 1].abs().max() < 1e-3


def test_training_and_acting_see_the_same_small_turn(astra: Astra) -> None:
    """Two trajectories that differ in nothing but the place on the circle have the same loss and the same turns."""

    def trajectory(angle: float) -> Trajectory:
        angles = torch.from_numpy(wrapped(angle + 0.1 * np.arange(5))).float()
        both = torch.stack([torch.zeros(5), angles], dim=1)[None]
        real = torch.ones(1, 4, dtype=torch.bool)
        states = {"observation.state": both[:, :-1]}
        return Trajectory(
            instructions=("keep turning",), states=states, images={}, valid=real, actions=both[:, 1:], action_valid=real
        )

    with torch.no_grad():
        for weight in astra.states.parameters():
            weight.zero_()  # the policy is blind, so that only actions can tell the two apart
    there, seam = trajectory(0.0), trajectory(math.pi - 0.25)
    torch.testing.assert_close(astra.loss(there).behavior_cloning, astra.loss(seam).behavior_cloning)
    turns = []
    for shown in (there, seam):
        state = astra.start(shown.instructions, seeds=[0])
        for t in range(4):
            now = shown.states["observation.state"][:, t]
            before = shown.actions[:, max(t - 1, 0)]
            action, state = astra.act(
                state, Observation(states={"observation.state": now}, images={}, previous_action=before)
            )
            turns.append(relative_to(now, action, SPEC)[0, 1])
    torch.testing.assert_close(torch.stack(turns[:4]), torch.stack(turns[4:]), atol=1e-5, rtol=0)


def test_a_gripper_that_rarely_closes_keeps_its_two_values(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics
) -> None:
    absolute = tiny_statistics.actions
    mean, std = absolute.mean.clone(), absolute.std.clone()
    mean[4], std[4] = 0.01, 0.1  # closed in one of a hundred timesteps
    statistics = replace(tiny_statistics, actions=replace(absolute, mean=mean, std=std))
    config = AstraConfig(layers=1, heads=1, width=8, reference_state="observation.state")
    actions = config.build(tiny_spec, statistics).actions
    assert isinstance(actions, DiscreteActions)
    assert (float(actions.low[4]), float(actions.high[4])) == (0.0, 1.0)
    assert actions.bins(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.3]))[4] == 0


@pytest.mark.parametrize("bins", [10, 25])
def test_an_action_that_always_equals_its_reference_leaves_the_robot_where_it_is(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics, bins: int
) -> None:
    """Half a bin at every timestep would be a drift."""
    relative = tiny_statistics.relative_actions["observation.state"]
    moves = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
    still = replace(relative, mean=relative.mean * moves, min=relative.min * moves, max=relative.max * moves)
    statistics = replace(tiny_statistics, relative_actions={"observation.state": still})
    config = AstraConfig(
        layers=1,
        heads=1,
        width=8,
        reference_state="observation.state",
        actions=DiscreteActionsConfig(bins=bins),
    )
    policy = config.build(tiny_spec, statistics).eval()
    assert policy.actions.varies.tolist() == [False, True, True, True, True]
    state, place = policy.start(["stop now"], [0]), torch.tensor([[0.25, 0.0, 1.0, 0.0, 0.0]])
    action = torch.zeros(1, 5)
    for _ in range(20):
        seen = {"observation.state": place, "observation.environment_state": torch.zeros(1, 7)}
        action, state = policy.act(state, Observation(states=seen, images={}, previous_action=action))
        place = torch.cat([action[:, :1], place[:, 1:]], dim=1)
    assert abs(float(place[0, 0]) - 0.25) < 1e-3
