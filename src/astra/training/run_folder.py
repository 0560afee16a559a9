"""The folder of a run: which run it holds, and its checkpoints.

    runs/NAME/config.json               the resolved configuration, code version, machines, the caller's description
    runs/NAME/metrics.jsonl             see run_log
    runs/NAME/checkpoints/000500/       see run_state
    runs/NAME/checkpoints/last          link to the newest

Everything is written under a temporary name that begins with a dot, synced and renamed.
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
        folder: the run's folder; made when it is claimed.
        keep: how many checkpoints are kept.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.keep = keep

    def claim(self, identity: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Make this the folder of a run, unless it is that already, and remove what a killed run left half done.

        Args:
            identity: what makes the run what it is, as JSON; the same for every start and resume of it.
            description: what else is written down at the first start.

        Raises:
            ValueError: if the folder holds another run.
        """
        config = self.folder / "config.json"
        if config.exists():
            if (newest := self.newest()) is not None:
                check_format(newest / "policy" / "config.json")
            self._check_identity(config, identity)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            about = {"code_version": code_version(), "machines": [], "description": dict(description)}
            _write(config, {**identity, **about})
        for leftover in self.checkpoints.glob(".*"):
            leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover)

    def name_machine(self) -> None:
        """Write down that this machine works on the run; each that does is named, in their order."""
        config = self.folder / "config.json"
        present = json.loads(config.read_text())
        if machine() not in (machines := present.get("machines", [])):
            _write(config, {**present, "machines": [*machines, machine()]})

    def newest(self) -> Path | None:
        """Find the newest whole checkpoint; `last` may still point to the one before, after a kill."""
        return self._by_age()[-1] if self._by_age() else None

    @contextmanager
    def checkpoint(self, update: int) -> Iterator[Path]:
        """Give a temporary folder to fill, which becomes the newest checkpoint; then remove the oldest."""
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
            raise ValueError(f"{config} is damaged ({error}): choose another folder") from error
        wanted = json.loads(json.dumps(identity))
        differences = list(_differences({name: present.get(name) for name in wanted}, wanted))
        if differences:
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise ValueError(
                f"{self.folder} holds another run: {'; '.join(differences[:3])}{more}. Choose another folder, or the "
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
