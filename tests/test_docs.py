"""The documentation names only what exists."""

import importlib
import re
import shlex
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from astra.trajectory import Statistics, TrajectorySpec
from scripts.source_map import PAGE, render

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
TEXTS = [*PAGES, *sorted(REPOSITORY.glob("*.md"))]
DRAWN_ROW = re.compile(r"^ +[psqa](?:_\d)? +((?:[1.] {1,2})*[1.])(?: {4,}.*)?$")


def resolve(symbol: str) -> object:
    """Import the longest prefix that is a module, and look up the rest in it."""
    parts = symbol.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise AttributeError(symbol)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_symbols_exist(page: Path) -> None:
    text = page.read_text()
    symbols = set(re.findall(r"[`\[](astra(?:\.\w+)+)[`\]]", text) + re.findall(r"^::: (\S+)", text, re.MULTILINE))
    for symbol in sorted(symbol for symbol in symbols if not symbol.endswith(".py")):
        resolve(symbol)


def test_the_paper_map_names_a_symbol_in_every_row() -> None:
    rows = [line for line in (REPOSITORY / "docs/paper-map.md").read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| paper", "|---"))]
    assert len(rows) > 20
    assert not [row for row in rows if "`astra." not in row and "planned" not in row]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    assert not [target for target in targets if not (page.parent / target).exists()]


def commands() -> list[str]:
    """Return every distinct `astra ...` line in the code blocks of all pages, continued lines joined."""
    found: list[str] = []
    for page in TEXTS:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL):
            found += [line.split(" # ")[0].strip() for line in block.replace("\\\n", " ").splitlines()]
    return [command for command in dict.fromkeys(found) if command.startswith("astra ")]


@pytest.mark.parametrize("command", commands())
def test_commands_and_their_options_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    arguments = shlex.split(command)[1:]
    shown = arguments[:1] if arguments[0] == "evaluate" else arguments  # with a run, its help needs the run's folder
    with pytest.raises(SystemExit) as stopped:
        sys.exit(main([*shown, "--help-all"]))
    assert not stopped.value.code
    explained = capsys.readouterr().out
    assert not [option for option in arguments if option.startswith("--") and option not in explained]


def test_the_command_line_page_has_a_section_for_every_command() -> None:
    from astra.cli.main import COMMANDS

    text = (REPOSITORY / "docs/cli.md").read_text()
    assert set(re.findall(r"^## `astra ([a-z]+)", text, flags=re.MULTILINE)) == set(COMMANDS)


def test_the_quickstart_lists_every_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    section = (REPOSITORY / "docs/quickstart.md").read_text().partition("## Extras")[2]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    assert sorted(re.findall(r"`([a-z0-9]+)`", " ".join(rows))) == sorted(project["optional-dependencies"])
    installed = re.search(r"astra-vla\[(.*)\]", " ".join(project["optional-dependencies"]["dev"]))
    assert installed is not None
    left_out = set(project["optional-dependencies"]) - {*installed[1].split(","), "dev"}
    named = section.partition(" but ")[2].partition(".")[0]
    assert set(re.findall(r"`([a-z0-9]+)`", named)) == left_out


def test_the_source_map_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "run python scripts/source_map.py"


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    listed: list[str] = []
    for entry in navigation:
        listed += [entry] if isinstance(entry, str) else next(iter(entry.values()))
    assert sorted(listed) == sorted(str(page.relative_to(REPOSITORY / "docs")) for page in PAGES)


@pytest.mark.parametrize(
    "page", ["add-a-dataset", "add-an-environment", "add-a-policy", "library", "tabletop", "comparisons"]
)
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / f"docs/{page}.md").read_text(), flags=re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})


def test_the_loop_of_the_quickstart_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_spec: TrajectorySpec, tiny_statistics: Statistics
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.policies.checkpoint import save_policy

    monkeypatch.chdir(tmp_path)
    spec = replace(tiny_spec, images={"observation.image": (64, 64)})
    policy = AstraConfig(layers=1, heads=1, width=16).build(spec, tiny_statistics)
    save_policy(policy, tmp_path / "runs/pusht-expert")
    (block,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/quickstart.md").read_text(), flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(block, "quickstart", "exec"), found)
    seen: dict[str, np.ndarray] = {name: np.zeros(size, np.float32) for name, size in spec.states.items()}
    seen["observation.image"] = np.zeros((64, 64, 3), np.uint8)
    done = []
    found["control"](lambda: seen, lambda action: done.append(action) or action, spec.instructions[0], 3)
    assert [tuple(action.shape) for action in done] == 3 * [(1, len(spec.actions))]


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_drawn_matrix_is_the_mask(page: str) -> None:
    from astra.attention.masks import trajectory_mask

    lines = (REPOSITORY / page).read_text().splitlines()
    rows = [match[1].split() for line in lines if (match := DRAWN_ROW.match(line))]
    mask = trajectory_mask(L=3, M=2, N=2, T=2, num_queries=2)
    assert rows == [["1" if allowed else "." for allowed in row] for row in mask.tolist()]
