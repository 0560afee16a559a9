"""Places at which nothing can be written, and what lies in a folder that was named by mistake."""

import os
from pathlib import Path

import pytest

from astra.cli.main import main
from astra.storage.places import check_new, check_place, check_writable
from astra.storage.what_is import what_is


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this account may not write to, whoever runs the tests."""
    folder = tmp_path / "locked"
    folder.mkdir()
    access = os.access

    def without(path: str | Path, mode: int) -> bool:
        return Path(path) != folder and access(path, mode)

    monkeypatch.setattr(os, "access", without)
    return folder


def test_a_place_without_permission_is_refused_by_the_name_of_the_folder_that_forbids_it(
    locked: Path, tmp_path: Path
) -> None:
    for output in (locked, locked / "new", locked / "new" / "run"):
        with pytest.raises(PermissionError) as raised:
            check_writable(output)
        assert raised.value.filename == str(locked)
    for check in (check_new, lambda folder: check_place(folder, "choose another one")):
        with pytest.raises(PermissionError):
            check(locked / "new")
        check(tmp_path / "new")


@pytest.mark.parametrize(
    "command",
    [
        "collect pusht --episodes 1 --output {}/new",
        "train own-data --dataset nowhere --output {}/new",
        "inspect dataset nowhere --html {}/page.html",
        "compare history-loss --results {}/results",
        "report {}",
    ],
)
def test_commands_refuse_such_a_place_before_they_begin(
    command: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.format(locked).split()) == 2
    remedy = "permission denied: choose another folder, or ask its owner for the permission"
    assert capsys.readouterr().err.strip() == f"astra: {locked}: {remedy}"


def test_a_folder_named_by_mistake_is_told_apart(tmp_path: Path) -> None:
    for name in ("data/one/meta/info.json", "data/two/meta/info.json", "policy/model.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for run in ("0", "1"):
        policy = tmp_path / "seeds" / run / "checkpoints" / "last" / "policy"
        policy.mkdir(parents=True)
        (policy / "model.safetensors").touch()
    (tmp_path / "empty").mkdir()
    assert what_is(tmp_path / "data" / "one").startswith("it is a dataset")
    assert what_is(tmp_path / "policy").startswith("it is a policy")
    assert what_is(tmp_path / "seeds" / "0").startswith("it is a policy")
    assert what_is(tmp_path / "seeds") == f"it holds the runs {tmp_path}/seeds/0, {tmp_path}/seeds/1: name one of them"
    assert what_is(tmp_path / "data").startswith(f"it holds the datasets {tmp_path}/data/one, ")
    assert what_is(tmp_path / "empty") == what_is(tmp_path / "nowhere") == ""


@pytest.mark.parametrize("command", ["inspect checkpoint", "export --output new", "report"])
def test_commands_that_need_a_policy_say_that_a_dataset_is_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    first, *rest = command.split()
    words = [first, *rest, str(tmp_path)] if first == "inspect" else [first, str(tmp_path), *rest]
    assert main(words) == 2
    assert f"it is a dataset: look at it with astra inspect dataset {tmp_path}" in capsys.readouterr().err
