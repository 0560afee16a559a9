"""`astra train EXPERIMENT [--field value ...]`: train the policy of a named experiment."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.experiments import EXPERIMENTS

E = TypeVar("E")
"""Stands for `Experiment`, which is known only after PyTorch has been imported."""


@dataclass(frozen=True, kw_only=True)
class Train(Generic[E]):
    """Train the policy of a named experiment; every field of the experiment is an option."""

    experiment: Annotated[E, tyro.conf.arg(name="")]
    output: Path | None = None
    """Run folder. None: runs/EXPERIMENT."""
    resume: bool = False
    """Continue the run that the run folder holds."""
    shard: bool = False
    """Split weights, gradients and optimizer state over the launched processes (FSDP), instead of a copy in each."""
    contrast: bool = False
    """Add contrastive dynamics learning to an experiment without it; --training.contrastive.* changes its settings."""
    augment: bool = False
    """Add augmentation to an experiment without it; --training.augmentation.* changes its settings."""


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such experiment, or the run folder holds another run.
    """
    usage = "astra train EXPERIMENT [--output DIR] [--resume] [--field value ...]; EXPERIMENT --help lists the fields"
    notes = {name: first_line(named.notes) for name, named in EXPERIMENTS.items()}
    name = choose(arguments, "experiment", usage, notes)
    if name is None:
        return

    from astra.augmentation.pictures import AugmentationConfig
    from astra.contrastive_dynamics.objective import ContrastiveConfig
    from astra.experiments.experiment import Experiment, run_training
    from astra.experiments.next_step import next_step
    from astra.parallel.processes import is_main_process

    experiment: Experiment = EXPERIMENTS[name].make()
    training = experiment.training  # what is switched on gets its fields here, so that options can change them
    if "--contrast" in arguments and training.contrastive is None:
        training = replace(training, contrastive=ContrastiveConfig())
    if "--augment" in arguments and training.augmentation is None:
        training = replace(training, augmentation=AugmentationConfig())
    default = Train(experiment=replace(experiment, training=training))
    chosen = parse(Train[Experiment], f"train {name}", arguments[1:], default=default)
    folder = chosen.output or Path("runs") / name
    description = {"experiment": name, "command": shlex.join(["astra", "train", *arguments])}
    policy = run_training(chosen.experiment, folder, resume=chosen.resume, shard=chosen.shard, description=description)
    if is_main_process():
        print(f"policy: {policy}\n{next_step(folder, policy, chosen.experiment.suite)}")
