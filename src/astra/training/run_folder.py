"""Folder of a run: its configuration and its checkpoints.

    runs/NAME/config.json               configuration, code version, machines, description by the caller
    runs/NAME/metrics.jsonl             see run_log
    runs/NAME/checkpoints/000500/       see run_state
    runs/NAME/checkpoints/last          link to the newest checkpoint
    runs/NAME/checkpoints/best          link to the best checkpoint, by rollouts or held-out loss, if the run keeps it
    runs/NAME/checkpoints/000500/score.json    what the best is chosen by
    runs/NAME/.lock                     held by the process that works on the run

All writes are atomic: under a temporary name that begins with a dot, then synced and renamed.
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astra.policies.checkpoint import check_format, other_rule
from astra.storage.atomic import atomic_folder, sync, write_atomic
from astra.storage.json_checksum import checked_json, read_checked_json, take_checksum
from astra.storage.json_file import read_json
from astra.storage.lock import hold_lock
from astra.storage.places import check_place
from astra.storage.provenance import code_version, machine
from astra.training.budget import Budget

CONFIG, METRICS, LOCK, SCORE = "config.json", "metrics.jsonl", ".lock", "score.json"
RESTORE = "restore it, or choose another folder with --output"
"""Remedy for a damaged config.json."""
LENGTHS = ("updates", "max_minutes")
"""Fields of the training that may change when a run is extended."""
DATA = ("dataset", "mixture")
"""Entries of the description that name the folders of the data, which may be moved while a run is not going on."""
BEFORE_A_RUN = {"demonstrations", METRICS, "checkpoints", "rollouts", "eval", "report.html"}
"""Names that may lie in a folder in which a run starts, besides hidden files and logs of the shell."""
UNFINISHED = (".last", ".best", ".[0-9]*.new-*", ".[0-9]*.unfinished-*", ".*.removed")
"""Names that a kill leaves among the checkpoints; other hidden files are those of the system, such as .DS_Store."""


def best_checkpoint(folder: Path) -> Path:
    """Return the checkpoint that a run keeps as its best, or the run's folder, whose policy is the newest."""
    best = folder / "checkpoints" / "best"
    return best if best.exists() else folder


def check_run_folder(folder: Path) -> None:
    """Check that a folder holds a run, or that a run may start there; write nothing.

    Raises:
        ValueError: if it is a file, a dataset or inside one, or holds other things.
        PermissionError: if this account may not write there.
    """
    check_place(folder, "choose another folder for the run with --output")
    if not folder.exists() or (folder / CONFIG).exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, expected a folder for the run: choose another one with --output")
    names = sorted(path.name for path in folder.iterdir() if path.suffix not in (".log", ".out", ".err", ".txt"))
    if strange := [name for name in names if name not in BEFORE_A_RUN and not name.startswith(".")]:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise ValueError(
            f"{folder} holds other things ({', '.join(strange[:3])}{more}) and no run: choose a new folder for the run "
            f"with --output"
        )


class RunFolder:
    """One run on disk.

    Args:
        path: folder of the run; created by `prepare`.
        keep: number of newest checkpoints that are kept.
    """

    def __init__(self, path: Path, *, keep: int) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.keep = keep

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes; undo a start that fails before its first metrics or checkpoint.

        Raises:
            ValueError: if another process works on the run, or the folder is no place for a run.
        """
        check_run_folder(self.path)
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.path / LOCK, f"the run {self.path}"):
            begun = (self.path / CONFIG).exists()
            try:
                yield
            except BaseException:
                if not begun and not (self.path / METRICS).exists() and self.newest_checkpoint() is None:
                    self._undo(missing)
                raise

    def prepare(self, identity: Mapping[str, Any], description: Mapping[str, Any], *, extend: bool = False) -> None:
        """Create the folder of a run, or check that it holds this run; tidy up after a killed run.

        Args:
            identity: configuration as JSON, equal for every start of the run.
            description: further facts to write at the first start; where the data lie is kept up to date.
            extend: accept another length than the run has.

        Raises:
            ValueError: if the folder holds another run, or one of another version of Astra or another attention rule.
        """
        config = self.path / CONFIG
        if config.exists():
            if (newest := self.newest_checkpoint()) is not None:
                check_format(newest / "policy" / "config.json")
                if told := other_rule(newest / "policy" / "config.json"):
                    raise ValueError(told)
            self._check_identity(config, identity, extend)
            self._follow(description)
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            about = {"code_version": code_version(), "machines": [], "description": dict(description)}
            _write(config, {**identity, **about})
        last = self.checkpoints / "last"
        if last.is_dir() and self.newest_checkpoint() is None:
            raise ValueError(
                f"{last} is a checkpoint under the name of a link: rename it to the `update` in its "
                f"training_state/state.json, such as {self.checkpoints / '000500'}"
            )
        for leftover in (path for pattern in UNFINISHED for path in self.checkpoints.glob(pattern)):
            leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover)
        for leftover in (*self.path.glob(f".{CONFIG}.*"), *self.path.glob(f".{METRICS}.*")):
            leftover.unlink()
        self._link_last_and_best()

    def change_length(self, training: Mapping[str, Any], budget: Budget) -> str:
        """Write another length of the run to config.json, and return a line about it; empty if the length is the same.

        Args:
            training: configuration of training as JSON.
            budget: budget of that length, with the progress of the run.

        Raises:
            ValueError: if the run would be over already.
        """
        present = read_config(self.path)
        old = present["training"]
        changes = {name: [old[name], training[name]] for name in LENGTHS if old[name] != training[name]}
        if not changes:
            return ""
        told = ", ".join(f"training.{name} {before} -> {after}" for name, (before, after) in changes.items())
        if budget.finished:
            spent = "" if budget.max_minutes is None else ", and --training.max-minutes None to end by updates alone"
            raise ValueError(
                f"{self.path} has done {budget.update} updates in {budget.seconds / 60:.1f} minutes, so {told} leaves "
                f"nothing to do: choose a larger number{spent}"
            )
        past = [*present.get("extensions", []), {"after_update": budget.update, **changes}]
        _write(self.path / CONFIG, {**present, "training": {**old, **training}, "extensions": past})
        return f"new length after {budget.update} updates: {told}; the learning rate goes on along the new schedule"

    def record_machine(self) -> None:
        """Add this machine to the list of machines in config.json, unless it is there already."""
        present = read_config(self.path)
        if machine() not in (machines := present.get("machines", [])):
            _write(self.path / CONFIG, {**present, "machines": [*machines, machine()]})

    def newest_checkpoint(self) -> Path | None:
        """Return the newest checkpoint, or None; after a kill, `last` may link to the one before until `prepare`."""
        return self._by_age()[-1] if self._by_age() else None

    def best_score(self) -> float:
        """Return the highest score of a checkpoint; minus infinity if none has a score."""
        return max(map(_score, self._by_age()), default=-math.inf)

    @contextmanager
    def new_checkpoint(self, update: int, score: float | None = None) -> Iterator[Path]:
        """Yield a temporary folder to fill, which becomes the newest checkpoint; then remove the oldest.

        Args:
            update: updates done.
            score: what the best checkpoint is chosen by, larger is better; of equal ones the first is kept.
        """
        with atomic_folder(self.checkpoints / f"{update:06d}") as partial:
            if score is not None:
                (partial / SCORE).write_text(checked_json({"score": score}))
            yield partial
        self._link_and_remove()

    def score_newest(self, score: float) -> None:
        """Record the score of the newest checkpoint, as `new_checkpoint` does; then remove what is no longer kept."""
        newest = self._by_age()[-1]
        write_atomic(newest / SCORE, checked_json({"score": score}).encode())
        self._link_and_remove()

    def _link_and_remove(self) -> None:
        best = self._link_last_and_best()
        sync(self.checkpoints)
        for old in self._by_age()[: -self.keep]:
            if old != best:
                shutil.rmtree(old.rename(old.with_name(f".{old.name}.removed")))

    def _link_last_and_best(self) -> Path | None:
        """Let `last` and `best` link to the newest and the best checkpoint; return the best, None without scores."""
        by_age = self._by_age()
        if not by_age:
            return None
        self._link("last", by_age[-1])
        best = max(by_age, key=_score)
        if _score(best) == -math.inf:
            return None
        self._link("best", best)
        return best

    def _link(self, name: str, folder: Path) -> None:
        link = self.checkpoints / name
        if link.is_symlink() and link.readlink() == Path(folder.name):
            return
        if link.is_dir() and not link.is_symlink():  # a copy of the run, such as by `scp -r`, has folders for links
            shutil.rmtree(link.rename(self.checkpoints / f".{name}.removed"))
        new = self.checkpoints / f".{name}"
        new.symlink_to(folder.name)
        new.replace(link)

    def _by_age(self) -> list[Path]:
        folders = [path for path in self.checkpoints.glob("*") if path.name.isdecimal()]
        return sorted(folders, key=lambda path: int(path.name))

    def _undo(self, created: list[Path]) -> None:
        """Remove what a failed start wrote, and the folders that it created."""
        if self.path in created:
            shutil.rmtree(self.path)
        else:
            (self.path / CONFIG).unlink(missing_ok=True)
        for folder in created[1:]:
            if not any(folder.iterdir()):
                folder.rmdir()

    def _follow(self, description: Mapping[str, Any]) -> None:
        """Note where the data lie now, if they were moved since the run began."""
        present = read_config(self.path)
        followed = present["description"] | {name: description[name] for name in DATA if name in description}
        if followed != present["description"]:
            _write(self.path / CONFIG, {**present, "description": followed})

    def _check_identity(self, config: Path, identity: Mapping[str, Any], extend: bool) -> None:
        present = read_config(self.path)
        if "description" not in present:
            raise ValueError(f"{config} is not the configuration of a run: choose another folder with --output")
        wanted = json.loads(json.dumps(identity))
        fields, known = (value.get("training", {}).keys() for value in (present, wanted))
        if fields != known:
            raise ValueError(
                f"{self.path} holds a run of another version of Astra, whose training has other fields "
                f"({', '.join(sorted(fields ^ known))}): choose another folder"
            )
        places = {f"training.{name}" for name in LENGTHS}
        found = _differences({name: present.get(name) for name in wanted}, wanted)
        different = {where: text for where, text in found if not (extend and where in places)}
        advice = "" if different.keys() - places else ", or --resume to go on to this length"
        differences = list(different.values())
        if differences:
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise ValueError(
                f"{self.path} holds another run: {'; '.join(differences[:3])}{more}. Choose another folder, or the "
                f"same settings to continue that run{advice}"
            )


def read_config(run: Path) -> dict[str, Any]:
    """Read the config.json of a run.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is no JSON object, or was changed since Astra wrote it.
    """
    return read_checked_json(run / CONFIG, "JSON of a run", RESTORE)


def _score(checkpoint: Path) -> float:
    """Return the score of a checkpoint; minus infinity if it has none or NaN.

    Raises:
        ValueError: if its file is damaged.
    """
    path = checkpoint / SCORE
    if not path.exists():
        return -math.inf
    content = read_json(path, "JSON of a score", advice := "remove it")
    score = take_checksum(content, path, advice).get("score") if isinstance(content, dict) else content  # older: alone
    if not isinstance(score, int | float) or isinstance(score, bool):
        raise ValueError(f"{path} has the score {score!r}, expected a number: {advice}")
    return -math.inf if math.isnan(score) else float(score)  # NaN compares with nothing


def _write(config: Path, content: Mapping[str, Any]) -> None:
    write_atomic(config, checked_json(content).encode())


def _differences(present: Any, wanted: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place and a description of every difference."""
    if isinstance(present, dict) and isinstance(wanted, dict):
        for name in sorted(present.keys() | wanted.keys()):
            yield from _differences(present.get(name), wanted.get(name), f"{where}.{name}" if where else name)
    elif present != wanted:
        yield where, f"its {where} is {present!r}, not {wanted!r}"
