"""`astra compare`, without running anything."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def test_the_plan_shows_rows_seeds_and_hours_and_runs_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from astra.cli.main import main

    assert main(["compare", "table1", "--dry-run", "--seeds", "0", "1", "--rows", "gato-objects", "astra"]) == 0
    out = capsys.readouterr().out
    assert "astra collect tabletop --episodes" in out
    assert "4 of 4 runs left, about" in out
    assert out.count("to do") == 4
    assert list(tmp_path.iterdir()) == []


def test_a_plan_with_nothing_left_says_how_to_run_it_again(
    capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    from astra.cli.main import main

    kept = str(repository / "results")
    assert main(["compare", "table1", "--dry-run", "--seeds", "0", "--rows", "vima", "--results", kept]) == 0
    assert "nothing left to run" in (out := capsys.readouterr().out)
    assert "--results DIR" in out


@pytest.mark.parametrize("made", [False, True])
def test_a_table_without_its_simulator_is_refused_before_any_training_but_planned_and_shown(
    made: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from astra.cli.main import main
    from astra.environments.maniskill import package

    package.maniskill.cache_clear()
    monkeypatch.setattr(package, "installed_version", lambda: "")
    if made:
        (tmp_path / "data" / "maniskill").mkdir(parents=True)
    for table, number in (("table2", "90.53"), ("table4-maniskill", "83.50")):
        assert main(["compare", table]) == 2
        error = capsys.readouterr().err
        assert error.count("ManiSkill is not installed; run pip install mani-skill==3.0.1") == 1
        assert "Traceback" not in error
        assert main(["compare", table, "--dry-run"]) == 0
        assert "core-hours" in capsys.readouterr().out
        assert main(["compare", table, "--only-report"]) == 0
        assert number in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_rows_that_the_paper_quotes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    assert main(["compare", "table3", "--only-report"]) == 0
    assert "MCIL (quoted)" in capsys.readouterr().out


def test_a_written_table_names_the_command_and_no_folder_of_the_machine(repository: Path, tmp_path: Path) -> None:
    from astra.cli.main import main

    shutil.copytree(
        repository / "results" / "table1-cpu" / "vima" / "0", tmp_path / "kept" / "table1-cpu" / "vima" / "0"
    )
    assert main(["compare", "table1", "--only-report", "--results", str(tmp_path / "kept"), "--workers", "7"]) == 0
    text = (tmp_path / "kept" / "table1-cpu" / "table.md").read_text()
    assert "```bash\nastra compare table1 --rows vima --seeds 0\n```" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table7"], "there is no table 'table7'"),
        (["table1", "--rows", "vimaa"], "has no row 'vimaa'"),
        (["table2", "--rows", "expert"], "is measured in the runs of astra"),
        (["table1", "--workers", "0"], "--workers must be at least 1 and at most 1,000, got 0"),
        (["table1", "--seeds", "-1"], "--seeds must be at least 0, got -1"),
        (["scaling", "--scale", "paper"], "compares no sizes"),
        (["table6"], "pusht_cchi_v7_replay"),
        ([], "no table was given"),
    ],
)
def test_bad_input_is_one_message(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    try:
        code = main(["compare", *arguments])
    except SystemExit as stop:  # of the parser
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("twice", [("--seeds", "0", "0"), ("--rows", "astra", "astra")])
def test_what_is_named_twice_is_refused(twice: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    assert main(["compare", "table6", "--dry-run", *twice]) == 2
    assert f"{twice[0]} names {twice[1]} twice: name it once" in capsys.readouterr().err
