"""`astra inspect gradient-interference`: compare the gradients of the two losses of a run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.progress import tracked
from astra.screen import screen
from astra.storage.numbers import Count


def gradient_interference(
    checkpoint: tyro.conf.Positional[Path],
    *,
    dataset: Path | None = None,
    batches: Count = 64,
    format: Literal["text", "json"] = "text",
) -> None:
    """Print the gradients of behavior cloning and of contrastive dynamics learning, by part of the policy.

    Args:
        checkpoint: run folder or checkpoint of a run with contrastive dynamics learning.
        dataset: folder of the demonstrations. None: the folder that the run was trained on.
        batches: number of training batches. More batches resolve smaller mean gradients.
        format: text, or json.

    Raises:
        FileNotFoundError: if the checkpoint has no run, or the demonstrations are missing.
        ValueError: if the run has no contrastive dynamics learning, the demonstrations are not those of the run, or
            there are too few batches.
    """
    import torch

    from astra.analysis.gradient_interference import draw_batches, gradient_interference, load_contrastive_run
    from astra.analysis.split import open_dataset, read_split

    torch.set_num_threads(1)
    run = load_contrastive_run(checkpoint)
    split = read_split(checkpoint)
    opened = open_dataset(run.policy, dataset or split.folder)
    drawn = draw_batches(run, opened, split.training(opened), batches)
    parts, metrics = gradient_interference(run, tracked(drawn, "gradients", batches, "batches", shown=format != "json"))
    if format == "json":
        result = {
            "update": run.update,
            "batches": batches,
            "parts": [asdict(part) for part in parts],
            "metrics": metrics,
        }
        print(json.dumps(result, indent=2))
        return
    table = Table("part", "cloning", "contrast", "share of contrast", "cosine of means", box=SIMPLE_HEAD)
    for part in parts:
        norms = [_norms(gradient.batch, gradient.mean) for gradient in (part.behavior_cloning, part.contrastive)]
        cosine = "-" if part.cosine is None else f"{part.cosine:+.2f} ± {part.cosine_error:.2f}"
        table.add_row(part.part, *norms, f"{100 * part.contrastive_share:.0f} %", cosine)
    screen().print(table)
    print(
        f"Update {run.update}, {batches} batches of {run.training.batch_size}. Gradients of L_BC and of alpha L_CDL "
        f"(alpha = {run.alpha:g}): norm of one batch's gradient -> norm of the mean gradient, "
        "without batch noise; - where these batches cannot tell it from 0. The share is that of one batch's squared "
        "norms. The cosine has its standard error."
    )
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


def _norms(batch: float, mean: float | None) -> str:
    return f"{batch:.4f} -> {'-' if mean is None else f'{mean:.4f}'}"
