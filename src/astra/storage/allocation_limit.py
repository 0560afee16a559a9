"""Limit of the numbers that tensors may hold while something is built from a file of a stranger, or from flags."""

import math
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class AllocationLimit(TorchDispatchMode):
    """Context in which new tensors hold at most `limit` numbers, all together.

    Sizes are checked before memory is taken.
    """

    def __init__(self, limit: int, problem: str = "it needs far more numbers than the file holds") -> None:
        """Set the limit, and the message of the error."""
        super().__init__()
        self.left = limit
        self.problem = problem

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, if its result fits.

        Raises:
            ValueError: if it does not.
        """
        if not any(isinstance(value, Tensor | list | tuple) and _holds_tensor(value) for value in args):
            # Only operations without tensors allocate from sizes: empty, randn, zeros, arange, ...
            sizes = [math.prod(value) for value in args if isinstance(value, list) and _whole(value)]
            sizes += [value for value in args if isinstance(value, int)]
            self.left -= max(sizes, default=0)
            if self.left < 0:
                raise ValueError(self.problem)
        return func(*args, **(kwargs or {}))


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or any(isinstance(item, Tensor) for item in value)


def _whole(value: list[Any]) -> bool:
    return all(isinstance(item, int) for item in value)
