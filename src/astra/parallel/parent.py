"""End of a process that was started for another one, soon after that one has ended, even by SIGKILL."""

import os
import pickle
import signal
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import wait

GRACE = 4.0
"""Seconds between a request to stop and SIGKILL."""


def end_with_parent(*, grace: float = 0.0) -> None:
    """Watch the parent of this process from a thread, and end this process when the parent has ended.

    Args:
        grace: seconds between SIGTERM, on which a process may write what it has, and SIGKILL; 0: SIGKILL at once.
    """
    threading.Thread(target=_watch, args=(grace,), name="end with parent", daemon=True).start()


def run_watched(work: bytes, grace: float) -> None:
    """Run pickled work in a process that was started for it, and end when the parent has ended.

    The watch begins before the work is unpickled, which may import for seconds. Ctrl-C in the terminal reaches only the
    parent, which stops its children.

    Args:
        work: pickled pair of a function and its arguments.
        grace: as for `end_with_parent`.
    """
    os.setpgrp()
    end_with_parent(grace=grace)
    function, arguments = pickle.loads(work)
    function(*arguments)


def _watch(grace: float) -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    if grace:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
