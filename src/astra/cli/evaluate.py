"""`astra evaluate CHECKPOINT_OR_RUN`: measure a trained policy in its simulator."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from astra.cli.parse import parse
from astra.suites.config import EvaluationConfig


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained policy in its simulator, with intervals, videos and pictures."""

    checkpoint: tyro.conf.Positional[Path]
    """A run, one of its checkpoints, or a policy's folder."""
    output: Path | None = None
    """Where results go; eval/ inside the run or the policy's folder by default."""
    temperature: float | None = None
    """Of sampling actions; 0 takes the most likely. As saved with the policy by default."""
    n_action_steps: int | None = None
    """Timesteps for which a plan is followed. As saved with the policy by default."""
    evaluation: Annotated[EvaluationConfig, tyro.conf.arg(name="")] = field(default_factory=EvaluationConfig)


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if there is no policy.
        ValueError: if it is damaged or does not fit a simulator, or the simulator has no such level, task or agent.
    """
    chosen = parse(Evaluate, "evaluate", arguments)

    import torch

    from astra.evaluation.result_table import group_table, result_table
    from astra.parallel.processes import is_main_process
    from astra.policies.checkpoint import load_policy, policy_folder
    from astra.storage.provenance import code_version
    from astra.suites.evaluate_suite import evaluate_policy

    torch.set_num_threads(1)  # small batches gain nothing from more
    policy = load_policy(chosen.checkpoint)
    changes = {"temperature": chosen.temperature, "n_action_steps": chosen.n_action_steps}
    if changes := {name: value for name, value in changes.items() if value is not None}:
        policy.decode_with(replace(policy.decoding, **changes))
    provenance: dict[str, Any] = {"code_version": code_version(), "checkpoint": str(policy_folder(chosen.checkpoint))}
    provenance |= {"temperature": policy.decoding.temperature, "n_action_steps": policy.decoding.n_action_steps}
    folder = chosen.output or chosen.checkpoint / "eval"
    evaluations = evaluate_policy(policy, folder, chosen.evaluation, provenance)
    if is_main_process():
        Console().print(result_table({name: evaluation.summary for name, evaluation in evaluations.items()}))
        if table := group_table({name: evaluation.results for name, evaluation in evaluations.items()}):
            Console().print(table)
        print(f"results: {folder}")
