"""Write checkpoints in processes that are killed at the first, second, ... file operation; see test_run_folder.

Print one line per kill: whether the newest complete checkpoint, and the one that `last` links to, is old or new.
"""

import os
import signal
import sys
from pathlib import Path

from linear_policy import SPEC, LinearConfig, statistics

import astra.policies
from astra.datasets.batches import BatchSampler
from astra.policies.checkpoint import load_policy
from astra.training.budget import Budget
from astra.training.ema import EMA
from astra.training.optimizer import build_optimizer
from astra.training.run_folder import RunFolder
from astra.training.run_state import RunState

OPERATIONS = {"open", "os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir"}

astra.policies.POLICIES["linear"] = LinearConfig  # pyright: ignore[reportArgumentType]
run = RunFolder(Path(sys.argv[1]), keep=1)
policy = LinearConfig().build(SPEC, statistics())
state = RunState(
    policy=policy,
    ema=EMA(policy, max_decay=0.9, power=0.75),
    optimizer=build_optimizer(policy, learning_rate=0.1, weight_decay=0.1, betas=(0.9, 0.95)),
    sampler=BatchSampler(10, 2, seed=0),
    budget=Budget(updates=100),
)


def write(update: int) -> None:
    state.budget.update = update
    with run.new_checkpoint(update) as folder:
        state.save(folder)


def killed_at(operation: int) -> bool:
    """Write a checkpoint in a process that is killed at the n-th operation; return whether it was killed."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event not in OPERATIONS:
                return
            count += 1
            if count == operation:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        write(update)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


run.prepare({}, {})
update = 1
write(update)
operation = 0
while True:
    update += 1
    operation += 1
    if not killed_at(operation):
        break
    newest = run.newest_checkpoint()
    assert newest is not None
    load_policy(newest)
    load_policy(run.path)  # by `last`
    state.load(newest)
    found = int(newest.name), int((run.checkpoints / "last").resolve().name)
    print(*("new" if number == update else "old" for number in found))
    run.prepare({}, {})
    assert not list(run.checkpoints.glob(".*"))
    assert (run.checkpoints / "last").resolve() == newest.resolve()
