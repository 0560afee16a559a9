"""`astra view DATASET|RUN`: show episodes, and what a policy predicts along them, in the viewer Rerun."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from astra.cli.parse import parse
from astra.storage.numbers import CountOrNone


def view(source: tyro.conf.Positional[Path], episodes: tuple[CountOrNone, ...] = (), save: Path | None = None) -> None:
    """Show episodes of a dataset, or held-out episodes of a run with the actions that its policy predicts.

    What is wrong in a dataset is printed, as by `astra inspect dataset`, and shown beside the episodes that have it.

    Args:
        source: folder of a dataset, its id on the Hugging Face Hub, or a run folder.
        episodes: numbers of the episodes. Empty: the first episode of a dataset, or four held-out ones of a run.
        save: write a file for Rerun (.rrd) instead of opening the viewer, one per episode.
    """
    from astra.analysis.rerun_view import view_dataset, view_run
    from astra.cli.inspecting.dataset import open_and_find, print_findings
    from astra.storage.hub import local_folder

    if (source / "checkpoints").is_dir():
        view_run(source, episodes or None, save)
        return
    dataset, findings, _ = open_and_find(local_folder(source))
    print_findings(findings)
    view_dataset(dataset, episodes or (0,), save, findings)


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ModuleNotFoundError: if Rerun is not installed.
        FileNotFoundError: if there is no such dataset or run.
        ValueError: if it is damaged, or has no such episode.
    """
    parse(view, "view", arguments)
