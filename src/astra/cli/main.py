"""The command line: `astra COMMAND ...`; every command has --help.

Commands exit with 0 on success and with 2 on bad input, after one message that says what was got and what to do.
"""

import importlib
import os
import sys
from collections.abc import Sequence

from astra.cli.names import nearest

COMMANDS = {
    "experiments": "list the named runs",
    "train": "train the policy of a named run",
    "evaluate": "measure a trained policy in its simulator",
    "compare": "train and measure all rows of a table of the paper, and show it beside the paper's",
    "collect": "let an expert demonstrate",
    "convert": "bring demonstrations of another format into the native one",
    "inspect": "look at a mask, the sizes of policies, a dataset or a checkpoint",
    "report": "write a run's results into one self-contained report.html",
    "export": "write the control step as a program that runs without this library",
    "benchmark": "measure speed and memory against peers",
    "demo": "demonstrations, training, evaluation and report, in minutes",
}
"""Every command and what it does; `astra.cli.NAME.run` does it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        return _refuse(f"there is no command {command!r}{nearest(command, COMMANDS)}\n\n{_usage()}")
    try:
        importlib.import_module(f"astra.cli.{command}").run(rest)
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ASTRA_TRACEBACK"):
            raise
        return _refuse(str(error))
    except KeyboardInterrupt as error:
        print(error or "interrupted", file=sys.stderr)
        return 130
    return 0


def _refuse(message: str) -> int:
    print(f"astra: {message}", file=sys.stderr)
    return 2


def _usage() -> str:
    lines = [f"  {name:12}{purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(["usage: astra COMMAND ...", "", *lines, "", "astra COMMAND --help tells more."])


if __name__ == "__main__":
    sys.exit(main())
