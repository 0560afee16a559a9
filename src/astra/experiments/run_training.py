"""Training of an experiment: its demonstrations are opened, and its policy is trained and measured."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from astra.environments.suite import Suite, suite_of
from astra.experiments.experiment import Experiment, describe
from astra.experiments.mixture import in_first_units
from astra.experiments.resume import check_same_data
from astra.experiments.training_data import open_training_data
from astra.parallel.processes import in_main, main_first
from astra.policies.policy import Policy
from astra.storage.hub import pinned
from astra.suites.config import EvaluationConfig
from astra.training.run_folder import check_run_folder
from astra.training.train import train
from astra.trajectory import TrajectorySpec


def run_training(
    experiment: Experiment,
    run_folder: Path,
    *,
    resume: bool = False,
    extend: bool = False,
    shard: bool = False,
    description: dict[str, Any] | None = None,
) -> Path:
    """Open the demonstrations, train the policy, and return its folder.

    Args:
        experiment: the experiment.
        run_folder: folder of the run; created if it is missing.
        resume: continue from the newest checkpoint in the run folder, if there is one.
        extend: accept another number of updates or minutes than the run in the folder has, and go on to that length.
        shard: split the run over the processes, instead of a copy in each.
        description: written to the run's config.json too.

    Raises:
        FileNotFoundError: if there are no demonstrations.
        ValueError: if they are damaged, or do not fit the policy or the run folder, or no suite fits the rollouts.
    """
    check_run_folder(run_folder)
    experiment = replace(
        experiment,
        dataset=main_first(lambda: pinned(experiment.dataset)),
        mixture=tuple(main_first(partial(pinned, folder)) for folder in experiment.mixture),
    )
    data = open_training_data(experiment)
    if data.streamed:  # also when the run goes on
        experiment = replace(experiment, frames=replace(experiment.frames, decode="streamed"))
    evaluate = None
    if experiment.training.evaluate_every is not None:
        try:
            suite = suite_of(data.training.spec, experiment.suite)
        except ValueError as error:
            raise ValueError(f"--training.evaluate-every needs a suite, but {error}") from error
        evaluate = _rollouts(suite, experiment.rollouts, data.training.spec, run_folder / "rollouts")
    described = {**describe(experiment), "episodes": data.episodes}
    in_main(partial(check_same_data, run_folder, described, data.statistics, experiment.training.seed))
    return train(
        experiment.policy,
        experiment.training,
        data.training,
        data.held_out,
        run_folder,
        statistics=data.statistics,
        resume=resume,
        extend=extend,
        shard=shard,
        evaluate=evaluate,
        description={**described, **(description or {})},
    )


def _rollouts(
    suite: Suite, config: EvaluationConfig, spec: TrajectorySpec, folder: Path
) -> Callable[[Policy[Any]], dict[str, float]]:
    """Return a function that measures a policy during training; the newest results stay in the folder."""
    from astra.suites.evaluate_suite import evaluate_suite

    suite.spec(suite.options_for(spec))  # so that errors come before the training

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        evaluations = evaluate_suite(in_first_units(policy), suite, folder, replace(config, agents=("policy",)))
        summary = evaluations["policy"].summary
        return {"success": summary.success.value, **{name: score.value for name, score in summary.scores.items()}}

    return evaluate
