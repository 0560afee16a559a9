"""Folder of a run: its configuration and its checkpoints.

    runs/NAME/config.json               configuration, code version, machines, description by the caller
    runs/NAME/metrics.jsonl             see run_log
    runs/NAME/checkpoints/000500/       see run_state
    runs/NAME/checkpoints/last          link to the newest checkpoint

All writes are atomic: under a temporary name that begins with a dot, then synced and renamed.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astra.policies.checkpoint import check_format
from astra.storage.atomic import atomic_folder, sync, write_atomic
from astra.storage.provenance import code_version, machine


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

    def prepare(self, identity: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Create the folder of a run, or check that it holds this run; remove unfinished writes of a killed run.

        Args:
            identity: configuration as JSON, equal for every start of the run.
            description: further facts to write at the first start.

        Raises:
            ValueError: if the folder holds another run, or one of another version of Astra.
        """
        config = self.path / "config.json"
        if config.exists():
            if (newest := self.newest_checkpoint()) is not None:
                check_format(newest / "policy" / "config.json")
            self._check_identity(config, identity)
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            about = {"code_version": code_version(), "machines": [], "description": dict(description)}
            _write(config, {**identity, **about})
        for leftover in self.checkpoints.glob(".*"):
            leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover)

    def record_machine(self) -> None:
        """Add this machine to the list of machines in config.json, unless it is there already."""
        config = self.path / "config.json"
        present = json.loads(config.read_text())
        if machine() not in (machines := present.get("machines", [])):
            _write(config, {**present, "machines": [*machines, machine()]})

    def newest_checkpoint(self) -> Path | None:
        """Return the newest checkpoint, or None; after a kill, `last` may still link to the one before."""
        return self._by_age()[-1] if self._by_age() else None

    @contextmanager
    def new_checkpoint(self, update: int) -> Iterator[Path]:
        """Yield a temporary folder to fill, which becomes the newest checkpoint; then remove the oldest."""
        folder = self.checkpoints / f"{update:06d}"
        with atomic_folder(folder) as partial:
            yield partial
        link = self.checkpoints / ".last"
        link.symlink_to(folder.name)
        link.replace(self.checkpoints / "last")
        sync(self.checkpoints)
        for old in self._by_age()[: -self.keep]:
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.removed")))

    def _by_age(self) -> list[Path]:
        folders = [path for path in self.checkpoints.glob("*") if path.name.isdecimal()]
        return sorted(folders, key=lambda path: int(path.name))

    def _check_identity(self, config: Path, identity: Mapping[str, Any]) -> None:
        try:
            present = json.loads(config.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{config} is not valid JSON ({error}): choose another folder") from error
        wanted = json.loads(json.dumps(identity))
        fields, known = (value.get("training", {}).keys() for value in (present, wanted))
        if fields != known:
            raise ValueError(
                f"{self.path} holds a run of another version of Astra, whose training has other fields "
                f"({', '.join(sorted(fields ^ known))}): choose another folder"
            )
        differences = list(_differences({name: present.get(name) for name in wanted}, wanted))
        if differences:
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise ValueError(
                f"{self.path} holds another run: {'; '.join(differences[:3])}{more}. Choose another folder, or the "
                f"same settings to continue that run"
            )


def _write(config: Path, content: Mapping[str, Any]) -> None:
    write_atomic(config, (json.dumps(content, indent=2) + "\n").encode())


def _differences(present: Any, wanted: Any, where: str = "") -> Iterator[str]:
    if isinstance(present, dict) and isinstance(wanted, dict):
        for name in sorted(present.keys() | wanted.keys()):
            yield from _differences(present.get(name), wanted.get(name), f"{where}.{name}" if where else name)
    elif present != wanted:
        yield f"its {where} is {present!r}, not {wanted!r}"
