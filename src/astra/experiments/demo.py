"""The demo: everything from demonstrations to a report, in minutes on two cores.

Two goals, told apart by the instruction alone: the policy sees the corners of the T and the agent, and no goal.
Command: `make demo`. What it reached here stands in docs/results.md.
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from astra.demonstrations.collect import CollectConfig, collect
from astra.environments.pusht.suite import SUITE
from astra.evaluation.evaluate import Evaluation
from astra.evaluation.report import write_report
from astra.experiments.experiment import Experiment, run_training
from astra.experiments.pusht import small_policy, small_training
from astra.policies.checkpoint import load_policy
from astra.storage.provenance import code_version
from astra.suites.config import EvaluationConfig
from astra.suites.evaluate_suite import evaluate_suite

SCORE = "reward"
"""Score that is compared: the mean over episodes of the largest min(coverage / 0.95, 1)."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Demonstrations of both goals, training, evaluation on unseen starts and a report."""

    minutes: float = 9.0
    """Minutes of training; collecting and measuring take about half as long again."""
    output: Path = Path("runs/demo")
    """Run folder; must not exist, or hold a demo that was interrupted."""
    episodes: int = 400
    """Demonstrations of the expert; fewer when the training is shorter than five minutes."""
    test_episodes: int = 200
    """Unseen starts on which the policy is measured, told the right goal and the other one, half of them for each goal;
    fewer when the training is shorter than five minutes."""
    reference_episodes: int = 50
    """Of those, how many the no-op baseline and the expert play too."""
    workers: int = os.cpu_count() or 1
    """Processes that collect and measure."""


def run_demo(demo: Demo) -> dict[str, Evaluation]:
    """Run the demo and give the evaluations.

    Raises:
        FileExistsError: if the output holds another run.
        ValueError: if Push-T is not installed.
    """
    begun = time.monotonic()
    share = min(1.0, demo.minutes / 5)
    dataset = demo.output / "demonstrations"
    if not dataset.exists():
        episodes = max(10, round(demo.episodes * share))
        print(f"1/4  {episodes} demonstrations of the expert")
        collect(SUITE, CollectConfig(episodes=episodes, output=dataset, workers=demo.workers))
    print(f"2/4  training Astra for {demo.minutes:g} minutes")
    training = replace(small_training(demo.minutes), threads=demo.workers, validation_every=300, checkpoint_every=300)
    experiment = Experiment(dataset=dataset, policy=small_policy(), training=training)
    policy = load_policy(run_training(experiment, demo.output, resume=True, description={"experiment": "demo"}))
    episodes = max(4, round(demo.test_episodes * share))
    print(f"3/4  measuring on {episodes} unseen starts")
    torch.set_num_threads(1)
    told = EvaluationConfig(
        episodes=episodes,
        agents=("policy", "swapped"),
        num_envs=max(1, min(50, episodes // (2 * demo.workers))),
        workers=demo.workers,
    )
    beside = replace(told, episodes=min(episodes, demo.reference_episodes), agents=("no-op", "expert"))
    evaluations = {}
    for config in (told, beside):
        origin = {"code_version": code_version()}
        evaluations |= evaluate_suite(policy, SUITE, demo.output / "eval", config, provenance=origin)
    print("4/4  writing the report")
    report = write_report(demo.output)
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes in all; report: {report}")
    return evaluations
