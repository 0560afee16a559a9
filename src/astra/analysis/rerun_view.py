"""Episodes in the viewer Rerun: frames, states and actions over time, and the actions that a policy predicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astra.analysis.inspection.findings import Finding
from astra.analysis.predicted_actions import predict_episodes
from astra.analysis.split import open_dataset, read_split
from astra.datasets import LeRobotDataset
from astra.datasets.episode import object_column
from astra.evaluation.held_out_info import POLICY
from astra.policies.checkpoint import load_policy

INSTALL = "astra view needs Rerun: pip install '.[view]' in Astra's folder; astra inspect dataset --html needs nothing"
APPLICATION = "astra"


def view_dataset(
    dataset: LeRobotDataset, episodes: Sequence[int], save: Path | None, findings: Sequence[Finding] = ()
) -> None:
    """Show episodes of a dataset.

    Args:
        dataset: The opened dataset.
        episodes: Episodes to show.
        save: File for Rerun to write; None: open the viewer.
        findings: What was found in the dataset, shown beside the episodes that have it.

    Raises:
        ModuleNotFoundError: if Rerun is not installed.
        ValueError: if the dataset has no such episode, or a frame is damaged.
    """
    _view(dataset, episodes, {}, save, findings)


def view_run(run: Path, episodes: Sequence[int] | None, save: Path | None) -> None:
    """Show held-out episodes of a run, with the actions that its policy predicts along them.

    Args:
        run: Run folder.
        episodes: Episodes to show; None: the first held-out ones.
        save: File for Rerun to write; None: open the viewer.

    Raises:
        ModuleNotFoundError: if Rerun is not installed.
        FileNotFoundError: if there is no policy, or no demonstrations.
        ValueError: if the demonstrations are not those of the run, or have no such episode.
    """
    _rerun()
    policy, split = load_policy(run), read_split(run)
    dataset = open_dataset(policy, split.folder)
    chosen = list(split.held_out(dataset))[:4] if episodes is None else list(episodes)
    _check(dataset, chosen)
    predicted = predict_episodes(policy, dataset, chosen, split.training(dataset))
    _view(dataset, chosen, {each.episode: each.predicted[POLICY].numpy() for each in predicted}, save)


def _rerun() -> Any:
    try:
        import rerun  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ModuleNotFoundError(INSTALL) from error
    return rerun


def _check(dataset: LeRobotDataset, episodes: Sequence[int]) -> None:
    if wrong := [episode for episode in episodes if not 0 <= episode < len(dataset)]:
        raise ValueError(f"{dataset.folder} has the episodes 0 to {len(dataset) - 1}, got --episodes {wrong[0]}")


def _view(
    dataset: LeRobotDataset,
    episodes: Sequence[int],
    predicted: Mapping[int, np.ndarray],
    save: Path | None,
    findings: Sequence[Finding] = (),
) -> None:
    rr = _rerun()
    _check(dataset, episodes)
    for index in episodes:
        recording = rr.RecordingStream(APPLICATION, recording_id=f"{dataset.folder.name}, episode {index}")
        if save is None:
            recording.spawn()
        else:
            recording.save(save if len(episodes) == 1 else save.with_stem(f"{save.stem}-{index}"))
        episode = dataset.episode(index)
        recording.log("instruction", rr.TextDocument(episode.instruction), static=True)
        if found := [f"{each.kind}: {each.text}" for each in findings if index in each.episodes]:
            recording.log("findings", rr.TextDocument("\n".join(found)), static=True)
        for timestep in range(len(episode)):
            recording.set_time("timestep", sequence=timestep)
            recording.set_time("time", duration=timestep / dataset.spec.fps)
            for column, values in episode.columns.items():
                if column in dataset.spec.images:
                    recording.log(column, rr.Image(values[timestep]).compress(jpeg_quality=85))
                elif object_column(column) is None:
                    recording.log(column, rr.Scalars(values[timestep].astype(np.float64)))
            if index in predicted:
                recording.log("predicted action", rr.Scalars(predicted[index][timestep].astype(np.float64)))
        recording.flush()
