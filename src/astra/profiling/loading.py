"""Loading: epochs over frames, memory, gathering of windows, its share of an update, and features of frozen encoders.

Epochs and the filling of the cache are timed by the clock, on all cores that the process gets. The rest are medians of
CPU time of one thread, sides in turn, on random data; columns are memory-mapped files, as in training.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from astra.datasets import DatasetWriter, Episode, LeRobotDataset, Windows, compute_statistics
from astra.experiments.frozen_features import frozen_features
from astra.experiments.pusht import small_policy, small_training
from astra.policies.astra import AstraConfig
from astra.policies.policy import PolicyConfig
from astra.profiling.clock import in_turn, one_thread
from astra.profiling.frame_loading.epochs import READ, empty_cache, measure_epochs, measure_filling
from astra.profiling.frame_loading.recordings import write_recordings
from astra.profiling.frame_loading.resident import memory_of_epochs
from astra.profiling.shapes import Measurement, Ratio
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.encoders import RESNETS
from astra.tokenizers.vision.images import ImageConfig
from astra.training.ema import EMA
from astra.training.optimizer import build_optimizer
from astra.trajectory import Trajectory

FRAME = 96
"""Height and width of a frame in pixels, as in Push-T."""
TINY = AstraConfig(layers=2, heads=4, width=128)
"""Policy of the benchmark of frozen encoders."""


def benchmark_loading(rounds: int = 5, peer: Path | None = None) -> Measurement:
    """Measure all rows of the table.

    Args:
        rounds: Times that each side is timed.
        peer: Python of LeRobot's environment, whose loader reads the same sets; None: without it.
    """
    with tempfile.TemporaryDirectory(prefix="astra-loading-") as folder:
        ratios, notes = _epochs(Path(folder), rounds, peer)
    return Measurement(ratios=[*ratios, *gathering_and_updates(rounds)], curves=[], notes=notes)


def _epochs(folder: Path, rounds: int, peer: Path | None) -> tuple[list[Ratio], list[str]]:
    """Measure epochs over 96 x 96 images and over two cameras of 480 x 640 as video, and the memory that they take."""
    ratios, notes = [], []
    images = write_recordings(folder / "images", size=READ, cameras=1, episodes=20, length=100, video=False)
    videos = write_recordings(folder / "videos", size=(480, 640), cameras=2, episodes=6, length=80, video=True)
    for what, data, must, aim in (("96 x 96 images", images, 20, 40), ("2 videos of 480 x 640", videos, 5, 20)):
        rates = measure_epochs(data, peer)
        notes.append(f"{what}: {rates.first:,.0f} windows/s in the first epoch, {rates.later:,.0f} in later ones")
        if rates.peer is not None:
            notes[-1] += f"; {rates.peer:,.1f} by {rates.backend}"
            ratios.append(Ratio(name=f"{what}, first epoch / LeRobot", ratio=rates.first / rates.peer))
            ratios.append(
                Ratio(name=f"{what}, later epochs / LeRobot", ratio=rates.later / rates.peer, must=must, aim=aim)
            )
    by_clock, by_computing = measure_filling(videos, rounds)
    name = "filling the cache / PyAV's sequential decoding"
    ratios.append(Ratio(name=f"{name}, by the clock", ratio=by_clock, must=0.8, aim=1.0))
    ratios.append(Ratio(name=f"{name}, CPU time of all threads", ratio=by_computing))
    for decode, (small, large) in memory_of_epochs(folder / "memory").items():
        name = f"memory with 10 x the episodes / 1 x, --frames.decode {decode}"
        ratios.append(Ratio(name=name, ratio=large / small, must=1.1, aim=1.02, better="lower"))
        notes.append(f"{name}: {large:,.0f} / {small:,.0f} MB, without mapped files")
    return ratios, notes


def gathering_and_updates(rounds: int) -> list[Ratio]:
    """Measure rows with targets of our own, on one thread."""
    with one_thread(), tempfile.TemporaryDirectory(prefix="astra-loading-") as folder, empty_cache():
        rows: list[Ratio] = []
        dataset = _demonstrations(Path(folder) / "demonstrations")
        vectors = replace(dataset, spec=replace(dataset.spec, images={}))
        for what, data, T, B in (("vectors", vectors, 20, 256), ("frames", dataset, 4, 32)):
            rows.append(_gathering(what, Windows(data, timesteps=T), B, rounds))
        rows.append(_share_of_the_update(vectors, rounds))
        rows.append(_frozen_encoder(dataset, Path(folder) / "encoder", rounds))
        return rows


def _gathering(what: str, windows: Windows, B: int, rounds: int) -> Ratio:
    """Compare a batch gathered at once with its windows read one by one and stacked, as by a map-style dataset."""
    random = np.random.default_rng(0)

    def one_by_one(indices: np.ndarray) -> list[Tensor]:
        read = [windows.batch(index[None]) for index in indices]
        parts = [[*w.states.values(), *w.images.values(), w.actions, w.valid, w.action_valid] for w in read]
        return [pad_sequence([values[0] for values in part], batch_first=True) for part in zip(*parts, strict=True)]

    def draw() -> np.ndarray:
        return random.integers(len(windows), size=B)

    sides = {"at once": lambda: windows.batch(draw()), "one by one": lambda: one_by_one(draw())}
    at_once, each = map(median, in_turn(sides, rounds, label=f"gathering {what}").values())
    name = f"gathering {what}: {B / at_once:,.0f} windows/s of T{windows.timesteps}, against one window at a time"
    return Ratio(name=name, ratio=each / at_once, must=3.0, aim=10.0, better="higher")


def _share_of_the_update(vectors: LeRobotDataset, rounds: int) -> Ratio:
    """Compare gathering with the whole update of Push-T's small policy."""
    policy, training = small_policy(), small_training(1)
    windows = Windows(vectors, timesteps=training.timesteps, chunk_size=policy.chunk_size)
    random = np.random.default_rng(0)
    update = _update_of(policy, vectors)

    def load() -> Trajectory:
        return windows.batch(random.integers(len(windows), size=training.batch_size))

    sides = {"loading": load, "update": lambda: update(load())}
    loading, whole = map(median, in_turn(sides, 4 * rounds, label="share of the update").values())
    share = f"{loading / whole:.2%} of the update"
    name = f"loading as a share of the update, Push-T small policy, B{training.batch_size}: {share}"
    return Ratio(name=name, ratio=loading / whole, must=0.05, aim=0.02, better="lower")


def _frozen_encoder(dataset: LeRobotDataset, folder: Path, rounds: int) -> Ratio:
    """Compare updates that run a frozen ResNet-18 on frames with updates on its cached features."""
    from transformers import ResNetConfig, ResNetModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    ResNetModel(ResNetConfig(**RESNETS["small"])).save_pretrained(folder)
    images = ImageConfig(encoder="resnet", image_size=FRAME, pretrained=str(folder), frozen=True)
    update = _update_of(replace(TINY, states=StateConfig(images=images)), dataset)
    few = replace(dataset, columns={name: values[:256] for name, values in dataset.columns.items()})
    features = frozen_features(few, images)
    T, B, random = 4, 8, np.random.default_rng(0)
    first = list(range(256 // int(dataset.lengths[0])))
    with_frames, with_features = (Windows(dataset, first, timesteps=T, features=given) for given in (None, features))

    def update_on(windows: Windows) -> Callable[[], object]:
        return lambda: update(windows.batch(random.integers(len(windows), size=B)))

    sides = {"frames": update_on(with_frames), "features": update_on(with_features)}
    frames, cached = map(median, in_turn(sides, rounds, label="a frozen encoder").values())
    name = f"update with a frozen ResNet-18, T{T} B{B}: frames / cached features"
    return Ratio(name=name, ratio=frames / cached, must=2.0, aim=5.0, better="higher")


def _update_of(config: PolicyConfig, dataset: LeRobotDataset) -> Callable[[Trajectory], None]:
    policy = config.build(dataset.spec, compute_statistics(dataset)).train()
    ema = EMA(policy, max_decay=0.999, power=0.75)
    optimizer = build_optimizer(policy, learning_rate=1e-4, weight_decay=0.1, betas=(0.9, 0.95))

    def update(trajectory: Trajectory) -> None:
        policy.loss(trajectory).behavior_cloning.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update(policy)

    return update


def _demonstrations(folder: Path, episodes: int = 32, length: int = 64) -> LeRobotDataset:
    """Write a dataset with the sizes of Push-T: agent, corners of the T, a camera."""
    sizes = {"observation.state": 2, "observation.environment_state": 16, "action": 2}
    with DatasetWriter(folder, fps=10) as writer:
        for number in range(episodes):
            random = np.random.default_rng(number)
            columns: dict[str, np.ndarray] = {
                name: random.uniform(0, 512, (length, size)).astype(np.float32) for name, size in sizes.items()
            }
            columns["observation.image"] = random.integers(0, 256, (length, FRAME, FRAME, 3), dtype=np.uint8)
            writer.add(Episode(instruction="push the T to the center", columns=columns, fps=10))
    return LeRobotDataset.open(folder)
