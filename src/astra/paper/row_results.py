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
from astra.evaluation.success import mean_gaps
from astra.paper.table import ATTEMPTS, Column
from astra.storage.json_checksum import read_checked_json

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

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds of the finished runs."""
        return tuple(self.episodes)

    def values(self, column: Column, seeds: Sequence[int]) -> Float[np.ndarray, "K E"]:
        """Return the numbers of a column in its unit, one line per seed; no episodes: the suite lacks the group."""
        if column.held_out:
            return np.array([self.held_out.get(seed, ()) for seed in seeds], np.float64).reshape(len(seeds), -1)
        lines = [[column.scale * _number(episode, column) for episode in self._of(column, seed)] for seed in seeds]
        return np.array(lines, np.float64).reshape(len(seeds), -1)

    def tasks(self, column: Column) -> list[str]:
        """Return the task of each episode of a column."""
        if column.held_out:
            return ["" for _ in self.held_out.get(self.seeds[0], ())]
        return [episode["task"] for episode in self._of(column, self.seeds[0])]

    def recovered(self, column: Column, seed: int) -> list[float]:
        """Return the success, 0 or 1, of every episode of a seed in which an action missed."""
        return [float(each["success"]) for each in self._of(column, seed) if each.get("missed")]

    def gaps(self, column: Column, seed: int) -> list[float]:
        """Return the mean timesteps between the attempts of every episode of a seed that has several."""
        return mean_gaps([each.get("attempts", ()) for each in self._of(column, seed)])

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
    episodes, held_out = {}, {}
    for run in seed_folders(folder):
        measured = run if agent == "policy" else run / agent
        if not measured.exists():
            continue
        try:
            episodes[int(run.name)] = _checked(read_kept(measured)["episodes"])
            if agent == "policy" and (losses := run / HELD_OUT).exists():
                held_out[int(run.name)] = read_checked_json(losses, "JSON", RESTORE)["first_action_loss"]
        except (
            OSError,
            EOFError,
            KeyError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
            zlib.error,
        ) as error:
            raise ValueError(f"{measured / FILE_NAME} is damaged ({error!r}): remove {run} to run it again") from error
    return RowResults(folder=folder, episodes=episodes, held_out=held_out) if episodes else None


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

    Raises:
        ValueError: if two runs were not; it names them.
    """
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
    if column.score == "success":
        return float(episode["success"])
    if column.score == ATTEMPTS:
        return float(len(episode["attempts"]))
    return float(episode["scores"][column.score])
