"""`astra demo`: demonstrations, training, evaluation and report, in minutes."""

from collections.abc import Sequence

from rich.console import Console

from astra.cli.parse import parse
from astra.evaluation.result_table import result_line, result_table
from astra.experiments.demo import SCORE, Demo, run_demo


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if the output holds another run, or Push-T is not installed.
    """
    demo = parse(Demo, "demo", arguments)
    evaluations = run_demo(demo)
    summaries = {name: evaluation.summary for name, evaluation in evaluations.items()}
    Console().print(result_table(summaries))
    print(result_line(SCORE, summaries["policy"], summaries["no-op"], summaries["expert"]))
