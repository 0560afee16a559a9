import json
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from astra.policies.astra import AstraConfig
from astra.policies.checkpoint import load_tensors
from astra.training.optimizer import build_optimizer, decay_groups, learning_rate_factor, moments_of, set_learning_rate
from astra.training.train import train
from astra.trajectory import Statistics, TrajectorySpec


def names(group: dict) -> set[str]:
    return {name for name, _ in group["params"]}


def test_only_weights_of_layers_decay(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    decayed, rest = decay_groups(policy, 0.1)
    assert names(decayed) == {"out.weight"}
    assert names(rest) == {"words.weight", "norm.weight", "norm.bias", "queries", "out.bias"}
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)


def test_every_weight_matrix_of_astra_decays_and_no_table_or_query(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics
) -> None:
    policy = AstraConfig(layers=1, heads=2, width=8).build(tiny_spec, tiny_statistics)
    decayed, rest = decay_groups(policy, 0.1)
    tables = {
        f"{name}.weight" for name, layer in policy.named_modules() if isinstance(layer, (nn.Embedding, nn.LayerNorm))
    }
    assert "queries" in names(rest)
    assert tables <= names(rest)
    assert not any(name.endswith("bias") for name in names(decayed))
    assert names(decayed) | names(rest) == {name for name, _ in policy.named_parameters()}
    assert all(parameter.ndim == 2 for _, parameter in decayed["params"])


def test_a_decayed_weight_shrinks_without_gradient_and_others_stay(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    before = {name: weight.clone() for name, weight in policy.named_parameters()}
    optimizer = build_optimizer(policy, learning_rate=0.5, weight_decay=0.1, betas=(0.9, 0.95))
    for weight in policy.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in policy.named_parameters():
        factor = 1 - 0.5 * 0.1 if name == "out.weight" else 1
        torch.testing.assert_close(weight, factor * before[name])


@pytest.mark.parametrize(
    ("share", "factor"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.325, 0.5 * (1 + math.sqrt(0.5))), (0.55, 0.5), (1.0, 0.0)],
)
def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine(share: float, factor: float) -> None:
    assert learning_rate_factor(share, 0.1) == pytest.approx(factor, abs=1e-12)


def test_without_warm_up_the_learning_rate_begins_at_its_peak() -> None:
    assert learning_rate_factor(0.0, 0.0) == 1.0


def test_muon_takes_the_matrices_of_linear_layers_and_adamw_all_the_rest(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics
) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip(f"PyTorch {torch.__version__} has no Muon")
    policy = AstraConfig(layers=1, heads=2, width=8).build(tiny_spec, tiny_statistics)
    settings = {"learning_rate": 1e-3, "weight_decay": 0.1, "betas": (0.9, 0.95)}
    muon = build_optimizer(policy, name="muon", **settings)
    matrices = {f"{name}.weight" for name, layer in policy.named_modules() if isinstance(layer, nn.Linear)}
    assert set(muon.param_groups[0]["param_names"]) == matrices
    assert moments_of(muon.param_groups[0]) == {"momentum_buffer"}
    both = [name for group in muon.param_groups for name in group["param_names"]]
    assert sorted(both) == sorted(name for name, _ in policy.named_parameters())
    assert len(muon.param_groups) == 2
    assert moments_of(muon.param_groups[1]) == {"step", "exp_avg", "exp_avg_sq"}
    before = {name: weight.clone() for name, weight in policy.named_parameters()}
    for weight in policy.parameters():
        weight.grad = torch.randn_like(weight)
    set_learning_rate(muon, 1e-2)
    muon.step()
    for name, weight in policy.named_parameters():
        change = (weight - before[name]).detach()
        if name in matrices:  # about 0.2 of its learning rate per entry, as AdamW's steps are on average
            assert 0.002 < change.square().mean().sqrt() < 0.008, name
        elif weight.ndim:
            assert change.abs().max() > 0.009, name


def test_muon_needs_a_newer_torch(monkeypatch: pytest.MonkeyPatch, linear: ModuleType) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    with pytest.raises(ValueError, match=r"muon needs PyTorch 2\.9 or newer"):
        build_optimizer(policy, name="muon", learning_rate=1e-3, weight_decay=0.1, betas=(0.9, 0.95))


def test_a_copy_of_muon_updates_its_own_weights(linear: ModuleType) -> None:
    import copy

    if not hasattr(torch.optim, "Muon"):
        pytest.skip(f"PyTorch {torch.__version__} has no Muon")
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    both = policy, build_optimizer(policy, name="muon", learning_rate=1e-2, weight_decay=0.1, betas=(0.9, 0.95))
    theirs, optimizer = copy.deepcopy(both)
    before = theirs.out.weight.clone()
    for weight in theirs.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert not torch.equal(theirs.out.weight, before)
    assert torch.equal(policy.out.weight, before)
    assert len(optimizer.state) > 0
    assert len(both[1].state) == 0


def test_matrices_decay_under_muon_too(linear: ModuleType) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip(f"PyTorch {torch.__version__} has no Muon")
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    before = {name: weight.clone() for name, weight in policy.named_parameters()}
    muon = build_optimizer(policy, name="muon", learning_rate=0.5, weight_decay=0.1, betas=(0.9, 0.95))
    for weight in policy.parameters():
        weight.grad = torch.zeros_like(weight)
    muon.step()
    for name, weight in policy.named_parameters():
        factor = 1 - 2 * 0.5 * 0.1 if name == "out.weight" else 1
        torch.testing.assert_close(weight, factor * before[name])


def test_the_gradient_is_no_longer_than_its_clip(linear: ModuleType, tmp_path: Path) -> None:
    train(
        linear.LinearConfig(),
        linear.training(updates=1, gradient_clip=1e-3),
        linear.windows(),
        linear.windows(seed=1),
        tmp_path / "run",
        statistics=linear.statistics(),
    )
    moments = load_tensors(tmp_path / "run/checkpoints/last/training_state/optimizer.safetensors")
    squares = [values.square().sum() for name, values in moments.items() if name.endswith(".exp_avg")]
    assert torch.stack(squares).sum().sqrt() == pytest.approx(0.1 * 1e-3, rel=1e-3)  # (1 - beta_1) times the gradient
    first = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[0])
    assert first["train/gradient_norm"] > 1e-2
