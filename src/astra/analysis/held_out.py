"""Results of a run without a simulator: predicted against demonstrated actions of the episodes that it held out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.analysis.predicted_actions import PredictedEpisode, predict_episodes
from astra.analysis.split import open_dataset, read_split
from astra.datasets import LeRobotDataset, Windows
from astra.evaluation.held_out_info import BASELINES, FILE_NAME, FOLDER, MEAN_ACTION, POLICY
from astra.evaluation.pictures.action_plots import action_plots
from astra.evaluation.pictures.style import write_figure
from astra.evaluation.pictures.videos import film_strip
from astra.evaluation.success import bootstrap_interval
from astra.policies.checkpoint import load_policy, policy_folder
from astra.policies.policy import Policy
from astra.storage.atomic import atomic_folder, write_atomic
from astra.storage.json_checksum import checked_json
from astra.suites.attention import TIMESTEPS, draw_maps


def write_held_out(run: Path, episodes: int, dataset: Path | None = None) -> Path:
    """Let the policy of a run act along held-out episodes, and write errors and pictures to `RUN/held_out/`.

    A run that held out nothing is measured along its training episodes, and the file says so. Plots and frames are
    those of three episodes: with the smallest, the median and the largest error.

    Args:
        run: Run folder.
        episodes: Largest number of held-out episodes.
        dataset: Folder of the demonstrations; None: the one that the run was trained on.

    Raises:
        FileNotFoundError: if there is no policy, or no demonstrations.
        ValueError: if the demonstrations are not those of the run, no action dimension varies in the training episodes,
            or `episodes` is below 1.
    """
    if episodes < 1:
        raise ValueError(f"got --held-out {episodes}, expected at least 1 episode")
    policy = load_policy(run)
    split = read_split(run)
    opened = open_dataset(policy, dataset or split.folder)
    training = split.training(opened)
    held_out = split.held_out(opened) if split.validation else training
    predicted = predict_episodes(policy, opened, held_out[:episodes], training)
    scaled, info = _errors(policy, predicted)
    order = np.argsort(scaled, kind="stable")
    choices = {"smallest error": order[0], "median error": order[len(order) // 2], "largest error": order[-1]}
    unique = {int(number): choice for choice, number in reversed(choices.items())}
    with atomic_folder(run / FOLDER, replace=True) as folder:
        shown = [
            _draw(policy, opened, predicted[number], choice, float(scaled[number]), folder)
            for number, choice in reversed(unique.items())
        ]
        _draw_attention(policy, opened, predicted[int(order[len(order) // 2])].episode, folder)
        described = {
            "checkpoint": policy_folder(run).resolve().parent.name,
            "dataset": str(dataset or split.dataset),
            "episodes": len(predicted),
            "held_out_episodes": len(held_out),
            "seen_in_training": not split.validation,
            "timesteps": sum(len(each.demonstrated) for each in predicted),
            **vars(policy.decoding),
        }
        content = checked_json({**described, **info, "shown": shown}, allow_nan=False)
        write_atomic(folder / FILE_NAME, content.encode())
    return run / FOLDER


def _errors(
    policy: Policy[Any], predicted: Sequence[PredictedEpisode]
) -> tuple[Float[np.ndarray, " E"], dict[str, Any]]:
    """Return the policy's error in each episode as a share of the range, and the errors with intervals."""
    statistics, actions = policy.statistics.actions, policy.spec.actions
    span = (statistics.max - statistics.min).double().cpu().numpy()
    varies = np.flatnonzero(span > 0)
    if len(varies) == 0:
        raise ValueError("no action dimension varies in the training episodes, so there is no error to measure")
    each = [episode.errors(actions) for episode in predicted]
    errors = {name: np.stack([found[name] for found in each]) for name in (POLICY, *BASELINES)}
    scaled = {name: (values[:, varies] / span[varies]).mean(axis=1) for name, values in errors.items()}
    return scaled[POLICY], {
        "dimensions": [
            {
                "name": actions.names[n],
                "errors": {name: asdict(bootstrap_interval(values[:, n])) for name, values in errors.items()},
            }
            for n in varies.tolist()
        ],
        "all": {name: asdict(bootstrap_interval(values)) for name, values in scaled.items()},
        "each": [
            {
                "scaled": {name: float(values[episode]) for name, values in scaled.items()},
                "errors": {name: values[episode, varies].tolist() for name, values in errors.items()},
            }
            for episode in range(len(each))
        ],
        "differences": {name: asdict(bootstrap_interval(scaled[POLICY] - scaled[name])) for name in BASELINES},
    }


def _draw(
    policy: Policy[Any], dataset: LeRobotDataset, episode: PredictedEpisode, choice: str, error: float, folder: Path
) -> dict[str, Any]:
    """Draw the actions and the frames of one episode, and return its entry in the file."""
    lines = {
        "demonstrated": episode.demonstrated.numpy(),
        "policy": episode.predicted[POLICY].numpy(),
        MEAN_ACTION: episode.predicted[MEAN_ACTION].numpy(),
    }
    number = episode.episode
    plot = write_figure(action_plots(lines, policy.spec.actions, f"episode {number}"), folder / f"actions_{number}.png")
    recorded = dataset.episode(number).columns
    frames = {}
    for index, camera in enumerate(policy.spec.images):
        strip = film_strip(list(recorded[camera]), title=f"{camera}: {episode.instruction}")
        frames[camera] = write_figure(strip, folder / f"frames_{number}_{index}.png").name
    described = {"episode": number, "choice": choice, "instruction": episode.instruction, "error": error}
    return {**described, "plot": plot.name, "frames": frames}


def _draw_attention(policy: Policy[Any], dataset: LeRobotDataset, episode: int, folder: Path) -> None:
    windows = Windows(dataset, [episode], timesteps=TIMESTEPS, stride=int(dataset.lengths.max()))
    draw_maps(policy, windows.batch(np.array([0])).to(policy.device), folder)
