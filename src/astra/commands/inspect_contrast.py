"""`astra inspect contrast`: how hard, and which way, the two losses of a run pull at its weights."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from astra.experiments.pull import batches_of, open_run, pulls
from astra.experiments.split import open_for, split_of


def contrast(
    checkpoint: tyro.conf.Positional[Path],
    *,
    dataset: Path | None = None,
    batches: int = 16,
    format: Literal["text", "json"] = "text",
) -> None:
    """Print the gradients of behaviour cloning and of the contrast beside it, by part of the policy.

    Args:
        checkpoint: a run that learned by contrast, or one of its checkpoints.
        dataset: the demonstrations that it learns from, where they have moved.
        batches: so many are drawn from those that it trains on.
        format: text, or json.

    Raises:
        FileNotFoundError: if it is a policy without its run, or the demonstrations are not where the run found them.
        ValueError: if it did not learn by contrast, the demonstrations are not those of the run, or there is no batch.
    """
    torch.set_num_threads(1)
    if batches < 1:
        raise ValueError(f"got {batches} batches, expected at least 1")
    run = open_run(checkpoint)
    split = split_of(checkpoint)
    opened = open_for(run.policy, dataset or split.dataset)
    drawn = batches_of(run, opened, split.training(opened), batches)
    parts, metrics = pulls(run, track(drawn, "gradients", batches, transient=True, disable=format == "json"))
    if format == "json":
        told = {"update": run.update, "batches": batches, "parts": [asdict(part) for part in parts], "metrics": metrics}
        print(json.dumps(told, indent=2))
        return
    table = Table("part", "cloning", "contrast", "share of contrast", "cosine", box=SIMPLE_HEAD)
    for part in parts:
        numbers = f"{part.cloning:.3f}", f"{part.contrast:.3f}", f"{100 * part.share:.0f} %", f"{part.cosine:+.2f}"
        table.add_row(part.part, *numbers)
    Console().print(table)
    print(
        f"Update {run.update}, {batches} batches of {run.training.batch_size}: mean norms of the gradients of L_BC and "
        f"of alpha L_CDL (alpha = {run.contrastive.config.weight:g}); the share is that of squared norms; the cosine "
        "is between their means."
    )
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items()))
