"""What keeps the tree readable: layers, names, lengths."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
PYTHON_FILES = SOURCES + sorted((REPOSITORY / "tests").rglob("*.py"))
VAGUE_NAMES = {"base", "common", "core", "factory", "helper", "helpers", "misc", "registry", "util", "utils"}


def test_folders_import_only_from_the_ones_below_them() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_name_says_what_is_inside() -> None:
    assert not [path for path in PYTHON_FILES if VAGUE_NAMES & set(path.relative_to(REPOSITORY).with_suffix("").parts)]


def test_files_are_short_enough_to_be_read() -> None:
    lengths = {path.relative_to(REPOSITORY): len(path.read_text().splitlines()) for path in PYTHON_FILES}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_the_shape_checks_of_jaxtyping_are_on(pytestconfig: pytest.Config) -> None:
    from astra.trajectory import Observation

    assert pytestconfig.getoption("--jaxtyping-packages")
    with pytest.raises(TypeError):
        Observation(states={}, images={}, previous_action="no tensor")  # pyright: ignore[reportArgumentType]


def test_nothing_names_a_folder_of_one_machine() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    pattern = re.compile(rb"/(work|tmp|root|home)/")
    paths = [REPOSITORY / name for name in listed.stdout.splitlines()]
    assert not [path for path in paths if path.is_file() and pattern.search(path.read_bytes())]
