from dataclasses import replace

import pytest
import torch

from astra.contrastive_dynamics.perturbation import ActionPerturbation
from astra.policies.astra import AstraConfig
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

SPEC = TrajectorySpec(
    states={"hand": 5},
    actions=ActionSpec(
        names=("x", "fine", "angle", "still", "grip"),
        low=(-1.0, -1.0, -3.0, 0.0, 0.0),
        high=(1.0, 1.0, 3.0, 1.0, 1.0),
        binary=(False, False, False, False, True),
        periodic=(False, False, True, False, False),
        bins=(10, 200, 60, 10, 2),
    ),
)
STATISTICS = Statistics(
    states={"hand": VectorStatistics(mean=torch.zeros(5), std=torch.ones(5), min=-torch.ones(5), max=torch.ones(5))},
    actions=VectorStatistics(
        mean=torch.tensor([0.0, 0.0, 0.0, 0.5, 0.4]),
        std=torch.tensor([0.5, 0.4, 2.0, 1.0, 0.5]),
        min=torch.tensor([-1.0, -1.0, -3.0, 0.5, 0.0]),
        max=torch.tensor([1.0, 1.0, 3.0, 0.5, 1.0]),
    ),
)


def perturbation(share: float = 0.1, actions: object = None) -> ActionPerturbation:
    config = AstraConfig(layers=1, heads=1, width=8, actions=actions or DiscreteActionsConfig())  # pyright: ignore[reportArgumentType]
    return ActionPerturbation(config.build(SPEC, STATISTICS), share)


def test_noise_is_a_share_of_the_deviation_of_the_data_and_at_least_one_bin() -> None:
    # one bin of x is 0.2, of fine 0.01 and of angle 0.1; still never varies, and grip is binary
    torch.testing.assert_close(perturbation().deviation, torch.tensor([0.2, 0.04, 0.2, 0.0, 0.0]))
    continuous = perturbation(actions=ContinuousActionsConfig()).deviation
    torch.testing.assert_close(continuous, torch.tensor([0.05, 0.04, 0.2, 0.0, 0.0]))


def test_noise_has_that_deviation_and_leaves_binary_and_constant_dimensions_alone() -> None:
    actions = torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0]).expand(20_000, 5)
    moved = perturbation()(actions)
    assert torch.equal(moved[:, 3:], actions[:, 3:])
    torch.testing.assert_close(moved[:, :3].std(0), torch.tensor([0.2, 0.04, 0.2]), rtol=0.03, atol=0.0)


def test_actions_stay_in_their_bounds_and_an_angle_goes_around() -> None:
    actions = torch.tensor([1.0, -1.0, 2.99, 0.5, 0.0]).expand(1000, 5)
    moved = perturbation()(actions)
    low, high = torch.tensor(SPEC.actions.low), torch.tensor(SPEC.actions.high)
    assert ((moved >= low) & (moved <= high)).all()
    assert (moved[:, 0] == 1.0).float().mean() == pytest.approx(0.5, abs=0.06)
    assert (moved[:, 2] < -2).any()
    assert (moved[:, 2] > 2).any()


def test_actions_measured_from_a_vector_are_perturbed_by_the_deviation_of_what_is_measured() -> None:
    relative = replace(STATISTICS.actions, std=torch.tensor([0.1, 1.0, 1.0, 1.0, 0.5]))
    statistics = replace(STATISTICS, relative_actions={"hand": relative})
    spec = replace(SPEC, actions=replace(SPEC.actions, bins=()))
    policy = AstraConfig(layers=1, heads=1, width=8, reference_state="hand").build(spec, statistics)
    assert ActionPerturbation(policy, 0.5).deviation[1] == 0.5
