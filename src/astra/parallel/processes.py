"""Processes started by `accelerate launch`, torchrun or Slurm: what the main process does, and what all do.

A single process is the main process, and every function here is then a plain call.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

R = TypeVar("R")


class OtherProcessError(ValueError):
    """Error of another process, raised so that this one does not wait for it."""


def processes() -> PartialState:
    """Join the other processes, and return accelerate's state of them.

    Without `cpu=True`, accelerate overlooks the other processes of torchrun on a machine without GPU.
    """
    return PartialState(cpu=not torch.accelerator.is_available())


def is_main_process() -> bool:
    """Whether this process is the one that writes files and prints."""
    return processes().is_main_process


def everywhere(action: Callable[[], R]) -> list[R]:
    """Call an action in every process and return all results, in the order of the processes.

    Raises:
        OtherProcessError: if the action failed in another process; its own error is raised as it is.
    """
    state = processes()
    if state.num_processes == 1:
        return [action()]
    result, error = None, None
    try:
        result = action()
    except (Exception, KeyboardInterrupt) as own:
        error = own
    told = None if error is None else f"{type(error).__name__}: {error}"
    outcomes = gather_object([(result, told)])
    if error is not None:
        raise error
    for process, (_, failure) in enumerate(outcomes):
        if failure is not None:
            raise OtherProcessError(f"stopped because process {process} failed: {failure}")
    return [outcome for outcome, _ in outcomes]


def in_main(action: Callable[[], R]) -> R:
    """Call an action in the main process only, and return its result in all processes.

    Raises:
        OtherProcessError: in the other processes, if the action failed.
    """
    return everywhere(lambda: action() if is_main_process() else None)[0]  # pyright: ignore[reportReturnType]


def main_first(action: Callable[[], R]) -> R:
    """Call an action in the main process, then in the others, which find its files on disk.

    Raises:
        OtherProcessError: if the action failed in another process.
    """
    main, kept = is_main_process(), list[R]()
    for turn in (True, False):
        everywhere(lambda turn=turn: kept.append(action()) if main is turn else None)
    return kept[0]


def own_share(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return this process's part of a list of indices; the lengths of the parts differ by at most one."""
    state = processes()
    return np.array_split(np.asarray(indices), state.num_processes)[state.process_index]
