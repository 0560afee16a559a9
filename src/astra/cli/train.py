"""`astra train EXPERIMENT [--field value ...]`: train the policy of a named experiment."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar, get_args

import tyro

from astra.cli.flags.scan import value_of
from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.experiments import EXPERIMENTS

E = TypeVar("E")
"""Stands for `Experiment`, which is known only after PyTorch has been imported."""

PolicyName = Literal["astra", "decision-transformer", "diffusion", "flamingo", "gato", "rt1", "vima"]
Actions = Literal["discrete", "continuous"]

COMMON = (
    *("--dataset", "--output", "--resume", "--seeds", "--policy", "--policy.actions", "--observations", "--suite"),
    *("--contrast", "--augment", "--policy.layers", "--policy.width", "--policy.window", "--policy.chunk-size"),
    *("--training.updates", "--training.max-minutes", "--training.batch-size", "--training.timesteps"),
    *("--training.learning-rate", "--training.evaluate-every", "--training.init-from", "--training.seed"),
)
"""Flags that --help shows, as far as the experiment has them; --help-all shows the rest."""


@dataclass(frozen=True, kw_only=True)
class Train(Generic[E]):
    """Train the policy of a named experiment; every field of the experiment is an option."""

    output: Path | None = None
    """Run folder. None: runs/EXPERIMENT."""
    resume: bool = False
    """Continue the run that the run folder holds."""
    seeds: tuple[int, ...] = ()
    """Training seeds: one run per seed, in the folder OUTPUT/SEED. `astra evaluate` and `astra report` of OUTPUT put
    them together. Empty: one run with --training.seed."""
    policy: PolicyName | None = None
    """Another policy in place of the experiment's, with its encoders and width and a trunk of about its size; the
    flags --policy.* are then those of this policy."""
    actions: Annotated[Actions | None, tyro.conf.arg(name="policy.actions")] = None
    """Discrete or continuous actions in place of the experiment's."""
    shard: bool = False
    """Split weights, gradients and optimizer state over the launched processes (FSDP), instead of a copy in each."""
    contrast: bool = False
    """Add contrastive dynamics learning to an experiment without it; --training.contrastive.* changes its settings."""
    augment: bool = False
    """Add augmentation to an experiment without it; --training.augmentation.* changes its settings."""
    experiment: Annotated[E, tyro.conf.arg(name="")]


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such experiment, or the run folder holds another run.
    """
    usage = "astra train EXPERIMENT [--output DIR] [--resume] [--flag value ...]; EXPERIMENT --help lists the flags"
    notes = {name: first_line(named.notes) for name, named in EXPERIMENTS.items()}
    name = choose(arguments, "experiment", usage, notes)
    if name is None:
        return

    from astra.augmentation.pictures import AugmentationConfig
    from astra.cli.flags.policy import with_actions, with_policy
    from astra.cli.flags.seeds import folders_of_seeds
    from astra.contrastive_dynamics.objective import ContrastiveConfig
    from astra.experiments.experiment import Experiment, run_training
    from astra.parallel.processes import is_main_process

    experiment: Experiment = EXPERIMENTS[name].make()
    note = ""  # what is switched on or chosen gets its fields here, so that options can change them
    if policy := value_of("--policy", arguments, get_args(PolicyName)):
        experiment, note = with_policy(experiment, policy)
    if actions := value_of("--policy.actions", arguments, get_args(Actions)):
        experiment = with_actions(experiment, actions)
    training = experiment.training
    if "--contrast" in arguments and training.contrastive is None:
        training = replace(training, contrastive=ContrastiveConfig())
    if "--augment" in arguments and training.augmentation is None:
        training = replace(training, augmentation=AugmentationConfig())
    default = Train(experiment=replace(experiment, training=training))
    chosen = parse(Train[Experiment], f"train {name}", arguments[1:], default=default, common=COMMON)
    folder = chosen.output or Path("runs") / name
    description = {"experiment": name, "command": shlex.join(["astra", "train", *arguments])}
    if note and is_main_process():
        print(note)
    for seed, run_folder in folders_of_seeds(folder, chosen.seeds, chosen.experiment.training.seed).items():
        training = replace(chosen.experiment.training, seed=seed)
        experiment = replace(chosen.experiment, training=training)
        policy = run_training(experiment, run_folder, resume=chosen.resume, shard=chosen.shard, description=description)
        if is_main_process():
            print(f"policy: {policy}")
    if is_main_process():
        print(f"next: astra evaluate {folder}")
