"""Output of a run: a progress bar, metrics.jsonl, and an optional experiment tracker.

A line of metrics.jsonl is one JSON object: `update`, `minutes` (of training), metrics named `train/loss`,
`validation/loss`, `evaluation/...`, and a checksum. When a run resumes, the lines after its checkpoint are removed,
because these updates are repeated.
"""

import math
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from astra.progress import about
from astra.screen import screen
from astra.storage.atomic import write_atomic
from astra.storage.metrics_file import metrics_line, read_metrics_lines, warn_of_missing_lines
from astra.training.budget import Budget
from astra.training.config import Tracker

MEASURED_UPDATES, MEASURED_SECONDS = 10, 20.0
"""Updates, or seconds of updates, after which the time of the run is estimated, whichever comes first."""


def check_tracker(tracker: Tracker) -> None:
    """Check that the package of a tracker is installed.

    Raises:
        ValueError: if it is not installed.
    """
    if tracker != "none" and tracker not in {str(name) for name in get_available_trackers()}:
        raise ValueError(
            f"{tracker} is not installed: run pip install '.[{tracker}]' in Astra's folder, or use "
            f"--training.tracker none"
        )


class RunLog:
    """Log of a run, written by the main process only.

    Args:
        accelerator: accelerator with `log_with` set to the tracker.
        folder: run folder.
        config: configuration that the tracker shows.
        budget: budget of the run; lines of metrics.jsonl after its current update are removed.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, config: Mapping[str, Any], budget: Budget) -> None:
        self.accelerator = accelerator
        self.budget = budget
        self.console = screen(quiet=not accelerator.is_main_process)
        self._metrics = folder / "metrics.jsonl"
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[summary]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("training", total=1.0, summary="")
        self._printed, self._estimated = -float("inf"), False
        every = config["training"]["log_every"]
        self._lines = self._drop_later_lines(every) if accelerator.is_main_process else 0
        _start_tracker(accelerator, folder, config, budget.update)

    def __enter__(self) -> "RunLog":
        """Show the progress bar."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the progress bar and finish the tracker."""
        self._progress.stop()
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def print(self, text: str) -> None:
        """Print a line above the progress bar."""
        self.console.print(text, soft_wrap=True)

    def advance(self) -> None:
        """Move the progress bar after an update. Once, when the speed is known, print how long the run will take."""
        budget = self.budget
        self._progress.update(self._task, completed=budget.share())
        known = budget.measured >= MEASURED_UPDATES or budget.measured_seconds >= MEASURED_SECONDS
        if known and not self._estimated:
            self._estimated = True
            each = budget.measured_seconds / budget.measured
            self.print(f"training will take {about(budget.seconds_left)} at this speed ({each:.2g} s per update)")

    def write(self, kind: Literal["train", "validation", "evaluation"], values: Mapping[str, float]) -> None:
        """Record metrics of the current update."""
        if not self.accelerator.is_main_process:
            return
        named = {f"{kind}/{name}": value for name, value in values.items()}
        line = {"update": self.budget.update, "minutes": round(self.budget.seconds / 60, 4), **named}
        self._lines += 1
        with self._metrics.open("a") as file:
            file.write(metrics_line(line, self._lines))
        self.accelerator.log(named, step=self.budget.update)
        if kind == "train":
            self._show(values.get("loss", math.nan), values["timesteps_per_second"])
        else:
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            self.print(f"update {self.budget.update}: {kind} {numbers}")

    def _show(self, loss: float, speed: float) -> None:
        seconds = self.budget.seconds_left
        left = f"  {timedelta(seconds=round(seconds))} left" if math.isfinite(seconds) else ""
        summary = f"update {self.budget.update}  loss {loss:.4f}  {speed:,.0f} timesteps/s{left}"
        self._progress.update(self._task, summary=summary)
        if not self.console.is_terminal and time.monotonic() - self._printed > 10:
            self._printed = time.monotonic()
            self.print(f"{summary}  ({self.budget.share():.0%})")

    def _drop_later_lines(self, every: int) -> int:
        """Remove the lines after the current update, and return the number of those that stay."""
        begun = self._metrics.exists()
        found = read_metrics_lines(self._metrics) if begun else []
        rows = [row for row in found if row["update"] <= self.budget.update]
        warn_of_missing_lines(rows, self._metrics, self.budget.update, every)
        if not begun:
            return 0
        lines = [metrics_line(row, number) for number, row in enumerate(rows, start=1)]
        write_atomic(self._metrics, "".join(lines).encode())
        return len(lines)


def _start_tracker(accelerator: Accelerator, folder: Path, config: Mapping[str, Any], update: int) -> None:
    options = {
        "tensorboard": {"purge_step": update + 1},
        "wandb": {"name": folder.name, "dir": str(folder), "resume": "auto"},
        "trackio": {"name": folder.name, "resume": "allow"},
    }
    name = "tensorboard" if "tensorboard" in map(str, accelerator.log_with) else "astra"
    accelerator.init_trackers(name, config=dict(_flat(config)), init_kwargs=options)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Mapping[str, int | float | str | bool]:
    flat: dict[str, int | float | str | bool] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value if isinstance(value, (int, float, str, bool)) else str(value)
    return flat
