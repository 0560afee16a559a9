"""`astra demo`: everything from demonstrations to a report, in minutes on two cores.

The demonstrations push the T to one of two goals. Only the instruction says which: the policy sees the corners of the T
and the agent, but not the goal. docs/results.md has the results.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from astra.cli.parse import parse
from astra.storage.numbers import Count, Positive, Workers, check_numbers
from astra.suites.config import EvaluationConfig

SCORE = "reward"
"""Score in the last line: the mean over episodes of the largest min(coverage / 0.95, 1)."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Collect demonstrations for two goals, train on them, evaluate on unseen starts and write a report."""

    minutes: Positive = 9.0
    """Minutes of training. Collecting and evaluating take about half as long again."""
    output: Path = Path("runs/demo")
    """Run folder: a new one, or that of an interrupted demo."""
    episodes: Count = 400
    """Number of demonstrations of the expert; fewer if training is shorter than five minutes."""
    test_episodes: Count = 200
    """Number of unseen starts, half of them for each goal; fewer if training is shorter than five minutes. The policy
    plays them twice, with the instruction of the right goal and with that of the other goal."""
    reference_episodes: Count = 50
    """Number of these that the expert and the no-op baseline play too."""
    workers: Workers = os.cpu_count() or 1
    """Number of processes that collect and evaluate."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileExistsError: if the output folder holds another run.
        ValueError: if Push-T is not installed.
    """
    demo = parse(Demo, "demo", arguments)

    import torch

    from astra.demonstrations.collect import CollectConfig, collect
    from astra.environments.pusht.suite import SUITE
    from astra.evaluation.report import write_report
    from astra.evaluation.result_table import result_line, result_table
    from astra.experiments.experiment import Experiment, run_training
    from astra.experiments.pusht import small_policy, small_training
    from astra.policies.checkpoint import load_policy
    from astra.screen import screen
    from astra.storage.provenance import code_version
    from astra.suites.evaluate_suite import evaluate_suite
    from astra.training.run_folder import check_run_folder

    started = time.monotonic()
    share = min(1.0, demo.minutes / 5)

    check_run_folder(demo.output)
    dataset = demo.output / "demonstrations"
    if not dataset.exists():
        episodes = max(10, round(demo.episodes * share))
        print(f"1/4  collecting {episodes} demonstrations of the expert")
        collect(SUITE, CollectConfig(episodes=episodes, output=dataset, workers=demo.workers))

    print(f"2/4  training Astra for {demo.minutes:g} minutes")
    training = replace(small_training(demo.minutes), threads=demo.workers, validation_every=300, checkpoint_every=300)
    experiment = Experiment(dataset=dataset, policy=small_policy(), training=training)
    policy = load_policy(run_training(experiment, demo.output, resume=True, description={"experiment": "demo"}))

    episodes = max(4, round(demo.test_episodes * share))
    print(f"3/4  evaluating on {episodes} unseen starts")
    torch.set_num_threads(1)
    of_policy = EvaluationConfig(
        episodes=episodes,
        agents=("policy", "swapped"),
        num_envs=max(1, min(50, episodes // (2 * demo.workers))),
        workers=demo.workers,
    )
    of_others = replace(of_policy, episodes=min(episodes, demo.reference_episodes), agents=("no-op", "expert"))
    evaluations = {}
    for config in (of_policy, of_others):
        provenance = {"code_version": code_version()}
        evaluations |= evaluate_suite(policy, SUITE, demo.output / "eval", config, provenance=provenance)

    print("4/4  writing the report")
    report = write_report(demo.output)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes in total; report: {report}")
    summaries = {name: evaluation.summary for name, evaluation in evaluations.items()}
    screen().print(result_table(summaries))
    print(result_line(SCORE, summaries["policy"], summaries["no-op"], summaries["expert"]))
