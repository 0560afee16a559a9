"""Mixtures of datasets: shares, matching by name, what is missing, contradictions, and resuming."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astra.analysis.split import read_split
from astra.cli.main import main
from astra.datasets import BatchSampler, DatasetWriter, Episode, LeRobotDataset, Windows, compute_statistics
from astra.datasets.mixture import MixedWindows, MixtureSampler
from astra.datasets.statistics import joint_statistics
from astra.policies.astra import AstraConfig
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.images import ImageConfig
from astra.trajectory import ActionSpec, Observation, Trajectory

TOP, WRIST, STATE = "observation.images.top", "observation.images.wrist", "observation.state"
TINY = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--policy.window", "3", "--training.timesteps", "3", "--training.batch-size", "8", "--training.log-every", "1"),
    *("--training.validation-every", "2", "--training.checkpoint-every", "2", "--validation", "0.3"),
    *("--policy.states.images.image-size", "16"),
]


def write(folder: Path, names: tuple[str, ...], cameras: tuple[str, ...], seed: int, task: str = "lift") -> Path:
    """Write three episodes of a robot with these action dimensions and cameras."""
    random, N = np.random.default_rng(seed), len(names)
    actions = ActionSpec(names=names, low=(-1.0 - seed,) * N, high=(1.0,) * N)
    with DatasetWriter(folder, fps=10.0, actions=actions) as writer:
        for length in (6, 9, 5):
            columns = {STATE: random.normal(size=(length, 2)).astype(np.float32)}
            columns |= {c: random.integers(0, 256, (length, 16, 16, 3), dtype=np.uint8) for c in cameras}
            columns["action"] = random.uniform(-1, 1, (length, N)).astype(np.float32)
            writer.add(Episode(instruction=task, columns=columns, fps=10.0))
    return folder


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "arm", ("x", "y", "gripper"), (TOP, WRIST), 0)


@pytest.fixture(scope="module")
def cart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "cart", ("wheel", "x"), (TOP,), 1, "drive")


def windows(folder: Path, timesteps: int = 3) -> Windows:
    return Windows(LeRobotDataset.open(folder), timesteps=timesteps, chunk_size=2)


def test_every_batch_has_the_weights_and_every_dataset_its_epochs() -> None:
    sampler = MixtureSampler([7, 40, 5], [0.5, 0.3, 0.2], 6, seed=3)
    drawn = np.concatenate([next(sampler) for _ in range(100)])
    assert [int(((drawn >= low) & (drawn < high)).sum()) for low, high in ((0, 7), (7, 47), (47, 52))] == [
        300,
        180,
        120,
    ]
    for low, high, number in ((0, 7, 300), (7, 47, 180), (47, 52, 120)):
        counts = np.bincount(drawn[(drawn >= low) & (drawn < high)] - low)
        assert counts.max() - counts.min() <= 1, number
    halves = [MixtureSampler([7, 40, 5], [0.5, 0.3, 0.2], 3, seed=3, rank=rank, num_processes=2) for rank in (0, 1)]
    assert np.array_equal(np.concatenate([next(half) for _ in range(100) for half in halves]), drawn)
    resumed = MixtureSampler([7, 40, 5], [0.5, 0.3, 0.2], 6, seed=3)
    resumed.load_state_dict({**sampler.state_dict(), "position": 60})
    assert np.array_equal(next(resumed), drawn[60:66])


def test_a_share_of_less_than_one_index_per_batch_comes_in_some_of_the_batches() -> None:
    sampler = MixtureSampler([100, 5], [0.95, 0.05], 8, seed=3)
    batches = [next(sampler) for _ in range(50)]
    assert {len(batch) for batch in batches} == {8}
    assert sum(int((batch >= 100).sum()) for batch in batches) == 20


def test_one_dataset_with_weight_1_is_the_dataset_itself(arm: Path) -> None:
    alone = windows(arm)
    mixed = MixedWindows({"arm": alone}, [1.0])
    assert mixed.spec == alone.spec
    samplers = BatchSampler(len(alone), 4, seed=5), mixed.sampler(4, seed=5)
    for _ in range(12):
        indices, same = (next(sampler) for sampler in samplers)
        assert np.array_equal(indices, same)
        one, other = alone.batch(indices), mixed.batch(indices)
        assert_equal(one, other)
    assert mixed.batch_bytes(4) == alone.batch_bytes(4)
    dataset = LeRobotDataset.open(arm)
    assert_equal(
        joint_statistics([(dataset, [0, 2])], dataset.spec).actions, compute_statistics(dataset, [0, 2]).actions
    )


def assert_equal(one: object, other: object) -> None:
    for name, values in vars(one).items():
        same = getattr(other, name)
        for value, again in zip(
            values.values() if isinstance(values, dict) else [values],
            same.values() if isinstance(same, dict) else [same],
            strict=True,
        ):
            assert torch.equal(value, again) if isinstance(value, torch.Tensor) else value == again, name


def test_cameras_and_action_dimensions_are_matched_by_name(arm: Path, cart: Path) -> None:
    sources = windows(arm), windows(cart)
    mixed = MixedWindows({"arm": sources[0], "cart": sources[1]})
    spec = mixed.spec.actions
    assert spec.names == ("x", "y", "gripper", "wheel")
    assert spec.low == (-2.0, -1.0, -1.0, -2.0)  # the widest bounds
    assert set(mixed.missing) == {WRIST, "y", "gripper", "wheel"}
    indices = np.array([len(sources[0]) + 3, 1, len(sources[0]) - 1, len(sources[0]) + 5])
    batch, own = mixed.batch(indices), [sources[1].batch(np.array([3, 5])), sources[0].batch(np.array([1, 19]))]
    assert batch.instructions == ("drive", "lift", "lift", "drive")
    assert batch.present[WRIST].tolist() == [False, True, True, False]
    assert batch.present.keys() == {WRIST}
    assert batch.action_present is not None
    assert batch.action_present.int().tolist() == [[1, 0, 0, 1], [1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 1]]
    A = own[0].actions.shape[1]
    assert torch.equal(batch.actions[[0, 3], :A][:, :, [3, 0]], own[0].actions)
    assert torch.equal(batch.actions[[1, 2]][:, : own[1].actions.shape[1], :3], own[1].actions)
    assert torch.equal(batch.images[TOP][[0, 3]][:, : own[0].num_timesteps], own[0].images[TOP])
    assert torch.equal(batch.images[WRIST][[1, 2]][:, : own[1].num_timesteps], own[1].images[WRIST])
    assert not batch.images[WRIST][[0, 3]].any()
    assert len({int(episode) for episode in batch.episodes.tolist()}) >= 3 if batch.episodes is not None else False


def test_perturbing_what_is_missing_changes_nothing(arm: Path, cart: Path) -> None:
    mixed = MixedWindows({"arm": windows(arm), "cart": windows(cart)})
    datasets = [LeRobotDataset.open(folder) for folder in (arm, cart)]
    statistics = joint_statistics([(dataset, range(3)) for dataset in datasets], mixed.spec)
    images = ImageConfig(encoder="small", image_size=16, patch_size=8)
    config = AstraConfig(
        layers=2,
        heads=2,
        width=16,
        chunk_size=2,
        states=StateConfig(images=images),
        actions=DiscreteActionsConfig(bins=8),
    )
    torch.manual_seed(0)
    policy = config.build(mixed.spec, statistics).eval()
    batch = mixed.batch(np.array([len(mixed) - 2, 1, len(mixed) - 9]))
    lacking = torch.tensor([True, False, True])
    pixels, actions = batch.images[WRIST].clone(), batch.actions.clone()
    pixels[lacking] = 255
    actions[lacking] = torch.where(torch.tensor([False, True, True, False]), 0.7, actions[lacking])
    perturbed = replace(batch, images={**batch.images, WRIST: pixels}, actions=actions)
    assert torch.equal(policy.loss(perturbed).behavior_cloning, policy.loss(batch).behavior_cloning)
    assert not torch.equal(  # while the same matters where it is there
        policy.loss(replace(perturbed, present={})).behavior_cloning, policy.loss(batch).behavior_cloning
    )
    with torch.no_grad():
        chosen = [_act(policy, each) for each in (batch, perturbed)]
    assert torch.equal(*chosen)


def _act(policy: object, batch: Trajectory) -> torch.Tensor:
    """Act twice along the first timesteps."""
    from astra.policies.policy import Policy

    assert isinstance(policy, Policy)
    state, chosen = policy.start(batch.instructions, [0, 1, 2]), []
    for t in range(2):
        observation = Observation(
            states={name: values[:, t] for name, values in batch.states.items()},
            images={name: values[:, t] for name, values in batch.images.items()},
            previous_action=batch.actions[:, t],
            present=batch.present,
            action_present=batch.action_present,
        )
        action, state = policy.act(state, observation)
        chosen.append(action)
    assert batch.action_present is not None
    return torch.stack(chosen) * batch.action_present


def test_a_resumed_mixture_equals_a_straight_one(
    arm: Path, cart: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "own-data", "--dataset", str(arm), "--mixture", str(cart), "--weights", "3", "1", *TINY]
    assert main([*command, "--output", str(tmp_path / "straight"), "--training.updates", "4"]) == 0
    said = capsys.readouterr().out
    assert "75.0%" in said
    assert "25.0%" in said
    resumed = Path(shutil.copytree(tmp_path / "straight", tmp_path / "resumed", symlinks=True))
    shutil.rmtree(resumed / "checkpoints/000004")
    (resumed / "checkpoints/last").unlink()
    assert main(["train", "--output", str(resumed), "--resume"]) == 0
    files = [tmp_path / run / "checkpoints/000004/policy/model.safetensors" for run in ("straight", "resumed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    config = json.loads((tmp_path / "resumed/config.json").read_text())
    assert config["description"]["mixture"] == [str(cart)]
    with pytest.raises(ValueError, match="episodes of a mixture are not measured"):
        read_split(tmp_path / "straight")


@pytest.mark.parametrize(
    ("names", "more", "options", "message"),
    [
        (("x", "y", "gripper"), {"fps": 20.0}, [], "a policy acts at one rate"),
        (
            ("x", "y", "gripper"),
            {"width": 3},
            [],
            "other: rename it in one of them (astra convert lerobot --rename observation.state",
        ),
        (("x", "y", "gripper"), {"binary": True}, [], "the action dimension 'gripper' is from"),
        (None, {}, [], "have no names"),
        (("wheel",), {}, ["--policy", "gato"], "which only Astra with action queries learns from"),
        (("x", "y", "gripper"), {}, ["--weights", "1"], "got the weights 1.0 for 2 datasets"),
        (("x", "y", "gripper"), {}, ["--weights", "1", "-2"], "--weights must be above 0"),
    ],
)
def test_contradictions_are_refused_with_a_remedy(
    arm: Path,
    tmp_path: Path,
    names: tuple[str, ...] | None,
    more: dict[str, object],
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    N, fps, width = len(names or "ab"), float(str(more.get("fps", 10.0))), int(str(more.get("width", 2)))
    binary = tuple(bool(more.get("binary")) and n == N - 1 for n in range(N))
    low, high = (-1.0,) * N, (1.0,) * N
    actions = ActionSpec(names=names, low=low, high=high, binary=binary) if names else None
    columns = {STATE: np.random.default_rng(0).normal(size=(5, width)).astype(np.float32)}
    columns["action"] = np.random.default_rng(1).uniform(-1, 1, (5, N)).astype(np.float32)
    with DatasetWriter(tmp_path / "other", fps=fps, actions=actions) as writer:
        for _ in range(2):
            writer.add(Episode(instruction="go", columns=columns, fps=fps))
    command = ["train", "own-data", "--dataset", str(arm), "--mixture", str(tmp_path / "other"), *options]
    assert main([*command, "--output", str(tmp_path / "run"), "--validation", "0"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
