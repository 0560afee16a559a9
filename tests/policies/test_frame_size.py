"""Frames that were resized before a policy sees them are as good as recorded ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from astra.frames import resize

if TYPE_CHECKING:
    from astra.policies.policy import PolicyConfig
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

FRONT = "observation.images.front"
RECORDED = (40, 48)


def astra(encoder: str) -> "PolicyConfig":
    from astra.policies.astra import AstraConfig
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig

    images = ImageConfig(encoder=encoder, image_size=(16, 32))  # pyright: ignore[reportArgumentType]
    return AstraConfig(layers=1, heads=2, width=32, states=StateConfig(images=images))


def rt1() -> "PolicyConfig":
    from astra.policies.rt1 import RT1Config

    sizes: dict[str, Any] = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "image_size": 32}
    return RT1Config(layers=1, heads=2, head_width=16, width=32, frame_tokens=2, **sizes)


@pytest.mark.parametrize("make", [lambda: astra("small"), lambda: astra("resnet"), rt1], ids=["small", "resnet", "rt1"])
def test_losses_and_actions_do_not_depend_on_who_resizes(
    make: "Callable[[], PolicyConfig]",
    tiny_spec: "TrajectorySpec",
    tiny_statistics: "Statistics",
    tiny_trajectory: "Trajectory",
) -> None:
    from astra.trajectory import Observation

    config = make()
    policy = config.build(replace(tiny_spec, images={FRONT: RECORDED}), tiny_statistics).eval()
    frames = torch.randint(256, (2, 3, 3, *RECORDED), dtype=torch.uint8)
    assert config.frame_size is not None
    small = resize(frames.flatten(0, 1), config.frame_size).unflatten(0, (2, 3))
    losses, actions = [], []
    for shown in (frames, small):
        losses.append(policy.loss(replace(tiny_trajectory, images={FRONT: shown})).behavior_cloning)
        seen = Observation(
            states={name: values[:, 0] for name, values in tiny_trajectory.states.items()},
            images={FRONT: shown[:, 0]},
            previous_action=torch.zeros(2, 5),
        )
        actions.append(policy.act(policy.start(list(tiny_trajectory.instructions), [0, 0]), seen)[0])
    assert torch.equal(*losses)
    assert torch.equal(*actions)


def test_frames_of_a_third_size_are_refused(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.trajectory import Observation

    policy = astra("small").build(replace(tiny_spec, images={FRONT: RECORDED}), tiny_statistics).eval()
    seen = Observation(
        states={name: torch.zeros(1, size) for name, size in tiny_spec.states.items()},
        images={FRONT: torch.zeros(1, 3, 32, 16, dtype=torch.uint8)},
        previous_action=torch.zeros(1, 5),
    )
    with pytest.raises(ValueError, match=r"has the shape \(1, 3, 32, 16\), expected uint8 .* \(1, 3, 40, 48\)"):
        policy.act(policy.start(["stop now"], [0]), seen)


def test_a_policy_that_names_no_size_gets_frames_as_they_were_recorded() -> None:
    from astra.policies.policy import PolicyConfig

    class Plain(PolicyConfig):
        def build(self, spec: "TrajectorySpec", statistics: "Statistics") -> Any:
            raise NotImplementedError

    assert Plain().frame_size is None
