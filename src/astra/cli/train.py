"""`astra train EXPERIMENT [--field value ...]`: train the policy of a named run."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from astra.augmentation.pictures import AugmentationConfig
from astra.cli.names import choose
from astra.cli.parse import parse
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.experiments import EXPERIMENTS
from astra.experiments.experiment import Experiment, run_training
from astra.parallel.processes import is_main_process


@dataclass(frozen=True, kw_only=True)
class Run:
    """Train the policy of a named run; every field of it can be changed."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    output: Path | None = None
    """Run folder; runs/EXPERIMENT by default."""
    resume: bool = False
    """Continue the run that the folder holds."""
    shard: bool = False
    """Cut weights, gradients and moments over the processes of a launcher, instead of a copy in each."""
    contrast: bool = False
    """Learn by contrast too where the named run does not; its settings are then --training.contrastive.*."""
    augment: bool = False
    """Augment what is seen where the named run does not; by what is then --training.augmentation.*."""


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such experiment, or the folder holds another run.
    """
    usage = "astra train EXPERIMENT [--output DIR] [--resume] [--field value ...]; EXPERIMENT --help lists the fields"
    name = choose(arguments, "experiment", usage, {name: named.note for name, named in EXPERIMENTS.items()})
    if name is None:
        return
    experiment = with_switches(EXPERIMENTS[name].make(), arguments)
    chosen = parse(Run, f"train {name}", arguments[1:], default=Run(experiment=experiment))
    folder = chosen.output or Path("runs") / name
    described = {"experiment": name, "command": shlex.join(["astra", "train", *arguments])}
    policy = run_training(chosen.experiment, folder, resume=chosen.resume, shard=chosen.shard, description=described)
    if is_main_process():
        print(f"policy: {policy}\nmeasure it: astra evaluate {folder}", file=sys.stdout)


def with_switches(experiment: Experiment, arguments: Sequence[str]) -> Experiment:
    """Give an experiment the parts that are switched on, with their default settings, so that these can be changed."""
    training = experiment.training
    if "--contrast" in arguments and training.contrastive is None:
        training = replace(training, contrastive=ContrastiveConfig())
    if "--augment" in arguments and training.augmentation is None:
        training = replace(training, augmentation=AugmentationConfig())
    return replace(experiment, training=training)
