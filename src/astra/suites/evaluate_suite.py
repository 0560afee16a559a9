"""Which environment a policy belongs to, and its evaluation there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astra.evaluation.evaluate import Evaluation
from astra.policies.policy import Policy
from astra.suites.config import MAX_TIMESTEPS, EvaluationConfig
from astra.suites.pictured_evaluation import evaluate_pictured
from astra.suites.pusht_evaluation import evaluate_pusht, fitting_environment
from astra.suites.tabletop_evaluation import world_of
from astra.trajectory import TrajectorySpec


def check_measurable(spec: TrajectorySpec) -> None:
    """Check that there is an environment for policies of a dataset.

    Raises:
        ValueError: if no environment fits.
    """
    if spec.objects is None:
        fitting_environment(spec, MAX_TIMESTEPS)
    else:
        world_of(spec)


def evaluate_policy(
    policy: Policy[Any], folder: Path, config: EvaluationConfig, provenance: Mapping[str, Any] | None = None
) -> dict[str, Evaluation]:
    """Measure a policy in the environment whose objects and actions its spec has: Push-T where it sees no objects.

    Raises:
        ValueError: if no environment fits, or the environment has no such level, task or agent.
    """
    if policy.spec.objects is None:
        return evaluate_pusht(policy, folder, config, provenance)
    return evaluate_pictured(policy, world_of(policy.spec), folder, config, provenance)
