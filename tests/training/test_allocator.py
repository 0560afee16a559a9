import resource
import subprocess
import sys

import pytest

from astra.training.allocator import keep_freed_memory

FAULTS = """
import resource, torch
from astra.training.allocator import keep_freed_memory
{setting}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_memory_that_was_freed_is_used_again_without_page_faults() -> None:
    def faults(setting: str) -> int:
        code = FAULTS.format(setting=setting)
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert faults("keep_freed_memory()") < 0.1 * faults("")


def test_it_can_be_asked_for_anywhere() -> None:
    keep_freed_memory()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
