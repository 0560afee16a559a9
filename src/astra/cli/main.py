"""Entry point of `astra COMMAND ...`; every command has --help.

Exit codes: 0 for success, 2 for bad input (after one message that says what to do), 130 for Ctrl-C.
"""

import importlib
import os
import sys
from collections.abc import Sequence

from astra import __version__
from astra.cli.flags.help import listing
from astra.cli.flags.messages import name_flags
from astra.cli.names import nearest

COMMANDS = {
    "experiments": "list the named experiments",
    "train": "train the policy of a named experiment",
    "evaluate": "evaluate a trained policy in its simulator",
    "compare": "train and evaluate every row of a table of the paper, and print it beside the paper's numbers",
    "collect": "collect demonstrations from a scripted expert",
    "convert": "convert demonstrations from another format",
    "inspect": "print a mask, policy sizes, a dataset, a checkpoint, or what a policy has learned",
    "report": "write the results of a run to one self-contained report.html",
    "export": "export the control step as a program that runs without Astra",
    "benchmark": "measure speed and memory against other implementations",
    "demo": "collect, train, evaluate and report, in minutes",
}
"""Every command with its purpose. The command NAME is run by `astra.cli.NAME.run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: command and its arguments; None: those of the process.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"astra {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        return _refuse(f"there is no command {command!r}{nearest(command, COMMANDS)}\n\n{_usage()}")
    try:
        importlib.import_module(f"astra.cli.{command}").run(rest)
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ASTRA_TRACEBACK"):
            raise
        return _refuse(name_flags(str(error)))
    except KeyboardInterrupt as error:
        print(error or "interrupted", file=sys.stderr)
        return 130
    return 0


def _refuse(message: str) -> int:
    print(f"astra: {message}", file=sys.stderr)
    return 2


def _usage() -> str:
    usage = ["usage: astra COMMAND ...", "       astra --version", "", listing(COMMANDS), ""]
    return "\n".join([*usage, "`astra COMMAND --help` lists the options of a command."])


if __name__ == "__main__":
    sys.exit(main())
