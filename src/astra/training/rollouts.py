"""Rollouts during training: after a checkpoint, so that a simulator that fails or a signal loses no update.

A run that ends between a checkpoint and its rollouts plays them when it resumes.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from astra.parallel.interruption import Interruption
from astra.parallel.processes import everywhere, in_main, processes
from astra.policies.policy import Policy
from astra.storage.metrics_file import read_metrics_lines
from astra.training.budget import Budget
from astra.training.config import HELD_OUT_LOSS, TrainingConfig
from astra.training.run_folder import METRICS, RunFolder
from astra.training.run_log import RunLog

Evaluate = Callable[[Policy[Any]], Mapping[str, float]]
"""Function that rolls a policy out and returns metrics."""
KIND = "evaluation"
"""Source of their metrics in metrics.jsonl."""


def rollouts_are_missing(folder: RunFolder, budget: Budget, config: TrainingConfig) -> bool:
    """Whether a run that resumes has no metrics of the rollouts that were due at its checkpoint."""
    if budget.update == 0 or not budget.is_due(config.evaluate_every):
        return False
    metrics = folder.path / METRICS
    rows = read_metrics_lines(metrics) if metrics.exists() else []
    here = (row for row in rows if row["update"] == budget.update)
    return not any(name.startswith(f"{KIND}/") for row in here for name in row)


def roll_out(
    evaluate: Evaluate,
    policy: Policy[Any],
    folder: RunFolder,
    config: TrainingConfig,
    log: RunLog,
    interruption: Interruption,
) -> None:
    """Roll a policy out, record its metrics, and score its checkpoint, the newest, if rollouts choose the best.

    Raises:
        ValueError: if the rollouts lack the metric by which the best checkpoint is chosen.
        KeyboardInterrupt: after a signal: before the first rollout, or at once if there is one process. Several, of
            which one may have the signal, finish the rollouts and the next update.
    """
    update = log.budget.update
    if any(everywhere(lambda: interruption.requested is not None)):  # the same answer in all processes
        raise interruption.error(f"{folder.path}: interrupted after {update} updates; continue with --resume")
    try:
        with interruption.at_once() if processes().num_processes == 1 else nullcontext():
            measured = evaluate(policy)
    except KeyboardInterrupt as error:
        told = f"interrupted in the rollouts after {update} updates; continue with --resume"
        raise type(error)(f"{folder.path}: {told}") from None
    if config.keep_best not in (None, HELD_OUT_LOSS):
        if config.keep_best not in measured:
            raise ValueError(
                f"the rollouts have the metrics {', '.join(measured)}, and training.keep_best is {config.keep_best!r}: "
                "choose one of them in a new run"
            )
        in_main(partial(folder.score_newest, measured[config.keep_best]))
    log.write(KIND, measured)  # last: a run that ends before plays them again
