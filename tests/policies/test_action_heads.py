"""Heads over bins: how near bins, the ends of a circle and constant dimensions are treated."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from astra.policies.decoding import Decoding

if TYPE_CHECKING:
    from astra.policies.action_heads import ActionHead
    from astra.tokenizers.actions import ContinuousActions, DiscreteActions
    from astra.trajectory import Statistics, TrajectorySpec

WIDTH = 16


def spec_and_statistics() -> "tuple[TrajectorySpec, Statistics]":
    """Bins 5 and 8; the second dimension is an angle, the third is 0.4 throughout the data."""
    from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

    spec = TrajectorySpec(
        states={},
        actions=ActionSpec(
            names=("x", "angle", "always"),
            low=(0.0, -math.pi, -1.0),
            high=(1.0, math.pi, 1.0),
            periodic=(False, True, False),
            bins=(5, 8, 4),
        ),
    )
    actions = VectorStatistics(
        mean=torch.tensor([0.5, 0.0, 0.4]),
        std=torch.tensor([0.2, 1.0, 1.0]),
        min=torch.tensor([0.0, -3.0, 0.4]),
        max=torch.tensor([1.0, 3.0, 0.4]),
    )
    return spec, Statistics(states={}, actions=actions)


def make(soft_labels: float = 0.0, **options: object) -> "tuple[DiscreteActions, ActionHead]":
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import DiscreteActionsConfig

    actions = DiscreteActionsConfig(**options).build(*spec_and_statistics(), WIDTH)  # pyright: ignore[reportArgumentType]
    return actions, build_head(actions, WIDTH, soft_labels)


def test_every_dimension_has_its_own_bins_and_decodes_to_their_centers():
    actions, head = make()
    assert actions.counts.tolist() == [5, 8, 4]
    assert actions.description == "discrete, 4 or 5 or 8 bins per dimension"
    values = torch.tensor([[0.31, 0.1, 0.4], [0.99, -3.1, 0.4]])
    bins = actions.bins(values)
    assert bins.tolist() == [[1, 4, 2], [4, 0, 2]]
    torch.testing.assert_close(
        actions.centers(bins), torch.tensor([[0.3, math.pi / 8, 0.25], [0.9, -math.pi * 7 / 8, 0.25]])
    )
    scores = torch.zeros(2, 1, 3, 8).scatter(-1, bins[:, None, :, None], 5.0)
    torch.testing.assert_close(head.decode(scores, Decoding(), [])[:, 0], actions.centers(bins))


def test_the_mean_of_the_bins_goes_around_a_circle_the_shorter_way_and_keeps_two_values_apart():
    mean = Decoding(bin_value="mean")
    actions, head = make(bins=(4, 8, 4))
    scores = torch.full((1, 1, 3, 8), -30.0)
    scores[0, 0, 0, :4] = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    scores[0, 0, 1, [0, 6, 7]] = torch.tensor([0.5, 0.2, 0.3]).log()
    expected = [0.1 * 0.125 + 0.2 * 0.375 + 0.3 * 0.625 + 0.4 * 0.875, math.pi * (-7 / 8 - 0.7 / 4 + 2), 0.25]
    torch.testing.assert_close(head.decode(scores, mean, [])[0, 0], torch.tensor(expected), atol=1e-5, rtol=0)
    actions, head = make(bins=(2, 8, 4))
    scores[0, 0, 0, :2] = torch.tensor([0.45, 0.55]).log()
    assert head.decode(scores, mean, [])[0, 0, 0] == 0.75
    torch.testing.assert_close(head.decode(scores, Decoding(), [])[0, 0, 1], actions.first_center[1])


def test_a_mean_is_not_sampled():
    with pytest.raises(ValueError, match=r"decoding.bin_value=mean needs temperature 0: a temperature of 0.5 samples"):
        Decoding(temperature=0.5, bin_value="mean").check(1)


def test_numbers_of_bins_can_be_chosen():
    assert make(bins=7)[0].counts.tolist() == [7, 7, 7]
    assert make(bins=(2, 3, 4))[0].counts.tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match=r"got 2 numbers of bins, \(2, 3\), for the 3 action dimensions x, angle, alw"):
        make(bins=(2, 3))


def test_an_angle_outside_of_its_bounds_wraps_around():
    actions, _ = make()
    angles = torch.tensor([-3.0, 0.2, 3.0])
    around = torch.stack([torch.full((3,), 0.5), angles + 2 * math.pi, torch.full((3,), 0.4)], dim=-1)
    inside = torch.stack([torch.full((3,), 0.5), angles, torch.full((3,), 0.4)], dim=-1)
    assert torch.equal(actions.bins(around), actions.bins(inside))


def test_soft_labels_of_an_angle_go_around_and_those_of_a_position_do_not():
    _, head = make(soft_labels=1.0)
    at_the_edge = torch.tensor([[0.01, -math.pi + 0.01, 0.4]])
    scores = torch.zeros(8, 1, 3, 8)
    for bin_ in range(8):
        scores[bin_, 0, :, bin_] = 10.0
    losses = torch.cat([head.loss(s, at_the_edge) for s in scores])
    assert losses[7, 1] == pytest.approx(losses[0, 1].item(), rel=0.05)  # the neighbors of the edge
    assert losses[4, 1] > losses[6, 1] > losses[7, 1]
    assert losses[4, 0] > losses[2, 0] > losses[1, 0] > losses[0, 0]


def test_a_constant_dimension_costs_nothing_and_decodes_to_the_center_of_its_bin():
    actions, head = make()
    assert head.varies.tolist() == [True, True, False]
    scores = torch.randn(4, 1, 3, 8)
    decoded = head.decode(scores, Decoding(temperature=1.0), [torch.Generator().manual_seed(s) for s in range(4)])
    assert decoded[:, 0, 2].tolist() == [0.25] * 4
    target = torch.tensor([[[0.2, 1.0, 0.4]]]).expand(4, 1, 3)
    assert head.loss(scores, target)[..., 2].abs().max() == 0
    assert actions.bin_possible.sum(1).tolist() == [5, 8, 1]


def test_a_draw_of_zero_takes_no_bin_that_is_impossible(monkeypatch: pytest.MonkeyPatch):
    _, head = make()
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.zeros(*shape))
    decoded = head.decode(torch.zeros(1, 1, 3, 8), Decoding(temperature=1.0), [torch.Generator()])
    torch.testing.assert_close(decoded[0, 0], torch.tensor([0.1, -math.pi * 7 / 8, 0.25]))


def test_continuous_constants_are_decoded_exactly():
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import ContinuousActionsConfig

    actions = ContinuousActionsConfig().build(*spec_and_statistics(), WIDTH)
    head = build_head(actions, WIDTH, 0.0)
    decoded = head.decode(torch.randn(4, 1, 3, 1), Decoding(), [])
    torch.testing.assert_close(decoded[:, 0, 2], torch.full((4,), 0.4))


@pytest.mark.parametrize("loss", ["smooth-l1", "huber"])
def test_the_seam_of_a_continuous_angle_is_a_place_like_any_other(loss: Any) -> None:
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import ContinuousActionsConfig

    actions = ContinuousActionsConfig(loss=loss).build(*spec_and_statistics(), WIDTH)
    head = build_head(actions, WIDTH, 0.0)
    shown, moved = torch.tensor([[0.5, 0.4, 0.4], [0.5, 3.1, 0.4]]), torch.tensor([0.0, 0.06, 0.0])
    predicted = ((shown + moved - actions.shift) / actions.scale)[..., None].requires_grad_()
    around = shown.where(shown < 3, shown - 2 * math.pi)  # the same angles, within and beyond the bounds
    losses = head.loss(predicted, around)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-6)
    losses.sum().backward()
    assert predicted.grad is not None
    assert (predicted.grad[:, 1] > 0).all(), "both are to turn back"
    near = predicted.detach() - torch.tensor([0.0, 0.05, 0.0])[:, None] / actions.scale[:, None]
    assert head.correct(near, around)[:, 1].tolist() == [True, True]
    decoded = head.decode(predicted.detach()[:, None], Decoding(), [])[:, 0, 1]
    torch.testing.assert_close(decoded, torch.tensor([0.46, 3.16 - 2 * math.pi]))


@pytest.mark.parametrize(("quadratic_below", "learned"), [(0.01, 1.0), (100.0, 0.75)])
def test_continuous_actions_learn_the_median_or_the_mean(quadratic_below: float, learned: float) -> None:
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import ContinuousActionsConfig

    actions = ContinuousActionsConfig(quadratic_below=quadratic_below).build(*spec_and_statistics(), WIDTH)
    head = build_head(actions, WIDTH, 0.0)
    shown = torch.zeros(4, 1, 3)
    shown[1:, :, 0] = 1.0  # three of four demonstrations do 1, one does 0
    values = torch.linspace(-0.5, 1.5, 201)
    targets = actions.normalize(values[:, None, None].expand(201, 1, 3))
    losses = [head.loss(value.expand(4, 1, 3)[..., None], shown)[..., 0].mean() for value in targets]
    assert values[int(torch.stack(losses).argmin())] == pytest.approx(learned, abs=0.011)


def test_hubers_loss_is_half_the_squared_error_and_leaves_binary_dimensions_as_they_are():
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import ContinuousActionsConfig

    spec, statistics = spec_and_statistics()
    spec = replace(spec, actions=replace(spec.actions, periodic=(False,) * 3, binary=(False, False, True)))
    predicted, shown = torch.randn(4, 1, 3, 1), torch.zeros(4, 1, 3)
    losses, errors = [], torch.empty(0)
    for config in (
        ContinuousActionsConfig(quadratic_below=10.0),
        ContinuousActionsConfig(quadratic_below=10.0, loss="huber"),
    ):
        actions = config.build(spec, statistics, WIDTH)
        losses.append(build_head(actions, WIDTH, 0.0).loss(predicted, shown))
        errors = predicted[..., 0] - actions.normalize(shown)
    smooth, huber = losses
    binary = torch.tensor(spec.actions.binary)
    torch.testing.assert_close(huber[..., ~binary], errors[..., ~binary] ** 2 / 2)
    torch.testing.assert_close(huber[..., ~binary], 10 * smooth[..., ~binary])
    assert torch.equal(huber[..., binary], smooth[..., binary])


def test_the_loss_of_a_policy_leaves_constant_dimensions_out(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.trajectory import Trajectory

    actions = tiny_statistics.actions
    constant = replace(tiny_statistics, actions=replace(actions, max=torch.cat([actions.min[:1], actions.max[1:]])))
    policy = AstraConfig(layers=1, heads=2, width=16).build(tiny_spec, constant).eval()
    B, T, N = 2, 3, len(tiny_spec.actions)
    trajectory = Trajectory(
        instructions=tiny_spec.instructions,
        states={name: torch.zeros(B, T, size) for name, size in tiny_spec.states.items()},
        images={},
        valid=torch.ones(B, T, dtype=torch.bool),
        actions=torch.zeros(B, T, N),
        action_valid=torch.ones(B, T, dtype=torch.bool),
    )
    losses = policy.loss(trajectory)
    assert int(losses.count) == B * T * (N - 1)
    losses.behavior_cloning.backward()
    assert policy.head.weight.grad is not None
    assert policy.head.weight.grad[0].abs().max() == 0
    assert policy.head.weight.grad[1].abs().max() > 0


def test_waves_of_an_angle_close_and_those_of_a_position_do_not():
    from astra.tokenizers.bin_values import waves

    actions, _ = make()
    features = waves(actions.counts, actions.periodic, actions.num_bins, 1)
    circle = features[1]
    steps = (circle - circle.roll(1, dims=0)).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand(8))
    line = features[0, :5]
    assert (line[0] - line[4]).norm() > 2 * (line[0] - line[1]).norm()


def test_fourier_heads_find_positions_that_plain_heads_do_not():
    """Neighboring bins share weights, so that a head over many bins learns faster."""
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import DiscreteActionsConfig
    from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

    spec = TrajectorySpec(states={}, actions=ActionSpec(names=("x",), low=(0.0,), high=(1.0,), bins=(100,)))
    ends = VectorStatistics(
        mean=torch.tensor([0.5]), std=torch.tensor([0.3]), min=torch.tensor([0.0]), max=torch.tensor([1.0])
    )
    losses = {}
    for frequencies in (0, 16):
        torch.manual_seed(0)
        actions = DiscreteActionsConfig(head_frequencies=frequencies).build(
            spec, Statistics(states={}, actions=ends), 64
        )
        head = build_head(actions, 64, 0.0)
        embed = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.GELU(), torch.nn.Linear(64, 64))
        optimizer = torch.optim.Adam([*head.parameters(), *embed.parameters()], lr=3e-3)
        loss = torch.tensor(0.0)
        for _ in range(200):
            x = torch.rand(128, 1)
            loss = head.loss(head(embed(2 * x[:, None] - 1)), x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[frequencies] = loss.item()
    assert losses[16] < losses[0] - 0.5


def test_an_angle_beyond_its_bounds_has_the_soft_labels_of_the_same_angle_within() -> None:
    _, head = make(soft_labels=1.0)
    predicted = torch.randn(1, 1, 3, 8)
    inside, beyond = torch.tensor([[[0.3, 0.4 - math.pi, 0.4]]]), torch.tensor([[[0.3, 0.4 + math.pi, 0.4]]])
    torch.testing.assert_close(head.loss(predicted, beyond), head.loss(predicted, inside))


def test_the_mean_of_the_bins_of_an_angle_lies_within_its_bounds() -> None:
    actions, head = make()
    predicted = torch.full((1, 1, 3, 8), -9.0)
    predicted[0, 0, 1, 7], predicted[0, 0, 1, 0] = 5.0, 4.9  # about the seam, from the last bin on
    mean = head.decode(predicted, Decoding(bin_value="mean"), [torch.Generator()])[0, 0, 1]
    assert -math.pi <= mean <= math.pi
    assert abs(abs(float(mean)) - math.pi) < 0.1
    assert actions.periodic.tolist() == [False, True, False]


def test_a_low_temperature_sharpens_the_distribution_and_a_high_one_flattens_it() -> None:
    _, head = make()
    scores = torch.zeros(400, 1, 3, 8)
    scores[..., 0, 2] = 1.0
    shares, temperatures = [], (0.2, 1.0, 5.0)
    for temperature in temperatures:
        generators = [torch.Generator().manual_seed(seed) for seed in range(400)]
        chosen = head.decode(scores, Decoding(temperature=temperature), generators)[:, 0, 0]
        shares.append((chosen == 0.5).float().mean().item())
    expected = [math.exp(1 / each) / (math.exp(1 / each) + 4) for each in temperatures]
    assert shares == pytest.approx(expected, abs=0.08)


def labels_of_the_first_dimension(head: "ActionHead", value: float, bins: int) -> torch.Tensor:
    """Return the labels that a loss compares with equal scores: its gradient is the difference of the two."""
    scores = torch.zeros(1, 3, 8, requires_grad=True)
    head.loss(scores, torch.tensor([[value, 0.0, 0.4]]))[0, 0].backward()
    assert scores.grad is not None
    return torch.full((bins,), 1 / bins) - scores.grad[0, 0, :bins]


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_soft_labels_are_a_gaussian_of_that_deviation_in_bins(deviation: float) -> None:
    _, head = make(soft_labels=deviation)
    expected = torch.softmax(-((torch.arange(5) - 2.0) ** 2) / (2 * deviation**2), dim=0)
    torch.testing.assert_close(labels_of_the_first_dimension(head, 0.5, 5), expected)


def test_a_dimension_of_two_values_has_hard_labels() -> None:
    _, head = make(soft_labels=1.0, bins=(2, 8, 4))
    torch.testing.assert_close(labels_of_the_first_dimension(head, 0.1, 2), torch.tensor([1.0, 0.0]))


def continuous_with_gripper() -> "tuple[ContinuousActions, ActionHead]":
    """Build continuous actions whose first dimension is binary."""
    from astra.policies.action_heads import build_head
    from astra.tokenizers.actions import ContinuousActionsConfig

    spec, statistics = spec_and_statistics()
    spec = replace(spec, actions=replace(spec.actions, periodic=(False,) * 3, binary=(True, False, False)))
    actions = ContinuousActionsConfig().build(spec, statistics, WIDTH)
    return actions, build_head(actions, WIDTH, 0.0)


def test_a_gripper_of_continuous_actions_takes_the_likelier_of_its_two_values() -> None:
    _, head = continuous_with_gripper()
    logits = torch.tensor([-0.3, -0.1, 0.1, 0.3])[:, None, None, None].expand(4, 1, 3, 1)
    assert head.decode(logits, Decoding(), [])[:, 0, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("share", "right"), [(0.005, True), (0.02, False)])
def test_a_continuous_action_is_right_within_a_hundredth_of_its_range(share: float, right: bool) -> None:
    actions, head = continuous_with_gripper()
    shown = torch.tensor([[[0.0, 0.0, 0.4]]])
    value = actions.normalize(shown + torch.tensor([0.0, share * 2 * math.pi, 0.0]))
    assert bool(head.correct(value[..., None], shown)[0, 0, 1]) == right
