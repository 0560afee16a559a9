"""Evaluations of the finished runs of a row, read from results/."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.evaluation.eval_info import FILE_NAME
from astra.evaluation.kept import RESTORE, read_kept
from astra.evaluation.success import mean_gap
from astra.paper.table import ATTEMPTS, BETWEEN, RECOVERY, Column
from astra.storage.json_checksum import read_checked_json

DAMAGE = (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, RecursionError, zlib.error)
"""Errors that reading a damaged file raises."""
HELD_OUT = "held_out.json"
"""File with the loss of the first action in each held-out episode of a run."""


@dataclass(frozen=True, kw_only=True)
class RowResults:
    """Episodes of the finished runs of one row."""

    folder: Path
    """Folder that holds one folder per training seed."""
    episodes: Mapping[int, Sequence[Mapping[str, Any]]]
    """Result of every evaluation episode, by training seed."""
    held_out: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Loss of the first action in every held-out episode, by training seed; empty if it was not measured."""
    held_out_episodes: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Numbers of these episodes in the dataset; each training seed holds out its own."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds of the finished runs."""
        return tuple(self.episodes)

    def values(self, column: Column, seeds: Sequence[int]) -> Float[np.ndarray, "K E"]:
        """Return the numbers of a column in its unit, one line per seed; no episodes: the suite lacks the group.

        An episode that does not count, such as one without a miss, is NaN.

        Raises:
            ValueError: if a seed lacks the held-out losses that another one has.
        """
        if column.held_out:
            for seed in seeds:
                if self.held_out and seed not in self.held_out:
                    raise ValueError(
                        f"{self.folder / str(seed) / HELD_OUT} does not exist, and other seeds have it: remove "
                        f"{self.folder / str(seed)} to run it again"
                    )
            return np.array([self.held_out.get(seed, ()) for seed in seeds], np.float64).reshape(len(seeds), -1)
        lines = [[column.scale * _number(episode, column) for episode in self._of(column, seed)] for seed in seeds]
        return np.array(lines, np.float64).reshape(len(seeds), -1)

    def strata(self, column: Column) -> list[str]:
        """Return the group and the task of each episode of a column."""
        if column.held_out:
            return ["" for _ in self.held_out.get(self.seeds[0], ())]
        return [f"{episode.get('group')}/{episode['task']}" for episode in self._of(column, self.seeds[0])]

    def _of(self, column: Column, seed: int) -> list[Mapping[str, Any]]:
        return [
            each
            for each in self.episodes[seed]
            if (not column.group or each.get("group") == column.group)
            and (not column.tasks or each["task"] in column.tasks)
        ]


def seed_folders(folder: Path) -> list[Path]:
    """Return the folders of a row's finished runs by seed; other folders, such as a copy 0.bak, are left out."""
    return sorted((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))


def read_row(folder: Path, agent: str = "policy") -> RowResults | None:
    """Read what the finished runs in a row's folder measured of one agent; None: nothing.

    Raises:
        ValueError: if a file is damaged.
    """
    episodes, held_out = dict[int, Any](), dict[int, dict[str, Any]]()
    for run in seed_folders(folder):
        measured = run if agent == "policy" else run / agent
        if not measured.exists():
            continue
        try:
            episodes[int(run.name)] = _checked(read_kept(measured)["episodes"])
        except DAMAGE as error:
            raise ValueError(f"{measured / FILE_NAME} is damaged ({error!r}): remove {run} to run it again") from error
        if agent == "policy" and (run / HELD_OUT).exists():
            held_out[int(run.name)] = _read_held_out(run / HELD_OUT)
    if not episodes:
        return None
    return RowResults(
        folder=folder,
        episodes=episodes,
        held_out={seed: each["first_action_loss"] for seed, each in held_out.items()},
        held_out_episodes={seed: each["episodes"] for seed, each in held_out.items()},
    )


def _read_held_out(path: Path) -> dict[str, Any]:
    """Read the losses of first actions.

    Raises:
        ValueError: if the file is damaged, or a loss is not finite.
    """
    remedy = f"remove {path.parent} to run it again"
    try:
        content = read_checked_json(path, "JSON", RESTORE)
        losses, episodes = content["first_action_loss"], content["episodes"]
        if not losses or len(losses) != len(episodes):
            raise ValueError(f"it has {len(losses)} losses of {len(episodes)} episodes")
        finite = all(math.isfinite(loss) for loss in losses)
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error!r}): {remedy}") from error
    if not finite:
        raise ValueError(f"{path} has losses that are not finite numbers, as of a training that diverged: {remedy}")
    return content


def _checked(episodes: Any) -> list[dict[str, Any]]:
    """Check what a table reads of episodes: task, seed, success and scores.

    Raises:
        ValueError: if one is missing or of another type.
    """
    if not isinstance(episodes, list) or not episodes:
        raise ValueError("it has no list of episodes")
    for number, each in enumerate(episodes):
        kinds = {"task": str, "seed": int, "success": bool, "scores": dict}
        if wrong := [name for name, kind in kinds.items() if not isinstance(each.get(name), kind)]:
            raise ValueError(f"episode {number} has no {', '.join(wrong)}")
        if not all(isinstance(score, int | float) and math.isfinite(score) for score in each["scores"].values()):
            raise ValueError(f"episode {number} has the scores {each['scores']}, expected finite numbers")
    return episodes


def check_same_episodes(rows: Mapping[str, RowResults]) -> None:
    """Check that all runs of all rows were evaluated on the same episodes, as paired differences need.

    Held-out episodes must be the same for all rows with the same training seed.

    Raises:
        ValueError: if two runs were not; it names them.
    """
    held_out = dict[int, tuple[Path, Sequence[int]]]()
    for row in rows.values():
        for seed, numbers in row.held_out_episodes.items():
            run = row.folder / str(seed)
            other, expected = held_out.setdefault(seed, (run, numbers))
            if list(numbers) != list(expected):
                raise ValueError(
                    f"{run / HELD_OUT} has other held-out episodes than {other / HELD_OUT}: remove one of the two "
                    f"folders and run it again"
                )
    first: tuple[str, list[tuple[Any, ...]]] | None = None
    for row in rows.values():
        for seed, episodes in row.episodes.items():
            played = [(each.get("group"), each["task"], each["seed"]) for each in episodes]
            if first is None:
                first = str(row.folder / str(seed)), played
            elif played != first[1]:
                raise ValueError(
                    f"{row.folder / str(seed)} was evaluated on other episodes than {first[0]}: remove one of the two "
                    f"folders and run it again"
                )


def _number(episode: Mapping[str, Any], column: Column) -> float:
    if column.score == RECOVERY:
        return float(episode["success"]) if episode.get("missed") else math.nan
    if column.score == BETWEEN:
        return mean_gap(episode.get("attempts", ()))
    if column.score == "success":
        return float(episode["success"])
    if column.score == ATTEMPTS:
        return float(len(episode["attempts"]))
    return float(episode["scores"][column.score])
