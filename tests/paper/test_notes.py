"""Rows of a table may have other training seeds: its notes and its commands say so."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def results(tiny_table: ModuleType, tmp_path: Path) -> Path:
    for seed in range(3):
        tiny_table.write_results(tmp_path, "astra", seed, [True] * (8 - seed) + [False] * (2 + seed))
    for seed in range(2):
        tiny_table.write_results(tmp_path, "gato", seed, [True] * 4 + [False] * 6)
    tiny_table.write_results(tmp_path, "astra-mask-alone", 0, [True] * 5 + [False] * 5)
    return tmp_path


def test_differences_of_fewer_seeds_than_the_means_are_named(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.notes import notes_of
    from astra.paper.report import make_report

    notes = notes_of(make_report(tiny_table.tiny(), "cpu", results))
    assert "Differences of the seeds 0, 1 alone, which both rows have, and not of the means above: Gato." in notes
    (alone,) = (note for note in notes if note.startswith("Differences of seed 0 alone: Astra, mask alone."))
    assert "cover episodes alone, not another training" in alone
    shutil.rmtree(results / "astra" / "2")
    notes = notes_of(make_report(tiny_table.tiny(), "cpu", results))
    assert not any("seeds 0, 1" in note for note in notes)


def test_one_seed_has_no_detectable_difference(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.notes import notes_of
    from astra.paper.report import make_report

    report = make_report(tiny_table.tiny(), "cpu", results)
    sizes = {row[1].row.key: row[1].detectable for row in report.cells}
    assert sizes["gato"] is not None
    assert sizes["astra-mask-alone"] is None
    for row in ("astra", "gato"):
        for seed in (1, 2):
            shutil.rmtree(results / row / str(seed), ignore_errors=True)
    notes = notes_of(make_report(tiny_table.tiny(), "cpu", results))
    assert not any("four times out of five" in note for note in notes)
    assert "All differences are of one training seed, and cover episodes alone, not another training." in notes


def test_an_expert_of_one_seed_is_compared_with_all_seeds(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.notes import notes_of
    from astra.paper.report import make_report
    from astra.paper.table import Row

    def write_agent(name: str) -> None:
        tiny_table.write_results(results / "spare", name, 0, [True] * 10)
        shutil.move(results / "spare" / name / "0", results / "astra" / "0" / name)

    write_agent("expert")
    write_agent("swapped")
    controls = tuple(Row(name=name, agent=name, runs_of="astra") for name in ("expert", "swapped"))  # pyright: ignore[reportArgumentType]
    table = replace(tiny_table.tiny(), rows=(*tiny_table.tiny().rows, *controls))
    report = make_report(table, "cpu", results)
    cells = {row[1].row.key: row[1] for row in report.cells}
    expert, swapped = cells["expert"], cells["swapped"]
    assert (expert.seeds, expert.paired, swapped.paired) == ((0,), (0, 1, 2), (0,))
    assert expert.difference is not None
    assert swapped.difference is not None
    assert (expert.difference.value, swapped.difference.value) == (pytest.approx(30), pytest.approx(20))
    notes = notes_of(report)
    assert "expert: the same with every training, so one run is compared with all seeds of the other row." in notes
    assert any(note.startswith("Differences of seed 0 alone: Astra, mask alone; swapped.") for note in notes)


def test_every_row_is_made_again_with_its_own_seeds(tiny_table: ModuleType, results: Path) -> None:
    from astra.cli.comparison import command_of
    from astra.paper.report import make_report

    assert command_of(make_report(tiny_table.tiny(), "cpu", results), "time").splitlines() == [
        "astra compare tiny --equal time --rows gato --seeds 0 1",
        "astra compare tiny --equal time --rows astra --seeds 0 1 2",
        "astra compare tiny --equal time --rows astra-mask-alone --seeds 0",
    ]
    for row in ("astra", "gato"):
        for seed in (1, 2):
            shutil.rmtree(results / row / str(seed), ignore_errors=True)
    assert command_of(make_report(tiny_table.tiny(), "cpu", results), "updates") == "astra compare tiny --seeds 0"
