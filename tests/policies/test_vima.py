"""VIMA and Flamingo: acting equals the full forward pass, and the prompt reaches the actions."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.pictured import INSTRUCTIONS, VIEWS, at, rows, sample

if TYPE_CHECKING:
    from astra.policies.cross_attention import CrossAttentionPolicy
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "vima": ("vima", {}),
    "vima, learned positions": ("vima", dict(positions="learned")),
    "vima, window": ("vima", dict(window=2)),
    "vima, window of one": ("vima", dict(window=1)),
    "flamingo": ("flamingo", dict(resampler_layers=2)),
    "flamingo, gates and window": ("flamingo", dict(gates=True, window=2)),
}


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from astra.objects import ObjectSpec

    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)


def build(name: str, spec: "TrajectorySpec", statistics: "Statistics", **options: Any) -> "CrossAttentionPolicy":
    """A policy in which biases, gates and heads are not zero."""
    from astra.policies import POLICIES

    kind, more = VARIANTS[name]
    options = dict(layers=2, heads=2, width=32) | more | options
    policy = POLICIES[kind](**options).build(spec, statistics).eval()
    with torch.no_grad():
        for part, parameter in policy.named_parameters():
            if part.startswith("head") or "ages" in part or "gates" in part:
                parameter.normal_()
    return policy  # pyright: ignore[reportReturnType]


def scores_of_acting(
    policy: "CrossAttentionPolicy", trajectory: "Trajectory", monkeypatch: pytest.MonkeyPatch
) -> torch.Tensor:
    """The head's outputs, step by step: (B, T, N, K)."""
    seen: list[torch.Tensor] = []
    decode = policy.head.decode
    with monkeypatch.context() as patched:
        patched.setattr(policy.head, "decode", lambda scores, *rest: (seen.append(scores), decode(scores, *rest))[1])
        state = policy.start(trajectory.instructions, range(len(trajectory.instructions)), trajectory.pictures)
        for t in range(trajectory.num_timesteps):
            _, state = policy.act(state, at(trajectory, t))
    return torch.cat(seen, dim=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_acting_step_by_step_equals_the_full_forward(
    name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics", monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = build(name, spec, tiny_statistics)
    trajectory = sample(spec)
    full = policy.predictions(trajectory)
    torch.testing.assert_close(scores_of_acting(policy, trajectory, monkeypatch), full, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vima", "flamingo"])
def test_an_empty_prompt_does_not_depend_on_the_prompts_beside_it(
    name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = build(name, replace(spec, instructions=("", "stop now"), objects=None), tiny_statistics)
    beside = replace(sample(spec, B=2), instructions=("", "stop now"), objects={}, pictures=None)
    alone = rows(beside, slice(0, 1))
    torch.testing.assert_close(policy.predictions(beside)[:1], policy.predictions(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vima", "flamingo"])
def test_a_prediction_depends_on_prompt_state_and_past_actions_and_not_on_its_own_action(
    name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    policy = build(name, spec, tiny_statistics)
    trajectory = sample(spec)
    base = policy.predictions(trajectory)
    actions = trajectory.actions.clone()
    actions[:, 2, 0] = -actions[:, 2, 0]
    changed = (policy.predictions(replace(trajectory, actions=actions)) - base).abs().amax(dim=(0, 2, 3))
    assert torch.equal(changed > 1e-6, torch.tensor([False, False, False, True, True]))
    states = {key: values.clone() for key, values in trajectory.states.items()}
    for values in states.values():
        values[:, 2] += torch.randn(values[:, 2].shape)
    changed = (policy.predictions(replace(trajectory, states=states)) - base).abs().amax(dim=(0, 2, 3))
    assert torch.equal(changed > 1e-6, torch.tensor([False, False, True, True, True]))
    other = ("stop now", *trajectory.instructions[1:])
    assert trajectory.pictures is not None
    pictures = trajectory.pictures[[2, 1, 2]]
    changed = (policy.predictions(replace(trajectory, instructions=other, pictures=pictures)) - base).abs()
    assert (changed[0].amax(dim=(1, 2)) > 1e-5).all()
    assert changed[1:].max() < 1e-5


def test_environments_are_reset_one_by_one_and_the_cache_stays_as_short_as_the_window(
    spec: "TrajectorySpec", tiny_statistics: "Statistics", monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = build("vima, window", spec, tiny_statistics)
    trajectory = sample(spec, T=6)
    assert trajectory.pictures is not None
    full = policy.predictions(trajectory)
    seen: list[torch.Tensor] = []
    decode = policy.head.decode
    monkeypatch.setattr(policy.head, "decode", lambda scores, *rest: (seen.append(scores), decode(scores, *rest))[1])
    state = policy.start(trajectory.instructions, range(3), trajectory.pictures)
    # From timestep 3 on, environments 0 and 2 see the same as from timestep 0 on.
    for t in range(6):
        if t == 3:
            again = [trajectory.instructions[b] for b in (0, 2)]
            where = torch.tensor([True, False, True])
            state = policy.reset(state, where, again, [0, 2], trajectory.pictures[[0, 2]])
        now, before = at(trajectory, t), at(trajectory, t - 3 if t >= 3 else t)
        parts = {name: (now.states[name], before.states[name]) for name in now.states}
        middle = torch.tensor([False, True, False])

        def chosen(mine: torch.Tensor, others: torch.Tensor, middle: torch.Tensor = middle) -> torch.Tensor:
            return torch.where(middle.view(-1, *[1] * (mine.ndim - 1)), mine, others)

        objects = {
            name: replace(
                view,
                **{part: chosen(getattr(view, part), getattr(before.objects[name], part)) for part in vars(view)},
            )
            for name, view in now.objects.items()
        }
        observation = replace(
            now,
            states={name: chosen(*pair) for name, pair in parts.items()},
            previous_action=chosen(now.previous_action, before.previous_action),
            objects=objects,
        )
        _, state = policy.act(state, observation)
    acted = torch.cat(seen, dim=1)
    torch.testing.assert_close(acted[1], full[1], rtol=1e-5, atol=1e-5)
    for env in (0, 2):
        torch.testing.assert_close(acted[env], full[env, [0, 1, 2, 0, 1, 2]], rtol=1e-5, atol=1e-5)
    assert state.cache.valid.shape[1] == 2 * (policy.sizes.state + 1)


def test_every_parameter_of_vima_learns(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = build("vima, learned positions", spec, tiny_statistics)
    policy.loss(sample(spec)).behavior_cloning.backward()
    assert [name for name, parameter in policy.named_parameters() if parameter.grad is None] == []


def test_a_window_of_learned_positions_is_refused(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    with pytest.raises(ValueError, match="a window needs positions='relative'"):
        build("vima, learned positions", spec, tiny_statistics, window=3)


def test_a_context_longer_than_the_table_is_refused(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    policy = build("vima, learned positions", spec, tiny_statistics)
    with pytest.raises(ValueError, match="longer than the learned table of 512"):
        policy.loss(sample(spec, T=60))
