"""Environments: benchmark suites behind one interface, with experts that demonstrate them."""

from dataclasses import dataclass
from importlib.metadata import entry_points

ENTRY_POINTS = "astra.suites"
"""Entry-point group in which other packages list their suites."""


@dataclass(frozen=True)
class Listed:
    """A suite's entry in the list, from which it is imported on use."""

    path: str
    """Where the suite is, as MODULE:ATTRIBUTE."""
    note: str
    """One line about it."""


SUITES = {
    "calvin": Listed(
        "astra.environments.calvin.suite:SUITE", "CALVIN: chains of five instructions for a robot arm at a table"
    ),
    "franka-kitchen": Listed(
        "astra.environments.franka_kitchen.suite:SUITE", "Franka Kitchen: four of seven tasks of a robot in a kitchen"
    ),
    "maniskill": Listed(
        "astra.environments.maniskill.suite:SUITE", "ManiSkill: pick-and-place of objects that training never showed"
    ),
    "maniskill-tasks": Listed(
        "astra.environments.maniskill_tasks.suite:SUITE", "three of ManiSkill's own tasks; not in the paper"
    ),
    "metaworld": Listed(
        "astra.environments.metaworld.suite:SUITE", "Meta-World: 50 tasks of a robot arm at a table; not in the paper"
    ),
    "pusht": Listed("astra.environments.pusht.suite:SUITE", "Push-T: push a T onto a goal pose"),
    "tabletop": Listed("astra.environments.tabletop.suite:SUITE", "a lookalike of VIMA-Bench that needs no download"),
    "vima-bench": Listed("astra.environments.vima_bench.suite:SUITE", "VIMA-Bench, installed from its repository"),
}
"""Every suite of this package. Other packages list theirs in the entry-point group `astra.suites`."""


def suite_notes() -> dict[str, str]:
    """Return one line about every suite that has a name, without importing it."""
    notes = {name: listed.note for name, listed in SUITES.items()}
    for entry in entry_points(group=ENTRY_POINTS):
        notes.setdefault(entry.name, f"from {entry.value}")
    return notes
