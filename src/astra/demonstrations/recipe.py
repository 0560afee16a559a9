"""Demonstrations that an experiment needs: how many, the command that makes them, and whether they are all there."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info import read_info
from astra.demonstrations.collect import CollectConfig, collect
from astra.environments.suite import Suite


@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """Dataset of demonstrations, and how it is made."""

    name: str
    """Name of its folder in the folder of datasets."""
    command: str
    """Command that makes it in data/."""
    episodes: int | None = None
    """Number of demonstrations. None: not known."""
    collect: Callable[[Path], object] | None = field(default=None, compare=False)
    """Function that makes it in a folder; None: something must be downloaded or installed first."""
    needs: str = ""
    """Instruction what to download or install first."""

    def ensure(self, datasets: Path) -> None:
        """Make the dataset if it is missing, else check that it is complete.

        Args:
            datasets: Folder of datasets.

        Raises:
            FileNotFoundError: if something must be downloaded first.
            ValueError: if an extra that it needs is not installed, or it has another number of demonstrations.
        """
        folder = datasets / self.name
        if folder.exists():
            if self.episodes is not None and (folder / layout.INFO).exists():  # else a training says what is missing
                check_number(folder, self.episodes, f"make them again: {self.command}")
            return
        if self.collect is None:
            raise FileNotFoundError(f"{folder} is missing: {self.needs}, then run: {self.command}")
        print(f"{folder} is missing; making it: {self.command}")
        started = time.monotonic()
        self.collect(folder)
        print(f"{folder}: done in {(time.monotonic() - started) / 60:.1f} minutes")


def collected(
    suite: Suite,
    name: str,
    episodes: int,
    tasks: Sequence[str] = (),
    options: Any = None,
    needs: str = "",
) -> Demonstrations:
    """Return demonstrations of a suite's expert.

    Args:
        suite: Suite whose expert demonstrates.
        name: Name of the dataset.
        episodes: Number of demonstrations.
        tasks: Tasks, taken in turn; empty: all.
        options: Options of the suite's demonstrations; None: its defaults.
        needs: What the user does first. The dataset is then not collected without being asked for; empty: it is.
    """

    def make(folder: Path) -> Path:
        return collect(suite, CollectConfig(episodes=episodes, output=folder, tasks=tuple(tasks)), options)

    words = ["astra collect", suite.name, f"--episodes {episodes}", *_flags(options), f"--output data/{name}"]
    words += ["--tasks", *tasks] if tasks else []
    return Demonstrations(
        name=name, command=" ".join(words), episodes=episodes, collect=None if needs else make, needs=needs
    )


def _flags(options: Any) -> list[str]:
    """Return the flags of `astra collect` for the options that differ from their defaults."""
    if options is None:
        return []
    flags = []
    for name in (option.name for option in fields(options)):
        value = getattr(options, name)
        if value != getattr(type(options)(), name):
            flag = f"--{name.replace('_', '-')}"
            flags.append(flag if value is True else f"{flag} {value}")
    return flags


def check_number(dataset: Path, episodes: int, remedy: str) -> None:
    """Check the number of demonstrations of a dataset: collecting that was stopped keeps what was complete.

    Args:
        dataset: Folder of the dataset.
        episodes: Expected number.
        remedy: What to do besides deleting the folder, for the error; {found} becomes the number that there is.

    Raises:
        ValueError: if the number is another one, or info.json is damaged.
    """
    found = read_info(dataset)["total_episodes"]
    if found != episodes:
        raise ValueError(
            f"{dataset} holds {found:,} demonstrations instead of {episodes:,}: delete the folder, and "
            f"{remedy.format(found=found)}"
        )
