from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from astra.tokenizers.actions import ContinuousActions, ContinuousActionsConfig, DiscreteActions, DiscreteActionsConfig
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

WIDTH = 8
BOUNDS = st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(0.0625, 1e3, width=32)).map(lambda x: (x[0], x[0] + x[1]))


def spec_of(*bounds: tuple[float, float], binary: tuple[bool, ...] = ()) -> TrajectorySpec:
    names = tuple("abcdef"[: len(bounds)])
    low = tuple(float(low) for low, _ in bounds)
    high = tuple(float(high) for _, high in bounds)
    return TrajectorySpec(states={}, actions=ActionSpec(names=names, low=low, high=high, binary=binary))


def statistics_of(spec: TrajectorySpec) -> Statistics:
    low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    actions = VectorStatistics(mean=low + 0.3 * (high - low), std=(high - low) / 5, min=low, max=high)
    return Statistics(states={}, actions=actions)


def discrete(spec: TrajectorySpec, bins: int) -> DiscreteActions:
    return DiscreteActionsConfig(bins=bins).build(spec, statistics_of(spec), WIDTH)


def continuous(spec: TrajectorySpec) -> ContinuousActions:
    return ContinuousActionsConfig().build(spec, statistics_of(spec), WIDTH)


@given(BOUNDS, st.integers(2, 300), st.floats(0, 1))
def test_a_decoded_value_is_within_half_a_bin(bounds: tuple[float, float], bins: int, share: float):
    low, high = bounds
    actions = discrete(spec_of(bounds), bins)
    value = torch.tensor([low + share * (high - low)])
    half_a_bin = (high - low) / bins / 2
    rounding = 4 * torch.finfo(torch.float32).eps * max(abs(low), abs(high))
    assert (actions.centers(actions.bins(value)) - value).abs().item() <= half_a_bin + rounding


@given(BOUNDS, st.integers(2, 100))
def test_the_center_of_every_bin_lies_in_that_bin(bounds: tuple[float, float], bins: int):
    actions = discrete(spec_of(bounds), bins)
    every_bin = torch.arange(bins)[:, None]
    assert torch.equal(actions.bins(actions.centers(every_bin)), every_bin)


def test_bins_at_the_edges_and_outside_of_the_bounds():
    actions = discrete(spec_of((-1, 1), (0, 512)), bins=4)
    values = torch.tensor([[-1, 0], [-0.5, 128], [0.99, 511], [1, 512], [-7, -1], [1e9, torch.inf]])
    assert actions.bins(values).tolist() == [[0, 0], [1, 1], [3, 3], [3, 3], [0, 0], [3, 3]]
    assert actions.centers(torch.tensor([[0, 0], [3, 3]])).tolist() == [[-0.75, 64], [0.75, 448]]


def test_a_binary_dimension_has_two_bins_that_decode_to_its_bounds():
    actions = discrete(spec_of((-1, 1), (-1, 1), binary=(False, True)), bins=10)
    values = torch.tensor([[-1.0, -1.0], [-0.1, -0.1], [0.1, 0.1], [1.0, 1.0]])
    assert actions.bins(values)[:, 1].tolist() == [0, 0, 1, 1]
    assert actions.centers(actions.bins(values))[:, 1].tolist() == [-1, -1, 1, 1]
    assert actions.bin_exists.sum(1).tolist() == [10, 2]
    assert actions.bin_exists[1, :2].all()


def test_every_dimension_and_bin_has_an_embedding_of_its_own():
    spec = spec_of((0, 1), (0, 1), (0, 1), binary=(False, True, False))
    actions = discrete(spec, bins=5)
    every_bin = torch.arange(5)[:, None].expand(5, 3)
    tokens = actions(actions.centers(every_bin.minimum(actions.counts - 1)))
    distinct = {tuple(token.tolist()) for token in tokens.flatten(0, 1)}
    assert tokens.shape == (5, 3, WIDTH)
    assert len(distinct) == 5 + 2 + 5 == actions.embedding.num_embeddings


def test_tokens_equal_a_loop_over_dimensions():
    spec = spec_of((0, 1), (-1, 1), (0, 9), binary=(False, True, False))
    actions = discrete(spec, bins=5)
    values = torch.rand(2, 4, 3)
    assert isinstance(actions.embedding, torch.nn.Embedding)
    tables = actions.embedding.weight.split([5, 2, 5])
    expected = torch.stack([table[actions.bins(values)[..., i]] for i, table in enumerate(tables)], dim=-2)
    assert torch.equal(actions(values), expected)


@pytest.mark.parametrize("make", [lambda spec: discrete(spec, bins=7), continuous])
def test_a_token_depends_on_its_own_dimension_only(
    make: Callable[[TrajectorySpec], DiscreteActions | ContinuousActions],
):
    actions = make(spec_of((-1, 1), (-2, 2), (0, 5)))
    values = torch.rand(2, 3, 3)
    changed = values.clone()
    changed[1, 2, 0] = -0.9
    differs = (actions(values) != actions(changed)).any(-1)
    assert differs.nonzero().tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("make", [lambda spec: discrete(spec, bins=7), continuous])
def test_gradient_reaches_every_parameter(make: Callable[[TrajectorySpec], DiscreteActions | ContinuousActions]):
    actions = make(spec_of((-1, 1), (-1, 1), binary=(False, True)))
    actions(torch.rand(2, 3, 2)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in actions.parameters())


@pytest.mark.parametrize("make", [lambda spec: discrete(spec, bins=7), continuous])
def test_bounds_and_statistics_are_no_weights(make: Callable[[TrajectorySpec], DiscreteActions | ContinuousActions]):
    assert all("weight" in name or name in {"direction", "offset"} for name in make(spec_of((0, 1))).state_dict())


def test_fewer_than_two_bins_are_refused():
    with pytest.raises(ValueError, match="at least 2 bins"):
        DiscreteActionsConfig(bins=1)


@given(BOUNDS, st.floats(0, 1))
def test_continuous_values_come_back(bounds: tuple[float, float], share: float):
    low, high = bounds
    actions = continuous(spec_of(bounds))
    value = torch.tensor([low + share * (high - low)])
    rounding = 1e-5 * (high - low) + 4 * torch.finfo(torch.float32).eps * max(abs(low), abs(high))
    assert torch.allclose(actions.denormalize(actions.normalize(value)), value, rtol=0, atol=rounding)


def test_continuous_values_are_normalized_by_the_statistics_and_clamped_to_the_bounds():
    spec = spec_of((0, 10))
    actions = continuous(spec)
    assert actions.normalize(torch.tensor([[3.0], [5.0]])).tolist() == [[0], [1]]
    assert actions.denormalize(torch.tensor([[1e3], [-1e3], [1.0]])).tolist() == [[10], [0], [5]]


def test_a_binary_dimension_is_learned_as_0_or_1():
    actions = continuous(spec_of((-1, 1), (-1, 1), binary=(True, False)))
    assert actions.normalize(torch.tensor([[-1.0, 0], [-0.2, 0], [0.2, 0], [1.0, 0]]))[:, 0].tolist() == [0, 0, 1, 1]
    assert actions.denormalize(torch.tensor([[0.4, 0], [0.6, 0], [9.0, 0]]))[:, 0].tolist() == [-1, 1, 1]
    assert actions.binary.tolist() == [True, False]


def with_spike(**more: torch.Tensor) -> tuple[TrajectorySpec, Statistics]:
    """Return data between -1 and 1 in which one reading of the first dimension is 10,000."""
    spec = spec_of((-1, 1e4), (-1, 1))
    quantiles = dict(low_quantile=torch.tensor([-0.99, -0.99]), high_quantile=torch.tensor([0.99, 0.99]))
    return spec, Statistics(states={}, actions=replace(statistics_of(spec).actions, **quantiles | more))


SPIKED = torch.linspace(-1, 1, 1001)[:, None].repeat(1, 2)
SPIKED[17, 0] = 1e4


def test_an_outlier_is_reported_with_the_share_of_the_outermost_bins_and_quantiles_leave_it_out():
    spec, statistics = with_spike()
    plain = DiscreteActionsConfig().build(spec, statistics, WIDTH)
    ((dimension, text),) = plain.outliers(SPIKED).items()
    assert text.startswith(f"action dimension {plain.names[dimension]!r}")
    assert "action dimension 'a' has outliers" in text
    assert "between -1 and 10000, but 99.8 % of them between -0.998 and 1, where 1 of 100 bins" in text
    assert "100.0% of all values lie in the two outermost bins" in text
    robust = DiscreteActionsConfig(range="quantiles").build(spec, statistics, WIDTH)
    assert robust.outliers(SPIKED) == {}
    low, high, spike = robust.bins(torch.tensor([[-0.9, 0.0], [0.9, 0.0], [1e4, 0.0]]))[:, 0].tolist()
    assert (low, high, spike) == (4, 95, 99)


def test_bounds_that_are_declared_wider_than_the_data_are_no_outliers():
    spec, statistics = with_spike(max=torch.tensor([1.0, 1.0]))
    plain = DiscreteActionsConfig().build(spec, statistics, WIDTH)
    assert plain.outliers(SPIKED[:, 1:].repeat(1, 2)) == {}
    assert plain.outliers(SPIKED[10:19]) == {}  # too few to tell


def test_nearly_constant_and_binary_dimensions_keep_their_bounds():
    spec, statistics = with_spike(low_quantile=torch.tensor([0.5, 0.0]), high_quantile=torch.tensor([0.5, 0.0]))
    spec = replace(spec, actions=replace(spec.actions, binary=(False, True)))
    actions = DiscreteActionsConfig(range="quantiles").build(spec, statistics, WIDTH)
    assert (actions.low.tolist(), actions.high.tolist()) == ([-1.0, -1.0], [1e4, 1.0])
    gripper = (torch.arange(1001) == 500).float()
    assert actions.outliers(torch.stack([0 * gripper + 0.5, gripper], dim=1)) == {}


def test_quantiles_that_are_missing_are_refused():
    spec = spec_of((-1, 1))
    with pytest.raises(ValueError, match="needs the quantiles of the data, but the statistics have none"):
        DiscreteActionsConfig(range="quantiles").build(spec, statistics_of(spec), WIDTH)


def test_a_dimension_that_uses_a_hundredth_of_its_range_varies_and_one_that_is_rounded_does_not():
    spec = spec_of((0, 1), (0, 1), (0, 1))
    found = statistics_of(spec)
    used = replace(found.actions, min=torch.full((3,), 0.5), max=0.5 + torch.tensor([0.01, 1e-6, 0.0]))
    actions = DiscreteActionsConfig(bins=4).build(spec, replace(found, actions=used), WIDTH)
    assert actions.varies.tolist() == [True, False, False]


def test_angles_keep_their_bounds_where_bins_lie_between_quantiles():
    spec, statistics = with_spike()
    spec = replace(spec, actions=replace(spec.actions, periodic=(False, True)))
    actions = DiscreteActionsConfig(range="quantiles").build(spec, statistics, WIDTH)
    assert (float(actions.low[1]), float(actions.high[1])) == (-1.0, 1.0)
    assert float(actions.high[0]) == pytest.approx(0.99)
