"""Policy and data of the tests of training."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(autouse=True)
def fresh_accelerator() -> None:
    """Forget the precision of trainings before, which an accelerator of the same process would take over."""
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state()


@pytest.fixture
def linear() -> Iterator[ModuleType]:
    """Return `linear_policy`, imported by name for other processes too, and listed among the policies."""
    import astra.policies

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        module = importlib.import_module("linear_policy")
        patch.setitem(astra.policies.POLICIES, "linear", module.LinearConfig)
        yield module
