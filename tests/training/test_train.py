import json
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from astra.policies.checkpoint import load_policy, load_tensors
from astra.policies.policy import Policy, PolicyConfig
from astra.training.train import train
from astra.trajectory import Trajectory

Evaluate = Callable[[Policy[Any]], dict[str, float]]


def run(
    linear: ModuleType,
    folder: Path,
    *,
    resume: bool = False,
    evaluate: Evaluate | None = None,
    config: PolicyConfig | None = None,
    **changes: Any,
) -> Path:
    return train(
        config or linear.LinearConfig(),
        linear.training(**changes),
        linear.windows(),
        linear.windows(seed=1),
        folder,
        statistics=linear.statistics(),
        resume=resume,
        evaluate=evaluate,
        description={"command": "astra train test"},
    )


def needs_muon(optimizer: str) -> None:
    """Skip a test of Muon where PyTorch lacks it."""
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip(f"PyTorch {torch.__version__} has no Muon")


def everything(checkpoint: Path) -> dict[str, object]:
    """Return the content of a checkpoint, without the seconds."""
    tensors = {str(path.relative_to(checkpoint)): load_tensors(path) for path in checkpoint.rglob("*.safetensors")}
    state = json.loads((checkpoint / "training_state" / "state.json").read_text())
    del state["budget"]["seconds"], state["sha256"]
    flat = {f"{file}/{name}": tensor.numpy() for file, named in tensors.items() for name, tensor in named.items()}
    return {**flat, "state": state}


def assert_equal_checkpoints(first: Path, second: Path) -> None:
    one, other = everything(first), everything(second)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def interrupt_at(update: int) -> Evaluate:
    """Return an evaluation that presses Ctrl-C."""
    calls: list[int] = []

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        calls.append(1)
        if len(calls) == update:
            signal.raise_signal(signal.SIGINT)
        return {"calls": len(calls)}

    return evaluate


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_updates_and_two_resumed_equal_four_straight_bit_for_bit(
    linear: ModuleType, tmp_path: Path, optimizer: str
) -> None:
    needs_muon(optimizer)
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    run(linear, straight, evaluate_every=1, optimizer=optimizer)
    with pytest.raises(KeyboardInterrupt, match="in the rollouts after 2 updates"):
        run(linear, halves, evaluate=interrupt_at(2), evaluate_every=1, optimizer=optimizer)
    run(linear, halves, resume=True, evaluate_every=1, optimizer=optimizer)
    assert_equal_checkpoints(straight / "checkpoints" / "last", halves / "checkpoints" / "last")
    losses = [[line["train/loss"] for line in metrics(folder) if "train/loss" in line] for folder in (straight, halves)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_a_run_counts_its_position_in_the_data(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run")
    state = json.loads((tmp_path / "run/checkpoints/last/training_state/state.json").read_text())
    assert state["sampler"]["position"] == 4 * 6
    assert state["budget"]["update"] == state["ema_updates"] == 4


def test_validation_and_evaluation_do_not_change_the_training(linear: ModuleType, tmp_path: Path) -> None:
    def noisy(policy: Policy[Any]) -> dict[str, float]:
        return {"draw": float(torch.rand(()))}

    run(linear, tmp_path / "often", validation_every=1, evaluate_every=1, evaluate=noisy)
    run(linear, tmp_path / "seldom", validation_every=4)
    assert_equal_checkpoints(tmp_path / "often/checkpoints/000004", tmp_path / "seldom/checkpoints/000004")


def test_micro_batches_with_different_amounts_of_padding_give_the_update_of_the_whole_batch(
    linear: ModuleType, tmp_path: Path
) -> None:
    still = linear.LinearConfig(dropout=0.0)
    whole = run(linear, tmp_path / "whole", config=still)
    parts = run(linear, tmp_path / "parts", config=still, gradient_accumulation_steps=3)
    one, other = load_policy(whole).state_dict(), load_policy(parts).state_dict()
    for name in one.keys() - {"seen"}:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6, msg=name)
    for first, second in zip(metrics(tmp_path / "whole"), metrics(tmp_path / "parts"), strict=True):
        name = "train/loss" if "train/loss" in first else "validation/loss"
        assert first[name] == pytest.approx(second[name], rel=1e-5)


def test_ema_weights_are_saved_and_frozen_weights_stay(linear: ModuleType, tmp_path: Path) -> None:
    policy = load_policy(run(linear, tmp_path / "run"))
    raw = load_tensors(tmp_path / "run/checkpoints/last/training_state/weights.safetensors")
    assert not any(name.startswith("frozen") for name in raw)
    assert not torch.equal(raw["out.weight"], policy.state_dict()["out.weight"])
    last = load_policy(run(linear, tmp_path / "last", ema_max_decay=0.0))
    assert torch.equal(raw["out.weight"], last.state_dict()["out.weight"])
    assert torch.equal(policy.state_dict()["frozen.weight"], last.state_dict()["frozen.weight"])


def test_rollouts_act_with_the_averaged_weights(linear: ModuleType, tmp_path: Path) -> None:
    seen = []

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        seen.append(policy.get_parameter("out.weight").clone())
        return {"reward": 0.0}

    saved = load_policy(run(linear, tmp_path / "run", evaluate=evaluate, evaluate_every=4))
    assert torch.equal(seen[-1], saved.state_dict()["out.weight"])


def test_a_seed_has_its_own_weights_and_its_own_order(linear: ModuleType, tmp_path: Path) -> None:
    frozen, orders = [], []
    for seed in (0, 1):
        policy = load_policy(run(linear, tmp_path / str(seed), seed=seed))
        frozen.append(policy.state_dict()["frozen.weight"])
        state = json.loads((tmp_path / str(seed) / "checkpoints/last/training_state/state.json").read_text())
        orders.append(state["sampler"]["seed"])
    assert not torch.equal(*frozen)
    assert orders == [0, 1]


def test_training_lowers_the_held_out_loss(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run", updates=60, learning_rate=0.03, validation_every=10)
    losses = [line["validation/loss"] for line in metrics(tmp_path / "run") if "validation/loss" in line]
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_in_minutes_ends_when_its_time_is_over(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run", updates=10**6, max_minutes=1e-3, log_every=10**6, checkpoint_every=10**6)
    state = json.loads((tmp_path / "run/checkpoints/last/training_state/state.json").read_text())
    assert state["budget"]["seconds"] >= 0.06
    assert 0 < state["budget"]["update"] < 10**5
    assert metrics(tmp_path / "run")[-1]["validation/loss"] > 0


def test_only_the_newest_checkpoints_are_kept(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run", checkpoint_every=1, keep_checkpoints=3)
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert names == ["000002", "000003", "000004", "last"]


def test_the_checkpoint_with_the_lowest_held_out_loss_is_kept(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run", updates=12, learning_rate=2.0, validation_every=1, keep_best="loss")
    losses = {
        line["update"]: line["validation/loss"] for line in metrics(tmp_path / "run") if "validation/loss" in line
    }
    lowest = min(losses, key=losses.__getitem__)
    assert lowest < 12, "training diverges at this learning rate, so the last checkpoint is not the best"
    assert int((tmp_path / "run/checkpoints/best").resolve().name) == lowest


def test_config_json_describes_the_run(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["training"]["seed"] == 0
    assert config["policy"] == {"kind": "LinearConfig", "width": 8, "dropout": 0.2}
    assert config["description"] == {"precision": "float32", "command": "astra train test"}
    assert config["code_version"].startswith("0.1.0")


def test_a_finished_run_is_reported_and_not_changed(
    linear: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(linear, tmp_path / "run")
    before, config = everything(first.parent), (tmp_path / "run" / "config.json").read_text()
    monkeypatch.setattr("astra.training.run_folder.machine", lambda: "another machine")
    assert run(linear, tmp_path / "run") == first
    assert "finished after 4 updates" in capsys.readouterr().out
    np.testing.assert_equal(everything(first.parent), before)
    assert (tmp_path / "run" / "config.json").read_text() == config


def test_an_unfinished_run_needs_resume(linear: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(linear, tmp_path / "run", evaluate=interrupt_at(2), evaluate_every=1)
    with pytest.raises(ValueError, match="unfinished after 2 updates: continue it with --resume"):
        run(linear, tmp_path / "run", evaluate_every=1)


def test_another_run_is_not_overwritten(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run")
    with pytest.raises(ValueError, match=r"holds another run: its training.learning_rate is 0.001, not 0.1"):
        run(linear, tmp_path / "run", learning_rate=0.1)


def test_a_policy_that_cannot_be_built_leaves_no_folder(linear: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dropout"):
        run(linear, tmp_path / "run", config=linear.LinearConfig(dropout=2.0))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_run(linear: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) .* another folder .* no checkpoint yet"):
        run(linear, tmp_path / "run", learning_rate=1e38)


def test_signals_work_as_before_after_a_run(linear: ModuleType, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(linear, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"updates": 0}, r"training\.updates must be at least 1, got 0"),
        ({"max_minutes": -5.0}, r"training\.max_minutes must be above 0, got -5\.0"),
        ({"warmup": 1.0}, "warmup"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"max_minutes": -1.0}, "max_minutes"),
    ],
)
def test_invalid_settings_are_refused(linear: ModuleType, wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear.training(**wrong)


def test_windows_of_another_length_are_refused(linear: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"windows of 5 timesteps for training\.timesteps=7"):
        run(linear, tmp_path / "run", timesteps=7)


def test_a_tracker_that_is_not_installed_is_refused(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astra.training.run_log.get_available_trackers", list)
    with pytest.raises(ValueError, match=r"pip install '.\[trackio\]'"):
        run(linear, tmp_path / "run", tracker="trackio")


def test_a_run_says_how_long_it_will_take_once_its_speed_is_known(
    linear: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(linear, tmp_path / "run", updates=30)
    lines = [line for line in capsys.readouterr().out.splitlines() if "training will take" in line]
    assert len(lines) == 1
    assert re.search(r"less than a minute at this speed \([\d.e-]+ s per update\)", lines[0])


def test_tensorboard_gets_the_metrics(linear: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(linear, tmp_path / "run", tracker="tensorboard")
    events = b"".join(path.read_bytes() for path in (tmp_path / "run/tensorboard").rglob("events*"))
    assert b"train/loss" in events
    assert b"validation/loss" in events


def test_data_in_which_no_action_varies_are_refused_before_anything_is_written(
    linear: ModuleType, tmp_path: Path
) -> None:
    found = linear.statistics()
    still = replace(found.actions, min=found.actions.mean, max=found.actions.mean)
    constant = replace(found, actions=still)
    with pytest.raises(ValueError, match=r"no action varies .*x is always 0, y is always 0"):
        train(
            linear.LinearConfig(),
            linear.training(),
            linear.windows(),
            linear.windows(),
            tmp_path / "run",
            statistics=constant,
        )
    assert not (tmp_path / "run").exists()


def test_updates_without_anything_to_learn_are_skipped_and_counted(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, drawn = linear.windows(), []
    whole = windows.batch

    def batch(indices: np.ndarray) -> Trajectory:
        drawn.append(whole(indices))
        lost = len(drawn) in (2, 3, 4)
        return replace(drawn[-1], action_valid=torch.zeros_like(drawn[-1].action_valid)) if lost else drawn[-1]

    monkeypatch.setattr(windows, "batch", batch)
    settings = linear.training(updates=6, log_every=2)
    data = windows, linear.windows(seed=1)
    train(linear.LinearConfig(), settings, *data, tmp_path / "run", statistics=linear.statistics())
    lines = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    logged = {line["update"]: line for line in lines if "train/learning_rate" in line}
    assert [logged[update].get("train/skipped_updates") for update in (2, 4, 6)] == [1, 2, None]
    assert ["train/loss" in logged[update] for update in (2, 4, 6)] == [True, False, True]
    assert len(drawn) == 6


def test_a_policy_of_a_users_own_warns_of_its_data_before_training(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def data_warnings(policy: object, actions: torch.Tensor) -> list[str]:
        return [f"{len(actions)} actions of the training episodes"]

    monkeypatch.setattr(linear.LinearPolicy, "data_warnings", data_warnings)
    with pytest.warns(UserWarning, match="^20 actions of the training episodes$"):
        run(linear, tmp_path / "run")


def test_a_batch_that_is_smaller_than_its_parts_is_refused_with_the_size_that_works(
    linear: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"1 processes with 4 micro-batches each .*: choose at least 4$"):
        run(linear, tmp_path / "run", batch_size=2, gradient_accumulation_steps=4)
    assert not (tmp_path / "run").exists()
