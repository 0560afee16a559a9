"""`astra train EXPERIMENT [--field value ...]`: train the policy of a named experiment, or of MODULE:FUNCTION."""

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
from astra.storage.numbers import Seed, check_numbers

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
    """Continue the run that the run folder holds, with its own settings; --training.updates changes its length."""
    seeds: tuple[Seed, ...] = ()
    """Training seeds: one run per seed, in the folder OUTPUT/SEED. `astra evaluate OUTPUT` and `astra report OUTPUT`
    combine the runs. Empty: one run with --training.seed."""
    policy: PolicyName | None = None
    """Policy to train instead of the experiment's. It gets the experiment's encoders and width, and a trunk of about
    the same size. The flags --policy.* are then those of this policy."""
    actions: Annotated[Actions | None, tyro.conf.arg(name="policy.actions")] = None
    """Discrete or continuous actions in place of the experiment's."""
    shard: bool = False
    """Split weights, gradients and optimizer state over the launched processes (FSDP), instead of a copy in each."""
    contrast: bool = False
    """Add contrastive dynamics learning to an experiment without it; --training.contrastive.* changes its settings."""
    augment: bool = False
    """Add augmentation to an experiment without it; --training.augmentation.* changes its settings."""
    experiment: Annotated[E, tyro.conf.arg(name="")]

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names its flag.
        """
        check_numbers(self, "")


def run_to_resume(arguments: Sequence[str]) -> Path | None:
    """Return the folder of the run that `--resume` continues, of several seeds the first; None if a run begins."""
    if "--resume" not in arguments or {"-h", "--help", "--help-all"} & set(arguments):
        return None
    named = not arguments[0].startswith("-")
    folder = default_folder(arguments[0]) if named else None
    if (output := value_of("--output", arguments)) is not None:
        folder = Path(output)
    if folder is None:
        raise ValueError("--resume needs the folder of a run: astra train --output RUN --resume, or a named experiment")
    if (folder / "config.json").exists():
        return folder
    seeds = sorted((path.parent for path in folder.glob("*/config.json")), key=lambda run: run.name)
    if seeds and "--seeds" not in arguments:
        names = " ".join(run.name for run in seeds)
        raise ValueError(f"{folder} holds one run per seed: name those to resume, such as --seeds {names}")
    if seeds:
        return seeds[0]  # all share their settings
    if named:
        return None  # a run that is yet to begin
    raise FileNotFoundError(f"{folder} holds no run to resume: name the folder of a run by --output")


def default_folder(experiment: str) -> Path:
    """Return the run folder of an experiment: runs/NAME, or runs/FUNCTION for MODULE:FUNCTION."""
    return Path("runs") / experiment.rpartition(":")[2]


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such experiment, or the run folder holds another run.
    """
    usage = (
        "astra train EXPERIMENT [--output DIR] [--resume] [--flag value ...]; EXPERIMENT --help lists the flags. "
        "Your own is MODULE:FUNCTION"
    )
    notes = {name: first_line(named.notes) for name, named in EXPERIMENTS.items()}
    if arguments and ":" in arguments[0]:
        notes[arguments[0]] = ""
    if arguments and arguments[0].startswith("-") and {"-h", "--help", "--help-all"} & set(arguments):
        arguments = ["--help"]
    resumed = run_to_resume(arguments)
    name = None if resumed and arguments[0].startswith("-") else choose(arguments, "experiment", usage, notes)
    if name is None and resumed is None:
        return

    from astra.augmentation.pictures import AugmentationConfig
    from astra.cli.flags.policy import with_actions, with_policy
    from astra.cli.flags.seeds import folders_of_seeds
    from astra.contrastive_dynamics.objective import ContrastiveConfig
    from astra.experiments.experiment import Experiment
    from astra.experiments.find import find_experiment
    from astra.experiments.next_step import next_step
    from astra.experiments.resume import read_experiment
    from astra.experiments.run_training import run_training
    from astra.parallel.processes import is_main_process
    from astra.storage.hub import folder_here
    from astra.tokenizers.vision.pretrained import local_files_only

    own = name
    if resumed is None:
        assert name is not None
        experiment: Experiment = find_experiment(name)
    else:
        own, experiment = read_experiment(resumed)
        if name not in (None, own):
            raise ValueError(
                f"{resumed} holds a run of {own or 'no named experiment'}, not of {name}: leave {name} out"
            )
    note = ""  # what is switched on or chosen gets its fields here, so that options can change them
    if other := value_of("--policy", arguments, get_args(PolicyName)):
        experiment, note = with_policy(experiment, other)
    if actions := value_of("--policy.actions", arguments, get_args(Actions)):
        experiment = with_actions(experiment, actions)
    training = experiment.training
    if "--contrast" in arguments and training.contrastive is None:
        training = replace(training, contrastive=ContrastiveConfig())
    if "--augment" in arguments and training.augmentation is None:
        training = replace(training, augmentation=AugmentationConfig())
    default = Train(experiment=replace(experiment, training=training))
    options = arguments if name is None else arguments[1:]
    chosen = parse(Train[Experiment], f"train {name or ''}".strip(), options, default=default, common=COMMON)
    if "--seeds" in options and not chosen.seeds:
        raise ValueError("--seeds has no number behind it: name the training seeds, such as --seeds 0 1 2")
    if resumed is not None:  # a run may come from a stranger: only what was typed leads to the network
        named = {"--dataset": [chosen.experiment.dataset], "--mixture": chosen.experiment.mixture}
        for dataset in (each for flag in named if value_of(flag, options) is None for each in named[flag]):
            folder_here(dataset)
    folder = chosen.output or default_folder(str(name))
    description = {"experiment": own, "command": shlex.join(["astra", "train", *arguments])}
    if note and is_main_process():
        print(note)
    policy = folder
    for seed, run_folder in folders_of_seeds(folder, chosen.seeds, chosen.experiment.training.seed).items():
        training = replace(chosen.experiment.training, seed=seed)
        with local_files_only(resumed is not None and name is None):
            policy = run_training(
                replace(chosen.experiment, training=training),
                run_folder,
                resume=chosen.resume,
                extend=chosen.resume,
                shard=chosen.shard,
                description=description,
            )
        if is_main_process():
            print(f"policy: {policy}")
    if is_main_process():
        compared = chosen.experiment.validation > 0 and not chosen.experiment.mixture
        print(next_step(folder, policy, chosen.experiment.suite, compared=compared))
