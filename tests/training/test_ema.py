from types import ModuleType

import pytest
import torch

from astra.training.ema import EMA


def test_the_average_follows_its_formula(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    ema = EMA(policy, max_decay=0.6, power=0.75)
    expected = policy.out.weight.detach().clone()
    for n in range(6):
        with torch.no_grad():
            policy.out.weight.add_(torch.randn_like(policy.out.weight))
        decay = min(0.6, 1 - (1 + n) ** -0.75)
        expected = decay * expected + (1 - decay) * policy.out.weight.detach()
        ema.update(policy)
        torch.testing.assert_close(ema.policy.out.weight, expected)
    assert ema.decay == 0.6


def test_below_the_maximum_the_decay_grows_with_the_updates(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    ema = EMA(policy, max_decay=0.9999, power=0.75)
    ema.updates = 999
    assert ema.decay == pytest.approx(1 - 1000**-0.75)


def test_maximum_decay_zero_keeps_the_last_weights(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    ema = EMA(policy, max_decay=0.0, power=0.75)
    for _ in range(3):
        with torch.no_grad():
            policy.queries.add_(torch.randn_like(policy.queries))
        ema.update(policy)
    assert torch.equal(ema.policy.queries, policy.queries)


def test_frozen_weights_are_shared_and_buffers_copied(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics())
    ema = EMA(policy, max_decay=0.9999, power=0.75)
    assert ema.policy.frozen.weight is policy.frozen.weight
    assert ema.policy.out.weight is not policy.out.weight
    policy.seen += 3
    ema.update(policy)
    assert ema.policy.seen == 3


def test_the_average_is_in_evaluation_mode_and_not_trained(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics()).train()
    ema = EMA(policy, max_decay=0.9999, power=0.75).policy
    assert not ema.training
    assert not any(weight.requires_grad for weight in ema.parameters())
    assert policy.training
    assert policy.out.weight.requires_grad
