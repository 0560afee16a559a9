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


IMPORTING = """
import multiprocessing, pickle, time
from astra.parallel.parent import run_watched

class Slow:
    def __reduce__(self):
        return time.sleep, (600,)

if __name__ == "__main__":
    work = pickle.dumps((Slow(), ()))
    process = multiprocessing.get_context("spawn").Process(target=run_watched, args=(work, 1.0))
    process.start()
    print(process.pid, flush=True)
    time.sleep(600)
"""
"""Starts a process whose work takes long to unpickle, as if it imported."""


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("program", [SLEEPERS, IMPORTING], ids=["sleepers", "importing"])
def test_workers_end_within_five_seconds_of_their_parent(tmp_path: Path, number: int, program: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(program)
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
