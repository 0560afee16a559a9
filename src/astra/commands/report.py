"""`astra report RUN`: write a run's results into one self-contained report.html."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from astra.commands.parse import parse
from astra.evaluation.report import write_report


def report(run: tyro.conf.Positional[Path]) -> None:
    """Write report.html: curves, results, videos, film strips, the mask and attention maps.

    Args:
        run: the run folder.
    """
    print(f"report: {write_report(run)}")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if the folder is no run's.
    """
    parse(report, "report", arguments)
