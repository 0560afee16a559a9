"""Workers and signals, in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astra.parallel.interruption import Terminated, held_back, sigterm_raises

SLEEPERS = """
import os, sys, time
from astra.parallel.pool import pool
if __name__ == "__main__":
    with pool(2) as tasks:
        print(*sorted({tasks.submit(os.getpid).result() for _ in range(20)}), flush=True)
        tasks.submit(time.sleep, 600)
        time.sleep(600)
"""


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_within_five_seconds_of_their_parent(tmp_path: Path, number: int) -> None:
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(process) for process in parent.stdout.readline().split()]
        assert workers
        assert all(map(alive, workers))
        parent.send_signal(number)
        parent.wait()
    until = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_sigterm_is_raised_like_ctrl_c_and_then_acts_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught, sigterm_raises():
        signal.raise_signal(signal.SIGTERM)
    assert caught.type is Terminated
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_is_held_back_until_the_block_is_complete(number: int, error: type[BaseException]) -> None:
    done = []

    def write() -> None:
        with held_back():
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            done.append("written")
        done.append("not reached")

    with pytest.raises(error), sigterm_raises():
        write()
    assert done == ["written"]
