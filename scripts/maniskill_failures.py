"""Say how a policy fails in ManiSkill: which object its gripper closed at, and which one it lifted.

    python scripts/maniskill_failures.py runs/maniskill --levels seen-2-4 --episodes 10

A failed episode counts once, in the first column that fits. Episodes have the seeds of `astra evaluate`.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.environment import EnvironmentObservation
from astra.environments.maniskill.attempts import LIFTED
from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.suite import SUITE
from astra.evaluation.rollout import rollout
from astra.evaluation.success import wilson_interval
from astra.policies.checkpoint import load_policy
from astra.suites.config import EvaluationConfig
from astra.suites.evaluate_suite import cases_of

AT = 0.04
"""Largest distance in meters between the middle of the fingertips and an object's surface at which closing counts."""
TOGETHER = 12
"""Environments in which the policy acts at once."""
KINDS = (
    "lifted another object",
    "lifted the target, and did not place it",
    "closed at the target, and did not lift it",
    "closed at another object only",
    "closed away from all objects",
    "never closed the gripper",
)


class Watched(ManiSkill):
    """ManiSkill that notes how each failed episode failed."""

    failures: list[str]
    """Kind of failure of every failed episode so far, of all environments that share the list."""

    def reset(self, **arguments: Any) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode."""
        started = super().reset(**arguments)
        self._rests = [pose.point[2] for pose in self.simulator.objects]
        self._lifted, self._closed_at, self._was_open = set[int](), set[int | None](), True
        return started

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move for one timestep, and note what closes and rises."""
        closes = action[6] <= 0
        if closes and self._was_open:
            gaps = self.gaps()
            nearest = int(np.argmin(gaps))
            self._closed_at.add(nearest if gaps[nearest] < AT else None)
        self._was_open = not closes
        result = super().step(action)
        heights = [pose.point[2] for pose in self.simulator.objects]
        self._lifted |= {number for number, rest in enumerate(self._rests) if heights[number] > rest + LIFTED}
        if result[3]:
            self.failures.append(self._kind())
        return result

    def _kind(self) -> str:
        facts = (
            bool(self._lifted - {0}),
            0 in self._lifted,
            0 in self._closed_at,
            bool(self._closed_at - {None}),
            bool(self._closed_at),
            True,
        )
        return KINDS[facts.index(True)]


def main() -> None:
    """Play the episodes and print the kinds of failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run or a policy's folder")
    parser.add_argument("--levels", nargs="+", default=["seen-2-4"], help="levels that are played")
    parser.add_argument("--episodes", type=int, default=10, help="episodes of each combination")
    chosen = parser.parse_args()
    policy = load_policy(chosen.run)
    options = SUITE.options_for(policy.spec)
    config = EvaluationConfig(episodes=chosen.episodes)
    print(f"| level | episodes | failed | {' | '.join(KINDS)} |\n|---|---|---|{'---|' * len(KINDS)}")
    for level in chosen.levels:
        failures: list[str] = []

        def build(failures: list[str] = failures) -> Watched:
            environment = Watched(options)
            environment.failures = failures
            return environment

        cases = cases_of(SUITE, SUITE.choose(options, (level,)), config)
        played = rollout(policy, build, cases, num_envs=TOGETHER, title=level)
        failed = wilson_interval(sum(not result.success for result in played), len(played))
        counts = Counter(failures)
        shown = " | ".join(str(counts[kind]) for kind in KINDS)
        print(f"| {level} | {len(played)} | {failed.value:.2f} [{failed.low:.2f}, {failed.high:.2f}] | {shown} |")


if __name__ == "__main__":
    main()
