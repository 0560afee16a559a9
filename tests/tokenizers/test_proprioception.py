import math

import pytest
import torch

from astra.tokenizers.proprioception import ProprioceptionConfig, VectorTokenizer, fourier_features
from astra.trajectory import VectorStatistics


@pytest.fixture
def statistics() -> VectorStatistics:
    return VectorStatistics(
        mean=torch.tensor([100.0, 0.0, 7.0]),
        std=torch.tensor([50.0, 0.1, 1.0]),
        min=torch.tensor([0.0, -1.0, 7.0]),
        max=torch.tensor([512.0, 1.0, 7.0]),
    )


def build(statistics: VectorStatistics, frequencies: int = 0) -> VectorTokenizer:
    return ProprioceptionConfig(frequencies=frequencies).build(statistics, 16)


@pytest.mark.parametrize("frequencies", [0, 4])
@pytest.mark.parametrize("batch", [(), (2,), (2, 5)])
def test_one_token_per_vector(statistics: VectorStatistics, frequencies: int, batch: tuple[int, ...]):
    assert build(statistics, frequencies)(torch.rand(*batch, 3)).shape == (*batch, 16)


def test_vectors_are_normalized_before_the_mlp(statistics: VectorStatistics):
    tokenizer = build(statistics)
    vectors = torch.rand(4, 3) * 100
    expected = tokenizer.mlp((vectors - statistics.mean) / statistics.std)
    assert torch.equal(tokenizer(vectors), expected)


def test_fourier_features_against_the_formula():
    values = [0.3, -1.0]
    features = fourier_features(torch.tensor(values), 3)
    angles = [value * math.pi * 2**k for value in values for k in range(3)]
    expected = torch.tensor([math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles])
    assert torch.allclose(features, expected, atol=1e-5)


def test_fourier_features_sharpen_small_differences(statistics: VectorStatistics):
    vector = torch.tensor([[256.0, 0.0, 7.0]])
    moved = vector + torch.tensor([1.0, 0.0, 0.0])
    plain, fine = build(statistics), build(statistics, frequencies=8)
    difference = lambda tokenizer: (tokenizer(vector) - tokenizer(moved)).norm()  # noqa: E731
    assert difference(fine) > 5 * difference(plain)


def test_a_constant_dimension_stays_finite(statistics: VectorStatistics):
    assert build(statistics, frequencies=6)(torch.tensor([[1.0, 0.5, 7.1]])).isfinite().all()


def test_statistics_are_copied_and_no_weights(statistics: VectorStatistics):
    tokenizer = build(statistics)
    before = tokenizer(torch.ones(3))
    statistics.mean.add_(1)
    assert torch.equal(tokenizer(torch.ones(3)), before)
    assert all(name.startswith("mlp.") for name in tokenizer.state_dict())


def test_gradient_reaches_every_parameter(statistics: VectorStatistics):
    tokenizer = build(statistics, frequencies=2)
    tokenizer(torch.rand(2, 3)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in tokenizer.parameters())


def test_fourier_features_are_those_of_values_from_minus_1_to_1(statistics: VectorStatistics):
    tokenizer = build(statistics, frequencies=2)
    vectors = torch.tensor([[0.0, -1.0, 7.0], [512.0, 1.0, 7.0], [128.0, 0.5, 7.0]])
    scaled = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, -1.0], [-0.5, 0.5, -1.0]])
    features = torch.cat([(vectors - statistics.mean) / statistics.std, fourier_features(scaled, 2)], dim=-1)
    torch.testing.assert_close(tokenizer(vectors), tokenizer.mlp(features))
