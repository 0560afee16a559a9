"""Noise on actions: training recovers a known distribution, and each step has the right statistics."""

import sys
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from torch import nn

from astra.policies.decoding import Decoding

if TYPE_CHECKING:
    from astra.policies.action_heads import ActionHead
    from astra.policies.noise.denoising import Noise
    from astra.trajectory import Statistics, TrajectorySpec

WIDTH, STEPS = 16, 20
Kind = Literal["uniform", "absorbing", "ddpm", "ddim"]


@pytest.fixture
def plane() -> "tuple[TrajectorySpec, Statistics]":
    """Two action dimensions, of 6 and of 4 bins."""
    from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

    spec = TrajectorySpec(
        states={"s": 1}, actions=ActionSpec(names=("x", "y"), low=(-3.0, 0.0), high=(3.0, 4.0), bins=(6, 4))
    )
    low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    actions = VectorStatistics(mean=(low + high) / 2, std=(high - low) / 4, min=low, max=high)
    return spec, Statistics(states={}, actions=actions)


def build(
    kind: Kind, spec: "TrajectorySpec", statistics: "Statistics", decoding_steps: int = STEPS
) -> "tuple[Noise, ActionHead]":
    from astra.policies.action_heads import build_head
    from astra.policies.noise.d3pm import D3PM
    from astra.policies.noise.ddpm import DDPM
    from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig

    steps: dict[str, Any] = dict(steps=STEPS, decoding_steps=decoding_steps)
    if kind == "uniform" or kind == "absorbing":
        discrete = DiscreteActionsConfig().build(spec, statistics, WIDTH)
        return D3PM(discrete, WIDTH, **steps, transition=kind), build_head(discrete, WIDTH, 0.0)
    continuous = ContinuousActionsConfig().build(spec, statistics, WIDTH)
    return DDPM(continuous, statistics.actions, WIDTH, **steps, sampler=kind), build_head(continuous, WIDTH, 0.0)


class Denoiser(nn.Module):
    """A small network over both noisy tokens and the step."""

    def __init__(self, noise: "Noise") -> None:
        super().__init__()
        self.noise = noise
        self.steps = nn.Embedding(STEPS, WIDTH)
        self.layers = nn.Sequential(
            nn.Linear(3 * WIDTH, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2 * WIDTH)
        )

    def forward(self, noisy: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        inputs = torch.cat([30 * self.noise.tokens(noisy).flatten(-2), self.steps(step)], dim=-1)
        return self.layers(inputs).unflatten(-1, (2, WIDTH))


@pytest.mark.parametrize("kind", ["uniform", "absorbing", "ddpm", "ddim"])
def test_two_modes_are_found_with_their_weights_and_places(
    kind: Kind, plane: "tuple[TrajectorySpec, Statistics]"
) -> None:
    """Seven tenths lie around (-1.5, 3.5), three tenths around (2.5, 0.5); dimensions alone cannot tell."""
    noise, head = build(kind, *plane)
    denoiser = Denoiser(noise)
    modes, weight, B = torch.tensor([[-1.5, 3.5], [2.5, 0.5]]), 0.7, 512
    optimizer = torch.optim.Adam([*denoiser.parameters(), *head.parameters()], lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        actions = modes[(torch.rand(B) > weight).long()] + 0.1 * torch.randn(B, 2)
        step = torch.randint(STEPS, (B,))
        noisy, target = noise.corrupt(actions, step, torch.rand(B, 2, 2))
        cost = noise.loss(head, head(denoiser(noisy, step)), target).mean()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        schedule.step()
    generators = [torch.Generator().manual_seed(seed) for seed in range(600)]
    with torch.no_grad():
        sampled = Decoding(temperature=1.0)
        drawn = noise.sample(
            lambda noisy, step: denoiser(noisy, torch.full((len(noisy),), step)), head, sampled, generators
        )
    distance = torch.cdist(drawn, modes)
    nearest = distance.argmin(-1)
    share = (nearest == 0).float().mean().item()
    assert abs(share - weight) < 4 * (weight * (1 - weight) / 600) ** 0.5, share
    assert (distance.amin(-1) < 0.6).float().mean() > 0.95
    for mode in range(2):
        torch.testing.assert_close(drawn[nearest == mode].mean(0), modes[mode], rtol=0, atol=0.15)


@pytest.mark.parametrize("kind", ["uniform", "absorbing"])
def test_going_back_and_forth_leaves_the_distribution_as_it_is(
    kind: Kind, plane: "tuple[TrajectorySpec, Statistics]"
) -> None:
    """q(x_j) = sum over x_k of q(x_j | x_k, x_0) q(x_k | x_0), for every x_0."""
    from astra.policies.noise.d3pm import D3PM

    noise, _ = build(kind, *plane)
    assert isinstance(noise, D3PM)
    B, step, before = 40_000, 14, 5
    actions = torch.tensor([[-1.5, 2.5]]).expand(B, 2)
    clean = noise.actions[0].bins(actions)
    noisy, _ = noise.corrupt(actions, torch.full((B,), step), torch.rand(B, 2, 2))
    back = noise.step_back(noisy, clean, step, before, torch.rand(B, 2))
    direct, _ = noise.corrupt(actions, torch.full((B,), before), torch.rand(B, 2, 2))
    for n, number in enumerate((6, 4)):
        shares = [torch.bincount(bins[:, n], minlength=number + 1) / B for bins in (back, direct)]
        torch.testing.assert_close(*shares, rtol=0, atol=5 * (0.5 / B) ** 0.5)
    assert torch.equal(noise.step_back(noisy, clean, step, -1, torch.rand(B, 2)), clean)


@pytest.mark.parametrize("kind", ["uniform", "absorbing", "ddpm"])
def test_nothing_is_left_at_the_last_step(kind: Kind, plane: "tuple[TrajectorySpec, Statistics]") -> None:
    noise, _ = build(kind, *plane)
    draws, last = torch.rand(50, 2, 2), torch.full((50,), STEPS - 1)
    one, _ = noise.corrupt(torch.tensor([[-2.9, 3.9]]).expand(50, 2), last, draws)
    other, _ = noise.corrupt(torch.tensor([[2.9, 0.1]]).expand(50, 2), last, draws)
    torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_gaussian_noise_is_gaussian(plane: "tuple[TrajectorySpec, Statistics]") -> None:
    noise, _ = build("ddpm", *plane)
    _, drawn = noise.corrupt(torch.zeros(100_000, 2), torch.zeros(100_000, dtype=torch.long), torch.rand(100_000, 2, 2))
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert abs((drawn.abs() < 1).float().mean() - 0.6827) < 0.006


def test_without_diffusers_the_extra_is_named(
    plane: "tuple[TrajectorySpec, Statistics]", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("diffusers", "diffusers.schedulers.scheduling_ddim"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"'.\[diffusion\]'"):
        build("ddpm", *plane)


@pytest.mark.parametrize("kind", ["uniform", "absorbing", "ddpm", "ddim"])
def test_fewer_decoding_steps_begin_at_pure_noise_and_are_evenly_spread(
    kind: Kind, plane: "tuple[TrajectorySpec, Statistics]"
) -> None:
    from astra.policies.noise.d3pm import D3PM
    from astra.policies.noise.ddpm import DDPM

    noise, _ = build(kind, *plane, decoding_steps=5)
    if isinstance(noise, D3PM):
        found = list(noise.decoding_steps)
    else:
        assert isinstance(noise, DDPM)
        found = noise.scheduler.timesteps.tolist()
    assert found == [19, 15, 11, 7, 3]
