"""`astra inspect open-loop`: compare a policy's first actions with the demonstrated ones."""

import json
from pathlib import Path
from typing import Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.screen import screen
from astra.storage.numbers import Count, NotNegative


def open_loop(
    checkpoint: tyro.conf.Positional[Path],
    *,
    dataset: Path | None = None,
    episodes: Count = 256,
    within: NotNegative = 0.05,
    format: Literal["text", "json"] = "text",
) -> None:
    """Print the open-loop error of a policy: its first actions against those of held-out demonstrations.

    Args:
        checkpoint: run folder or checkpoint. The run knows which episodes it held out.
        dataset: folder of the demonstrations. None: the folder that the run was trained on.
        episodes: largest number of held-out episodes.
        within: largest error that counts as near, as a fraction of a dimension's range.
        format: text, or json.

    Raises:
        FileNotFoundError: if the demonstrations are missing.
        ValueError: if the demonstrations are not those of the run, none was held out, or a number is not possible.
    """
    import torch

    from astra.analysis.open_loop import open_loop_error
    from astra.analysis.split import open_dataset, read_split
    from astra.policies.checkpoint import load_policy

    torch.set_num_threads(1)
    policy = load_policy(checkpoint)
    split = read_split(checkpoint)
    opened = open_dataset(policy, dataset or split.folder)
    used = split.held_out(opened)[:episodes]
    result = open_loop_error(policy, opened, used, within)
    if format == "json":
        rows = [
            {"name": each.name, "error": each.error, "near": [each.near.value, each.near.low, each.near.high]}
            for each in result.dimensions
        ]
        near = [result.all_near.value, result.all_near.low, result.all_near.high]
        print(
            json.dumps(
                {
                    "episodes": len(used),
                    "dimensions": rows,
                    "all": near,
                    "teacher_forced_accuracy": result.teacher_forced_accuracy,
                },
                indent=2,
            )
        )
        return
    table = Table("dimension", "mean error", f"within {100 * within:g} % of its range", box=SIMPLE_HEAD)
    for each in result.dimensions:
        table.add_row(each.name, f"{each.error:.4g}", str(each.near))
    table.add_row("all dimensions", "", str(result.all_near))
    screen().print(table)
    plural = "s" if len(used) > 1 else ""
    print(f"First actions of {len(used)} held-out episode{plural}, chosen as in a rollout.")
    if result.teacher_forced_accuracy is not None:
        print(
            f"Teacher-forced accuracy: {result.teacher_forced_accuracy:.2f} of all dimensions are in the right bin, "
            "when a policy that predicts dimensions one after another is given the demonstrated earlier ones."
        )
