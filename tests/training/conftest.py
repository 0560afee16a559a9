"""The policy and the data that the tests of training share."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def linear() -> Iterator[ModuleType]:
    """`linear_policy`, imported by its name, so that other processes can import it too; listed as a policy."""
    import astra.policies

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        module = importlib.import_module("linear_policy")
        patch.setitem(astra.policies.POLICIES, "linear", module.LinearConfig)
        yield module
