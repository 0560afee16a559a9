"""`astra report RUN [--beside OTHER]`: write the results of a run to one self-contained report.html."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from astra.cli.parse import parse


def report(run: tyro.conf.Positional[Path], beside: Path | None = None) -> None:
    """Write report.html with curves, results, videos, film strips, the mask and attention maps.

    Args:
        run: run folder, or a folder with one run per training seed.
        beside: second run folder, evaluated on the same episodes. Episodes that only one of the two policies solves
            are played again and shown side by side.
    """
    from astra.evaluation.report import write_report
    from astra.evaluation.seeds import aggregate, seed_runs

    if runs := seed_runs(run):
        aggregate(runs, run / "eval")
    if beside is not None:
        from astra.analysis.side_by_side import side_by_side  # imports all simulators

        print(f"side by side: {side_by_side(run, beside)}")
    print(f"report: {write_report(run)}")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if the folder is not a run folder, or one of two runs has not been evaluated.
        ValueError: if the two runs share no episodes, or both solve the same ones.
    """
    parse(report, "report", arguments)
