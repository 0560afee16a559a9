"""The exported control step under a changed `may_attend`: it equals the policy, or there is an error."""

from typing import TYPE_CHECKING

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attention.changed_masks import Edit, changed, edits
from tests.policies.pictured import at
from tests.policies.test_astra import configure, predictions, sample

if TYPE_CHECKING:
    from astra.trajectory import Statistics, TrajectorySpec


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=edits, window=st.sampled_from([None, 1, 2]))
@torch.no_grad()
def test_the_control_step_equals_the_full_forward_pass_or_is_refused(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", changes: list[Edit], window: int | None
) -> None:
    from astra.attention.assumptions import MaskError
    from astra.serving.control_step import ControlStep, StepRunner

    torch.manual_seed(0)
    policy = configure(window=window).build(tiny_spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    trajectory = sample(tiny_spec, B=1, T=5)
    with changed(changes):
        try:
            expected = predictions(policy, trajectory)
            step = ControlStep(policy, None if window else 6)
            runner = StepRunner(step, step, trajectory.instructions[0])
        except MaskError:
            return
        for t in range(5):
            _, predicted = runner(at(trajectory, t))
            torch.testing.assert_close(predicted, expected[:, t], rtol=1e-5, atol=1e-5)
