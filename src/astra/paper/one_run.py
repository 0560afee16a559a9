"""One run of a table, in a process of its own: train, measure, and keep the small files.

runs/compare/TABLE-SCALE/ROW/SEED/       checkpoints and all; may be lost
results/TABLE-SCALE/ROW/SEED/            config.json, metrics.jsonl, eval_info.json; appears whole, when all is done
"""

import fcntl
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from astra.environments.suite import suite_of
from astra.evaluation.eval_info import FILE_NAME
from astra.experiments.experiment import Experiment, run_training
from astra.policies.checkpoint import load_policy
from astra.storage.atomic import atomic_folder
from astra.storage.config_json import from_json, to_json
from astra.storage.provenance import code_version
from astra.suites.config import EvaluationConfig
from astra.suites.evaluate_suite import evaluate_suite


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row with one seed."""

    table: str
    row: str
    seed: int
    experiment: Experiment
    evaluation: EvaluationConfig
    options: Mapping[str, Any]
    """Options of the suite that differ from those that fit the policy."""
    folder: Path
    """Of the training."""
    results: Path
    """Of the small files."""

    @property
    def name(self) -> str:
        """How it is called in lists and logs."""
        return f"{self.row}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder.with_name(f"{self.seed}.log")

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.results.exists()

    @property
    def data(self) -> dict[str, Any]:
        """What it learns from, for its results."""
        experiment = self.experiment
        return {
            "dataset": experiment.dataset.name,
            "stride": experiment.stride,
            "validation": experiment.validation,
            "observations": list(experiment.observations),
        }

    def check_results(self) -> None:
        """Check that what is finished was made by these very settings.

        Raises:
            ValueError: naming what differs.
        """
        path = self.results / "config.json"
        try:
            kept = json.loads(path.read_text())
            parts = {
                "policy": self.experiment.policy,
                "training": self.experiment.training,
                "evaluation": self.evaluation,
            }
            same = {name: from_json(type(wanted), kept[name], name) == wanted for name, wanted in parts.items()}
            same["data"] = kept["data"] == self.data
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path} does not fit this version ({error}): {_elsewhere(self)}") from error
        if different := [name for name, equal in same.items() if not equal]:
            raise ValueError(
                f"{self.results} was made with other settings of {', '.join(different)}: {_elsewhere(self)}"
            )


def carry_out(run: Run) -> None:
    """Train, measure and keep; what an earlier attempt did is not done again.

    Raises:
        ValueError: if another process works on it, or the settings changed since it was begun.
        KeyboardInterrupt: after SIGINT or SIGTERM, when a checkpoint has been written.
    """
    with alone(run):
        if run.finished:
            return
        described = {"table": run.table, "row": run.row}
        run_training(run.experiment, run.folder, resume=True, description=described)
        torch.set_num_threads(1)
        policy = load_policy(run.folder)
        provenance: dict[str, Any] = {"code_version": code_version(), "table": run.table, "row": run.row}
        provenance |= {"temperature": policy.decoding.temperature, "n_action_steps": policy.decoding.n_action_steps}
        suite = suite_of(policy.spec)
        options = replace(suite.options_for(policy.spec), **run.options)
        evaluate_suite(policy, suite, run.folder / "eval", run.evaluation, options=options, provenance=provenance)
        keep(run)


def keep(run: Run) -> None:
    """Copy the small files of a finished run to its results, without this machine's folders."""
    with atomic_folder(run.results) as partial:
        config = json.loads((run.folder / "config.json").read_text())
        config |= {"evaluation": to_json(run.evaluation), "data": run.data}
        config["spec"]["instructions"] = len(config["spec"]["instructions"])
        (partial / "config.json").write_text(json.dumps(without_folders(config), indent=2) + "\n")
        (partial / "metrics.jsonl").write_text((run.folder / "metrics.jsonl").read_text())
        for path in sorted((run.folder / "eval").rglob(FILE_NAME)):
            target = partial / path.relative_to(run.folder / "eval")
            target.parent.mkdir(exist_ok=True)
            target.write_text(one_line_each(without_folders(without_words(json.loads(path.read_text())))))


def without_words(info: dict[str, Any]) -> dict[str, Any]:
    """Leave out of an evaluation what the seeds say too: what each episode was told, its video, and sums by task."""
    told = {"instruction", "environment_instruction", "video_path"}
    episodes = [{name: value for name, value in each.items() if name not in told} for each in info["episodes"]]
    return {name: value for name, value in info.items() if name not in ("per_task", "seeds")} | {"episodes": episodes}


def one_line_each(info: Mapping[str, Any]) -> str:
    """Write JSON with one line for each field, and for each item of a list."""
    fields = [f"{json.dumps(name)}: {_lines(value)}" for name, value in info.items()]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    return json.dumps(value)


def without_folders(value: Any) -> Any:
    """Leave of every absolute path in some JSON its last name: /data/sets/pusht -> pusht."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return re.sub(r"(?<![\w.~])/(?:[^\s/'\"=]+/)*([^\s/'\"=]*)", r"\1", value) if isinstance(value, str) else value


def in_own_process(run: Run) -> None:
    """Carry a run out in the process that was started for it: with its own log, and ending when its parent ends."""
    os.setpgrp()  # Ctrl-C in the terminal reaches the parent, which stops its children one by one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("a", buffering=1) as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
        try:
            carry_out(run)
        except KeyboardInterrupt:
            sys.exit(130)
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def alone(run: Run) -> Iterator[None]:
    """Hold the run against other processes, such as a second `astra compare`."""
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with run.folder.with_name(f"{run.seed}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"another process is at work on {run.name} in {run.folder}: wait for it") from error
        yield


def _elsewhere(run: Run) -> str:
    return f"remove it to run {run.name} again, or choose another --results"
