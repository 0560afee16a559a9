"""`astra inspect choices`: a policy's own first actions beside the demonstrated ones."""

import json
from pathlib import Path
from typing import Literal

import torch
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from astra.analysis.open_loop import first_choices
from astra.analysis.split import open_for, split_of
from astra.policies.checkpoint import load_policy


def choices(
    checkpoint: tyro.conf.Positional[Path],
    *,
    dataset: Path | None = None,
    episodes: int = 256,
    within: float = 0.05,
    format: Literal["text", "json"] = "text",
) -> None:
    """Print how near a policy's own first actions come to those of held-out demonstrations, by dimension.

    Args:
        checkpoint: a run, or one of its checkpoints; the run tells which episodes it held out.
        dataset: the demonstrations that it learned from, where they have moved.
        episodes: at most so many of the held-out ones.
        within: what counts as near, as a share of a dimension's range.
        format: text, or json.

    Raises:
        FileNotFoundError: if the demonstrations are not where the run found them.
        ValueError: if the demonstrations are not those of the run, none was held out, or a number is not possible.
    """
    torch.set_num_threads(1)
    if episodes < 1:
        raise ValueError(f"got {episodes} episodes, expected at least 1")
    policy = load_policy(checkpoint)
    split = split_of(checkpoint)
    opened = open_for(policy, dataset or split.dataset)
    used = split.held_out(opened)[:episodes]
    made = first_choices(policy, opened, used, within)
    if format == "json":
        rows = [
            {"name": each.name, "error": each.error, "near": [each.near.value, each.near.low, each.near.high]}
            for each in made.dimensions
        ]
        near = [made.all_near.value, made.all_near.low, made.all_near.high]
        print(
            json.dumps(
                {
                    "episodes": len(used),
                    "dimensions": rows,
                    "all": near,
                    "teacher_forced_accuracy": made.teacher_forced_accuracy,
                },
                indent=2,
            )
        )
        return
    table = Table("dimension", "mean distance", f"within {100 * within:g} % of its range", box=SIMPLE_HEAD)
    for each in made.dimensions:
        table.add_row(each.name, f"{each.error:.4g}", str(each.near))
    table.add_row("all of them", "", str(made.all_near))
    Console().print(table)
    print(f"First actions of {len(used)} held-out episodes, chosen as in a rollout.")
    if made.teacher_forced_accuracy is not None:
        print(
            f"Teacher-forced accuracy: {made.teacher_forced_accuracy:.2f} of all dimensions in the right bin, given "
            "the demonstrated dimensions before each where the policy reads them."
        )
