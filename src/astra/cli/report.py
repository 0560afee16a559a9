"""`astra report RUN [--beside OTHER]`: write the results of a run to one self-contained report.html."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from astra.cli.main import explanation
from astra.cli.parse import parse
from astra.storage.numbers import CountOrNone

HELD_OUT = 16
"""Default number of held-out episodes."""


def report(
    run: tyro.conf.Positional[Path],
    beside: Path | None = None,
    held_out: CountOrNone | None = None,
    dataset: Path | None = None,
) -> None:
    """Write report.html with curves, results, held-out episodes, videos, film strips, the mask and attention maps.

    Args:
        run: run folder, or a folder with one run per training seed.
        beside: second run folder, evaluated on the same episodes. Episodes that only one of the two policies solves
            are played again and shown side by side.
        held_out: largest number of held-out episodes along which the policy predicts actions; 0 leaves them as they
            are. None: 16, if the demonstrations are there.
        dataset: folder of the demonstrations. None: the folder that the run was trained on.
    """
    if dataset is not None and held_out == 0:
        raise ValueError("--dataset is for the held-out episodes, which --held-out 0 leaves out: leave one of them out")
    from astra.analysis.held_out import write_held_out
    from astra.evaluation.held_out_info import FOLDER
    from astra.evaluation.held_out_seeds import aggregate_held_out
    from astra.evaluation.report import write_report
    from astra.evaluation.seeds import aggregate, seed_runs
    from astra.storage.places import check_writable

    check_writable(run)
    runs = seed_runs(run)
    if beside is not None and (several := runs or seed_runs(beside)):
        raise ValueError(
            f"--beside compares two single runs, such as {next(iter(several.values()))}, not folders of seeds"
        )
    if beside is not None:
        from astra.analysis.side_by_side import side_by_side  # imports all simulators

        print(f"side by side: {side_by_side(run, beside)}")
    if held_out != 0:
        import torch

        torch.set_num_threads(1)  # batches of a few episodes gain nothing from more
        try:
            for each in runs.values() or [run]:
                print(f"held-out episodes: {write_held_out(each, HELD_OUT if held_out is None else held_out, dataset)}")
        except (ValueError, OSError) as error:
            if held_out is not None or dataset is not None:
                raise
            print(f"held-out episodes are not measured: {explanation(error)}")
    if runs:
        aggregate(runs, run / "eval")
        aggregate_held_out(runs, run / FOLDER)
    print(f"report: {write_report(run)}")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if the folder is not a run folder, or one of two runs has not been evaluated.
        ValueError: if the two runs share no episodes, or both solve the same ones; if a file of the run is damaged, or
            the demonstrations are not those of the run.
    """
    parse(report, "report", arguments)
