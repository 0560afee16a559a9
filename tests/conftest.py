"""Fixtures that all tests share.

Astra is imported inside the fixtures only: the shape checks of jaxtyping hook into imports that come after pytest's
own start.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec, VectorStatistics

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
torch.set_num_threads(1)
settings.register_profile("astra", deadline=None)  # how long a test takes is the machine's business
settings.load_profile("astra")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their length: compressed ones hold the time, and two workers would collect different tests."""
    return f"{argname}-{len(val)}-bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the cache of the tests apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTRA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Give every test the same random numbers, whatever ran before it."""
    np.random.seed(0)  # noqa: NPY002 - libraries that are under test may still draw from the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of demonstrations that lies beside a development clone."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data, the demonstrations beside a development clone")
    return folder


@pytest.fixture
def tiny_spec() -> "TrajectorySpec":
    """L = 4 prompt tokens, M = 2 state vectors, N = 5 action dimensions, of which the last is binary."""
    from astra.trajectory import ActionSpec, TrajectorySpec

    return TrajectorySpec(
        states={"observation.state": 5, "observation.environment_state": 7},
        actions=ActionSpec(
            names=("x", "y", "z", "turn", "grip"),
            low=(-1.0, -2.0, 0.0, -3.0, 0.0),
            high=(1.0, 2.0, 4.0, 3.0, 1.0),
            binary=(False, False, False, False, True),
        ),
        instructions=("push the red block", "stop now"),
    )


@pytest.fixture
def tiny_trajectory(tiny_spec: "TrajectorySpec") -> "Trajectory":
    """B = 2 trajectories of T = 3 timesteps; the second has two timesteps, and arbitrary numbers as padding."""
    from astra.trajectory import Trajectory

    B, T = 2, 3
    generator = torch.Generator().manual_seed(1)
    low, high = torch.tensor(tiny_spec.actions.low), torch.tensor(tiny_spec.actions.high)
    actions = low + (high - low) * torch.rand(B, T, len(tiny_spec.actions), generator=generator)
    binary = torch.tensor(tiny_spec.actions.binary)
    valid = torch.tensor([[True, True, True], [True, True, False]])
    return Trajectory(
        instructions=tiny_spec.instructions,
        states={name: torch.randn(B, T, size, generator=generator) for name, size in tiny_spec.states.items()},
        images={},
        valid=valid,
        actions=torch.where(binary, actions.round(), actions),
        action_valid=valid,
    )


@pytest.fixture
def tiny_statistics(tiny_spec: "TrajectorySpec") -> "Statistics":
    """Statistics that fit `tiny_spec` and differ in every dimension."""
    from astra.trajectory import Statistics

    actions = tiny_spec.actions
    return Statistics(
        states={name: _statistics([-3.0] * size, [3.0] * size) for name, size in tiny_spec.states.items()},
        actions=_statistics(actions.low, actions.high),
        relative_actions={"observation.state": _statistics([-4.0] * len(actions), [5.0] * len(actions))},
    )


def _statistics(low: "list[float] | tuple[float, ...]", high: "list[float] | tuple[float, ...]") -> "VectorStatistics":
    from astra.trajectory import VectorStatistics

    bounds = torch.tensor([low, high])
    scale = 1 + torch.arange(bounds.shape[1]) / 10
    return VectorStatistics(
        mean=bounds.mean(0) + scale / 10, std=(bounds[1] - bounds[0]) / 4 * scale, min=bounds[0], max=bounds[1]
    )
