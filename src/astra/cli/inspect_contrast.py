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

from astra.analysis.gradient_interference import Gradient, Pull, batches_of, open_run, pulls
from astra.analysis.split import open_for, split_of


def contrast(
    checkpoint: tyro.conf.Positional[Path],
    *,
    dataset: Path | None = None,
    batches: int = 64,
    format: Literal["text", "json"] = "text",
) -> None:
    """Print the gradients of behavior cloning and of the contrast beside it, by part of the policy.

    Args:
        checkpoint: a run that learned by contrast, or one of its checkpoints.
        dataset: the demonstrations that it learns from, where they have moved.
        batches: so many are drawn from those that it trains on; more of them tell smaller drifts.
        format: text, or json.

    Raises:
        FileNotFoundError: if it is a policy without its run, or the demonstrations are not where the run found them.
        ValueError: if it did not learn by contrast, the demonstrations are not the run's, or batches are too few.
    """
    torch.set_num_threads(1)
    run = open_run(checkpoint)
    split = split_of(checkpoint)
    opened = open_for(run.policy, dataset or split.dataset)
    drawn = batches_of(run, opened, split.training(opened), batches)
    parts, metrics = pulls(run, track(drawn, "gradients", batches, transient=True, disable=format == "json"))
    if format == "json":
        told = {"update": run.update, "batches": batches, "parts": [asdict(part) for part in parts], "metrics": metrics}
        print(json.dumps(told, indent=2))
        return
    table = Table("part", "cloning", "contrast", "share of contrast", "cosine of drifts", box=SIMPLE_HEAD)
    for part in parts:
        table.add_row(
            part.part, _norms(part.cloning), _norms(part.contrast), f"{100 * part.share:.0f} %", _cosine(part)
        )
    Console().print(table)
    print(
        f"Update {run.update}, {batches} batches of {run.training.batch_size}, gradients of L_BC and of alpha L_CDL "
        f"(alpha = {run.contrastive.config.weight:g}): the norm of one batch's, and after -> that of their mean, the "
        "drift, free of noise; - where these batches do not tell it from 0. The share is that of one batch's squared "
        "norms; the cosine is given with its standard error."
    )
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


def _norms(gradient: Gradient) -> str:
    drift = "-" if gradient.drift is None else f"{gradient.drift:.4f}"
    return f"{gradient.batch:.4f} -> {drift}"


def _cosine(part: Pull) -> str:
    return "-" if part.cosine is None else f"{part.cosine:+.2f} ± {part.cosine_error:.2f}"
