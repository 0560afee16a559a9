"""Policy and data of the tests of training."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def linear() -> Iterator[ModuleType]:
    """Return `linear_policy`, imported by name for other processes too, and listed among the policies."""
    import astra.policies

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        module = importlib.import_module("linear_policy")
        patch.setitem(astra.policies.POLICIES, "linear", module.LinearConfig)
        yield module
