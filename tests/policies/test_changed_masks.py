"""Policies under a changed `may_attend`: acting equals the full forward pass, or there is an error."""

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attention.changed_masks import Edit, changed, edits
from tests.policies.pictured import at
from tests.policies.test_astra import configure, predictions, sample
from tests.policies.test_diffusion import build

if TYPE_CHECKING:
    from astra.trajectory import Statistics, TrajectorySpec

SHARED = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
BY_SLOT = Edit(False, "query", "state", slot="same parity")
ORDERED = Edit(False, "action", "action", "same", slot="after own")


@SHARED
@given(changes=edits, window=st.sampled_from([None, 1, 2]))
@torch.no_grad()
def test_astras_cached_acting_equals_the_full_forward_pass_or_is_refused(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", changes: list[Edit], window: int | None
) -> None:
    from astra.attention.assumptions import MaskError

    torch.manual_seed(0)
    policy = configure(window=window, chunk_size=2).build(tiny_spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    trajectory = sample(tiny_spec, B=2, T=4, H=2)
    with changed(changes):
        try:
            expected = predictions(policy, trajectory)
            state = policy.start(trajectory.instructions, range(2))
            for t in range(4):
                got = policy.predict(state, at(trajectory, t))
                torch.testing.assert_close(got, expected[:, t], rtol=1e-5, atol=1e-5)
        except MaskError:
            return


@torch.no_grad()
def test_a_sample_of_the_queries_keeps_the_mask_of_each_query(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = configure(chunk_size=3).build(tiny_spec, tiny_statistics).eval()
    trajectory = sample(tiny_spec, B=2, T=4, H=3)
    with changed([BY_SLOT]):
        everything = predictions(policy, trajectory)
        steps = torch.tensor([2, 0])
        inputs = policy.lay_out_asking(trajectory, steps).inputs
        some = policy.head(policy.transformer(*inputs, context_out=False).unflatten(1, (4, 2, -1)))
    torch.testing.assert_close(some, everything[:, :, steps], rtol=0, atol=1e-5)
    assert (everything - predictions(policy, trajectory)).abs().amax() > 1e-4


@SHARED
@given(changes=edits, window=st.sampled_from([None, 2]))
@torch.no_grad()
def test_cached_denoising_equals_the_full_forward_pass_or_is_refused(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", changes: list[Edit], window: int | None
) -> None:
    from astra.attention.assumptions import MaskError

    torch.manual_seed(0)
    policy = build("discrete", tiny_spec, tiny_statistics, window=window).eval()
    trajectory, step = sample(tiny_spec, B=2, T=4), torch.full((2, 4), 7)
    noisy, _ = policy.noise.corrupt(trajectory.actions, step, torch.rand(2, 4, 5, 2))
    seen: list[torch.Tensor] = []
    with changed(changes), pytest.MonkeyPatch.context() as patch:
        try:
            expected = policy.outputs(trajectory, noisy, step)
            state = policy.start(trajectory.instructions, range(2))
            for t in range(4):

                def record(denoise: Any, *_: Any, t: int = t) -> torch.Tensor:
                    seen.append(denoise(noisy[:, t], 7))
                    return trajectory.actions[:, t]

                patch.setattr(policy.noise, "sample", record)
                policy.act(state, at(trajectory, t))
                torch.testing.assert_close(seen[-1], expected[:, t], rtol=0, atol=1e-5)
        except MaskError:
            return


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Edit(True, "query", "query", "same"), "nothing but its own action attends to a noisy token"),
        (Edit(False, "query", "state", age=1), "stands for its action token"),
        (Edit(True, "action", "action", "same"), "in the order of their slots"),
    ],
    ids=str,
)
def test_a_mask_that_acting_with_noise_cannot_follow_is_refused(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", change: Edit, reason: str
) -> None:
    from astra.attention.assumptions import MaskError

    policy = build("discrete", tiny_spec, tiny_statistics)
    with changed([change]), pytest.raises(MaskError, match=reason):
        policy.loss(sample(tiny_spec, B=2, T=4))
