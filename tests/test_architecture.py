"""The tree stays readable: layers, names, lengths, docstrings."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.source_map import first_line

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
PYTHON_FILES = SOURCES + sorted((REPOSITORY / "tests").rglob("*.py"))
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
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


def test_no_folder_has_more_than_18_files_at_one_level() -> None:
    sizes = Counter(path.parent.relative_to(REPOSITORY) for path in SOURCES if path.name != "__init__.py")
    assert {folder: size for folder, size in sizes.items() if size > 18} == {}


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the place and text of every docstring of the package, those of fields included."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            for statement in node.body if isinstance(node, DOCUMENTED) else ():
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    yield f"{path.relative_to(REPOSITORY)}:{statement.lineno}", str(statement.value.value)


def test_docstrings_begin_with_what_the_code_does() -> None:
    vague = re.compile(r"(Gives?|Tells?|Says?|Who|By|Of|What|Whose) ")
    assert [f"{place}: {text.splitlines()[0]}" for place, text in docstrings() if vague.match(text)] == []


def test_every_module_and_folder_says_what_it_is_in_one_line() -> None:
    lines = {path: first_line(path) for path in SOURCES}
    assert {path: line for path, line in lines.items() if not line.endswith(".") or len(line) > 117} == {}


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
