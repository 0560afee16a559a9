import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from astra.datasets.batches import BatchSampler
from astra.storage.json_checksum import checked_json
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
    path.write_text(checked_json(json.loads(path.read_text()) | values))


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


def test_an_edited_state_is_refused(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    path = tmp_path / "training_state" / "state.json"
    path.write_text(path.read_text().replace('"ema_updates": 0', '"ema_updates": 8'))
    with pytest.raises(ValueError, match=r"was changed after Astra wrote it.*resume from another checkpoint"):
        state.load(tmp_path)


def test_another_data_order_is_refused(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    path = tmp_path / "training_state" / "state.json"
    change(path, sampler={"position": 0, "seed": 0, "num_items": 11})
    with pytest.raises(ValueError, match="num_items=11"):
        state.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(budget={"update": 3}), "budget.seconds=None, expected a number of at least 0"),
        (dict(budget=[]), "budget.update=None"),
        (dict(budget={"update": -1, "seconds": 0.0}), "budget.update=-1"),
        (dict(budget={"update": 1, "seconds": float("nan")}), "budget.seconds=nan"),
        (dict(ema_updates="3"), "ema_updates='3'"),
        (dict(sampler={"seed": 0, "num_items": 10}), "sampler.position=None"),
    ],
)
def test_a_state_without_its_numbers_is_refused(
    state: RunState, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    state.save(tmp_path)
    change(tmp_path / "training_state" / "state.json", **changes)
    with pytest.raises(ValueError, match=message):
        state.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("exp_avg", torch.ones(1), "expected finite numbers of shape"),
        ("exp_avg", None, "expected exp_avg, exp_avg_sq, step"),
        ("exp_avg_sq", torch.tensor(torch.nan), "expected finite numbers of shape"),
    ],
)
def test_moments_that_do_not_fit_their_weight_are_refused(
    state: RunState, tmp_path: Path, key: str, value: torch.Tensor | None, message: str
) -> None:
    torch.stack([weight.sum() for weight in state.policy.parameters()]).sum().backward()
    state.optimizer.step()
    state.save(tmp_path)
    path = tmp_path / "training_state" / "optimizer.safetensors"
    moments = load_file(path)
    name = next(name for name in moments if name.endswith(f".{key}"))
    if value is None:
        del moments[name]
    else:
        moments[name] = value if value.shape else torch.full_like(moments[name], torch.nan)
    save_file(moments, path)
    change(path.parent / "state.json", checksums={})  # as if an older version had written it
    with pytest.raises(ValueError, match=message):
        state.load(tmp_path)


def test_moments_of_an_unknown_weight_are_refused_by_their_file(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    path = tmp_path / "training_state" / "optimizer.safetensors"
    save_file({**load_file(path), "added": torch.ones(1)}, path)
    change(path.parent / "state.json", checksums={})
    with pytest.raises(ValueError, match=r"optimizer.safetensors has optimizer moments of 'added', not a weight"):
        state.load(tmp_path)


def test_weights_in_training_are_not_replaced_by_their_averages(state: RunState, tmp_path: Path) -> None:
    state.save(tmp_path)
    path = tmp_path / "training_state" / "weights.safetensors"
    weights = load_file(path)
    weights.pop(next(iter(weights)))
    save_file(weights, path)
    change(path.parent / "state.json", checksums={})
    with pytest.raises(ValueError, match="is missing"):
        state.load(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "policy",
        "training_state/weights.safetensors",
        "training_state/optimizer.safetensors",
        "training_state/state.json",
    ],
)
def test_a_file_of_another_update_is_refused(state: RunState, tmp_path: Path, name: str) -> None:
    for checkpoint in ("one", "two"):
        torch.stack([weight.square().sum() for weight in state.policy.parameters()]).sum().backward()
        state.optimizer.step()
        state.ema.update(state.policy)
        state.save(tmp_path / checkpoint)
    (tmp_path / "one" / name).rename(tmp_path / "aside")
    (tmp_path / "two" / name).rename(tmp_path / "one" / name)
    with pytest.raises(ValueError, match="belongs to another checkpoint"):
        state.load(tmp_path / "one")
