"""Astra on objects and pictured prompts: hidden objects change nothing, and all ways of computing agree."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from astra.objects import Objects, PromptPictures
    from astra.policies.astra import Astra
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

VIEWS = {"top": (128, 256), "front": (64, 96)}
INSTRUCTIONS = ("put the {dragged} into the {base} .", "rearrange to this {scene}", "stop now")
PICTURED = ((0, 1), (0, 0, 0), ())
"""Per instruction, the placeholder that each pictured object fills."""


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


def objects_of(*shape: int, generator: torch.Generator) -> "Objects":
    from astra.objects import Objects

    return Objects(
        crops=torch.randint(256, (*shape, 32, 32, 3), generator=generator, dtype=torch.uint8),
        boxes=60 * torch.rand(*shape, 4, generator=generator),
        valid=torch.rand(*shape, generator=generator) < 0.6,
    )


def pictures_of(instructions: tuple[str, ...], generator: torch.Generator) -> "PromptPictures":
    from astra.objects import PromptPictures

    placeholder = torch.full((len(instructions), 3), -1)
    for row, instruction in enumerate(instructions):
        numbers = PICTURED[INSTRUCTIONS.index(instruction)]
        placeholder[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    views = {view: objects_of(len(instructions), 3, generator=generator) for view in VIEWS}
    views["top"] = replace(views["top"], valid=placeholder >= 0)
    return PromptPictures(views=views, placeholder=placeholder)


def sample(spec: "TrajectorySpec", B: int = 3, T: int = 5) -> "Trajectory":
    from astra.trajectory import Trajectory

    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    instructions = tuple(INSTRUCTIONS[b % len(INSTRUCTIONS)] for b in range(B))
    actions = low + (high - low) * torch.rand(B, T, len(low), generator=generator)
    return Trajectory(
        instructions=instructions,
        states={name: torch.randn(B, T, size, generator=generator) for name, size in spec.states.items()},
        images={},
        valid=torch.ones(B, T, dtype=torch.bool),
        actions=torch.where(torch.tensor(spec.actions.binary), actions.round(), actions),
        action_valid=torch.ones(B, T, dtype=torch.bool),
        objects={view: objects_of(B, T, 4, generator=generator) for view in VIEWS},
        pictures=pictures_of(instructions, generator),
    )


def rows(trajectory: "Trajectory", b: slice, until: int | None = None) -> "Trajectory":
    from astra.objects import Objects

    def cut(view: "Objects") -> "Objects":
        return Objects(crops=view.crops[b, :until], boxes=view.boxes[b, :until], valid=view.valid[b, :until])

    index = list(range(len(trajectory.instructions)))[b]
    return replace(
        trajectory,
        instructions=trajectory.instructions[b],
        states={name: values[b, :until] for name, values in trajectory.states.items()},
        valid=trajectory.valid[b, :until],
        actions=trajectory.actions[b, :until],
        action_valid=trajectory.action_valid[b, :until],
        objects={name: cut(view) for name, view in trajectory.objects.items()},
        pictures=None if trajectory.pictures is None else trajectory.pictures[index],
    )


def predictions(policy: "Astra", trajectory: "Trajectory") -> torch.Tensor:
    inputs, _, _ = policy._inputs(trajectory, torch.arange(1))
    outputs = policy.transformer(*inputs, context_out=False)
    return policy.head(outputs.unflatten(1, (trajectory.num_timesteps, 1, policy.sizes.action)))


def test_a_policy_counts_its_tokens(policy: "Astra") -> None:
    assert policy.sizes.state == 2 + 2 * 4
    assert policy.sizes.prompt == 32 + 2 * 3


def test_what_a_hidden_object_holds_changes_nothing(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    assert trajectory.pictures is not None

    def spoilt(view: "Objects") -> "Objects":
        noise = objects_of(*view.valid.shape, generator=torch.Generator().manual_seed(9))
        hidden = ~view.valid[..., None]
        return replace(
            view,
            crops=torch.where(hidden[..., None, None], noise.crops, view.crops),
            boxes=torch.where(hidden, float("nan"), view.boxes),
        )

    views = {name: spoilt(view) for name, view in trajectory.pictures.views.items()}
    changed = replace(
        trajectory,
        objects={name: spoilt(view) for name, view in trajectory.objects.items()},
        pictures=replace(trajectory.pictures, views=views),
    )
    assert torch.equal(predictions(policy, changed), predictions(policy, trajectory))
    assert torch.equal(policy.loss(changed).behaviour_cloning, policy.loss(trajectory).behaviour_cloning)


def test_what_a_seen_object_shows_changes_the_prediction(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    base = predictions(policy, trajectory)
    for view, shown in trajectory.objects.items():
        noise = torch.randint_like(shown.crops, 256)
        crops = replace(trajectory, objects={**trajectory.objects, view: replace(shown, crops=noise)})
        boxes = replace(trajectory, objects={**trajectory.objects, view: replace(shown, boxes=shown.boxes + 5)})
        valid = replace(trajectory, objects={**trajectory.objects, view: replace(shown, valid=~shown.valid)})
        for changed in (crops, boxes, valid):
            assert ((predictions(policy, changed) - base).abs() > 1e-4).any()


def test_what_a_prompt_pictures_changes_its_own_trajectory_only(policy: "Astra", spec: "TrajectorySpec") -> None:
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
    from astra.trajectory import Observation

    trajectory = sample(spec)
    full = predictions(policy, trajectory)
    seen: list[torch.Tensor] = []
    decode = policy.head.decode
    monkeypatch.setattr(policy.head, "decode", lambda scores, *rest: (seen.append(scores), decode(scores, *rest))[1])

    def roll(part: "Trajectory") -> torch.Tensor:
        seen.clear()
        state = policy.start(part.instructions, range(len(part.instructions)), part.pictures)
        for t in range(part.num_timesteps):
            states = {name: values[:, t] for name, values in part.states.items()}
            objects = {
                name: replace(view, crops=view.crops[:, t], boxes=view.boxes[:, t], valid=view.valid[:, t])
                for name, view in part.objects.items()
            }
            previous = part.actions[:, t - 1]
            _, state = policy.act(
                state, Observation(states=states, images={}, previous_action=previous, objects=objects)
            )
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
    policy.loss(sample(spec)).behaviour_cloning.backward()
    assert [name for name, parameter in policy.named_parameters() if parameter.grad is None] == []


def test_a_missing_view_and_missing_pictures_are_named(policy: "Astra", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    with pytest.raises(ValueError, match=r"no objects of the view 'front'.*reads top, front"):
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
    assert torch.equal(loaded.loss(trajectory).behaviour_cloning, policy.loss(trajectory).behaviour_cloning)
