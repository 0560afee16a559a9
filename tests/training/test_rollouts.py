"""Rollouts during training, and the checkpoint that they choose."""

import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from astra.parallel.interruption import Terminated
from astra.policies.checkpoint import load_policy
from astra.policies.policy import Policy
from astra.training.run_folder import RunFolder
from tests.training.test_train import Evaluate, assert_equal_checkpoints, interrupt_at, metrics, run


def scripted(scores: list[float]) -> Evaluate:
    """Return an evaluation with these rewards, one after the other."""
    left = iter(scores)
    return lambda policy: {"success": 0.0, "reward": next(left)}


def test_the_checkpoint_with_the_best_rollouts_is_kept_beside_the_newest(linear: ModuleType, tmp_path: Path) -> None:
    best = {"evaluate_every": 1, "keep_best": "reward", "checkpoint_every": 4, "keep_checkpoints": 1}
    run(linear, tmp_path / "run", evaluate=scripted([0.2, 0.8, 0.8, 0.3]), **best)
    checkpoints = tmp_path / "run/checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["000002", "000004", "best", "last"]
    assert (checkpoints / "best").resolve().name == "000002"
    run(linear, tmp_path / "every", checkpoint_every=1, keep_checkpoints=4)
    assert_equal_checkpoints(checkpoints / "best", tmp_path / "every/checkpoints/000002")
    assert load_policy(checkpoints / "best")


def test_a_resumed_run_remembers_its_best_checkpoint(linear: ModuleType, tmp_path: Path) -> None:
    best = {"evaluate_every": 1, "keep_best": "calls", "keep_checkpoints": 1}
    with pytest.raises(KeyboardInterrupt, match="after 3 updates"):
        run(linear, tmp_path / "run", evaluate=interrupt_at(3), **best)
    stopped = (tmp_path / "run/checkpoints/best").resolve().name
    run(linear, tmp_path / "run", resume=True, evaluate=lambda policy: {"calls": 0.0}, **best)
    assert (tmp_path / "run/checkpoints/best").resolve().name == stopped
    assert (tmp_path / "run/checkpoints/last").resolve().name == "000004"


def fail_at(number: int, error: BaseException) -> Evaluate:
    """Return an evaluation whose result depends on the weights, and whose call of this number fails."""
    calls = count(1)

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        if next(calls) == number:
            raise error
        return {"reward": float(sum(weight.detach().sum() for weight in policy.parameters()))}

    return evaluate


@pytest.mark.parametrize("error", [RuntimeError("the simulator crashed"), KeyboardInterrupt()])
@pytest.mark.parametrize("number", [1, 2])
def test_rollouts_that_failed_lose_no_update_and_are_played_by_the_resumed_run(
    linear: ModuleType, tmp_path: Path, number: int, error: BaseException
) -> None:
    often = {"evaluate_every": 2, "keep_best": "reward", "checkpoint_every": 4, "keep_checkpoints": 1}
    straight, failed = tmp_path / "straight", tmp_path / "failed"
    run(linear, straight, evaluate=fail_at(0, error), **often)
    with pytest.raises(type(error)):
        run(linear, failed, evaluate=fail_at(number, error), **often)
    assert (failed / "checkpoints/last").resolve().name == f"{2 * number:06d}"
    run(linear, failed, evaluate=fail_at(0, error), resume=True, **often)
    for name in ("last", "best"):
        assert_equal_checkpoints(straight / "checkpoints" / name, failed / "checkpoints" / name)
    rewards = [
        [(line["update"], line["evaluation/reward"]) for line in metrics(folder) if "evaluation/reward" in line]
        for folder in (straight, failed)
    ]
    assert rewards[0] == rewards[1]
    assert len(rewards[0]) == 2
    run(linear, failed, evaluate=fail_at(1, error), **often)  # finished: nothing is played again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["in the update", "in the rollouts"])
def test_a_signal_does_not_wait_for_rollouts(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, when: str
) -> None:
    begun: list[int] = []

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        begun.append(1)
        if when == "in the rollouts":
            signal.raise_signal(number)
        raise AssertionError("the rollouts go on")

    calls = count(1)

    def press(optimizer: object, rate: float) -> None:
        if next(calls) == 4 and when == "in the update":
            signal.raise_signal(number)

    monkeypatch.setattr("astra.training.train.set_learning_rate", press)
    expected = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt, match="after 4 updates") as caught:
        run(linear, tmp_path / "run", evaluate=evaluate, evaluate_every=4)
    assert type(caught.value) is expected
    assert len(begun) == (when == "in the rollouts")
    assert (tmp_path / "run/checkpoints/last").resolve().name == "000004"


def test_a_kill_before_the_score_is_written_plays_the_rollouts_again(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = {"evaluate_every": 1, "keep_best": "reward", "checkpoint_every": 4, "keep_checkpoints": 1}
    scored = RunFolder.score_newest
    monkeypatch.setattr(RunFolder, "score_newest", fails_at(2, scored))
    with pytest.raises(KeyboardInterrupt):
        run(linear, tmp_path / "run", evaluate=scripted([0.1, 0.9]), **best)
    monkeypatch.setattr(RunFolder, "score_newest", scored)
    run(linear, tmp_path / "run", resume=True, evaluate=scripted([0.9, 0.0, 0.0]), **best)
    assert (tmp_path / "run/checkpoints/best").resolve().name == "000002"


def fails_at(number: int, method: Callable[..., None]) -> Callable[..., None]:
    """Return a method whose call of this number is interrupted."""
    calls = count(1)

    def failing(*arguments: Any) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt
        method(*arguments)

    return failing


def test_a_best_checkpoint_needs_rollouts_with_that_metric(linear: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"training\.keep_best=reward .* set training\.evaluate_every"):
        run(linear, tmp_path / "run", keep_best="reward")
    with pytest.raises(ValueError, match=r"metrics success, reward, and training\.keep_best is 'rewards'"):
        run(linear, tmp_path / "run", evaluate=scripted([1.0]), evaluate_every=1, keep_best="rewards")
