"""Commands answer at once: what they need to print a list or --help is all that they import."""

import json
import resource
import subprocess
import sys

import pytest

IMPORTED = """
import contextlib, io, json, sys
from astra.cli.main import main
found = {}
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        assert main(arguments) == 0, arguments
    found[" ".join(arguments)] = [name for name in sys.argv[2:] if name in sys.modules]
print(json.dumps({command: names for command, names in found.items() if names}))
"""
SIMULATORS = ("gym_pusht", "pymunk", "pygame", "pybullet", "vima_bench", "mujoco", "sapien", "mani_skill")


def imported(commands: list[list[str]], *packages: str) -> dict[str, list[str]]:
    """Run commands in a fresh Python, and return those of the packages that were imported, by command."""
    arguments = [sys.executable, "-c", IMPORTED, json.dumps(commands), *packages]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_lists_and_help_do_not_import_torch() -> None:
    from astra.cli.inspect import THINGS
    from astra.cli.main import COMMANDS

    helps = [[command, "--help"] for command in COMMANDS]
    things = [["inspect", thing, "--help"] for thing in THINGS]
    lists = [["--help"], ["--version"], ["experiments"], ["experiments", "vima-bench"]]
    assert imported([*lists, *helps, *things], "torch", "transformers", *SIMULATORS) == {}


def test_help_on_an_experiment_imports_neither_transformers_nor_a_simulator() -> None:
    from astra.experiments import EXPERIMENTS

    assert imported([["train", name, "--help"] for name in EXPERIMENTS], "transformers", *SIMULATORS) == {}


def test_the_check_sees_what_is_imported() -> None:
    assert imported([["experiments"], ["train", "pusht-expert", "--help"]], "torch", "rich") == {
        "experiments": ["rich"],
        "train pusht-expert --help": ["torch", "rich"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["experiments"], ["train", "--help"]])
def test_a_list_costs_at_most_a_third_of_importing_torch_and_transformers(arguments: list[str]) -> None:
    assert cpu_seconds("-m", "astra", *arguments) <= cpu_seconds("-c", "import torch, transformers") / 3


def cpu_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from astra import __version__
    from astra.cli.main import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"astra {__version__}\n"
