"""Training with contrastive dynamics learning: resume, validation, and initial weights."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.objects import ObjectSpec
from astra.policies.astra import AstraConfig
from astra.policies.checkpoint import load_policy, load_tensors
from astra.policies.policy import Policy
from astra.training.objective import Objective
from astra.training.train import split_batch, train
from astra.training.validation import validate_contrast
from astra.trajectory import Statistics, TrajectorySpec
from tests.policies.pictured import INSTRUCTIONS, VIEWS, sample
from tests.training.with_gradient import with_gradient

ASTRA = AstraConfig(layers=1, heads=2, width=16, dropout=0.1)
LENGTHS = 5 * (4, 7, 9, 3, 5, 6, 4, 8)
CONTRASTIVE = ContrastiveConfig(cdl_fraction=0.5, negatives=2, projection=8)


def run(linear: ModuleType, folder: Path, policy: AstraConfig = ASTRA, *, resume: bool = False, **changes: Any) -> Path:
    settings = linear.training(**{"contrastive": CONTRASTIVE, "batch_size": 8} | changes)
    windows, held_out = linear.windows(lengths=LENGTHS), linear.windows(lengths=LENGTHS, seed=1)
    return train(policy, settings, windows, held_out, folder, statistics=linear.statistics(), resume=resume)


def weights(policy: Path) -> dict[str, np.ndarray]:
    files = policy.parent.rglob("*.safetensors")
    return {f"{path.name}/{name}": value.numpy() for path in files for name, value in load_tensors(path).items()}


def test_the_objective_is_behavior_cloning_plus_alpha_times_the_contrast(linear: ModuleType) -> None:
    policy = ASTRA.build(linear.SPEC, linear.statistics()).eval()
    contrastive = ContrastiveDynamics(CONTRASTIVE, policy)
    batch = linear.windows().batch(np.arange(20))
    contrast = CONTRASTIVE.draw(batch)
    cost = Objective(policy, contrastive)(batch, contrast)
    cloned = policy.loss(batch).behavior_cloning
    assert cost.metrics["loss"] == cloned
    torch.testing.assert_close(cost.loss, cloned + 0.1 * cost.metrics["contrastive_loss"])
    assert Objective(policy, contrastive)(batch).loss == cloned
    alone = ContrastiveDynamics(replace(CONTRASTIVE, contrastive_only=True), policy)
    only = Objective(policy, alone).train()(batch, contrast)
    assert only.loss == only.metrics["contrastive_loss"]


def test_gradients_of_the_sum_are_those_of_both_losses(tiny_spec: TrajectorySpec, tiny_statistics: Statistics) -> None:
    """With prompts of pictures and objects in two views."""
    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    spec = replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)
    policy = replace(ASTRA, layers=2, dropout=0.0).build(spec, tiny_statistics)
    config = ContrastiveConfig(weight=0.3, cdl_fraction=1.0)
    contrastive = ContrastiveDynamics(config, policy)
    batch, untouched = sample(spec, 6, 3), sample(spec, 6, 3)
    contrast = config.draw(batch)

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True, materialize_grads=True))

    torch.manual_seed(0)
    both = gradients(Objective(policy, contrastive)(batch, contrast).loss)
    torch.manual_seed(0)
    contrasted = gradients(contrastive(policy, batch, contrast)[0])
    for found, cloned, pulled in zip(both, gradients(policy.loss(batch).behavior_cloning), contrasted, strict=True):
        torch.testing.assert_close(found, cloned + 0.3 * pulled, rtol=1e-4, atol=1e-6)
    for view, shown in batch.objects.items():
        assert torch.equal(shown.crops, untouched.objects[view].crops), "cloning sees what was recorded"
        assert torch.equal(shown.boxes, untouched.objects[view].boxes)
    assert torch.equal(batch.actions, untouched.actions)


def test_a_contrast_of_vanishing_weight_leaves_cloning_as_it_is(linear: ModuleType, tmp_path: Path) -> None:
    still, vanishing = replace(ASTRA, dropout=0.0), replace(CONTRASTIVE, weight=1e-30)
    beside = load_policy(run(linear, tmp_path / "beside", still, contrastive=vanishing, gradient_accumulation_steps=2))
    alone = load_policy(run(linear, tmp_path / "alone", still, contrastive=None, gradient_accumulation_steps=2))
    pulling = load_policy(run(linear, tmp_path / "pulling", still, gradient_accumulation_steps=2))
    for (name, weight), same in zip(beside.state_dict().items(), alone.state_dict().values(), strict=True):
        one, other = with_gradient(name, weight), with_gradient(name, same)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6, msg=name)
    pulled = pulling.state_dict()
    assert any(not torch.allclose(weight, pulled[name], atol=1e-4) for name, weight in alone.state_dict().items())


def test_an_interrupted_run_continues_bit_for_bit(linear: ModuleType, tmp_path: Path) -> None:
    whole = run(linear, tmp_path / "whole", gradient_accumulation_steps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astra.training.train._check_finite", _stop_at(3))
        with pytest.raises(InterruptedError):
            run(linear, tmp_path / "parts", gradient_accumulation_steps=2)
    parts = run(linear, tmp_path / "parts", gradient_accumulation_steps=2, resume=True)
    one, other = weights(whole), weights(parts)
    assert one.keys() == other.keys()
    assert any(name.startswith("contrastive.safetensors/head") for name in one)
    assert any(name.startswith("optimizer.safetensors/contrastive.head") for name in one)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert type(load_policy(tmp_path / "parts")).__name__ == "Astra"


def _stop_at(update: int) -> Any:
    def check(loss: float, now: int, run: Any) -> None:
        if now == update:
            raise InterruptedError

    return check


def test_retrieval_is_recorded_in_training_and_on_held_out_episodes(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    for source in ("train", "validation"):
        found = next(line for line in lines if f"{source}/retrieval_accuracy" in line)
        for name in (
            "contrastive_loss",
            "similarity_positive",
            "similarity_negative",
            "embedding_norm",
            "bins_changed",
            "loss",
        ):
            assert np.isfinite(found[f"{source}/{name}"])


def test_small_batches_of_held_out_windows_hold_several_episodes(linear: ModuleType) -> None:
    policy = ASTRA.build(linear.SPEC, linear.statistics()).eval()
    contrastive, windows = ContrastiveDynamics(CONTRASTIVE, policy), linear.windows(lengths=(20,) * 4)
    found = validate_contrast(Accelerator(cpu=True), policy, contrastive, windows, num_windows=80, batch_size=16)
    assert 0 <= found["retrieval_accuracy"] <= 1


def test_validation_takes_batches_no_larger_than_the_micro_batches(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.datasets.windows import Windows

    sizes: list[int] = []
    gather = Windows.batch

    def batch(self: Windows, indices: np.ndarray) -> Any:
        sizes.append(len(indices))
        return gather(self, indices)

    monkeypatch.setattr(Windows, "batch", batch)
    run(linear, tmp_path / "run", batch_size=48, gradient_accumulation_steps=3)
    assert max(sizes) == 16


def test_behavior_cloning_starts_from_pretrained_weights(linear: ModuleType, tmp_path: Path) -> None:
    begun = run(linear, tmp_path / "pretraining", contrastive=replace(CONTRASTIVE, contrastive_only=True))
    policy = load_policy(begun)
    start = {"contrastive": None, "init_from": str(tmp_path / "pretraining"), "learning_rate": 1e-12}
    tuned = load_policy(run(linear, tmp_path / "tuned", **start))
    for (name, first), second in zip(policy.state_dict().items(), tuned.state_dict().values(), strict=True):
        torch.testing.assert_close(second, first, rtol=1e-5, atol=1e-7, msg=name)


def test_a_batch_that_is_too_small_is_refused_before_training(linear: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="micro-batches of 2 trajectories: raise batch_size, or lower gradient_accumulation_steps"
    ):
        run(linear, tmp_path / "run", batch_size=8, gradient_accumulation_steps=4)


def test_augmentation_without_contrast_applies_to_behavior_cloning_in_training_only(linear: ModuleType) -> None:
    policy = ASTRA.build(linear.SPEC, linear.statistics()).eval()
    batch = replace(linear.windows().batch(np.arange(6)), features={"camera": torch.zeros(6, 5, 2)})
    objective = Objective(policy, augmentation=AugmentationConfig())
    assert objective.eval()(batch).loss == policy.loss(batch).behavior_cloning
    with pytest.raises(ValueError, match="cannot be augmented"):  # which shows that it was tried
        objective.train()(batch)


def test_alpha_is_0_until_its_share_of_the_run_and_then_falls_to_0(linear: ModuleType, tmp_path: Path) -> None:
    config = replace(CONTRASTIVE, begin=0.4, fade=True)
    assert [config.weight_at(share) for share in (0.0, 0.39)] == [0.0, 0.0]
    assert [config.weight_at(share) for share in (0.4, 0.7, 1.0)] == pytest.approx([0.1, 0.05, 0.0])
    run(linear, tmp_path / "late", contrastive=config, log_every=1)
    run(linear, tmp_path / "alone", contrastive=None, log_every=1)
    late, alone = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("late", "alone")
    )
    late, alone = ([line for line in lines if "train/loss" in line] for lines in (late, alone))
    weights = [line["train/contrastive_weight"] for line in late]
    quiet = weights.count(0.0)
    assert 1 <= quiet < len(weights)
    assert weights[quiet:] == sorted(weights[quiet:], reverse=True)
    assert [line["train/loss"] for line in late[:quiet]] == [line["train/loss"] for line in alone[:quiet]]
    assert ["train/retrieval_accuracy" in line for line in late] == [weight > 0 for weight in weights]


def test_micro_batches_hold_long_windows_when_anchors_need_them(linear: ModuleType) -> None:
    windows = linear.windows(lengths=LENGTHS)
    indices = np.arange(0, len(windows), 3)
    ratios = []
    for least in (1, 2):
        contrastive = replace(CONTRASTIVE, min_timesteps=least)
        config = linear.training(contrastive=contrastive, batch_size=len(indices), gradient_accumulation_steps=4)
        parts = split_batch(windows, indices, config)
        assert sorted(np.concatenate(parts)) == indices.tolist()
        shares = [(windows.lengths(part) > 1).mean() for part in parts]
        ratios.append(min(shares))
    assert ratios[1] > ratios[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(contrastive_only=True, fade=True), "set one or the other, got begin=0.0 and fade=True"),
        (dict(contrastive_only=True, begin=0.2), "set one or the other, got begin=0.2 and fade=False"),
        (dict(negatives_from="mixed", negatives=1), "needs at least 2 negatives"),
    ],
)
def test_contradicting_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContrastiveConfig(**options)


def test_the_best_of_a_pretraining_is_not_chosen_by_the_loss_of_behavior_cloning(linear: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"keep_best=loss .*contrastive_only leaves out: set one or the other"):
        linear.training(contrastive=replace(CONTRASTIVE, contrastive_only=True), keep_best="loss")


@pytest.mark.parametrize(
    ("options", "added"),
    [
        (dict(score="alone"), {"direction"}),
        (dict(projection_layers=2), {"head.hidden.0.weight", "head.hidden.0.bias"}),
        (dict(pooling="attention"), {"head.query"}),
    ],
)
def test_an_option_adds_its_weights_to_the_head_and_all_of_them_learn(
    options: dict[str, Any], added: set[str], linear: ModuleType
) -> None:
    policy = ASTRA.build(linear.SPEC, linear.statistics()).train()
    plain = ContrastiveDynamics(CONTRASTIVE, policy)
    contrastive = ContrastiveDynamics(replace(CONTRASTIVE, **options), policy)
    found = dict(contrastive.named_parameters())
    assert found.keys() - dict(plain.named_parameters()).keys() == added
    batch = linear.windows().batch(np.arange(20))
    contrastive(policy, batch, contrastive.config.draw(batch))[0].backward()
    assert [name for name, weight in found.items() if weight.grad is None] == []


def test_the_loss_has_the_weight_of_its_place_in_the_run(linear: ModuleType, tmp_path: Path) -> None:
    fading = run(linear, tmp_path / "fading", updates=1, contrastive=replace(CONTRASTIVE, weight=0.2, fade=True))
    steady = run(linear, tmp_path / "steady", updates=1, contrastive=replace(CONTRASTIVE, weight=0.1))
    one, other = weights(fading), weights(steady)  # halfway through its only update the first weight is half of itself
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6, atol=1e-12, err_msg=name)


def test_the_contrast_is_validated_in_evaluation_mode_and_training_goes_on_in_training_mode(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.training import train as module

    validated, trained = set[bool](), set[bool]()
    validate, update = module.validate_contrast, module._update

    def watched(accelerator: Any, policy: Policy[Any], *rest: Any, **named: Any) -> Any:
        validated.add(policy.training)
        return validate(accelerator, policy, *rest, **named)

    def learned(accelerator: Any, learner: Any, *rest: Any) -> Any:
        trained.add(learner.policy.training)
        return update(accelerator, learner, *rest)

    monkeypatch.setattr(module, "validate_contrast", watched)
    monkeypatch.setattr(module, "_update", learned)
    run(linear, tmp_path / "run")
    assert (validated, trained) == ({False}, {True})
