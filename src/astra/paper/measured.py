"""What the finished runs of a row say: their small files in results/, read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.evaluation.eval_info import FILE_NAME
from astra.evaluation.kept import read_kept
from astra.paper.table import Column


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The evaluations of one row's finished runs."""

    folder: Path
    episodes: Mapping[int, Sequence[Mapping[str, Any]]]
    """By training seed, what `eval_info.json` keeps of every episode."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds that are finished."""
        return tuple(self.episodes)

    def values(self, column: Column, seeds: Sequence[int]) -> Float[np.ndarray, "K E"]:
        """Give every seed's and episode's number for a column, in percent; no episodes: the world lacks the group."""
        lines = [[100 * _number(episode, column) for episode in self._of(column, seed)] for seed in seeds]
        return np.array(lines, np.float64).reshape(len(seeds), -1)

    def strata(self, column: Column) -> list[str]:
        """Name the task of each of a column's episodes."""
        return [episode["task"] for episode in self._of(column, self.seeds[0])]

    def _of(self, column: Column, seed: int) -> list[Mapping[str, Any]]:
        return [each for each in self.episodes[seed] if not column.group or each.get("group") == column.group]


def read_row(folder: Path) -> Measured | None:
    """Read all finished seeds of a row; None where there are none.

    Raises:
        ValueError: if a file is damaged.
    """
    episodes = {}
    for run in sorted(folder.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            episodes[int(run.name)] = read_kept(run)["episodes"]
        except (OSError, EOFError, KeyError, ValueError) as error:
            raise ValueError(f"{run / FILE_NAME} is damaged ({error!r}): remove {run} to run it again") from error
    return Measured(folder=folder, episodes=episodes) if episodes else None


def check_same_episodes(rows: Mapping[str, Measured]) -> None:
    """Check that every run of every row played the same episodes, without which nothing can be paired.

    Raises:
        ValueError: naming two runs that did not.
    """
    first: tuple[str, list[tuple[Any, ...]]] | None = None
    for row in rows.values():
        for seed, episodes in row.episodes.items():
            played = [(each.get("group"), each["task"], each["seed"]) for each in episodes]
            if first is None:
                first = str(row.folder / str(seed)), played
            elif played != first[1]:
                raise ValueError(
                    f"{row.folder / str(seed)} was measured on other episodes than {first[0]}: remove one of them and "
                    f"run it again"
                )


def _number(episode: Mapping[str, Any], column: Column) -> float:
    if column.score == "success":
        return float(episode["success"])
    return float(episode["scores"][column.score])
