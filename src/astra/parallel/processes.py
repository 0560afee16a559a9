"""The processes that `accelerate launch`, torchrun or Slurm started side by side: what one does, what all do.

A process that was started alone is the main process, and everything here is a plain call.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

R = TypeVar("R")


class OtherProcessError(ValueError):
    """Raised in the processes beside the one that failed, so that none waits for it."""


def processes() -> PartialState:
    """Give what accelerate knows of the processes, having joined them.

    Under torchrun alone it would overlook the others where there is no GPU, and each process would work on its own.
    """
    return PartialState(cpu=not torch.accelerator.is_available())


def is_main_process() -> bool:
    """Tell whether this process is the one that writes files and talks."""
    return processes().is_main_process


def everywhere(action: Callable[[], R]) -> list[R]:
    """Call an action in every process and give all results, in the order of the processes.

    Raises:
        OtherProcessError: if it failed in another process; where it failed itself, the error is its own.
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
    """Call an action in the main process only, and give its result in all.

    Raises:
        OtherProcessError: if it failed, in the other processes.
    """
    return everywhere(lambda: action() if is_main_process() else None)[0]  # pyright: ignore[reportReturnType]


def main_first(action: Callable[[], R]) -> R:
    """Call an action in the main process, then in the others, which find what it left on disk.

    Raises:
        OtherProcessError: if it failed in another process.
    """
    main, kept = is_main_process(), list[R]()
    for turn in (True, False):
        everywhere(lambda turn=turn: kept.append(action()) if main is turn else None)
    return kept[0]


def own_share(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Cut this process's part out of a list of indices; the parts differ by one in length at most."""
    state = processes()
    return np.array_split(np.asarray(indices), state.num_processes)[state.process_index]
