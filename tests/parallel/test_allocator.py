import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from astra.parallel.allocator import keep_freed_memory
{setting}
layers = torch.nn.Sequential(*(torch.nn.Linear(256, 256) for _ in range(8)))
def update():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layers(torch.zeros(4096, 256)).sum().backward()
    layers.zero_grad()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum([update() for _ in range(30)][15:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_updates_reuse_freed_memory_instead_of_faulting_in_new_pages() -> None:
    def later_faults(setting: str) -> int:
        code = FAULTS.format(setting=setting)
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert later_faults("keep_freed_memory()") <= 0.25 * later_faults("")
