"""`astra view DATASET|RUN`: show episodes, and what a policy predicts along them, in the viewer Rerun."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from astra.cli.parse import parse
from astra.storage.numbers import CountOrNone


def view(source: tyro.conf.Positional[Path], episodes: tuple[CountOrNone, ...] = (), save: Path | None = None) -> None:
    """Show episodes of a dataset, or held-out episodes of a run with the actions that its policy predicts.

    Args:
        source: folder of a dataset, its id on the Hugging Face Hub, or a run folder.
        episodes: numbers of the episodes. Empty: the first episode of a dataset, or four held-out ones of a run.
        save: write a file for Rerun (.rrd) instead of opening the viewer, one per episode.
    """
    from astra.analysis.rerun_view import view_dataset, view_run
    from astra.datasets import LeRobotDataset
    from astra.storage.hub import local_folder

    if (source / "checkpoints").is_dir():
        view_run(source, episodes or None, save)
    else:
        view_dataset(LeRobotDataset.open(local_folder(source), decode=False), episodes or (0,), save)


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ModuleNotFoundError: if Rerun is not installed.
        FileNotFoundError: if there is no such dataset or run.
        ValueError: if it is damaged, or has no such episode.
    """
    parse(view, "view", arguments)
