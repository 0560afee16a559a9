"""Script of each process in `test_processes`: everything that needs several processes, in one start."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import line_world as world  # pyright: ignore[reportMissingImports]
import linear_policy as linear

from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.datasets.windows import Windows
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import evaluate
from astra.parallel.processes import everywhere, is_main_process, own_share
from astra.policies import POLICIES
from astra.policies.astra import AstraConfig
from astra.policies.policy import Policy, PolicyConfig
from astra.training.train import train

STILL = linear.LinearConfig(dropout=0.0)
ASTRA = AstraConfig(layers=1, heads=2, width=16, window=1)
"""With a window of one timestep, the action tokenizer gets no gradient."""
ENCODER = AstraConfig(layers=1, heads=2, width=16)
CONTRASTIVE = dict(contrastive=ContrastiveConfig(cdl_fraction=1.0, negatives=2, projection=8), batch_size=16)
MANY = linear.windows(lengths=(5,) * 12)
CALL = ("resume", "shard", "evaluate")
"""Arguments of `train` besides the configurations."""
CASES = [Case(seed=seed, options={"goal": (2.0, -2.0)[seed % 2]}) for seed in range(5)]
POLICIES["linear"] = linear.LinearConfig  # pyright: ignore[reportArgumentType]


def no_rollouts(policy: Policy[Any]) -> dict[str, float]:
    """Record nothing."""
    return {}


def run(folder: Path, config: PolicyConfig = STILL, data: Windows | None = None, **settings: Any) -> Path:
    """Train with an odd number of held-out windows."""
    call = {"evaluate": no_rollouts, **{name: settings.pop(name) for name in CALL if name in settings}}
    training = linear.training(validation_windows=7, evaluate_every=2, **settings)
    held_out = linear.windows(seed=1)
    return train(config, training, data or linear.windows(), held_out, folder, statistics=linear.statistics(), **call)


def press_ctrl_c(policy: Policy[Any]) -> dict[str, float]:
    """Interrupt the run from one process, after the current update."""
    if is_main_process():
        signal.raise_signal(signal.SIGINT)
    return {}


def interrupt(folder: Path, **settings: Any) -> None:
    """Train for three updates: Ctrl-C after the second lets the third one finish."""
    try:
        run(folder, evaluate=press_ctrl_c, **settings)
    except KeyboardInterrupt:
        return
    raise AssertionError("was not interrupted")


def evaluate_walker(folder: Path) -> None:
    """Play five episodes."""
    evaluate(world.Walker(), world.Line, CASES, folder=folder, num_videos=1)


def note(folder: Path, name: str, action: Callable[[], Any]) -> None:
    """Write the result or the error of an action in each process to a file."""
    try:
        result = repr(action())
    except Exception as error:
        result = repr(error)
    (folder / f"{name}.{os.environ['RANK']}").write_text(result)


class Breaking(Windows):
    """Windows that fail in the second process at the second batch."""

    def batch(self, indices: Any) -> Any:
        """Return a batch, or raise."""
        self.calls = getattr(self, "calls", 0) + 1
        if os.environ["RANK"] == "1" and self.calls == 2:
            raise RuntimeError("the disk of this process is gone")
        return super().batch(indices)


def _fail_in_second() -> None:
    if not is_main_process():
        raise ValueError("no room here")


def main(folder: Path) -> None:
    """Run everything."""
    run(folder / "whole")
    run(folder / "parts", gradient_accumulation_steps=3)
    run(folder / "astra", ASTRA)
    run(folder / "begun-by-one", resume=True)
    interrupt(folder / "begun-by-two")
    run(folder / "sharded", gradient_accumulation_steps=3, shard=True)
    run(folder / "sharded-astra", ASTRA, shard=True)
    run(folder / "contrastive", ENCODER, MANY, **CONTRASTIVE)
    run(folder / "sharded-contrastive", ENCODER, MANY, **CONTRASTIVE, shard=True)
    run(folder / "begun-by-one-sharded", resume=True, shard=True)
    interrupt(folder / "begun-by-two-sharded", shard=True)
    evaluate_walker(folder / "eval")
    note(folder, "claim", lambda: run(folder / "begun-by-two", learning_rate=0.5))
    note(folder, "everywhere", lambda: everywhere(_fail_in_second))
    note(folder, "share", lambda: own_share(range(5)).tolist())
    note(folder, "muon", lambda: run(folder / "muon", optimizer="muon", shard=True))
    note(folder, "odd", lambda: run(folder / "odd", batch_size=7))
    breaking = linear.windows()
    breaking.__class__ = Breaking
    run(folder / "broken", data=breaking)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Exception:
        traceback.print_exc()
        os._exit(1)  # other processes that wait for this one must notice by themselves
