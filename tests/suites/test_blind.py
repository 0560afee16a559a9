"""The control `blind`: the same policy and episodes, with black pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from astra.trajectory import Statistics, TrajectorySpec


def test_a_blind_policy_gets_black_pictures_and_everything_else_as_it_is(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.environments.tabletop.environment import TabletopConfig
    from astra.evaluation.agents import BlindAgent, PolicyAgent
    from astra.evaluation.episode import Case, RolloutEnv
    from astra.policies.astra import AstraConfig

    pytest.importorskip("pymunk", reason="needs the extra `tabletop`")
    environment = TabletopConfig(frames=True).build()
    env = RolloutEnv(environment, 0, Case(seed=3, options={"level": "train", "task": "rotate"}))
    policy: Any = AstraConfig(layers=1, heads=1, width=8).build(tiny_spec, tiny_statistics)
    policy.spec = environment.spec_of_trajectories
    seen, blind = (agent(policy).observe([env]) for agent in (PolicyAgent, BlindAgent))
    assert seen.images
    assert seen.objects
    for camera, frames in blind.images.items():
        assert seen.images[camera].any()
        assert (frames.shape, frames.dtype) == (seen.images[camera].shape, torch.uint8)
        assert not frames.any()
    for view, objects in blind.objects.items():
        assert seen.objects[view].crops.any()
        assert not objects.crops.any()
        assert torch.equal(objects.boxes, seen.objects[view].boxes)
        assert torch.equal(objects.valid, seen.objects[view].valid)
    assert all(torch.equal(vector, seen.states[name]) for name, vector in blind.states.items())
    assert np.array_equal(blind.previous_action, seen.previous_action)


def test_a_policy_that_sees_nothing_cannot_be_made_blind(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.evaluation.agents import BlindAgent
    from astra.policies.astra import AstraConfig

    policy = AstraConfig(layers=1, heads=1, width=8).build(tiny_spec, tiny_statistics)
    with pytest.raises(ValueError, match="no pictures, so it cannot be made blind: leave blind out of --agents"):
        BlindAgent(policy)
