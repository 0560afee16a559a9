"""Astra with objects and pictured prompts: hidden objects change nothing, and all ways to compute agree."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.policies.pictured import INSTRUCTIONS, VIEWS, at, objects_of, rows, sample

if TYPE_CHECKING:
    from astra.objects import Objects
    from astra.policies.astra import Astra
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from astra.objects import ObjectSpec

    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)


@pytest.fixture
def policy(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> "Astra":
    from astra.policies.astra import AstraConfig

    policy = AstraConfig(layers=2, heads=2, width=32).build(spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    return policy


def predictions(policy: "Astra", trajectory: "Trajectory") -> torch.Tensor:
    inputs = policy.query_inputs(trajectory, torch.arange(1))
    outputs = policy.transformer(inputs.prompt, inputs.context, inputs.queries, inputs.mask, context_out=False)
    return policy.head(outputs.unflatten(1, (trajectory.num_timesteps, 1, policy.sizes.action)))


def test_a_policy_counts_its_tokens(policy: "Astra") -> None:
    assert policy.sizes.state == 2 + 2 * 4
    assert policy.sizes.prompt == 32 + 2 * 3


def test_crops_and_boxes_of_hidden_objects_change_nothing(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    assert trajectory.pictures is not None

    def spoiled(view: "Objects") -> "Objects":
        noise = objects_of(*view.valid.shape, generator=torch.Generator().manual_seed(9))
        hidden = ~view.valid[..., None]
        return replace(
            view,
            crops=torch.where(hidden[..., None, None], noise.crops, view.crops),
            boxes=torch.where(hidden, float("nan"), view.boxes),
        )

    views = {name: spoiled(view) for name, view in trajectory.pictures.views.items()}
    changed = replace(
        trajectory,
        objects={name: spoiled(view) for name, view in trajectory.objects.items()},
        pictures=replace(trajectory.pictures, views=views),
    )
    assert torch.equal(predictions(policy, changed), predictions(policy, trajectory))
    assert torch.equal(policy.loss(changed).behavior_cloning, policy.loss(trajectory).behavior_cloning)


def test_crops_and_boxes_of_visible_objects_change_the_prediction(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    base = predictions(policy, trajectory)
    for view, shown in trajectory.objects.items():
        noise = torch.randint_like(shown.crops, 256)
        crops = replace(trajectory, objects={**trajectory.objects, view: replace(shown, crops=noise)})
        boxes = replace(trajectory, objects={**trajectory.objects, view: replace(shown, boxes=shown.boxes + 5)})
        valid = replace(trajectory, objects={**trajectory.objects, view: replace(shown, valid=~shown.valid)})
        for changed in (crops, boxes, valid):
            assert ((predictions(policy, changed) - base).abs() > 1e-4).any()


def test_a_picture_in_a_prompt_changes_only_its_own_trajectory(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    assert trajectory.pictures is not None
    top = trajectory.pictures.views["top"]
    crops = top.crops.clone()
    crops[0, 1] = 255 - crops[0, 1]
    views = {**trajectory.pictures.views, "top": replace(top, crops=crops)}
    changed = replace(trajectory, pictures=replace(trajectory.pictures, views=views))
    difference = (predictions(policy, changed) - predictions(policy, trajectory)).abs().amax(dim=(1, 2, 3, 4))
    assert difference[0] > 1e-4
    assert difference[1:].max() < 1e-5


def test_acting_step_by_step_equals_the_full_forward_and_batched_equals_single(
    policy: "Astra", spec: "TrajectorySpec", monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory = sample(spec)
    full = predictions(policy, trajectory)
    seen: list[torch.Tensor] = []
    decode = policy.head.decode
    monkeypatch.setattr(policy.head, "decode", lambda scores, *rest: (seen.append(scores), decode(scores, *rest))[1])

    def roll(part: "Trajectory") -> torch.Tensor:
        seen.clear()
        state = policy.start(part.instructions, range(len(part.instructions)), part.pictures)
        for t in range(part.num_timesteps):
            _, state = policy.act(state, at(part, t))
        return torch.stack(seen, dim=1)

    torch.testing.assert_close(roll(trajectory), full, rtol=0, atol=2e-5)
    for b in range(len(trajectory.instructions)):
        alone = rows(trajectory, slice(b, b + 1))
        torch.testing.assert_close(roll(alone), full[b : b + 1], rtol=0, atol=2e-5)
        torch.testing.assert_close(predictions(policy, alone), full[b : b + 1], rtol=0, atol=2e-5)


def test_room_for_more_objects_changes_nothing(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    fewer = replace(
        trajectory,
        objects={
            name: replace(
                view,
                crops=view.crops[:, :, :3],
                boxes=view.boxes[:, :, :3],
                valid=view.valid[:, :, :3],
            )
            for name, view in trajectory.objects.items()
        },
    )
    hidden = replace(
        trajectory,
        objects={
            name: replace(view, valid=view.valid & (torch.arange(4) < 3)) for name, view in trajectory.objects.items()
        },
    )
    torch.testing.assert_close(predictions(policy, fewer), predictions(policy, hidden), rtol=0, atol=1e-6)


def test_equal_prompts_are_encoded_once_and_only_they(spec: "TrajectorySpec") -> None:
    trajectory = sample(spec, B=6)
    assert trajectory.pictures is not None
    twice = replace(trajectory, pictures=trajectory.pictures[[0, 1, 2, 0, 4, 2]])
    assert trajectory.distinct_prompts() == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])
    assert twice.distinct_prompts() == ([0, 1, 2, 4], [0, 1, 2, 0, 3, 2])


def test_every_parameter_learns(policy: "Astra", spec: "TrajectorySpec") -> None:
    policy.loss(sample(spec)).behavior_cloning.backward()
    assert [name for name, parameter in policy.named_parameters() if parameter.grad is None] == []


def test_a_missing_view_and_missing_pictures_are_named(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    with pytest.raises(ValueError, match=r"objects of the view 'front' are missing.*expects top, front"):
        policy.loss(replace(trajectory, objects={"top": trajectory.objects["top"]}))
    with pytest.raises(ValueError, match=r"placeholder \{dragged\}.*no picture"):
        policy.loss(replace(trajectory, pictures=None))
    with pytest.raises(ValueError, match=r"pictures for 2 placeholders, but the instruction 'stop now' has 0"):
        policy.loss(replace(trajectory, instructions=("stop now", *trajectory.instructions[1:])))


def test_a_policy_of_pictures_is_saved_and_loaded(policy: "Astra", spec: "TrajectorySpec", tmp_path: Path) -> None:
    from astra.policies.checkpoint import load_policy, save_policy

    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert loaded.spec == spec
    trajectory = sample(spec)
    assert torch.equal(loaded.loss(trajectory).behavior_cloning, policy.loss(trajectory).behavior_cloning)
