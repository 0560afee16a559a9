import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from astra.datasets.batches import BatchSampler
from astra.training.budget import Budget
from astra.training.ema import EMA
from astra.training.optimizer import build_optimizer
from astra.training.run_state import RunState


@pytest.fixture
def state(linear: ModuleType) -> RunState:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    return RunState(
        policy=policy,
        ema=EMA(policy, max_decay=0.9, power=0.75),
        optimizer=build_optimizer(policy, learning_rate=0.1, weight_decay=0.1, betas=(0.9, 0.95)),
        sampler=BatchSampler(10, 2, seed=0),
        budget=Budget(updates=9),
    )


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_checkpoint_without_training_state_cannot_be_resumed(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    (tmp_path / "training_state" / "state.json").unlink()
    with pytest.raises(FileNotFoundError, match="can be evaluated, but not resumed"):
        state.load(tmp_path)


def test_a_state_of_another_format_is_refused(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    change(tmp_path / "training_state" / "state.json", format=1)
    with pytest.raises(ValueError, match="has format 1, and this version of Astra reads 2"):
        state.load(tmp_path)


def test_a_damaged_state_is_refused(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    (tmp_path / "training_state" / "state.json").write_text('{"format"')
    with pytest.raises(ValueError, match="is not valid JSON"):
        state.load(tmp_path)


def test_a_truncated_optimizer_is_refused(state: RunState, tmp_path: Path) -> None:
    torch.stack([weight.sum() for weight in state.policy.parameters()]).sum().backward()
    state.optimizer.step()
    state.save(tmp_path)
    path = tmp_path / "training_state" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="is damaged or cut short"):
        state.load(tmp_path)


def test_another_data_order_is_refused(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    path = tmp_path / "training_state" / "state.json"
    change(path, sampler={"position": 0, "seed": 0, "num_items": 11})
    with pytest.raises(ValueError, match="num_items=11"):
        state.load(tmp_path)
