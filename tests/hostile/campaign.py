"""Sections of the campaign, each a list of cases that are run one after the other."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.hostile.isolation import in_child, run_all
from tests.hostile.verdicts import ACCEPTED, Outcome, Result

SECTIONS = {"datasets": 300, "readers": 650, "runs": 150, "kills": 100, "lines": 200}
"""Sections with the number of their cases in a whole campaign."""
LOADED = (
    *("astra.cli.main", "astra.analysis.held_out", "astra.cli.comparison", "astra.cli.flags.policy", "astra.datasets"),
    *("astra.evaluation.report", "astra.suites.evaluate_suite", "astra.experiments.resume", "astra.cli.flags.seeds"),
    *("astra.environments.pusht.suite", "astra.evaluation.seeds", "astra.datasets.lerobot.verification", "gym_pusht"),
    *("astra.cli.convert", "astra.datasets.importers.hdf5.importer", "astra.datasets.importers.rlds.importer"),
    *("astra.demonstrations.importing", "astra.demonstrations.convert_calvin", "astra.demonstrations.convert_kitchen"),
    *("astra.demonstrations.convert_vima", "astra.datasets.importers.minari", "h5py", "zarr", "av"),
)
"""Modules that are imported once, before the processes of the cases are forked."""
MEMORY = 512.0
"""Megabytes that a case may take beyond an idle process; the inputs of the campaign are all below 1 MB."""


def load() -> None:
    """Import what the cases need, so that no case pays for it, and libraries make folders of their own before it."""
    for module in LOADED:
        importlib.import_module(module)


def run_section(
    section: str, folder: Path, seed: int, count: int, workers: int, numbers: Sequence[int] | None = None
) -> Iterator[Result]:
    """Run a section and yield its results.

    Args:
        section: name of the section.
        folder: folder of the cases.
        seed: seed of everything that is random.
        count: number of cases.
        workers: number of cases at the same time.
        numbers: numbers of the only cases to run; None: all.

    Raises:
        RuntimeError: if the inputs that are damaged later cannot be made.
    """
    load()
    made = importlib.import_module(f"tests.hostile.{section}")
    idle = in_child(lambda folder: Outcome(verdict=ACCEPTED), folder / section / "idle")
    ready = in_child(made.prepare, prepared := folder / section / "prepared")
    if ready.outcome.verdict != ACCEPTED:
        raise RuntimeError(f"{section} cannot be prepared: {ready.outcome.detail}")
    cases = made.cases(prepared, seed, count)
    chosen = range(count) if numbers is None else numbers
    for index, ended in run_all([cases[number] for number in chosen], folder / section, workers):
        outcome, megabytes = ended.outcome, max(0.0, ended.megabytes - idle.megabytes)
        if megabytes > MEMORY and outcome.verdict in ("accepted", "refused"):
            outcome = replace(outcome, verdict="memory", detail=f"{megabytes:.0f} MB")
        yield Result(
            section=section,
            number=chosen[index],
            name=", ".join(filter(None, [cases[chosen[index]].name, ended.told])),
            outcome=outcome,
            seconds=ended.seconds,
            megabytes=megabytes,
        )
