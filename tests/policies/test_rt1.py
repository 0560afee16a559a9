"""RT-1: its inputs, what it refuses, and the equality of acting and training."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from astra.policies.decoding import Decoding

if TYPE_CHECKING:
    from astra.policies.policy import Policy
    from astra.policies.rt1 import RT1
    from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec

CAMERAS = ("front", "wrist")


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    return replace(tiny_spec, images=dict.fromkeys(CAMERAS, (40, 40)))


@pytest.fixture
def policy(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> "RT1":
    return build(spec, tiny_statistics)


def build(spec: "TrajectorySpec", statistics: "Statistics", **options: Any) -> "RT1":
    """Build a tiny RT-1 of three frames, whose FiLM layers and head clearly change the outputs."""
    from astra.policies.rt1 import RT1Config

    size: dict[str, Any] = dict(layers=2, heads=2, head_width=8, width=16, history=3, frame_tokens=2, image_size=32)
    config = RT1Config(**size, width_coefficient=0.25, depth_coefficient=0.25, **options)
    policy = config.build(spec, statistics).eval()
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "film" in name or name.startswith("head"):
                parameter.normal_()
    return policy


def sample(spec: "TrajectorySpec", B: int = 3, T: int = 5) -> "Trajectory":
    from astra.trajectory import Trajectory

    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    actions = low + (high - low) * torch.rand(B, T, len(low), generator=generator)
    return Trajectory(
        instructions=tuple(spec.instructions[b % 2] for b in range(B)),
        states={name: torch.randn(B, T, size, generator=generator) for name, size in spec.states.items()},
        images={
            name: torch.randint(256, (B, T, 3, 40, 40), generator=generator, dtype=torch.uint8) for name in CAMERAS
        },
        valid=torch.ones(B, T, dtype=torch.bool),
        actions=torch.where(torch.tensor(spec.actions.binary), actions.round(), actions),
        action_valid=torch.ones(B, T, dtype=torch.bool),
    )


def cut(trajectory: "Trajectory", b: slice, until: int) -> "Trajectory":
    return replace(
        trajectory,
        instructions=trajectory.instructions[b],
        **{
            part: {name: values[b, :until] for name, values in getattr(trajectory, part).items()}
            for part in ("states", "images")
        },
        **{part: getattr(trajectory, part)[b, :until] for part in ("valid", "actions", "action_valid")},
    )


def at(trajectory: "Trajectory", t: int) -> "Observation":
    from astra.trajectory import Observation

    return Observation(
        states={name: values[:, t] for name, values in trajectory.states.items()},
        images={name: values[:, t] for name, values in trajectory.images.items()},
        previous_action=trajectory.actions[:, t - 1],
    )


def roll(policy: "Policy[Any]", trajectory: "Trajectory") -> torch.Tensor:
    state = policy.start(trajectory.instructions, range(len(trajectory.instructions)))
    chosen = []
    for t in range(trajectory.num_timesteps):
        action, state = policy.act(state, at(trajectory, t))
        chosen.append(action)
    return torch.stack(chosen, dim=1)


def outputs(policy: "RT1", trajectory: "Trajectory", monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Return the inputs of the head in training, (B, T, N, D)."""
    seen: list[torch.Tensor] = []
    head = policy.head.forward
    with monkeypatch.context() as patch:
        patch.setattr(policy.head, "forward", lambda read: (seen.append(read), head(read))[1])
        policy.loss(trajectory)
    return seen[0]


def test_acting_equals_training_within_and_beyond_the_history(
    policy: "RT1", spec: "TrajectorySpec", monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory = sample(spec)
    expected = policy.head.decode(policy.head(outputs(policy, trajectory, monkeypatch)), Decoding(), [])
    torch.testing.assert_close(roll(policy, trajectory), expected)
    alone = roll(policy, cut(trajectory, slice(1, 2), 5))
    torch.testing.assert_close(alone, expected[1:2])


def test_each_action_depends_only_on_the_last_frames_and_the_instruction(
    policy: "RT1", spec: "TrajectorySpec", monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory = sample(spec)
    before = outputs(policy, trajectory, monkeypatch)

    def changed(other: "Trajectory") -> list[bool]:
        after = outputs(policy, other, monkeypatch)
        far = [(after[0, t] - before[0, t]).abs().max().item() for t in range(5)]
        assert all(difference == 0 or difference > 1e-4 for difference in far), far
        return [difference > 0 for difference in far]

    images = {name: values.clone() for name, values in trajectory.images.items()}
    images["wrist"][:, 1] = 255 - images["wrist"][:, 1]
    assert changed(replace(trajectory, images=images)) == [False, True, True, True, False]
    swapped = replace(trajectory, instructions=(*reversed(trajectory.instructions[:2]), "stop now"))
    assert changed(swapped) == [True] * 5
    states = {name: values + 1 for name, values in trajectory.states.items()}
    assert changed(replace(trajectory, states=states, actions=trajectory.actions.flip(1))) == [False] * 5


def test_padding_changes_nothing(policy: "RT1", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    valid = trajectory.valid.clone()
    valid[:, 4:] = False
    padded, short = replace(trajectory, valid=valid, action_valid=valid), cut(trajectory, slice(0, 3), 4)
    one, other = policy.loss(padded), policy.loss(short)
    torch.testing.assert_close(one.behavior_cloning, other.behavior_cloning)
    assert int(one.count) == int(other.count) == 3 * 4 * 5


def test_one_environment_is_reset_alone(policy: "RT1", spec: "TrajectorySpec") -> None:
    trajectory = sample(spec)
    expected, first = roll(policy, trajectory), cut(trajectory, slice(1, 2), 1)
    state = policy.start(trajectory.instructions, range(3))
    for t in range(4):
        _, state = policy.act(state, at(trajectory, t))
    state = policy.reset(state, torch.tensor([False, True, False]), first.instructions, [1])
    observation = at(trajectory, 4)
    for name, values in trajectory.images.items():
        observation.images[name][1] = values[1, 0]
    action, _ = policy.act(state, observation)
    torch.testing.assert_close(action[[0, 2]], expected[[0, 2], 4])
    torch.testing.assert_close(action[1], expected[1, 0])


def test_it_is_saved_and_loaded(policy: "RT1", spec: "TrajectorySpec", tmp_path: Path) -> None:
    from astra.policies.checkpoint import load_policy, save_policy

    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert loaded.config == policy.config
    assert torch.equal(roll(loaded, sample(spec)), roll(policy, sample(spec)))


def test_one_batch_is_learned(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = build(spec, tiny_statistics, dropout=0.0).train()
    torch.nn.init.normal_(policy.head.weight, std=0.02)
    trajectory = sample(spec, B=2, T=2)
    optimizer = torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=1e-2)
    first = policy.loss(trajectory).behavior_cloning.item()
    for _ in range(60):
        cost = policy.loss(trajectory).behavior_cloning
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    assert policy.loss(trajectory).behavior_cloning.item() < 0.05 * first
    trained = {name: parameter for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert not [name for name, parameter in trained.items() if parameter.grad is None]


def test_instructions_leave_the_picture_alone_at_first(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.policies.sizes import rt1_small

    policy = rt1_small().build(spec, tiny_statistics).eval()
    frames = sample(spec).images["front"][:, 0]
    one, other = (policy.images(frames, torch.randn(3, 128)) for _ in range(2))
    assert torch.equal(one, other)


def test_data_without_cameras_or_with_pictured_prompts_are_refused(
    spec: "TrajectorySpec", tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.objects import ObjectSpec

    with pytest.raises(ValueError, match="no camera"):
        build(tiny_spec, tiny_statistics)
    pictured = ObjectSpec(views={"top": (64, 64)}, max_objects=2, max_pictured=2)
    with pytest.raises(ValueError, match="words only"):
        build(replace(spec, objects=pictured), tiny_statistics)
