"""The README tells the truth."""

import re
import shlex
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
CODE = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line.split(" # ")[0].strip() for block in CODE for line in block.splitlines()]


def tree() -> dict[str, str]:
    """Read the tree's paths, relative to the repository, and their comments."""
    found: dict[str, str] = {}
    folders: list[str] = []
    block = re.search(r"```\n(src/astra/ .*?)```", README, flags=re.DOTALL)
    assert block is not None
    for line in block[1].splitlines():
        indent, name, comment = re.fullmatch(r"( *)(\S+) +(\S.*)", line).groups()  # pyright: ignore
        folders = [*folders[: len(indent) // 2], name]
        found["".join(folders)] = comment
    return found


def test_the_tree_is_the_tree() -> None:
    listed = {path for path in tree() if path.endswith(".py")}
    files = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "src").rglob("*.py")}
    assert listed == {path for path in files if not path.endswith(("__init__.py", "__main__.py"))}


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
    named = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert named
    assert named <= set(targets)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("astra ")])
def test_commands_and_their_options_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    arguments = shlex.split(command)[1:]
    with pytest.raises(SystemExit) as stopped:
        sys.exit(main([*arguments, "--help"]))
    assert not stopped.value.code
    explained = capsys.readouterr().out
    assert not [option for option in arguments if option.startswith("--") and option not in explained]
