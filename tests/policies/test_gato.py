"""Gato: its likelihood, and the equality with Astra without its two ideas."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.pictured import INSTRUCTIONS, VIEWS, at, rows, sample

if TYPE_CHECKING:
    from astra.policies.gato import Gato
    from astra.trajectory import Statistics, TrajectorySpec

SIZE: dict[str, Any] = dict(layers=2, heads=2, width=32)


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from astra.objects import ObjectSpec

    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)


@pytest.fixture
def gato(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> "Gato":
    from astra.policies.gato import GatoConfig

    policy = GatoConfig(**SIZE).build(spec, tiny_statistics).eval()
    with torch.no_grad():
        policy.head.weight.normal_()
        policy.actions.embedding.weight.normal_()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        policy.relative.ages.normal_()  # pyright: ignore[reportOptionalMemberAccess]
    return policy


def test_astra_without_trajectory_attention_and_action_queries_is_gato(
    gato: "Gato", spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig

    ablated = AstraConfig(**SIZE, trajectory_attention=False, action_queries=False).build(spec, tiny_statistics).eval()
    ablated.load_state_dict(gato.state_dict())
    trajectory = sample(spec)
    assert torch.equal(ablated.loss(trajectory).behavior_cloning, gato.loss(trajectory).behavior_cloning)
    one, other = (policy.start(trajectory.instructions, range(3), trajectory.pictures) for policy in (ablated, gato))
    for t in range(4):
        left, one = ablated.act(one, at(trajectory, t))  # pyright: ignore[reportArgumentType]
        right, other = gato.act(other, at(trajectory, t))  # pyright: ignore[reportArgumentType]
        assert torch.equal(left, ablated.within_bounds(right))


def test_it_begins_with_the_weights_of_gato_too(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.policies.astra import AstraConfig
    from astra.policies.gato import GatoConfig

    weights = []
    for config in (AstraConfig(**SIZE, trajectory_attention=False, action_queries=False), GatoConfig(**SIZE)):
        torch.manual_seed(7)
        weights.append(config.build(spec, tiny_statistics).state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_with_either_idea_astra_is_another_function(
    gato: "Gato", spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig

    trajectory = sample(spec)
    costs = [gato.loss(trajectory).behavior_cloning]
    without: list[dict[str, Any]] = [dict(action_queries=False), dict(trajectory_attention=False), {}]
    for options in without:
        policy = AstraConfig(**SIZE, **options).build(spec, tiny_statistics).eval()
        policy.load_state_dict(gato.state_dict(), strict=False)
        costs.append(policy.loss(trajectory).behavior_cloning)
    assert len({round(float(cost.detach()), 4) for cost in costs}) == 4


def test_where_the_mean_is_executed_later_dimensions_see_the_most_likely_bins_before(
    gato: "Gato", spec: "TrajectorySpec"
) -> None:
    from astra.policies.decoding import Decoding, seeded_generators
    from astra.policies.readout import outputs_before_dimensions

    trajectory = sample(spec)

    def act() -> torch.Tensor:
        return gato.act(gato.start(trajectory.instructions, range(3), trajectory.pictures), at(trajectory, 0))[0]

    likely = act()
    gato.decode_with(Decoding(bin_value="mean"))
    means = act()
    actions = torch.cat([likely[:, None], trajectory.actions[:, 1:]], dim=1)
    predicted = gato.head(outputs_before_dimensions(gato, replace(trajectory, actions=actions))[:, 0])
    expected = gato.head.decode(predicted[:, None], gato.decoding, seeded_generators(range(3)))[:, 0]
    torch.testing.assert_close(means, gato.within_bounds(expected))
    assert not torch.allclose(means, likely)


def test_an_action_is_as_likely_as_its_dimensions_one_after_the_other(
    gato: "Gato", spec: "TrajectorySpec", monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory = rows(sample(spec, T=3), slice(0, 3))
    dimension = 0
    scores: list[torch.Tensor] = []
    chosen = trajectory.actions

    def follow(predicted: torch.Tensor, *_: object) -> torch.Tensor:
        """Choose the trajectory's action and record its likelihood."""
        nonlocal dimension
        t, n = divmod(dimension, 5)
        cost = gato.head.loss(predicted[:, 0], chosen[:, t])
        scores.append(cost[:, n])
        dimension += 1
        return chosen[:, t][:, None]

    monkeypatch.setattr(gato.head, "decode", follow)
    state = gato.start(trajectory.instructions, range(3), trajectory.pictures)
    for t in range(3):
        _, state = gato.act(state, at(trajectory, t))
    one_by_one = torch.stack(scores, dim=1).unflatten(1, (3, 5))
    from astra.policies.readout import outputs_before_dimensions

    together = gato.head.loss(gato.head(outputs_before_dimensions(gato, trajectory)), chosen)
    torch.testing.assert_close(one_by_one, together, rtol=0, atol=1e-4)


def test_a_later_dimension_depends_on_an_earlier_one(gato: "Gato", spec: "TrajectorySpec") -> None:
    from astra.policies.readout import outputs_before_dimensions

    trajectory = sample(spec, T=2)
    actions = trajectory.actions.clone()
    actions[:, 0, 1] = -actions[:, 0, 1] + 0.5
    before = outputs_before_dimensions(gato, trajectory)
    after = outputs_before_dimensions(gato, replace(trajectory, actions=actions))
    assert torch.equal(after[:, 0, :2], before[:, 0, :2])
    assert ((after - before)[:, 0, 2:].abs().amax(-1) > 1e-4).all()  # of each later dimension


@torch.no_grad()
def test_a_later_dimension_depends_on_an_earlier_one_where_past_actions_are_hidden(
    spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.gato import GatoConfig
    from astra.policies.readout import outputs_before_dimensions

    gato = GatoConfig(**SIZE, drop_past_actions=1.0).build(spec, tiny_statistics).eval()
    gato.actions.embedding.weight.normal_()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    trajectory = sample(spec, T=2)
    actions = trajectory.actions.clone()
    actions[:, 0, 1] = -actions[:, 0, 1] + 0.5
    before, after = (
        outputs_before_dimensions(gato, replace(trajectory, actions=each)) for each in (trajectory.actions, actions)
    )
    assert torch.equal(after[:, 0, :2], before[:, 0, :2])
    assert ((after - before)[:, 0, 2:].abs().amax(-1) > 1e-4).all()
    assert torch.equal(after[:, 1], before[:, 1])


def test_the_tokens_of_a_choice_do_not_outlive_the_executed_action(gato: "Gato", spec: "TrajectorySpec") -> None:
    """Only the executed action counts, not the chosen one."""
    trajectory = sample(spec, T=3)
    state = gato.start(trajectory.instructions, range(3), trajectory.pictures)
    _, state = gato.act(state, at(trajectory, 0))
    state.cache.keys[0][:, :, gato.sizes.prompt + gato.sizes.state :] += 5  # where the choice lies
    spoiled, _ = gato.act(state, at(trajectory, 1))
    state = gato.start(trajectory.instructions, range(3), trajectory.pictures)
    _, state = gato.act(state, at(trajectory, 0))
    clean, _ = gato.act(state, at(trajectory, 1))
    assert torch.equal(spoiled, clean)
