"""`astra report RUN [--beside OTHER]`: write a run's results into one self-contained report.html."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from astra.cli.parse import parse
from astra.evaluation.report import write_report


def report(run: tyro.conf.Positional[Path], beside: Path | None = None) -> None:
    """Write report.html: curves, results, videos, film strips, the mask and attention maps.

    Args:
        run: the run folder.
        beside: another run, measured in the same episodes: those that one of the two solves and the other does not are
            played again, and shown side by side.
    """
    if beside is not None:
        from astra.analysis.side_by_side import side_by_side  # and with it all simulators

        print(f"side by side: {side_by_side(run, beside)}")
    print(f"report: {write_report(run)}")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if the folder is no run's, or one of two has not been measured.
        ValueError: if the two share no episodes, or none tells them apart.
    """
    parse(report, "report", arguments)
