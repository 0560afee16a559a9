"""A tiny table filled in from small files."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image


@pytest.fixture
def results(tiny_table: ModuleType, tmp_path: Path) -> Path:
    for seed in range(3):
        tiny_table.write_results(tmp_path, "astra", seed, [True] * 8 + [False] * 2)
        tiny_table.write_results(tmp_path, "gato", seed, [True] * 4 + [False] * 6)
    tiny_table.write_results(tmp_path, "astra-mask-alone", 1, [True] * 5 + [False] * 5)
    return tmp_path


def test_every_number_has_its_interval_its_seeds_and_its_difference(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.report import make_report

    report = make_report(tiny_table.tiny(), "cpu", results)
    cells = {(cell.row.key, cell.column.name): cell for row in report.cells for cell in row}
    gato = cells["gato", "success"]
    assert gato.ours is not None
    assert gato.difference is not None
    assert (gato.ours.value, gato.seeds, gato.episodes, gato.by_seed) == (40, (0, 1, 2), 10, (40, 40, 40))
    assert 5 <= gato.ours.low < 40 < gato.ours.high <= 75
    assert gato.difference.value == pytest.approx(-40)
    assert gato.difference.low < -40 < gato.difference.high < 0
    assert gato.baseline == "Astra"
    score = cells["gato", "score"].ours
    assert score is not None
    assert score.value == pytest.approx(45)


def test_a_row_with_fewer_seeds_is_compared_over_those_that_both_have(tiny_table: ModuleType, results: Path) -> None:
    from astra.evaluation.success import wilson_interval
    from astra.paper.report import make_report

    report = make_report(tiny_table.tiny(), "cpu", results)
    (cell,) = (c for row in report.cells for c in row if (c.row.key, c.column.name) == ("astra-mask-alone", "success"))
    assert cell.ours is not None
    assert cell.difference is not None
    assert (cell.ours.low, cell.ours.high) == (100 * wilson_interval(5, 10).low, 100 * wilson_interval(5, 10).high)
    assert cell.difference.value == pytest.approx(-30)
    assert (cell.paired, cell.seeds) == ((1,), (1,))


def test_what_was_not_measured_stays_empty_and_says_why(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.rendering import markdown, parts_of
    from astra.paper.report import make_report

    report = make_report(tiny_table.tiny(), "cpu", results)
    ours, differences, training, losses, paper = parts_of(report)
    assert ours.header == ("policy", "seeds", "score", "success")
    rows = {row[0]: row[1:] for row in ours.rows}
    assert rows["Later"] == ("waits for the policy astra-later", "", "")
    assert rows["Elsewhere (quoted)"] == ("quoted from other papers", "", "")
    assert rows["Gato"][0] == "3"
    assert [row[0] for row in differences.rows] == ["Gato", "Astra, mask alone (ours)"]
    assert [row[0] for row in paper.rows] == ["Elsewhere (quoted)", "Gato", "Astra"]
    text = markdown(report, "astra compare tiny")
    assert "| Gato | Astra | 3 | -20.0 [" in text
    assert training.rows[0][0] == "Gato"
    assert (training.rows[0][1], *training.rows[0][3:]) == ("3", "0.5", "2.000", "10.0")
    assert losses.rows == (("Gato", "Astra", "3", "+0.000 [+0.000, +0.000]", ""),)  # the other row has one seed


def test_small_losses_keep_three_digits_and_a_missing_accuracy_stays_empty(
    tiny_table: ModuleType, results: Path
) -> None:
    from astra.paper.rendering import parts_of
    from astra.paper.report import make_report

    for row, loss in (("astra", 0.00512), ("gato", 0.00412)):
        for seed in range(3):
            last = {"update": 5, "minutes": 0.5, "validation/loss": loss + 0.00001 * seed}
            (results / row / str(seed) / "metrics.jsonl").write_text(json.dumps(last) + "\n")
    parts = {part.title: part for part in parts_of(make_report(tiny_table.tiny(), "cpu", results))}
    assert parts["End of training, means over seeds"].rows[0][4:] == ("0.00413", "")
    (shown,) = parts["Differences in held-out loss, paired by training seed"].rows
    assert shown[3].startswith("-0.00100 [")


def test_a_table_says_which_differences_it_could_have_shown(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.notes import notes_of
    from astra.paper.report import make_report

    def sizes(report: Any) -> dict[str, float | None]:
        return {row[1].row.key: row[1].detectable for row in report.cells}

    few = make_report(tiny_table.tiny(), "cpu", results)
    assert any("Smallest difference that the intervals above show" in note for note in notes_of(few))
    for seed in range(3):
        for row, won in (("astra", 80), ("gato", 40)):
            shutil.rmtree(results / row / str(seed))
            tiny_table.write_results(results, row, seed, [True] * won + [False] * (100 - won))
    shutil.rmtree(results / "astra-mask-alone")
    many = make_report(tiny_table.tiny(), "cpu", results)
    small, large = sizes(many)["gato"], sizes(few)["gato"]
    assert small is not None
    assert large is not None
    assert 0 < 2 * small < large
    assert sizes(many)["astra"] is None  # the reference differs from nothing


def test_held_out_losses_are_paired_by_seed(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.report import make_report

    for seed in range(3):
        metrics = results / "gato" / str(seed) / "metrics.jsonl"
        line = {"update": 6, "minutes": 0.6, "validation/loss": 2.1 + 0.01 * seed}
        metrics.write_text(metrics.read_text() + json.dumps(line) + "\n")
    report = make_report(tiny_table.tiny(), "cpu", results)
    difference = report.loss_difference(report.table.row("gato"))
    assert difference is not None
    assert difference.estimate.value == pytest.approx(0.11)
    assert 0.05 < difference.estimate.low < 0.11
    assert report.loss_difference(report.table.row("astra")) is None


def test_minutes_of_several_machines_are_told_not_to_compare(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.figures import training_curves
    from astra.paper.notes import notes_of
    from astra.paper.report import make_report

    def notes() -> str:
        return "\n".join(notes_of(make_report(tiny_table.tiny(), "cpu", results)))

    def labels() -> list[str]:
        return [axes.get_xlabel() for axes in training_curves(make_report(tiny_table.tiny(), "cpu", results)).axes]

    (results / "gato/2/config.json").write_text(json.dumps({}))  # from before machines were written down
    assert "machines" not in notes()
    assert labels() == ["update", "minutes of training"] * 2
    (results / "astra/1/config.json").write_text(json.dumps({"machines": ["16 cores, a GPU", "2 cores"]}))
    assert "machines differ: 2 cores; 16 cores, a GPU." in notes()
    assert labels() == ["update", "update"]


def test_the_csv_has_a_line_for_every_row_and_column(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.rendering import write_texts
    from astra.paper.report import make_report

    paths = write_texts(make_report(tiny_table.tiny(), "cpu", results), "astra compare tiny")
    with paths[1].open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 15
    (gato,) = (line for line in lines if (line["row"], line["column"]) == ("Gato", "success"))
    assert (gato["value"], gato["seeds"], gato["difference_value"]) == ("40.0000", "3", "-40.0000")
    (astra,) = (line for line in lines if (line["row"], line["column"]) == ("Astra", "score"))
    assert (astra["paper"], astra["baseline"], astra["difference_value"]) == ("94.11", "", "")


def test_pictures_show_what_is_there(tiny_table: ModuleType, results: Path) -> None:
    from astra.evaluation.pictures.style import write_figure
    from astra.paper.figures import result_bars, training_curves
    from astra.paper.report import make_report

    report = make_report(tiny_table.tiny(), "cpu", results)
    bars, curves = result_bars(report), training_curves(report)
    assert [axes.get_title(loc="left") for axes in bars.axes] == ["score", "success"]
    assert len(curves.axes) == 4
    names = [line.get_label() for line in curves.axes[0].lines]
    assert names == ["Gato", "Astra", "Astra, mask alone"]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves.axes[0].lines}) == 3
    assert curves.axes[1].lines[0].get_xdata()[-1] == pytest.approx(0.5)  # pyright: ignore
    busy = results / "gato" / "0" / "metrics.jsonl"  # of three seeds the one whose core was shared
    lines = [json.loads(line) for line in busy.read_text().splitlines()]
    busy.write_text("".join(json.dumps(line | {"minutes": 40 * line["minutes"]}) + "\n" for line in lines))
    again = training_curves(make_report(tiny_table.tiny(), "cpu", results))
    assert again.axes[1].lines[0].get_xdata()[-1] == pytest.approx(0.5)  # pyright: ignore
    with Image.open(write_figure(bars, results / "table.png")) as picture:
        assert picture.size[0] > 500


def test_runs_on_other_episodes_are_not_paired(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.report import make_report

    tiny_table.write_results(results, "gato", 3, [True] * 10, first_seed=500)
    with pytest.raises(ValueError, match="other episodes"):
        make_report(tiny_table.tiny(), "cpu", results)


def test_a_row_reads_the_runs_that_it_shares_with_another_table(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.paper.report import make_report

    tiny_table.write_results(tmp_path / "tiny-cpu", "astra", 0, [True] * 8 + [False] * 2)
    mine = replace(tiny_table.tiny().row("astra"), name="Mine", same_runs_as="tiny/astra")
    ((_, success, _),) = make_report(
        replace(tiny_table.tiny(), name="other", rows=(mine,), reference="mine"), "cpu", tmp_path / "other-cpu"
    ).cells
    assert success.ours is not None
    assert success.ours.value == 80


def test_a_damaged_file_is_named(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.report import make_report

    (results / "astra" / "0" / "eval_info.json").write_text("{")
    with pytest.raises(ValueError, match=r"astra.0.eval_info.json is damaged"):
        make_report(tiny_table.tiny(), "cpu", results)


def test_a_table_without_results_shows_the_paper_alone(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.paper.figures import result_bars
    from astra.paper.rendering import parts_of
    from astra.paper.report import make_report

    report = make_report(tiny_table.tiny(), "cpu", tmp_path)
    (paper,) = parts_of(report)
    assert paper.header == ("policy", "attention", "score"), "columns without a number are left out"
    assert paper.rows[2] == ("Astra", "trajectory", "94.11")
    with pytest.raises(ValueError, match="nothing to draw"):
        result_bars(report)


def test_a_question_is_answered_by_its_number_and_says_what_could_have_been_seen(
    tiny_table: ModuleType, results: Path
) -> None:
    from astra.paper.notes import notes_of
    from astra.paper.rendering import decisions, markdown
    from astra.paper.report import make_report
    from astra.paper.table import Question

    def decided(**bounds: float | bool) -> tuple[str, ...]:
        question = Question(text="Is it?", row="gato", column="success", **bounds)  # pyright: ignore[reportArgumentType]
        table = replace(tiny_table.tiny(), questions=(question,))
        (line,) = decisions(make_report(table, "cpu", results))
        assert "Is it?" in markdown(make_report(table, "cpu", results), "astra compare tiny")
        return line

    for bounds, wanted, answer in (
        ({"at_least": -90.0}, "at least -90", "yes"),
        ({"at_most": -1.0}, "at most -1", "yes"),
        ({"at_least": 3.0}, "at least +3", "no"),
        ({"at_least": -40.0}, "at least -40", "yes, but the interval holds the bound"),
        ({"at_most": -45.0}, "at most -45", "not decided: there is an effect, which may be smaller"),
    ):
        _, number, measured, told, detectable, said = decided(**bounds)
        assert number == "Gato minus Astra, success"
        assert measured.startswith("-40.0 [")
        assert (told, said) == (wanted, answer)
        assert 45 < float(detectable) < 60
    own = decided(difference=False, at_least=30.0)
    assert own[1] == "Gato, success"
    assert own[2].startswith("40.0 [")
    assert own[3:5] == ("at least 30", "")
    assert any(
        "four times out of five" in note and "success " in note
        for note in notes_of(make_report(tiny_table.tiny(), "cpu", results))
    )


def test_a_question_is_decided_over_training_seeds_and_after_the_one_before(
    tiny_table: ModuleType, tmp_path: Path
) -> None:
    from astra.paper.rendering import decisions
    from astra.paper.report import make_report
    from astra.paper.table import Question

    for seed, more in enumerate((5, 20, 35)):  # seeds differ far more than episodes do
        tiny_table.write_results(tmp_path, "astra", seed, [True] * 60 + [False] * 40)
        tiny_table.write_results(tmp_path, "gato", seed, [True] * (60 + more) + [False] * (40 - more))
    pays = Question(text="Does it?", row="gato", column="success", at_least=3.0)
    learned = Question(text="Was it learned?", row="astra", column="success", difference=False, at_least=30.0)
    never = replace(learned, at_least=90.0)

    def answers(*questions: Question) -> list[str]:
        table = replace(tiny_table.tiny(), questions=questions)
        return [line[-1] for line in decisions(make_report(table, "cpu", tmp_path))]

    assert answers(pays) == ["not decided: the interval holds 0"]
    assert answers(learned, replace(pays, at_least=-90.0, given=learned.text)) == ["yes", "yes"]
    assert answers(never, replace(pays, given=never.text)) == ["no", f"not decided without a yes to: {never.text}"]


def test_a_rows_own_number_is_judged_by_the_wider_interval_within_its_range(
    tiny_table: ModuleType, tmp_path: Path
) -> None:
    from astra.paper.rendering import decisions
    from astra.paper.report import make_report
    from astra.paper.table import Question

    for seed, won in enumerate((40, 80)):  # Student's interval of two seeds would reach from -194 to 314 %
        tiny_table.write_results(tmp_path, "gato", seed, [True] * won + [False] * (100 - won))
    learned = Question(text="Was it learned?", row="gato", column="success", difference=False, at_least=30.0)
    report = make_report(replace(tiny_table.tiny(), questions=(learned,)), "cpu", tmp_path)
    ((_, _, measured, *_, answer),) = decisions(report)
    assert (measured, answer) == ("60.0 [0.0, 100.0]", "yes, but the interval holds the bound")
    (gato,) = (row[1] for row in report.cells if row[1].row.key == "gato")
    assert gato.ours is not None
    assert 30 < gato.ours.low < gato.ours.high < 90, "the bootstrap alone would have been sure"


def test_a_question_without_results_is_open(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.paper.rendering import decisions
    from astra.paper.report import make_report
    from astra.paper.table import Question

    question = Question(text="Is it?", row="gato", column="success", at_least=3.0)
    report = make_report(replace(tiny_table.tiny(), questions=(question,)), "cpu", tmp_path)
    assert decisions(report) == [("Is it?", "Gato minus Astra, success", "not run yet", "at least +3", "", "")]


def test_held_out_losses_are_paired_by_seed_and_shown_in_nats(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.rendering import markdown
    from astra.paper.report import make_report
    from astra.paper.table import Column

    for seed in range(3):
        for row, more in (("gato", 0.25), ("astra", 0.0)):
            losses = [3.0 + seed + more + 0.01 * (episode % 3) for episode in range(9)]
            content = {"episodes": list(range(9)), "first_action_loss": losses}
            (results / row / str(seed) / "held_out.json").write_text(json.dumps(content))
    column = Column(name="first-action loss", held_out=True)
    report = make_report(replace(tiny_table.tiny(), columns=(column,)), "cpu", results)
    cells = {row[0].row.key: row[0] for row in report.cells}
    assert cells["gato"].ours is not None
    assert cells["gato"].ours.value == pytest.approx(4.26)
    assert cells["gato"].difference is not None
    assert cells["gato"].difference.value == pytest.approx(0.25)
    assert cells["gato"].difference.high - cells["gato"].difference.low < 1e-6, "equal in all seeds and episodes"
    assert "| Gato | Astra | 3 | +0.250 [+0.250, +0.250] |" in markdown(report, "astra compare tiny")


def test_few_seeds_make_the_interval_of_a_loss_wide_however_many_episodes_each_has(
    tiny_table: ModuleType, results: Path
) -> None:
    from astra.paper.report import make_report
    from astra.paper.table import Column

    for seed, more in enumerate((0.02, 0.04)):
        for row, added in (("gato", more), ("astra", 0.0)):
            content = {"episodes": list(range(500)), "first_action_loss": [3.0 + added] * 500}
            (results / row / str(seed) / "held_out.json").write_text(json.dumps(content))
    for row in ("gato", "astra"):
        shutil.rmtree(results / row / "2")
    table = replace(tiny_table.tiny(), columns=(Column(name="first-action loss", held_out=True),))
    (cell,) = (row[0] for row in make_report(table, "cpu", results).cells if row[0].row.key == "gato")
    assert cell.difference is not None
    assert cell.difference.value == pytest.approx(0.03)
    assert cell.difference.high == pytest.approx(0.03 + 12.706 * 0.01, abs=1e-4)  # Student, one degree of freedom
    assert cell.detectable is not None
    assert cell.detectable > 0.12


def test_a_control_shows_what_the_runs_of_another_row_measured(tiny_table: ModuleType, results: Path) -> None:
    from astra.paper.rendering import parts_of
    from astra.paper.report import make_report
    from astra.paper.table import Row

    for seed in range(2):  # the third run did not measure it
        tiny_table.write_results(results / "astra" / str(seed), "no-op", seed, [False] * 9 + [True])
        shutil.move(results / "astra" / str(seed) / "no-op" / str(seed), results / "astra" / str(seed) / "moved")
        shutil.rmtree(results / "astra" / str(seed) / "no-op")
        shutil.move(results / "astra" / str(seed) / "moved", results / "astra" / str(seed) / "no-op")
    table = tiny_table.tiny()
    table = replace(table, rows=(*table.rows, Row(name="No-op", agent="no-op", runs_of="astra")))
    report = make_report(table, "cpu", results)
    cells = {(cell.row.key, cell.column.name): cell for row in report.cells for cell in row}
    shown = cells["no-op", "success"]
    assert shown.ours is not None
    assert shown.difference is not None
    assert (shown.ours.value, shown.seeds, shown.paired) == (10, (0, 1), (0, 1, 2))
    assert shown.difference.value == pytest.approx(-70)
    assert report.trainings[-1] is None
    ours, _, training, *_ = parts_of(report)
    assert ours.rows[-1][0] == "No-op"
    assert "No-op" not in {row[0] for row in training.rows}
