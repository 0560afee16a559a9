"""One run of a table in its own process: train, evaluate, and keep the small result files.

runs/compare/TABLE-SCALE/ROW/SEED/    the training with its checkpoints; not needed once the run is finished
results/TABLE-SCALE/ROW/SEED/         config.json, metrics.jsonl, eval_info.json, episodes.json.gz, and held_out.json
                                      where the table asks for it; written at the end, all or nothing
"""

import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from astra.analysis.first_action import first_action_losses
from astra.analysis.split import read_split
from astra.datasets import LeRobotDataset
from astra.environments.suite import suite_of
from astra.evaluation.eval_info import FILE_NAME, read_eval_info
from astra.evaluation.kept import write_kept
from astra.experiments.experiment import Experiment
from astra.experiments.run_training import run_training
from astra.paper.row_results import HELD_OUT
from astra.policies.checkpoint import load_policy
from astra.policies.policy import Policy
from astra.storage.atomic import atomic_folder, write_atomic
from astra.storage.config_json import from_json, to_json
from astra.storage.json_checksum import checked_json
from astra.storage.lock import hold_lock
from astra.storage.provenance import code_version
from astra.suites.config import EvaluationConfig
from astra.suites.evaluate_suite import evaluate_suite
from astra.training.run_folder import best_checkpoint, read_config

HELD_OUT_EPISODES = 400
"""Largest number of held-out episodes in which it is measured."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of a table, trained with one seed."""

    table: str
    row: str
    seed: int
    experiment: Experiment
    evaluation: EvaluationConfig
    options: Mapping[str, Any]
    """Options of the suite that differ from those that fit the policy."""
    folder: Path
    """Folder of the training."""
    results: Path
    """Folder of the result files."""
    held_out: bool = False
    """Whether the loss of the first action on held-out demonstrations is measured too."""

    @property
    def name(self) -> str:
        """Name in lists and logs."""
        return f"{self.row}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """File with everything that the run prints."""
        return self.folder.with_name(f"{self.seed}.log")

    @property
    def finished(self) -> bool:
        """Whether its results exist."""
        return self.results.exists()

    @property
    def data(self) -> dict[str, Any]:
        """Settings of its data, as kept in its results."""
        experiment = self.experiment
        return {
            "dataset": experiment.dataset.name,
            "stride": experiment.stride,
            "validation": experiment.validation,
            "observations": list(experiment.observations),
            "options": dict(self.options),
        }

    def check_results(self) -> None:
        """Check that the finished run was made with these settings.

        Raises:
            ValueError: if it was not; it names the parts that differ.
        """
        path = self.results / "config.json"
        try:
            kept = read_config(self.results)
            parts = {"policy": self.experiment.policy, "training": self.experiment.training}
            same = {name: from_json(type(wanted), kept[name], name) == wanted for name, wanted in parts.items()}
            evaluation = from_json(EvaluationConfig, kept["evaluation"], "evaluation")
            more = {*self.evaluation.agents} <= {*evaluation.agents}  # earlier runs measured controls with every seed
            same["evaluation"] = more and replace(evaluation, agents=self.evaluation.agents) == self.evaluation
            same["data"] = {"options": {}, **kept["data"]} == self.data  # older results had no options
            if self.held_out and not (self.results / HELD_OUT).exists():
                raise FileNotFoundError(f"there is no {HELD_OUT}")
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path} does not fit this version ({error}): {_way_out(self)}") from error
        if different := [name for name, equal in same.items() if not equal]:
            raise ValueError(f"{self.results} was made with other settings of {', '.join(different)}: {_way_out(self)}")


def run_once(run: Run) -> None:
    """Train and evaluate a run and keep its results, continuing an earlier attempt.

    Raises:
        ValueError: if another process works on the run, or its settings changed since it was started.
        KeyboardInterrupt: after SIGINT or SIGTERM, when a checkpoint has been written.
    """
    with locked(run):
        if run.finished:
            return
        described = {"table": run.table, "row": run.row}
        run_training(run.experiment, run.folder, resume=True, description=described)
        torch.set_num_threads(1)
        policy = load_policy(best_checkpoint(run.folder))
        provenance: dict[str, Any] = {"code_version": code_version(), "table": run.table, "row": run.row}
        provenance |= vars(policy.decoding)
        suite = suite_of(policy.spec)
        options = replace(suite.options_for(policy.spec), **run.options)
        evaluate_suite(policy, suite, run.folder / "eval", run.evaluation, options=options, provenance=provenance)
        if run.held_out:
            measure_held_out(run, policy)
        keep_results(run)


def measure_held_out(run: Run, policy: Policy[Any]) -> None:
    """Write the loss of the first action in each held-out episode, of which at most HELD_OUT_EPISODES are measured.

    Raises:
        ValueError: if a loss is not finite.
    """
    split = read_split(run.folder)
    columns, reads = run.experiment.observations or None, run.experiment.policy.states.reads
    dataset = LeRobotDataset.open(run.experiment.dataset, columns, reads)
    episodes = split.held_out(dataset)
    episodes = episodes[:: -(-len(episodes) // HELD_OUT_EPISODES)]
    losses = first_action_losses(policy, dataset, episodes, run.experiment.training.timesteps)
    content = {"episodes": list(episodes), "first_action_loss": losses.tolist()}
    write_atomic(run.folder / HELD_OUT, checked_json(content, allow_nan=False).encode())


def keep_results(run: Run) -> None:
    """Copy the small files of a finished run to its results, without folders of this machine."""
    with atomic_folder(run.results) as partial:
        config = read_config(run.folder)
        config |= {"evaluation": to_json(run.evaluation), "data": run.data}
        config["spec"]["instructions"] = len(config["spec"]["instructions"])
        (partial / "config.json").write_text(checked_json(strip_folders(config)))
        (partial / "metrics.jsonl").write_text((run.folder / "metrics.jsonl").read_text())
        if run.held_out:
            (partial / HELD_OUT).write_text((run.folder / HELD_OUT).read_text())
        for path in sorted((run.folder / "eval").rglob(FILE_NAME)):
            target = partial / path.parent.relative_to(run.folder / "eval")
            target.mkdir(exist_ok=True)
            write_kept(strip_folders(read_eval_info(path)), target)


def strip_folders(value: Any) -> Any:
    """Reduce every absolute path in a JSON value to its last name: /data/sets/pusht -> pusht."""
    if isinstance(value, dict):
        return {key: strip_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strip_folders(item) for item in value]
    return re.sub(r"(?<![\w.~])/(?:[^\s/'\"=]+/)*([^\s/'\"=]*)", r"\1", value) if isinstance(value, str) else value


def run_in_process(run: Run) -> None:
    """Run in the process that was started for this run, and write a log."""
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("a", buffering=1) as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
        try:
            run_once(run)
        except KeyboardInterrupt:
            sys.exit(130)
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Lock a run against other processes, such as a second `astra compare`.

    Raises:
        ValueError: if another process holds the lock.
    """
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(run.folder.with_name(f"{run.seed}.lock"), f"{run.name} in {run.folder}"):
        yield


def _way_out(run: Run) -> str:
    return f"remove it to run {run.name} again, or choose another folder with --results"
