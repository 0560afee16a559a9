"""The user's clones: both layouts are found, and what is missing or changed is named."""

import shutil
import sys
from pathlib import Path

import pytest

from astra.environments.calvin import clones
from astra.environments.calvin.clones import LANGUAGE_FILES, find_clones, fingerprint
from astra.environments.calvin.suite import SUITE, CalvinOptions

ENVIRONMENT = ("calvin_env/envs/play_table_env.py", "calvin_env/robot/robot.py")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with stand-ins of both clones, whose files count as the expected ones."""
    for name, files in {"calvin_env": ENVIRONMENT, "calvin": LANGUAGE_FILES}.items():
        for file in files:
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name} {file}\n")
    environment = sorted(tmp_path / "calvin_env" / file for file in ENVIRONMENT)
    language = [tmp_path / "calvin" / file for file in LANGUAGE_FILES]
    monkeypatch.setattr(clones, "ENVIRONMENT_SUM", fingerprint(tmp_path / "calvin_env", environment))
    monkeypatch.setattr(clones, "LANGUAGE_SUM", fingerprint(tmp_path / "calvin", language))
    monkeypatch.delenv("CALVIN_ROOT", raising=False)
    return tmp_path


def test_clones_side_by_side_are_found(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_clones(str(made))
    assert (found.environment, found.language) == (made / "calvin_env", made / "calvin")
    monkeypatch.setenv("CALVIN_ROOT", str(made))
    assert find_clones() == found


def test_a_submodule_of_calvin_is_found_from_the_clone_and_from_its_folder(made: Path) -> None:
    shutil.move(made / "calvin_env", made / "calvin" / "calvin_env")
    for root in (made, made / "calvin"):
        found = find_clones(str(root))
        assert (found.environment, found.language) == (made / "calvin" / "calvin_env", made / "calvin")


def test_an_empty_submodule_beside_a_clone_does_not_hide_it(made: Path) -> None:
    (made / "calvin" / "calvin_env").mkdir()
    assert find_clones(str(made)).environment == made / "calvin_env"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("calvin_env", r"has no clone of calvin_env \(an empty submodule is filled by .*\): git clone"),
        ("calvin", r"has no clone of calvin: git clone .* --calvin or CALVIN_ROOT; docs/calvin.md"),
    ],
)
def test_a_missing_clone_is_named(made: Path, missing: str, message: str) -> None:
    shutil.rmtree(made / missing)
    with pytest.raises(ValueError, match=message):
        find_clones(str(made))


def test_without_any_folder_the_message_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALVIN_ROOT", raising=False)
    with pytest.raises(ValueError, match=r"CALVIN needs two repositories: git clone .*--calvin or CALVIN_ROOT"):
        SUITE.build(CalvinOptions())


@pytest.mark.parametrize(("changed", "revision"), [(ENVIRONMENT[1], "797142c"), (LANGUAGE_FILES[2], "fa03f01")])
def test_another_revision_is_refused(made: Path, changed: str, revision: str) -> None:
    folder = made / ("calvin_env" if changed in ENVIRONMENT else "calvin")
    (folder / changed).write_text("# changed\n")
    with pytest.raises(ValueError, match=rf"is not the revision {revision} .*git -C {folder} checkout {revision}"):
        find_clones(str(made))


def test_ends_of_lines_do_not_matter(made: Path) -> None:
    path = made / "calvin_env" / ENVIRONMENT[0]
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert find_clones(str(made)).environment == made / "calvin_env"


def test_a_missing_package_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "calvin_env"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs pybullet, which is not installed: run pip install '.\[calvin\]'"):
        clones.simulator_class(find_clones(str(made)))


def test_a_broken_clone_leaves_no_stand_ins_behind(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "calvin_env"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    before = {name: sys.modules.get(name) for name in ("gym", "git", "quaternion", "cv2")}
    (made / "calvin_env" / ENVIRONMENT[0]).write_text("import gym, git, cv2\nimport no_such_package_at_all\n")
    with pytest.raises(ValueError, match="cannot be imported"):
        clones.simulator_class(clones.Clones(made / "calvin_env", made / "calvin"))
    assert {name: sys.modules.get(name) for name in before} == before
    assert str(made / "calvin_env") not in sys.path
    assert not [name for name in sys.modules if name.partition(".")[0] == "calvin_env"]
