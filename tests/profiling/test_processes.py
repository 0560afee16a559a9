import os

import pytest


def test_busy_cores_make_the_row_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    from astra.profiling import processes

    monkeypatch.setattr(processes, "idle_cores", lambda: 1)
    assert processes.benchmark_processes().ratio is None


def test_counting_idle_cores_leaves_the_process_where_it_may_run() -> None:
    from astra.profiling.processes import idle_cores

    before = os.sched_getaffinity(0)
    assert 0 <= idle_cores(seconds=0.01) <= len(before)
    assert os.sched_getaffinity(0) == before


@pytest.mark.slow
def test_one_and_two_processes_can_be_timed() -> None:
    from astra.profiling.processes import _timesteps_per_second

    for processes in (1, 2):
        (speed,) = _timesteps_per_second(processes, updates=2)
        assert speed > 0
