import pytest
import torch

from astra.contrastive_dynamics.trajectory_head import Pooling, TrajectoryHead

TOKENS = torch.arange(2 * 3 * 2 * 4.0).view(2, 3, 2, 4).sin()
REAL = torch.tensor([[True, True, True], [True, True, False]])


@pytest.mark.parametrize("pooling", ["max", "mean", "attention"])
def test_the_action_of_the_last_real_timestep_is_pooled(pooling: Pooling) -> None:
    head = TrajectoryHead(4, 5, pooling)
    last = torch.stack([TOKENS[0, 2], TOKENS[1, 1]])
    if pooling == "attention":
        assert head.query is not None
        weights = (last @ head.query / 2).softmax(1)
        pooled = torch.einsum("rn,rnd->rd", weights, last)
    else:
        pooled = last.max(1).values if pooling == "max" else last.mean(1)
    torch.testing.assert_close(head(TOKENS, REAL), pooled @ head.linear.weight.T + head.linear.bias)


def test_padding_is_not_read() -> None:
    head, changed = TrajectoryHead(4, 5), TOKENS.clone()
    changed[1, 2] = torch.nan
    assert torch.equal(head(changed, REAL), head(TOKENS, REAL))


def test_a_head_of_two_layers_is_no_linear_function_of_the_pooled_token() -> None:
    pooled = [TOKENS[:, :1], 3 * TOKENS[:, :1]]
    for layers in (1, 2):
        head = TrajectoryHead(4, 5, "mean", layers)
        one, three = (head(tokens, REAL[:, :1]) - head(0 * TOKENS[:, :1], REAL[:, :1]) for tokens in pooled)
        assert torch.allclose(3 * one, three, atol=1e-6) == (layers == 1)
