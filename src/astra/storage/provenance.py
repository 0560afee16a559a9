"""Provenance of results: command line, code version and machine."""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import torch

import astra


def command_line() -> str:
    """Return the command of this process as it is typed, without the folder of the program: `astra evaluate RUN`."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name  # python -m NAME
    return shlex.join([name, *sys.argv[1:]])


def code_version() -> str:
    """Return Astra's version, with the git revision if the code is in a checkout: `0.1.0+1a2b3c4` or `...-dirty`."""
    checkout = Path(__file__).parents[3]
    if not (checkout / ".git").exists():
        return astra.__version__
    git = ["git", "--no-optional-locks", "-C", str(checkout)]  # another git may be at work in the checkout
    command = [*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        revision = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or a checkout without commits
        return astra.__version__
    return f"{astra.__version__}+{revision}"


def machine() -> str:
    """Return a description of this machine, with its first GPU: `x86_64, 2 cores, torch 2.13.0+cpu`."""
    described = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    return f"{described}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else described
