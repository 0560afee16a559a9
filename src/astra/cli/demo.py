"""`astra demo`: everything from demonstrations to a report, in 5 to 17 minutes on two cores.

The demonstrations push the T to one of two goals. Only the instruction says which: the policy sees the corners of the T
and the agent, but not the goal. docs/results.md has the results.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from astra.cli.parse import parse
from astra.storage.numbers import Count, Episodes, Workers, check_numbers
from astra.suites.config import EvaluationConfig

if TYPE_CHECKING:
    from astra.training.config import TrainingConfig

SCORE = "reward"
"""Score in the last line: the mean over episodes of the largest min(coverage / 0.95, 1)."""
WORKERS = max(2, os.cpu_count() or 1)
NUM_ENVS = 25
"""Environments in which one process acts at once, on every machine, so that results do not depend on it."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much the demo does."""

    episodes: int
    updates: int
    test_episodes: int
    reference_episodes: int


WHOLE = Size(episodes=1000, updates=6000, test_episodes=100, reference_episodes=20)
"""5 to 17 minutes on two free cores, by their speed; enough for a policy that follows its instruction."""
SMALL = Size(episodes=120, updates=600, test_episodes=20, reference_episodes=10)
"""About 2 minutes on two free cores; it tests the pipeline, not the policy."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Collect demonstrations for two goals, train on them, evaluate on unseen starts and write a report."""

    small: bool = False
    """Whether to do a small part of the work, which tests the pipeline and not the policy."""
    output: Path = Path("runs/demo")
    """Run folder: a new one, or that of an interrupted demo."""
    episodes: Episodes | None = None
    """Number of demonstrations of the expert. None: 1,000; 120 with --small."""
    updates: Count | None = None
    """Number of updates of the training. None: 6,000; 600 with --small."""
    test_episodes: Episodes | None = None
    """Number of unseen starts, half of them for each goal. The policy plays them twice, with the instruction of the
    right goal and with that of the other goal. None: 100; 20 with --small."""
    reference_episodes: Episodes | None = None
    """Number of these that the expert and the no-op baseline play too. None: 20; 10 with --small."""
    workers: Workers = WORKERS
    """Number of processes that collect and evaluate; from two on, the results do not depend on it."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")

    @property
    def size(self) -> Size:
        """How much the demo does."""
        usual = SMALL if self.small else WHOLE
        chosen = {name: getattr(self, name) for name in vars(usual) if getattr(self, name) is not None}
        return replace(usual, **chosen)

    @property
    def training(self) -> "TrainingConfig":
        """Training of the demo: a number of updates, never of minutes, so that other work cannot change it."""
        from astra.experiments.pusht import small_training

        training = small_training(self.size.updates)
        return replace(training, batch_size=64, validation_every=500, checkpoint_every=500, precision="auto")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileExistsError: if the output folder holds another run.
        ValueError: if Push-T is not installed, or the output folder holds another number of demonstrations.
    """
    demo = parse(Demo, "demo", arguments)

    import torch

    from astra.demonstrations.collect import CollectConfig, collect
    from astra.demonstrations.recipe import check_number
    from astra.environments.pusht.environment import AGENT
    from astra.environments.pusht.suite import SUITE
    from astra.evaluation.report import write_report
    from astra.evaluation.result_table import ResultTable, result_line
    from astra.experiments.experiment import Experiment
    from astra.experiments.pusht import small_policy
    from astra.experiments.run_training import run_training
    from astra.policies.checkpoint import load_policy
    from astra.screen import screen
    from astra.storage.provenance import code_version
    from astra.suites.evaluate_suite import evaluate_suite
    from astra.training.run_folder import check_run_folder

    started = time.monotonic()
    size = demo.size

    check_run_folder(demo.output)
    dataset = demo.output / "demonstrations"
    if not dataset.exists():
        print(f"1/4  collecting {size.episodes:,} demonstrations of the expert")
        collect(SUITE, CollectConfig(episodes=size.episodes, output=dataset, workers=demo.workers))
    check_number(dataset, size.episodes, "start the demo again; or go on with what there is by --episodes {found}")

    print(f"2/4  training Astra for {size.updates:,} updates")
    config = replace(small_policy(reference_state=AGENT), dropout=0.0)  # five epochs are too few to overfit
    experiment = Experiment(dataset=dataset, policy=config, training=demo.training)
    policy = load_policy(run_training(experiment, demo.output, resume=True, description={"experiment": "demo"}))

    print(f"3/4  evaluating on {size.test_episodes} unseen starts")
    torch.set_num_threads(1)
    of_policy = EvaluationConfig(
        episodes=size.test_episodes, agents=("policy", "swapped"), num_envs=NUM_ENVS, workers=demo.workers
    )
    reference = min(size.test_episodes, size.reference_episodes)
    of_others = replace(of_policy, episodes=reference, agents=("no-op", "expert"))
    evaluations = {}
    for config in (of_policy, of_others):
        provenance = {"code_version": code_version()}
        evaluations |= evaluate_suite(policy, SUITE, demo.output / "eval", config, provenance=provenance)

    print("4/4  writing the report")
    report = write_report(demo.output)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes in total; report: {report}")
    summaries = {name: evaluation.summary for name, evaluation in evaluations.items()}
    screen().print(ResultTable(summaries))
    print(result_line(SCORE, summaries["policy"], summaries["no-op"], summaries["expert"]))
